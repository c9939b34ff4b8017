//! Samples for every input of a model, prepared a batch at a time.

use crate::examine;
use crate::fit::{check, convert};
use crate::{DataArg, NpyFile, Preparation, Recipe, ValueInfo};
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, Tensor, bf16, f16, is_float};
use serde::Serialize;
use std::ops::Range;

/// One input's file and preparation. The file is mapped; samples are prepared when a batch is asked for.
#[derive(Debug)]
pub struct InputData {
    name: String,
    file: NpyFile,
    preparation: Preparation,
    dtype: ElemType,
}

/// What was fed to an input, for reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputSummary {
    /// Name of the graph input.
    pub name: String,
    /// The file it came from.
    pub file: String,
    /// Type of the stored elements.
    pub dtype: ElemType,
    /// Axis lengths as stored, samples first.
    pub shape: Vec<usize>,
    /// How it was prepared; nothing is changed for integer inputs.
    pub preparation: Preparation,
}

impl InputData {
    /// Joins a file to a model's input.
    ///
    /// A float input takes any stored type and is prepared; an integer or bool input takes integers as
    /// they are, whatever `preparation` says.
    ///
    /// # Errors
    /// `D002` when rank, fixed axes or type do not fit or there are no samples, `D003` when the
    /// preparation is for another number of channels.
    pub fn new(file: NpyFile, input: &ValueInfo, preparation: Preparation) -> Result<Self> {
        check(&file, input, &preparation)?;
        let dtype = input.dtype.unwrap_or(ElemType::F32);
        let preparation = if is_float(dtype) { preparation } else { Preparation::default() };
        Ok(Self { name: input.name.clone(), file, preparation, dtype })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn file(&self) -> &NpyFile {
        &self.file
    }

    pub(crate) fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    pub(crate) fn is_float(&self) -> bool {
        is_float(self.dtype)
    }

    /// Samples `range`, clipped to those there are.
    fn batch(&self, range: Range<usize>) -> Result<Tensor> {
        let start = range.start;
        let place = |code, title: &str, row: usize, at: usize| {
            Diagnostic::new(code, title)
                .at("input", format!("%{}", self.name))
                .at("file", self.file.describe())
                .at("sample", (start + at / row.max(1)).to_string())
        };
        let row: usize = self.file.shape()[1..].iter().product();
        if !is_float(self.dtype) {
            let stored = self.file.samples_at(range);
            return convert(stored, self.dtype)
                .map_err(|at| place(Code::D002, "a value does not fit the input's type", row, at));
        }
        let tensor = self.preparation.prepare(&self.file, range, self.dtype);
        match not_finite(&tensor) {
            Some(at) => Err(place(Code::D004, "the prepared data hold NaN or infinity", row, at)),
            None => Ok(tensor),
        }
    }
}

fn not_finite(t: &Tensor) -> Option<usize> {
    match t.elem {
        ElemType::F32 => t.slice::<f32>()?.iter().position(|x| !x.is_finite()),
        ElemType::F64 => t.slice::<f64>()?.iter().position(|x| !x.is_finite()),
        ElemType::F16 => t.slice::<f16>()?.iter().position(|x| !x.is_finite()),
        ElemType::Bf16 => t.slice::<bf16>()?.iter().position(|x| !x.is_finite()),
        _ => None,
    }
}

/// Samples for all inputs of a model; as many for each.
#[derive(Debug)]
pub struct InputSet {
    items: Vec<InputData>,
    samples: usize,
}

impl InputSet {
    /// Opens the files of `args` and joins them to `inputs`, the model's. An argument without a name is
    /// for the model's only input.
    ///
    /// # Errors
    /// `D001` for unreadable files, `D002` when an input has no file, a file no input, or they do not
    /// fit, `D003` for a preparation that does not fit.
    pub fn open(args: &[DataArg], inputs: &[ValueInfo], recipe: &Recipe) -> Result<Self> {
        let files = args.iter().map(|arg| Ok((arg.name.clone(), NpyFile::open(&arg.path)?)));
        Self::new(files.collect::<Result<_>>()?, inputs, recipe)
    }

