//! Error figures of one output, gathered batch by batch.

use secateur_tensor::{ElemType, Tensor, is_float};
use serde::Serialize;

/// How far one output of the candidate is from the reference's. All sums are f64; elements that are NaN
/// or infinite on either side are left out of them and, where the two differ, counted in `non_finite`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputComparison {
    /// Name in the reference model.
    pub name: String,
    /// Element type in the reference model.
    pub dtype: ElemType,
    /// Elements compared.
    pub elements: u64,
    /// Largest |a - b|.
    pub max_abs_error: f64,
    /// Largest |a - b| over the largest |a| of the whole output; 0 when both are 0, `None` when only the
    /// reference is 0 throughout.
    pub max_rel_error: Option<f64>,
    /// Largest |a|.
    pub max_abs: f64,
    /// Sum of a².
    pub signal: f64,
    /// Sum of (a - b)².
    pub noise: f64,
    /// 10 log10(signal / noise), in dB; `None` when either sum is 0. See [`OutputComparison::sqnr`].
    pub sqnr_db: Option<f64>,
    /// Elements that are NaN or infinite in one model and not the same in the other.
    pub non_finite: u64,
    /// Agreement of the best class, for outputs of shape `[samples, classes]` with several classes.
    pub top1: Option<Top1>,
}

impl OutputComparison {
    /// Signal to noise in dB as one comparable number: infinite for equal outputs, minus infinite when
    /// NaN or infinity appeared on one side only.
    pub fn sqnr(&self) -> f64 {
        match self.sqnr_db {
            _ if self.non_finite > 0 => f64::NEG_INFINITY,
            Some(db) => db,
            None if self.noise == 0.0 => f64::INFINITY,
            None => f64::NEG_INFINITY,
        }
    }
}

/// How often the best class is the same, and right. Of equal scores the first counts as best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Top1 {
    /// Samples counted.
    pub samples: usize,
    /// Samples on which both models choose the same class.
    pub agreeing: usize,
    /// `agreeing / samples`.
    pub agreement: f64,
    /// With labels: how often each model is right.
    pub accuracy: Option<Accuracy>,
}

/// Right answers of both models, given labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Accuracy {
    /// Samples the reference classifies right.
    pub reference_correct: usize,
    /// Samples the candidate classifies right.
    pub candidate_correct: usize,
    /// `reference_correct / samples`.
    pub reference: f64,
    /// `candidate_correct / samples`.
    pub candidate: f64,
}

/// Sums over part of the samples.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    elements: u64,
    max_error: f64,
    max_abs: f64,
    signal: f64,
    noise: f64,
    non_finite: u64,
    votes: Option<Votes>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    samples: usize,
    agreeing: usize,
    right: Option<[usize; 2]>,
}

impl Tally {
    /// Compares two outputs of the same shape for `rows` samples.
    pub fn of(a: &Tensor, b: &Tensor, rows: usize, labels: Option<&[u32]>) -> Self {
        let (x, y) = (a.to_f64().unwrap_or_default(), b.to_f64().unwrap_or_default());
        let mut tally = Self { elements: x.len() as u64, ..Self::default() };
        for (&x, &y) in x.iter().zip(&y) {
            if x.is_finite() && y.is_finite() {
                let error = (x - y).abs();
                tally.max_error = tally.max_error.max(error);
                tally.max_abs = tally.max_abs.max(x.abs());
                tally.signal += x * x;
                tally.noise += error * error;
            } else if x != y && !(x.is_nan() && y.is_nan()) {
                tally.non_finite += 1;
            }
        }
        if let [n, classes] = a.dims[..]
            && n == rows
            && classes > 1
            && is_float(a.elem)
        {
            tally.votes = Some(Votes::of(&x, &y, classes, labels));
        }
        tally
    }

    /// Adds a later part. The order of additions decides the last bits of the sums.
    pub fn merge(&mut self, part: &Self) {
        self.elements += part.elements;
        self.max_error = self.max_error.max(part.max_error);
        self.max_abs = self.max_abs.max(part.max_abs);
        self.signal += part.signal;
        self.noise += part.noise;
        self.non_finite += part.non_finite;
        self.votes = match (self.votes, part.votes) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
    }

