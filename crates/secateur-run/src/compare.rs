//! Two models on the same samples.

use crate::pool::in_order;
use crate::tally::Tally;
use crate::{Engine, OutputComparison};
use secateur_data::{InputSet, Labels, ValueInfo};
use secateur_diag::{Code, Diagnostic, Result};
use secateur_tensor::{ElemType, Tensor};
use serde::Serialize;

/// How a comparison is run. None of it but `batch` changes a figure, and that only in the last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareOptions {
    /// Samples a batch; a batch that the model fixes goes first. At least 1.
    pub batch: usize,
    /// Batches run at once; 0 is one for each core.
    pub threads: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { batch: 16, threads: 0 }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Samples compared.
    pub samples: usize,
    /// Samples a batch.
    pub batch: usize,
    /// One entry for each output of the reference, in its order.
    pub outputs: Vec<OutputComparison>,
}

/// Runs both models over all samples and compares their outputs, which are matched by name, or by
/// position when the names differ. Accuracy is counted for outputs with as many classes as the labels name. A candidate that *is* the reference is run once: that is the way to
/// measure the accuracy of one model.
///
/// The same figures come out at any number of threads. `progress` is called with samples done and in all.
///
/// # Errors
/// `D002` when data or labels do not fit the models or the models have different outputs, and whatever
/// [`Engine::run`] and [`InputSet::batch`] report.
pub fn compare(
    reference: &dyn Engine,
    candidate: &dyn Engine,
    data: &InputSet,
    labels: Option<&Labels>,
    options: &CompareOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Comparison> {
    let samples = data.samples();
    data.check(reference.inputs())?;
    data.check(candidate.inputs())?;
    check_labels(labels, samples)?;
    let classes = labels.map(|l| l.classes().iter().max().map_or(0, |&c| c as usize + 1));
    let fixed = fixed_batch(reference, candidate)?;
    let job = Job {
        reference,
        candidate,
        data,
        labels: labels.map(Labels::classes),
        classes: classes.unwrap_or(0),
        partners: partners(reference.outputs(), candidate.outputs())?,
        batch: fixed.unwrap_or(options.batch).clamp(1, fixed.unwrap_or(samples)),
        fixed: fixed.is_some(),
    };
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let mut seen = 0;
    let parts = in_order(samples.div_ceil(job.batch), threads, |i| job.run(i), &mut |i| {
        seen += job.rows(i);
        progress(seen, samples);
    })?;
    let outputs = reduce(reference.outputs(), &parts);
    let labelled = |o: &OutputComparison| o.top1.is_some_and(|t| t.accuracy.is_some());
    match classes {
        Some(n) if !outputs.iter().any(labelled) => {
            let title =
                format!("the labels go up to class {}, but no output has {n} classes", n.saturating_sub(1));
            Err(Diagnostic::new(Code::D002, title).help("labels are for outputs of shape [samples, classes]"))
        }
        _ => Ok(Comparison { samples, batch: job.batch, outputs }),
    }
}

struct Job<'a> {
    reference: &'a dyn Engine,
    candidate: &'a dyn Engine,
    data: &'a InputSet,
    labels: Option<&'a [u32]>,
    /// Classes that the labels speak of.
    classes: usize,
    /// For each output of the reference, the candidate's.
    partners: Vec<usize>,
    batch: usize,
    fixed: bool,
}

/// Element type and sums of one output in one batch.
type Part = (ElemType, Tally);

impl Job<'_> {
    fn rows(&self, index: usize) -> usize {
        self.batch.min(self.data.samples() - index * self.batch)
    }

    fn run(&self, index: usize) -> Result<Vec<Part>> {
        let (start, rows) = (index * self.batch, self.rows(index));
        let mut inputs = self.data.batch(start..start + rows)?;
        let padded = self.fixed && rows < self.batch;
        if padded {
            inputs = inputs.into_iter().map(|(name, t)| (name, t.with_rows(self.batch))).collect();
        }
        let cut = |t: Tensor| match t.dims.first() {
            Some(&n) if padded && n == self.batch => t.with_rows(rows),
            _ => t,
        };
        let outputs = |e: &dyn Engine| -> Result<Vec<(String, Tensor)>> {
            Ok(e.run(&inputs)?.into_iter().map(|(name, t)| (name, cut(t))).collect())
        };
        let a = outputs(self.reference)?;
        let other = if std::ptr::addr_eq(self.reference, self.candidate) {
            None
        } else {
            Some(outputs(self.candidate)?)
        };
        let b = other.as_ref().unwrap_or(&a);
        let labels = self.labels.map(|l| &l[start..start + rows]);
        let labels_for = |t: &Tensor| labels.filter(|_| t.dims.get(1).is_some_and(|&n| n >= self.classes));
        a.iter().zip(&self.partners).map(|(a, &p)| part(a, &b[p], rows, labels_for(&a.1))).collect()
    }
}

fn part(a: &(String, Tensor), b: &(String, Tensor), rows: usize, labels: Option<&[u32]>) -> Result<Part> {
    if a.1.dims != b.1.dims {
        return Err(Diagnostic::new(Code::D002, "the two models' outputs have different shapes")
            .at("output", format!("%{}: {}", a.0, a.1.describe()))
            .at("output", format!("%{}: {}", b.0, b.1.describe())));
    }
    Ok((a.1.elem, Tally::of(&a.1, &b.1, rows, labels)))
}

fn reduce(outputs: &[ValueInfo], parts: &[Vec<Part>]) -> Vec<OutputComparison> {
    let total = |(i, info): (usize, &ValueInfo)| {
        let (dtype, mut sum) = parts.first()?[i];
        parts[1..].iter().for_each(|part| sum.merge(&part[i].1));
        Some(sum.finish(info.name.clone(), dtype))
    };
    outputs.iter().enumerate().filter_map(total).collect()
}

fn partners(a: &[ValueInfo], b: &[ValueInfo]) -> Result<Vec<usize>> {
    if a.len() != b.len() {
        let title = format!("the models have {} and {} outputs", a.len(), b.len());
        return Err(Diagnostic::new(Code::D002, title));
    }
    let by_name: Option<Vec<usize>> = a.iter().map(|a| b.iter().position(|b| b.name == a.name)).collect();
    Ok(by_name.unwrap_or_else(|| (0..a.len()).collect()))
}

fn fixed_batch(a: &dyn Engine, b: &dyn Engine) -> Result<Option<usize>> {
    match (a.fixed_batch(), b.fixed_batch()) {
        (Some(x), Some(y)) if x != y => {
            let title = format!("the models fix different batches, {x} and {y}");
            Err(Diagnostic::new(Code::D002, title))
        }
        (x, y) => Ok(x.or(y)),
    }
}

fn check_labels(labels: Option<&Labels>, samples: usize) -> Result<()> {
    match labels.map(|l| l.classes().len()) {
        Some(n) if n != samples => {
            Err(Diagnostic::new(Code::D002, format!("there are {n} labels for {samples} samples")))
        }
        _ => Ok(()),
    }
}