    /// The same from files already open.
    ///
    /// # Errors
    /// As [`InputSet::open`], but for `D001`.
    pub fn new(files: Vec<(Option<String>, NpyFile)>, inputs: &[ValueInfo], recipe: &Recipe) -> Result<Self> {
        if let Some(unknown) = recipe.inputs.keys().find(|name| inputs.iter().all(|i| i.name != **name)) {
            return Err(names(Code::D003, format!("the recipe names an unknown input, %{unknown}"), inputs));
        }
        let mut items = Vec::new();
        for (name, file) in files {
            let input = match &name {
                Some(name) => inputs.iter().find(|i| i.name == *name).ok_or_else(|| {
                    names(Code::D002, format!("the model has no input %{name}"), inputs)
                        .at("file", file.describe())
                })?,
                None if inputs.len() == 1 => &inputs[0],
                None => {
                    let title =
                        format!("the model has {} inputs; name the one each file is for", inputs.len());
                    return Err(names(Code::D002, title, inputs).help("write NAME=FILE.npy for each input"));
                }
            };
            if let Some(prep) = recipe.inputs.get(&input.name)
                && input.dtype.is_some_and(|d| !is_float(d))
                && !prep.is_identity()
            {
                return Err(names(
                    Code::D003,
                    "the recipe prepares an input that is not float",
                    std::slice::from_ref(input),
                ));
            }
            items.push(InputData::new(file, input, recipe.preparation(&input.name).clone())?);
        }
        Self::from_items(items, inputs)
    }

    fn from_items(items: Vec<InputData>, inputs: &[ValueInfo]) -> Result<Self> {
        if let Some(missing) = inputs.iter().find(|i| items.iter().all(|item| item.name != i.name)) {
            return Err(names(Code::D002, format!("no data are given for %{}", missing.name), inputs));
        }
        let Some(first) = items.first() else {
            return Err(Diagnostic::new(Code::D002, "the model has no inputs to feed"));
        };
        if let Some(other) = items.iter().find(|i| i.file.samples() != first.file.samples()) {
            return Err(Diagnostic::new(Code::D002, "the files hold different numbers of samples")
                .at("file", first.file.describe())
                .at("file", other.file.describe()));
        }
        let samples = first.file.samples();
        Ok(Self { items, samples })
    }

    /// The same set with only its first `samples`, or all if there are fewer; at least one.
    pub fn first(mut self, samples: usize) -> Self {
        self.samples = self.samples.min(samples.max(1));
        self
    }

    /// Number of samples, at least one.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Checks the same samples against another model's inputs, by name.
    ///
    /// # Errors
    /// `D002` when names, shapes or types do not fit.
    pub fn check(&self, inputs: &[ValueInfo]) -> Result<()> {
        for input in inputs {
            let Some(item) = self.items.iter().find(|i| i.name == input.name) else {
                return Err(names(Code::D002, format!("no data are given for %{}", input.name), inputs));
            };
            check(&item.file, input, &item.preparation)?;
            if input.dtype != Some(item.dtype) {
                let title =
                    format!("the data were prepared as {}, which the input does not take", item.dtype);
                return Err(names(Code::D002, title, std::slice::from_ref(input)));
            }
        }
        if let Some(extra) = self.items.iter().find(|item| inputs.iter().all(|i| i.name != item.name)) {
            return Err(names(Code::D002, format!("the model has no input %{}", extra.name), inputs));
        }
        Ok(())
    }

    /// Samples `range` of every input, prepared; the range is clipped to the samples there are. Axis 0 of
    /// each tensor counts samples.
    ///
    /// # Errors
    /// `D004` for NaN or infinity, `D002` for an integer out of the input's range; both name the sample.
    pub fn batch(&self, range: Range<usize>) -> Result<Vec<(String, Tensor)>> {
        let range = range.start..range.end.min(self.samples);
        self.items.iter().map(|item| Ok((item.name.clone(), item.batch(range.clone())?))).collect()
    }

    /// What is fed to each input, for reports.
    pub fn summary(&self) -> Vec<InputSummary> {
        let summary = |item: &InputData| InputSummary {
            name: item.name.clone(),
            file: item.file.label().to_owned(),
            dtype: item.file.dtype(),
            shape: item.file.shape().to_vec(),
            preparation: item.preparation.clone(),
        };
        self.items.iter().map(summary).collect()
    }

    /// Likely mistakes that are not errors: bytes fed to a float input as 0 to 255 (`D003`); samples that are constant,
    /// alike or scaled twice (`D005`).
    pub fn warnings(&self) -> Vec<Box<Diagnostic>> {
        let raw_bytes = |i: &&InputData| {
            is_float(i.dtype) && i.file.dtype() == ElemType::U8 && i.preparation.is_identity()
        };
        let warn = |item: &InputData| {
            Diagnostic::new(Code::D003, "bytes are fed to a float input as 0 to 255")
                .at("input", format!("%{}", item.name))
                .at("file", item.file.describe())
                .help("give scale, mean and std if the model was trained on scaled values")
        };
        let bytes = self.items.iter().filter(raw_bytes).map(warn);
        bytes.chain(examine::doubts(self)).collect()
    }

    /// The files of the inputs.
    pub(crate) fn items(&self) -> &[InputData] {
        &self.items
    }
}

fn names(code: Code, title: impl Into<String>, inputs: &[ValueInfo]) -> Box<Diagnostic> {
    inputs.iter().fold(Diagnostic::new(code, title), |d, input| d.at("input", input.to_string()))
}
