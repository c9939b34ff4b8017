//! Which groups may be touched.

use secateur_coupling::{Coupling, Group};
use secateur_diag::Result;
use secateur_ir::{Globs, Graph, ValueId};

/// What the user lets be pruned.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Prune groups that go by a name that matches one of these; all where empty.
    pub only: Vec<String>,
    /// Leave groups that go by a name that matches one of these.
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

impl Selection {
    /// Every pattern must match something.
    ///
    /// # Errors
    /// As [`Globs::check`] and [`Globs::new`].
    pub fn check(&self, graph: &Graph) -> Result<()> {
        Globs::new("--only", &self.only)?.check(graph)?;
        Globs::new("--skip", &self.skip)?.check(graph)
    }

    /// By group, whether it may be pruned.
    ///
    /// # Errors
    /// As [`Globs::new`].
    pub fn groups(&self, graph: &Graph, coupling: &Coupling) -> Result<Vec<bool>> {
        let (only, skip) = (Globs::new("--only", &self.only)?, Globs::new("--skip", &self.skip)?);
        let links = graph.links();
        // A group goes by the names of the values on its axes, and by those of the nodes whose weights or results they
        // are.
        let hit = |globs: &Globs, v: ValueId| {
            let read = graph.init(v).map_or(&[][..], |_| links.uses(v));
            globs.match_value(graph, v)
                || read.iter().any(|u| globs.match_node(graph, &graph.nodes[u.node]))
                || links.def(v).is_some_and(|n| globs.matches(graph.nodes[n].name()))
        };
        let any = |globs: &Globs, group: &Group| {
            let axes = group.footprint.iter().flat_map(|(r, _)| &coupling.rows[*r as usize].axes);
            !globs.is_empty() && axes.into_iter().any(|(v, _)| hit(globs, *v))
        };
        let may = |g: &Group| {
            (self.allow_inexact || g.inexact.is_none())
                && (self.only.is_empty() || any(&only, g))
                && !any(&skip, g)
        };
        Ok(coupling.groups.iter().map(may).collect())
    }
}
