//! Dimensions: a fixed size, or a product of symbols with a coefficient.
//!
//! Products are all that exported graphs need (`64*N` windows of a batch of `N` images); a size that is
//! none of these gets a symbol of its own, which equals nothing but itself.

use std::fmt;
use std::sync::Arc;

/// The size of one axis, or one element of an integer tensor known at compile time.
///
/// The value is `coef` times the product of `syms`; no symbols means a constant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Dim {
    coef: i64,
    syms: Vec<Arc<str>>,
}

/// Most symbols in one product.
const MAX_SYMBOLS: usize = 64;

/// A tensor's shape, outermost axis first.
pub type Shape = Vec<Dim>;

impl Dim {
    /// A constant.
    pub fn fixed(n: impl TryInto<i64>) -> Self {
        Self { coef: n.try_into().unwrap_or(i64::MAX), syms: Vec::new() }
    }

    /// A symbol by its name.
    pub fn symbol(name: &str) -> Self {
        Self { coef: 1, syms: vec![name.into()] }
    }

    /// A symbol that equals nothing but itself: axis `axis` of the value called `value`.
    pub fn unknown(value: &str, axis: usize) -> Self {
        Self::symbol(&format!("?{value}.{axis}"))
    }

    /// The size, where it is a constant that is not negative.
    pub fn size(&self) -> Option<usize> {
        if self.syms.is_empty() { usize::try_from(self.coef).ok() } else { None }
    }

    /// The constant, negative ones included.
    pub fn constant(&self) -> Option<i64> {
        self.syms.is_empty().then_some(self.coef)
    }

    /// The symbols of the product, sorted.
    pub fn symbols(&self) -> &[Arc<str>] {
        &self.syms
    }

    /// The coefficient of the product.
    pub fn coefficient(&self) -> i64 {
        self.coef
    }

    /// Whether this is the constant `n`.
    pub fn is(&self, n: i64) -> bool {
        self.syms.is_empty() && self.coef == n
    }

    /// Whether the size has a part that nothing else in the graph names.
    pub fn is_unknown(&self) -> bool {
        self.syms.iter().any(|s| s.starts_with('?'))
    }

    /// The product, `None` on overflow and for absurdly many symbols.
    pub fn mul(&self, other: &Dim) -> Option<Dim> {
        let coef = self.coef.checked_mul(other.coef)?;
        if coef == 0 {
            return Some(Dim::fixed(0));
        }
        // A chain of squares in a hostile file would double their number at every step.
        if self.syms.len() + other.syms.len() > MAX_SYMBOLS {
            return None;
        }
        let mut syms = [self.syms.as_slice(), other.syms.as_slice()].concat();
        syms.sort();
        Some(Dim { coef, syms })
    }

    /// The quotient where `other` divides this exactly.
    pub fn div(&self, other: &Dim) -> Option<Dim> {
        if self.coef.checked_rem(other.coef) != Some(0) {
            return None;
        }
        let mut syms = self.syms.clone();
        for s in &other.syms {
            let at = syms.iter().position(|t| t == s)?;
            syms.remove(at);
        }
        Some(Dim { coef: self.coef / other.coef, syms })
    }

    /// The product of many, `None` on overflow.
    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Option<Dim> {
        dims.into_iter().try_fold(Dim::fixed(1), |p, d| p.mul(d))
    }

    /// Each symbol for which `size` knows a number is replaced by it.
    pub fn bind(&self, size: &dyn Fn(&str) -> Option<usize>) -> Option<Dim> {
        let mut out = Dim::fixed(self.coef);
        for s in &self.syms {
            out = out.mul(&size(s).map_or_else(|| Dim::symbol(s), Dim::fixed))?;
        }
        Some(out)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.syms.is_empty() || self.coef != 1 {
            write!(f, "{}", self.coef)?;
        }
        for (i, s) in self.syms.iter().enumerate() {
            if i > 0 || self.coef != 1 {
                f.write_str("*")?;
            }
            let word = match s.starts_with(|c: char| c.is_ascii_digit()) {
                true => format!("{s:?}"),
                false => crate::text::word(s),
            };
            f.write_str(&word)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_quotients() {
        let n = Dim::symbol("N");
        let windows = n.mul(&Dim::fixed(64)).unwrap();
        assert_eq!(windows.to_string(), "64*N");
        assert_eq!(windows.div(&Dim::fixed(64)), Some(n.clone()));
        assert_eq!(windows.div(&n), Some(Dim::fixed(64)));
        assert_eq!(windows.div(&Dim::fixed(3)), None);
        assert_eq!(Dim::fixed(6).div(&n), None);
        assert_eq!(Dim::fixed(i64::MAX).mul(&Dim::fixed(2)), None);
    }
}
