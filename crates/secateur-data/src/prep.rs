//! From stored samples to what the model was trained on.

use crate::NpyFile;
use crate::number::{parse_list, parse_number};
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, Tensor, bf16, f16};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// `x = (raw * scale - mean[c]) / std[c]`, with `c` along the axis of channels, the samples being axis 0.
///
/// One mean or std stands for every channel. Computed in f64 and rounded once to the input's type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Factor applied first, usually 1/255 for images stored as bytes. Finite, not zero.
    pub scale: f32,
    /// Subtracted after scaling; one value, or one per channel. Finite.
    pub mean: Vec<f32>,
    /// Divided by last; one value, or one per channel. Finite, not zero.
    pub std: Vec<f32>,
    /// The axis of channels, from the end where negative; 1 unless said otherwise.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub axis: i64,
}

fn first() -> i64 {
    1
}

fn is_first(axis: &i64) -> bool {
    *axis == first()
}

impl Default for Preparation {
    /// Leaves samples as they are.
    fn default() -> Self {
        Self { scale: 1.0, mean: vec![0.0], std: vec![1.0], axis: first() }
    }
}

impl Preparation {
    /// Checks and builds one.
    ///
    /// # Errors
    /// `D003` when a value is not finite, scale or a std is zero, a list is empty, or `mean` and `std`
    /// are lists of different lengths (other than one).
    pub fn new(scale: f32, mean: Vec<f32>, std: Vec<f32>) -> Result<Self> {
        let flawed = |title: &str, field, value: String| Err(invalid(title).at(field, value));
        if !scale.is_finite() || scale == 0.0 {
            return flawed("scale must be finite and not zero", "scale", scale.to_string());
        }
        if mean.is_empty() || mean.iter().any(|m| !m.is_finite()) {
            return flawed("mean must be one or more finite numbers", "mean", format!("{mean:?}"));
        }
        if std.is_empty() || std.iter().any(|s| !s.is_finite() || *s == 0.0) {
            return flawed(
                "std must be one or more finite numbers other than zero",
                "std",
                format!("{std:?}"),
            );
        }
        if mean.len() != std.len() && mean.len() != 1 && std.len() != 1 {
            return flawed(
                "mean and std have different numbers of channels",
                "given",
                format!("{} and {} values", mean.len(), std.len()),
            );
        }
        Ok(Self { scale, mean, std, axis: first() })
    }

    /// From text, as on a command line: `"1/255"`, `"0.485,0.456,0.406"`, `"0.229,0.224,0.225"`.
    /// Each number may be a fraction.
    ///
    /// # Errors
    /// `D003`, also for text that is not a number.
    pub fn parse(scale: &str, mean: &str, std: &str) -> Result<Self> {
        let named = |field: &'static str| move |reason: String| invalid(reason).at("given", field);
        Self::new(
            parse_number(scale).map_err(named("scale"))?,
            parse_list(mean).map_err(named("mean"))?,
            parse_list(std).map_err(named("std"))?,
        )
    }

    /// The same with channels along another axis.
    ///
    /// # Errors
    /// `D003` for axis 0, which counts samples.
    pub fn along(self, axis: i64) -> Result<Self> {
        match axis {
            0 => Err(invalid("channels cannot be along axis 0, which counts samples")),
            axis => Ok(Self { axis, ..self }),
        }
    }

    /// The axis of channels among so many; `None` where there is no such axis, or where it is the samples'.
    pub(crate) fn axis_of(&self, rank: usize) -> Option<usize> {
        let axis = if self.axis < 0 { self.axis.checked_add_unsigned(rank as u64)? } else { self.axis };
        usize::try_from(axis).ok().filter(|&a| a > 0 && a < rank)
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.mean.iter().all(|&m| m == 0.0) && self.std.iter().all(|&s| s == 1.0)
    }

    /// How many channels it is for; 1 fits any number.
    pub fn channels(&self) -> usize {
        self.mean.len().max(self.std.len())
    }

    fn apply(&self, channel: usize, raw: f64) -> f64 {
        let pick = |list: &[f32]| f64::from(if list.len() == 1 { list[0] } else { list[channel] });
        (raw * f64::from(self.scale) - pick(&self.mean)) / pick(&self.std)
    }

    /// Samples `range` of `file`, prepared, as elements of the float type `target`. The file's channels
    /// must have been checked against [`Preparation::channels`].
    pub(crate) fn prepare(&self, file: &NpyFile, range: Range<usize>, target: ElemType) -> Tensor {
        let stored = file.samples_at(range);
        // One number for all channels needs no axis.
        let axis = self.axis_of(stored.dims.len()).unwrap_or(stored.dims.len());
        let inner: usize = stored.dims.iter().skip(axis + 1).product();
        let planes = self.channels();
        let dims = stored.dims.clone();
        match (stored.elem, target, stored.octets()) {
            (ElemType::F32, ElemType::F32, _) if self.is_identity() => stored,
            // Bytes are by far the commonest: 256 values a channel are worked out once.
            (ElemType::U8, ElemType::F32, Some(raw)) => {
                let table = |c| std::array::from_fn(|v| self.apply(c, v as f64) as f32);
                let tables: Vec<[f32; 256]> = (0..planes).map(table).collect();
                let mut values = Vec::with_capacity(raw.len());
                for (run, c) in raw.chunks(inner.max(1)).zip((0..planes).cycle()) {
                    values.extend(run.iter().map(|&v| tables[c][usize::from(v)]));
                }
                Tensor::of(&dims, values)
            }
            _ => {
                // Every type that a file can hold is a number.
                let mut values = stored.to_f64().unwrap_or_default();
                for (run, c) in values.chunks_mut(inner.max(1)).zip((0..planes).cycle()) {
                    run.iter_mut().for_each(|v| *v = self.apply(c, *v));
                }
                match target {
                    ElemType::F64 => Tensor::of(&dims, values),
                    ElemType::F16 => Tensor::of(&dims, values.into_iter().map(f16::from_f64).collect()),
                    ElemType::Bf16 => Tensor::of(&dims, values.into_iter().map(bf16::from_f64).collect()),
                    _ => Tensor::of(&dims, values.into_iter().map(|v| v as f32).collect()),
                }
            }
        }
    }
}

pub(crate) fn invalid(title: impl Into<String>) -> Box<Diagnostic> {
    Diagnostic::new(Code::D003, title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_fractions_for_each_channel() {
        let p = Preparation::parse("1/255", "0.485,0.456,0.406", "0.229,0.224,9/40").unwrap();
        assert_eq!(p.scale, 1.0 / 255.0);
        assert_eq!(p.std, [0.229, 0.224, 0.225]);
        assert_eq!(p.channels(), 3);
        let json = serde_json::to_string(&p).unwrap();
        assert_eq!(serde_json::from_str::<Preparation>(&json).unwrap(), p);
    }

    #[test]
    fn refuses_zero_and_uneven_lists() {
        for (scale, mean, std) in
            [("0", "0", "1"), ("1", "0", "0"), ("1", "0,0", "1,1,1"), ("x", "0", "1"), ("1", "", "1")]
        {
            assert_eq!(Preparation::parse(scale, mean, std).unwrap_err().code, Code::D003);
        }
        let e = Preparation::parse("1", "0", "1,0").unwrap_err();
        assert_eq!(e.fields, [("std", "[1.0, 0.0]".to_string())]);
    }
}
