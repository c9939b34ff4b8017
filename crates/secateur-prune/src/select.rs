//! Which groups may be touched.

use globset::{Glob, GlobSet, GlobSetBuilder};
use secateur_coupling::{Axis, Coupling};
use secateur_diag::{Code, Result, diag};
use secateur_ir::Graph;

/// What the user lets be pruned.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Prune groups of which an initializer or its node matches one of these; all where empty.
    pub only: Vec<String>,
    /// Leave groups of which an initializer or its node matches one of these.
    pub skip: Vec<String>,
    /// Prune inexact groups too.
    pub allow_inexact: bool,
    /// Keep at least so many classes of a group.
    pub min_keep: usize,
    /// Lengths of cut axes become multiples of this.
    pub round_to: usize,
    /// Where the budget cannot be met, prune to the minimum rather than fail.
    pub force: bool,
}

fn set(patterns: &[String]) -> Result<GlobSet> {
    let mut b = GlobSetBuilder::new();
    for p in patterns {
        b.add(Glob::new(p).map_err(|e| diag(Code::P005, format!("{p:?} is not a pattern: {e}")))?);
    }
    b.build().map_err(|e| diag(Code::P005, e.to_string()))
}

impl Selection {
    /// By group, whether it may be pruned.
    ///
    /// # Errors
    /// [`Code::P003`] for a pattern that matches no initializer or node of the graph.
    pub fn groups(&self, graph: &Graph, coupling: &Coupling) -> Result<Vec<bool>> {
        let (only, skip) = (set(&self.only)?, set(&self.skip)?);
        let links = graph.links();
        let mut hit = vec![false; self.only.len() + self.skip.len()];
        // Every name in the graph counts as matched, also of groups that cannot be pruned anyway.
        for name in graph
            .nodes
            .iter()
            .map(|n| n.name())
            .chain(graph.value_ids().map(|v| graph.value(v).name.as_str()))
        {
            only.matches(name).into_iter().for_each(|i| hit[i] = true);
            skip.matches(name).into_iter().for_each(|i| hit[self.only.len() + i] = true);
        }
        if let Some(i) = hit.iter().position(|h| !h) {
            let p = self.only.iter().chain(&self.skip).nth(i).map_or("", String::as_str);
            return Err(diag(Code::P003, format!("the pattern {p:?} matches no node, value or initializer")));
        }
        let names = |axes: &[Axis]| -> Vec<String> {
            axes.iter()
                .filter(|(v, _)| graph.init(*v).is_some())
                .flat_map(|(v, _)| {
                    let nodes = links.uses(*v).iter().map(|u| graph.nodes[u.node].name().to_owned());
                    nodes.chain([graph.value(*v).name.clone()]).collect::<Vec<_>>()
                })
                .collect()
        };
        Ok(coupling
            .groups
            .iter()
            .map(|g| {
                let names: Vec<String> =
                    g.footprint.iter().flat_map(|(r, _)| names(&coupling.rows[*r as usize].axes)).collect();
                (self.allow_inexact || g.inexact.is_none())
                    && (self.only.is_empty() || names.iter().any(|n| only.is_match(n)))
                    && !names.iter().any(|n| skip.is_match(n))
            })
            .collect())
    }
}
