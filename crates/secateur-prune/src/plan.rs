//! What is to be removed, as plain data.

use std::fmt::Write;

use secateur_coupling::{Axis, Coupling};
use secateur_ir::{Graph, ValueId};

/// Classes to remove from a graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Numbers of classes, ascending.
    pub removed: Vec<u32>,
    /// By row: the kept elements, ascending; `None` where all are.
    kept: Vec<Option<Vec<usize>>>,
}

impl Plan {
    /// A plan that removes these classes of `coupling`.
    pub fn new(coupling: &Coupling, mut removed: Vec<u32>) -> Self {
        removed.sort_unstable();
        removed.dedup();
        let mut gone: Vec<Option<Vec<bool>>> = vec![None; coupling.rows.len()];
        for &c in &removed {
            for &(r, i) in &coupling.classes[c as usize].members {
                let len = coupling.rows[r as usize].len;
                gone[r as usize].get_or_insert_with(|| vec![false; len])[i as usize] = true;
            }
        }
        let kept = gone
            .into_iter()
            .map(|g| g.map(|g| g.iter().enumerate().filter(|(_, gone)| !**gone).map(|(i, _)| i).collect()))
            .collect();
        Self { removed, kept }
    }

    /// The kept elements of an axis, ascending; `None` where all are.
    pub fn kept<'a>(&'a self, coupling: &Coupling, axis: Axis) -> Option<&'a [usize]> {
        self.kept[coupling.row_of(axis)? as usize].as_deref()
    }

    /// Row lengths after the removal.
    pub fn lens(&self, coupling: &Coupling) -> Vec<usize> {
        coupling.rows.iter().zip(&self.kept).map(|(r, k)| k.as_ref().map_or(r.len, Vec::len)).collect()
    }

    /// Every axis that loses elements, with its old and new length.
    pub fn cuts(&self, coupling: &Coupling) -> Vec<(Axis, usize, usize)> {
        let mut out: Vec<_> = coupling
            .rows
            .iter()
            .zip(&self.kept)
            .filter_map(|(r, k)| Some((r, k.as_ref()?)))
            .flat_map(|(r, k)| r.axes.iter().map(move |&a| (a, r.len, k.len())))
            .collect();
        out.sort_unstable();
        out
    }

    /// One line for each weight axis that is cut.
    pub fn text(&self, graph: &Graph, coupling: &Coupling) -> String {
        let mut out = String::new();
        let is_weight = |v: &ValueId| graph.init(*v).is_some();
        for ((v, a), old, new) in self.cuts(coupling).iter().filter(|((v, _), ..)| is_weight(v)) {
            let _ = writeln!(out, "{}: {old} -> {new}", secateur_coupling::describe_axis(graph, (*v, *a)));
        }
        out
    }
}
