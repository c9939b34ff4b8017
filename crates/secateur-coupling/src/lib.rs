//! Which slices of which tensors must go together.
//!
//! Every axis of every tensor is a row of elements; operators say which elements are the same thing seen in
//! two places (`secateur_ops::Relation`). Union-find over elements gives *classes*, the smallest things
//! that can be removed; classes with the same footprint form a *group*. Axes that are the same from end to
//! end share one row, so work and memory are linear in the lengths of the distinct rows.

mod build;
mod choose;
mod collect;
mod operand;
mod rows;
mod shared;
mod show;

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};

/// An axis of a value.
pub type Axis = (ValueId, usize);

/// Axes that are the same, element by element.
#[derive(Debug, Clone)]
pub struct Row {
    /// All of them.
    pub axes: Vec<Axis>,
    /// Their length.
    pub len: usize,
    /// Why the whole row must stay, if it must.
    pub pin: Option<Pin>,
    /// Why removal from it changes what the others compute, if it does.
    pub inexact: Option<Pin>,
}

/// A reason, and who gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// Index of the node, `None` for the graph itself.
    pub node: Option<usize>,
    /// The axis that it was said of.
    pub axis: Axis,
    /// Shown by `inspect`.
    pub why: Cow<'static, str>,
}

/// The smallest thing that can be removed.
#[derive(Debug, Clone)]
pub struct Class {
    /// Row and index of each element, ascending.
    pub members: Vec<(u32, u32)>,
    /// The group.
    pub group: u32,
}

/// Classes with the same footprint.
#[derive(Debug, Clone)]
pub struct Group {
    /// Their numbers, ascending.
    pub classes: Vec<u32>,
    /// Rows touched, and how many elements of each one class holds.
    pub footprint: Vec<(u32, u32)>,
    /// Why removal is inexact, if it is.
    pub inexact: Option<Pin>,
}

/// A place where an axis is summed away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contraction {
    /// Index of the node.
    pub node: usize,
    /// Which of its inputs is the data.
    pub input: usize,
    /// The summed axis of the data.
    pub data: Axis,
    /// The weight's axis with the same elements.
    pub weight: Option<Axis>,
}

/// The coupling of a graph; valid until the graph changes.
#[derive(Debug, Clone)]
pub struct Coupling {
    /// All rows.
    pub rows: Vec<Row>,
    /// Removable classes.
    pub classes: Vec<Class>,
    /// Groups of at least two classes; what a group of one would hold cannot be removed.
    pub groups: Vec<Group>,
    /// Where axes are summed away.
    pub contractions: Vec<Contraction>,
    /// Single elements that must stay while others of their row may go: row, index, reason.
    pub pinned: Vec<(u32, u32, Pin)>,
    /// What was chosen at each factored axis: node and label.
    pub choices: Vec<(usize, Cow<'static, str>)>,
    row_of: FxHashMap<Axis, u32>,
}

impl Coupling {
    /// The row of an axis; `None` where its length is not fixed.
    pub fn row_of(&self, axis: Axis) -> Option<u32> {
        self.row_of.get(&axis).copied()
    }

    /// Why an axis cannot be cut at all, if so.
    pub fn pin_of(&self, axis: Axis) -> Option<&Pin> {
        self.rows[self.row_of(axis)? as usize].pin.as_ref()
    }
}

/// Analyses a graph whose shapes are inferred.
///
/// `pins` are axes that the user wants to keep whole.
///
/// # Errors
/// A rule's own error with its node's place added.
pub fn analyze(graph: &Graph, pins: &[Axis]) -> Result<Coupling> {
    analyze_with(graph, pins, &mut |_, _, _| {})
}

/// Hook that may change what a rule said; for tests that break a rule on purpose.
pub type Tamper<'a> = dyn FnMut(&Graph, usize, &mut secateur_ops::Relations) + 'a;

/// [`analyze`], with every rule's relations passed through `tamper`.
///
/// # Errors
/// As [`analyze`].
pub fn analyze_with(graph: &Graph, pins: &[Axis], tamper: &mut Tamper) -> Result<Coupling> {
    let collected = collect::collect(graph, pins, tamper)?;
    let state = rows::State::new(graph, &collected);
    let (mut state, choices) = choose::resolve(graph, &collected, state);
    shared::tie(graph, &mut state);
    Ok(build::build(&collected, state, choices))
}

pub use show::{Coverage, coverage, describe_axis, groups_text};
