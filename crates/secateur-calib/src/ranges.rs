//! How the elements of values are spread, from one pass over the samples.

use secateur_data::InputSet;
use secateur_diag::{Code, Result, diag};
use secateur_run::Engine;
use secateur_run::fold_in_order;
use secateur_tensor::Tensor;

/// Bins on each side of zero.
const HALF: usize = 2048;

/// Elements from which on they are counted in several rows, which together fit into a core's first cache.
const MANY: usize = 1 << 15;
/// How many.
const ROWS: usize = 2;
/// From here on `f32` has no room for fractions, up to 2^22 more. Its last bits are zero.
const INTEGERS: f32 = 12_582_912.0;
/// Elements whose bins are found at once.
const LINE: usize = 16;

/// The least and the greatest element, and whether all are finite.
fn extent(values: &[f32]) -> (f32, f32, bool) {
    const LANES: usize = 16;
    let (mut min, mut max) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    // Zero as long as all are finite.
    let mut sum = [0f32; LANES];
    let mut take = |part: &[f32]| {
        for (k, &v) in part.iter().enumerate() {
            min[k] = if v < min[k] { v } else { min[k] };
            max[k] = if v > max[k] { v } else { max[k] };
            sum[k] += v * 0.0;
        }
    };
    let (lines, rest) = values.as_chunks::<LANES>();
    lines.iter().for_each(|l| take(l));
    take(rest);
    let min = min.into_iter().fold(f32::INFINITY, f32::min);
    let max = max.into_iter().fold(f32::NEG_INFINITY, f32::max);
    (min, max, sum.into_iter().all(|s| s == 0.0))
}

/// A histogram that grows with what it is fed.
///
/// Bins are `2^exponent` wide and start at zero, and the exponent is the least at which everything seen fits. So the
/// bins depend on the elements alone, and sums of histograms neither on their order nor on the number of threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Least element; infinity before the first.
    pub min: f32,
    /// Greatest element; minus infinity before the first.
    pub max: f32,
    exponent: i32,
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { min: f32::INFINITY, max: f32::NEG_INFINITY, exponent: -126, counts: vec![0; 2 * HALF] }
    }
}

impl Histogram {
    /// That of a value of a model; empty where it is not f32.
    ///
    /// # Errors
    /// `D004` where it is NaN or infinite, naming it.
    pub fn of(name: &str, t: &Tensor) -> Result<Self> {
        let mut h = Self::default();
        let values = t.slice::<f32>().unwrap_or(&[]);
        match h.add(values) {
            true => Ok(h),
            false => Err(diag(Code::D004, "a value of the model is NaN or infinite on these data")
                .at("value", format!("%{name}"))),
        }
    }

    /// Counts more elements; `false` where one is not finite, and then nothing is counted.
    pub fn add(&mut self, values: &[f32]) -> bool {
        let (min, max, finite) = extent(values);
        if !finite || values.is_empty() {
            return finite;
        }
        self.cover(min, max);
        // An exact power of two, so that the product rounds only far below a bin's width.
        let per_width = 2f32.powi(-self.exponent.clamp(-126, 126));
        let bin = |v: f32| {
            let x = v * per_width;
            // To the nearest integer, which is then in the last bits; and from there down.
            let near = x + INTEGERS;
            let down = u32::from(near - INTEGERS > x);
            (near.to_bits() - down + HALF as u32) as usize % (2 * HALF)
        };
        if values.len() < MANY {
            values.iter().for_each(|v| self.counts[bin(*v)] += 1);
            return true;
        }
        // Neighbours often fall into one bin, as zeros behind a rectifier do: they must not wait for each other.
        for part in values.chunks(1 << 30) {
            let mut counts = vec![[0u32; ROWS]; 2 * HALF];
            let (lines, rest) = part.as_chunks::<LINE>();
            for line in lines {
                let bins: [usize; LINE] = line.map(bin);
                bins.iter().enumerate().for_each(|(k, b)| counts[*b][k % ROWS] += 1);
            }
            rest.iter().for_each(|v| counts[bin(*v)][0] += 1);
            let sums = counts.iter().map(|c| c.iter().map(|n| u64::from(*n)).sum::<u64>());
            self.counts.iter_mut().zip(sums).for_each(|(a, b)| *a += b);
        }
        true
    }

