//! Runs passes, checks the graph after each, and keeps account of them.

use std::time::{Duration, Instant};

use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, verify};
use secateur_ops::infer;

use crate::{PASSES, Pass, find};

/// A fixpoint is not waited for longer than this many rounds.
const MAX_ROUNDS: usize = 12;

/// Passes that are not part of [`simplify`]: they are each other's inverse.
const OUTSIDE: &[&str] = &["merge_equal", "split_shared", "merge_shared"];

/// Called with the name of a pass and the graph that it left.
pub type After<'a> = &'a mut dyn FnMut(&str, &Graph);

/// What [`simplify`] is to do.
#[derive(Default)]
pub struct Options<'a> {
    /// BatchNormalization stays a node, for criteria that read its scale.
    pub keep_batchnorm: bool,
    /// Names of passes that are left out.
    pub skip: &'a [&'a str],
    /// Called after each pass that changed something, with its name; for `--print-after`.
    pub after: Option<After<'a>>,
}

/// What a pass has done, all rounds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassReport {
    /// Its name.
    pub name: &'static str,
    /// Places it changed.
    pub changes: usize,
    /// Time in the pass itself, without checks.
    pub time: Duration,
}

/// What was done, pass by pass in the order they first ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One entry a pass.
    pub passes: Vec<PassReport>,
}

impl Report {
    /// Places changed by all passes together.
    pub fn changes(&self) -> usize {
        self.passes.iter().map(|p| p.changes).sum()
    }

    fn add(&mut self, name: &'static str, changes: usize, time: Duration) {
        match self.passes.iter_mut().find(|p| p.name == name) {
            Some(p) => {
                p.changes += changes;
                p.time += time;
            }
            None => self.passes.push(PassReport { name, changes, time }),
        }
    }
}

/// Simplifies the graph: passes in order, again and again until none changes anything.
///
/// # Errors
/// Those of shape inference and of the passes; the line `pass` names the pass after which it failed.
pub fn simplify(graph: &mut Graph, options: &mut Options) -> Result<Report> {
    infer(graph)?;
    let mut report = Report::default();
    for _ in 0..MAX_ROUNDS {
        let mut changed = 0;
        for pass in PASSES {
            let off = OUTSIDE.contains(&pass.name)
                || options.skip.contains(&pass.name)
                || (options.keep_batchnorm && pass.name == "batchnorm");
            if !off {
                changed += step(graph, pass, options, &mut report)?;
            }
        }
        if changed == 0 {
            break;
        }
    }
    Ok(report)
}

/// [`simplify`], and every reader gets its own copy of shared initializers: what coupling starts from.
///
/// # Errors
/// As [`simplify`].
pub fn prepare(graph: &mut Graph, options: &mut Options) -> Result<Report> {
    let mut report = simplify(graph, options)?;
    run_into(graph, &["merge_equal", "split_shared"], options, &mut report)?;
    Ok(report)
}

/// After surgery: copies of initializers that are still equal are merged, what nothing reads is removed.
///
/// # Errors
/// As [`simplify`].
pub fn finish(graph: &mut Graph) -> Result<Report> {
    run(graph, &["merge_shared", "dead"])
}

/// Runs the named passes once each, in the order given. Shapes must be inferred.
///
/// # Errors
/// [`Code::P003`] for a name that is no pass; else as [`simplify`].
pub fn run(graph: &mut Graph, names: &[&str]) -> Result<Report> {
    let mut report = Report::default();
    run_into(graph, names, &mut Options::default(), &mut report)?;
    Ok(report)
}

fn run_into(graph: &mut Graph, names: &[&str], options: &mut Options, report: &mut Report) -> Result<()> {
    for name in names {
        let pass = find(name).ok_or_else(|| diag(Code::P003, format!("{name:?} is not a pass")))?;
        step(graph, pass, options, report)?;
    }
    Ok(())
}

fn step(graph: &mut Graph, pass: &Pass, options: &mut Options, report: &mut Report) -> Result<usize> {
    let start = Instant::now();
    let changes = (pass.run)(graph).map_err(|e| e.at("pass", pass.name))?;
    report.add(pass.name, changes, start.elapsed());
    if changes > 0 {
        verify::verify(graph).and_then(|()| infer(graph)).map_err(|e| e.at("pass", pass.name))?;
        if let Some(after) = &mut options.after {
            after(pass.name, graph);
        }
    }
    Ok(changes)
}