    /// The figures, under the output's name.
    pub fn finish(self, name: String, dtype: ElemType) -> OutputComparison {
        let relative = self.max_error / self.max_abs;
        let db = 10.0 * (self.signal / self.noise).log10();
        OutputComparison {
            name,
            dtype,
            elements: self.elements,
            max_abs_error: self.max_error,
            max_rel_error: if self.max_error == 0.0 {
                Some(0.0)
            } else {
                Some(relative).filter(|r| r.is_finite())
            },
            max_abs: self.max_abs,
            signal: self.signal,
            noise: self.noise,
            sqnr_db: Some(db).filter(|db| db.is_finite()),
            non_finite: self.non_finite,
            top1: self.votes.map(Votes::finish),
        }
    }
}

impl Votes {
    fn of(x: &[f64], y: &[f64], classes: usize, labels: Option<&[u32]>) -> Self {
        let mut votes = Self { samples: x.len() / classes, agreeing: 0, right: labels.map(|_| [0, 0]) };
        for (i, (x, y)) in x.chunks(classes).zip(y.chunks(classes)).enumerate() {
            let best = [best_class(x), best_class(y)];
            votes.agreeing += usize::from(best[0] == best[1]);
            if let (Some(right), Some(labels)) = (&mut votes.right, labels) {
                for (right, best) in right.iter_mut().zip(best) {
                    *right += usize::from(best == Some(labels[i] as usize));
                }
            }
        }
        votes
    }

    fn plus(self, other: Self) -> Self {
        let right = self.right.zip(other.right).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]);
        Self { samples: self.samples + other.samples, agreeing: self.agreeing + other.agreeing, right }
    }

    fn finish(self) -> Top1 {
        let share = |n: usize| n as f64 / self.samples.max(1) as f64;
        let accuracy = self.right.map(|[a, b]| Accuracy {
            reference_correct: a,
            candidate_correct: b,
            reference: share(a),
            candidate: share(b),
        });
        Top1 { samples: self.samples, agreeing: self.agreeing, agreement: share(self.agreeing), accuracy }
    }
}

/// First index of the largest score; NaN never wins, and `None` if there is nothing else.
fn best_class(scores: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, s) in scores.iter().enumerate() {
        if !s.is_nan() && best.is_none_or(|b| *s > scores[b]) {
            best = Some(i);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_output() {
        let a = Tensor::of(&[2, 2], vec![1f32, 3., 4., 0.]);
        let b = Tensor::of(&[2, 2], vec![1f32, 3., 0., 2.]);
        let result = Tally::of(&a, &b, 2, Some(&[1, 0])).finish("y".into(), ElemType::F32);
        assert_eq!((result.max_abs_error, result.max_rel_error), (4.0, Some(1.0)));
        assert_eq!((result.signal, result.noise), (26.0, 20.0));
        assert!((result.sqnr() - 10.0 * (26.0f64 / 20.0).log10()).abs() < 1e-12);
        let top1 = result.top1.unwrap();
        assert_eq!((top1.samples, top1.agreeing, top1.agreement), (2, 1, 0.5));
        let accuracy = top1.accuracy.unwrap();
        assert_eq!((accuracy.reference_correct, accuracy.candidate_correct), (2, 1));
    }

    #[test]
    fn equal_and_broken_outputs_stand_at_the_ends() {
        let a = Tensor::of(&[1, 2], vec![1f32, f32::NAN]);
        let same = Tally::of(&a, &a, 1, None).finish("y".into(), ElemType::F32);
        assert_eq!((same.sqnr(), same.sqnr_db, same.non_finite), (f64::INFINITY, None, 0));
        let b = Tensor::of(&[1, 2], vec![1f32, 2.]);
        let broken = Tally::of(&b, &a, 1, None).finish("y".into(), ElemType::F32);
        assert_eq!((broken.sqnr(), broken.non_finite), (f64::NEG_INFINITY, 1));
        assert!(!serde_json::to_string(&broken).unwrap().contains("inf"));
    }

    #[test]
    fn the_first_of_equal_scores_is_best() {
        assert_eq!(best_class(&[f64::NAN, 2.0, 2.0]), Some(1));
        assert_eq!(best_class(&[f64::NAN]), None);
    }
}