    /// Makes room for these elements.
    fn cover(&mut self, min: f32, max: f32) {
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        let most = self.max.abs().max(self.min.abs());
        let empty = self.count() == 0;
        while most > 0.0 && f64::from(most) >= HALF as f64 * 2f64.powi(self.exponent) {
            self.exponent += 1;
            if empty {
                continue;
            }
            let mut wider = vec![0; 2 * HALF];
            for (i, n) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
                wider[(i + HALF) / 2] += n;
            }
            self.counts = wider;
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Histogram) {
        if other.count() == 0 {
            return;
        }
        self.cover(other.min, other.max);
        let mut other = other.clone();
        other.cover(self.min, self.max);
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// Number of elements.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Middle and count of every bin that is not empty, in order.
    pub fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let width = 2f64.powi(self.exponent);
        let at = move |i: usize| (i as f64 - HALF as f64 + 0.5) * width;
        self.counts.iter().enumerate().filter(|(_, n)| **n > 0).map(move |(i, n)| (at(i), *n))
    }
}

/// Histograms of a model's outputs over all samples. To look inside a model, make what is inside an output.
///
/// Values that are not f32 have empty histograms. Memory: one batch of outputs for each thread.
///
/// # Errors
/// `D004` where a value is NaN or infinite, naming it; else those of [`Engine::run`].
pub fn ranges(
    executor: &dyn Engine,
    data: &InputSet,
    batch: usize,
    threads: usize,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<(String, Histogram)>> {
    data.check(executor.inputs())?;
    let fixed = executor.fixed_batch();
    let batch = fixed.unwrap_or(batch).max(1);
    let n = data.samples();
    // A last batch that the model does not take is left out, as long as there is a whole one.
    let jobs = if fixed.is_some() && n >= batch { n / batch } else { n.div_ceil(batch) };
    let names: Vec<String> = executor.outputs().iter().map(|o| o.name.clone()).collect();
    let mut sum = vec![Histogram::default(); names.len()];
    let work = |job: usize| -> Result<Vec<Histogram>> {
        let mut inputs = data.batch(job * batch..(job + 1) * batch)?;
        if fixed.is_some() {
            inputs = inputs.into_iter().map(|(name, t)| (name, t.with_rows(batch))).collect();
        }
        executor.run(&inputs)?.iter().map(|(name, t)| Histogram::of(name, t)).collect()
    };
    fold_in_order(jobs, threads, work, &mut |job, found| {
        sum.iter_mut().zip(&found).for_each(|(a, b)| a.merge(b));
        done(((job + 1) * batch).min(n));
        Ok(())
    })?;
    Ok(names.into_iter().zip(sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_order() {
        let parts: [&[f32]; 3] = [&[0.001, -0.002, 0.0], &[5.0, -3.0, 0.25], &[100.0, -1e-9]];
        let of = |order: [usize; 3]| {
            let mut sum = Histogram::default();
            for i in order {
                let mut h = Histogram::default();
                assert!(h.add(parts[i]));
                sum.merge(&h);
            }
            sum
        };
        let a = of([0, 1, 2]);
        assert_eq!(a, of([2, 0, 1]));
        assert_eq!((a.count(), a.min, a.max), (8, -3.0, 100.0));
        let mut whole = Histogram::default();
        assert!(whole.add(&parts.concat()));
        assert_eq!(whole, a);
        assert!(!whole.add(&[f32::NAN]));
        assert_eq!(whole.count(), 8);
    }

    #[test]
    fn many_at_once_are_counted_as_few_are() {
        let value = |i: usize| if i.is_multiple_of(3) { 0.0 } else { (i as f32 * 0.37).sin() * 2.5 };
        let values: Vec<f32> = (0..MANY + 7).map(value).collect();
        let (mut whole, mut parts) = (Histogram::default(), Histogram::default());
        assert!(whole.add(&values));
        for part in values.chunks(100) {
            let mut h = Histogram::default();
            assert!(h.add(part));
            parts.merge(&h);
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.count(), values.len() as u64);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = values.clone();
            values[MANY / 2] = bad;
            assert!(!whole.add(&values));
        }
    }
}
