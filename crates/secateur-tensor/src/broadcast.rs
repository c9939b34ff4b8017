//! Several tensors seen under one shape.

/// Steps through an index space of which two or three tensors see some axes repeated: innermost runs are
/// handed over with their strides.
pub struct Broadcast {
    shape: Vec<usize>,
    strides: Vec<Vec<usize>>,
}

impl Broadcast {
    /// Tensors of `shapes`, each of which broadcasts to `shape`; `None` where one does not.
    pub fn new(shape: &[usize], shapes: &[&[usize]]) -> Option<Self> {
        let rank = shape.len();
        let stride = |s: &&[usize]| {
            let lead = rank.checked_sub(s.len())?;
            let mut out = vec![0; rank];
            let mut step = 1;
            for a in (0..s.len()).rev() {
                match s[a] {
                    n if n == shape[lead + a] => out[lead + a] = if n == 1 { 0 } else { step },
                    1 => {}
                    _ => return None,
                }
                step *= s[a];
            }
            Some(out)
        };
        let strides = shapes.iter().map(stride).collect::<Option<Vec<_>>>()?;
        let mut out = Self { shape: shape.to_vec(), strides };
        out.merge();
        Some(out)
    }

    /// Joins neighbouring axes that all tensors see as one.
    fn merge(&mut self) {
        let mut a = self.shape.len();
        while a >= 2 {
            a -= 1;
            let inner = self.shape[a];
            if self.strides.iter().all(|s| s[a - 1] == s[a] * inner || inner == 1) {
                self.shape[a - 1] *= inner;
                self.shape.remove(a);
                for s in &mut self.strides {
                    let step = s.remove(a);
                    s[a - 1] = if inner == 1 { s[a - 1] } else { step };
                }
            }
        }
    }

    /// Calls `each` with the length of a run, and start and stride of it in every tensor; runs follow each other
    /// in C order of the whole.
    pub fn runs(&self, mut each: impl FnMut(usize, &[(usize, usize)])) {
        let rank = self.shape.len();
        if self.shape.contains(&0) {
            return;
        }
        let (len, outer) = match rank {
            0 => (1, 0),
            _ => (self.shape[rank - 1], rank - 1),
        };
        let mut index = vec![0; outer];
        let mut at: Vec<(usize, usize)> =
            self.strides.iter().map(|s| (0, s.last().copied().unwrap_or(0))).collect();
        loop {
            each(len, &at);
            let mut axis = outer;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                index[axis] += 1;
                for (p, s) in at.iter_mut().zip(&self.strides) {
                    p.0 += s[axis];
                }
                if index[axis] < self.shape[axis] {
                    break;
                }
                for (p, s) in at.iter_mut().zip(&self.strides) {
                    p.0 -= s[axis] * self.shape[axis];
                }
                index[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_visit_every_element_once_in_order() {
        let b = Broadcast::new(&[2, 3, 4], &[&[2, 3, 4], &[3, 1], &[1, 1, 4], &[]]).unwrap();
        let mut seen = Vec::new();
        b.runs(|n, at| seen.extend((0..n).map(|i| at.iter().map(|(p, s)| p + i * s).collect::<Vec<_>>())));
        let want = (0..24).map(|i| vec![i, i / 4 % 3, i % 4, 0]).collect::<Vec<_>>();
        assert_eq!(seen, want);
        assert!(Broadcast::new(&[2, 3], &[&[2]]).is_none());
    }
}
