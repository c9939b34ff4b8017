//! A graph that is cut step by step, with what is left of the original's axes.

use rustc_hash::FxHashMap;
use secateur_coupling::{Axis, Coupling};
use secateur_diag::Result;
use secateur_ir::{Graph, ValueId};

use crate::plan::Plan;
use crate::surgery;

/// The graph after the steps so far.
#[derive(Debug, Clone)]
pub struct State {
    /// The graph; its values have the numbers that they have in the original.
    pub graph: Graph,
    /// By axis that was cut: the original's elements that are left, ascending.
    kept: FxHashMap<Axis, Vec<usize>>,
}

impl State {
    /// Nothing cut.
    pub fn new(original: &Graph) -> Self {
        Self { graph: original.clone(), kept: FxHashMap::default() }
    }

    /// Cuts a plan out; `coupling` is that of [`State::graph`].
    ///
    /// # Errors
    /// Those of [`surgery::apply`]; the state is then to be thrown away.
    pub fn cut(&mut self, coupling: &Coupling, plan: &Plan) -> Result<()> {
        for (axis, ..) in plan.cuts(coupling) {
            let Some(now) = plan.kept(coupling, axis) else { continue };
            let before = self.kept.get(&axis);
            let left = now.iter().map(|&i| before.map_or(i, |b| b[i])).collect();
            self.kept.insert(axis, left);
        }
        surgery::apply(&mut self.graph, coupling, plan)
    }

    /// The original's elements of an axis that are left; `None` where all are.
    pub fn kept(&self, v: ValueId, axis: usize) -> Option<Vec<usize>> {
        self.kept.get(&(v, axis)).cloned()
    }

    /// All that is gone, as one plan over the original's coupling.
    pub fn plan(&self, coupling: &Coupling) -> Plan {
        let left = |r: u32, i: u32| {
            let axes = &coupling.rows[r as usize].axes;
            axes.iter().find_map(|a| self.kept.get(a)).is_none_or(|k| k.binary_search(&(i as usize)).is_ok())
        };
        let gone = |c: &secateur_coupling::Class| c.members.iter().any(|&(r, i)| !left(r, i));
        let removed = coupling.classes.iter().enumerate().filter(|(_, c)| gone(c)).map(|(n, _)| n as u32);
        Plan::new(coupling, removed.collect())
    }
}
