//! Class labels, one per sample.

use crate::NpyFile;
use crate::fit::convert;
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, is_float};
use std::path::Path;

/// The right class of each sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    classes: Vec<u32>,
}

impl Labels {
    /// Reads a `.npy` array of integers with one axis.
    ///
    /// # Errors
    /// `D001` if the file cannot be read, `D002` if it is not integers of rank 1, or a label is negative
    /// or beyond 32 bits.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_file(&NpyFile::open(path)?)
    }

    /// The same from a file already open.
    ///
    /// # Errors
    /// `D002` as [`Labels::open`].
    pub fn from_file(file: &NpyFile) -> Result<Self> {
        let flawed = |title: &str| Diagnostic::new(Code::D002, title).at("file", file.describe());
        if file.shape().len() != 1 {
            return Err(flawed("labels must have one axis"));
        }
        if is_float(file.dtype()) || file.dtype() == ElemType::Bool {
            return Err(flawed("labels must be integers"));
        }
        match convert(file.samples_at(0..file.samples()), ElemType::U32) {
            Ok(t) => Ok(Self { classes: t.slice().unwrap_or_default().to_vec() }),
            Err(at) => {
                Err(flawed("a label is negative or too large to be a class").at("sample", at.to_string()))
            }
        }
    }

    /// Only the first `samples` labels, or all if there are fewer.
    pub fn first(mut self, samples: usize) -> Self {
        self.classes.truncate(samples);
        self
    }

    /// The right class of every sample.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }
}
