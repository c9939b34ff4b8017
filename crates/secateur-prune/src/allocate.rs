//! How many classes of each group go.

use secateur_coupling::Coupling;
use secateur_diag::{Code, Result, diag};
use secateur_ir::Graph;

use crate::budget::{Budget, Limit};
use crate::cost::CostModel;
use crate::plan::Plan;
use crate::select::Selection;

/// How groups share the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every group keeps the same share of its classes.
    Layer,
    /// Classes of all groups compete by their score over the mean of their group.
    Global,
}

/// A group that may be pruned: its classes from least to most important.
struct Candidate {
    classes: Vec<u32>,
    /// Score over the group's mean, in the same order.
    relative: Vec<f64>,
    /// Elements of the longest-cut axis that one class holds.
    width: usize,
    min: usize,
    footprint: Vec<(u32, u32)>,
}

/// Chooses the classes that go so that every limit of the budget holds, with as little removed as that needs.
///
/// # Errors
/// [`Code::P001`] with what can be reached where the budget cannot be met.
pub fn allocate(
    graph: &Graph,
    coupling: &Coupling,
    costs: &CostModel,
    scores: &[Option<f64>],
    budget: &Budget,
    scope: Scope,
    selection: &Selection,
) -> Result<Plan> {
    if budget.limits.iter().any(|(l, _)| *l == Limit::Macs) {
        costs.macs_known()?;
    }
    let allowed = selection.groups(graph, coupling)?;
    let candidates: Vec<Candidate> = coupling
        .groups
        .iter()
        .zip(&allowed)
        .filter(|(g, ok)| **ok && g.classes.len() > 1)
        .filter_map(|(g, _)| candidate(g, scores, selection))
        .collect();
    let whole = costs.whole();
    let cost_of = |keep: &[usize]| {
        let mut lens = costs.lens().to_vec();
        for (c, &k) in candidates.iter().zip(keep) {
            for &(r, n) in &c.footprint {
                lens[r as usize] -= (c.classes.len() - k) * n as usize;
            }
        }
        costs.of(&lens)
    };
    let met = |keep: &[usize]| budget.met(&cost_of(keep), &whole);
    let least: Vec<usize> = candidates.iter().map(|c| fit(c, c.min, selection.round_to)).collect();
    if !met(&least) && selection.force {
        return Ok(removal(coupling, &candidates, &least));
    }
    if !met(&least) {
        return Err(unreachable(coupling, candidates.len(), budget, &cost_of(&least), &whole));
    }
    let mut keep = match scope {
        Scope::Layer => by_share(&candidates, selection.round_to, &met),
        Scope::Global => by_score(&candidates, selection.round_to, &met),
    };
    refill(&candidates, selection.round_to, &mut keep, &met);
    Ok(removal(coupling, &candidates, &keep))
}

/// The plan that keeps `keep[g]` classes of each candidate group.
fn removal(coupling: &Coupling, candidates: &[Candidate], keep: &[usize]) -> Plan {
    let gone =
        candidates.iter().zip(keep).flat_map(|(c, &k)| c.classes[..c.classes.len() - k].iter().copied());
    Plan::new(coupling, gone.collect())
}

fn candidate(
    g: &secateur_coupling::Group,
    scores: &[Option<f64>],
    selection: &Selection,
) -> Option<Candidate> {
    let mut rated: Vec<(f64, u32)> =
        g.classes.iter().map(|&c| Some((scores[c as usize]?, c))).collect::<Option<_>>()?;
    // Not-a-number, whatever its sign, sorts last: what cannot be rated stays.
    rated.iter_mut().filter(|r| r.0.is_nan()).for_each(|r| r.0 = f64::INFINITY);
    rated.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let finite: Vec<f64> = rated.iter().map(|r| r.0).filter(|s| s.is_finite()).collect();
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    let scale = if mean > 0.0 && mean.is_finite() { 1.0 / mean } else { 1.0 };
    Some(Candidate {
        relative: rated.iter().map(|r| r.0 * scale).collect(),
        classes: rated.iter().map(|r| r.1).collect(),
        width: g.footprint.iter().map(|f| f.1 as usize).max().unwrap_or(1),
        min: selection.min_keep.clamp(1, g.classes.len()),
        footprint: g.footprint.clone(),
    })
}

/// The nearest number of classes that may be kept: a multiple, or all of them.
fn fit(c: &Candidate, keep: usize, round_to: usize) -> usize {
    let n = c.classes.len();
    let step = step(c, round_to);
    let near = (keep + step / 2) / step * step;
    let low = c.min.div_ceil(step) * step;
    near.max(low).min(n)
}

/// Classes by which a group's length moves from multiple to multiple.
fn step(c: &Candidate, round_to: usize) -> usize {
    let m = round_to.max(1);
    let gcd = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    m / gcd(m, c.width)
}

/// The largest common share of classes that is within the budget.
fn by_share(candidates: &[Candidate], round_to: usize, met: &dyn Fn(&[usize]) -> bool) -> Vec<usize> {
    let at = |share: f64| -> Vec<usize> {
        candidates
            .iter()
            .map(|c| fit(c, (c.classes.len() as f64 * share).round() as usize, round_to))
            .collect()
    };
    let (mut low, mut high) = (0.0, 1.0);
    if met(&at(high)) {
        return at(high);
    }
    for _ in 0..40 {
        let mid = f64::midpoint(low, high);
        if met(&at(mid)) { low = mid } else { high = mid }
    }
    at(low)
}

/// The lowest threshold of relative scores that is within the budget.
fn by_score(candidates: &[Candidate], round_to: usize, met: &dyn Fn(&[usize]) -> bool) -> Vec<usize> {
    let mut order: Vec<(f64, usize)> =
        candidates.iter().enumerate().flat_map(|(g, c)| c.relative.iter().map(move |&s| (s, g))).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let at = |k: usize| -> Vec<usize> {
        let mut gone = vec![0; candidates.len()];
        order[..k].iter().for_each(|(_, g)| gone[*g] += 1);
        candidates.iter().zip(gone).map(|(c, r)| fit(c, (c.classes.len() - r).max(c.min), round_to)).collect()
    };
    let (mut low, mut high) = (0, order.len());
    if met(&at(low)) {
        return at(low);
    }
    while high - low > 1 {
        let mid = usize::midpoint(low, high);
        if met(&at(mid)) { high = mid } else { low = mid }
    }
    at(high)
}

/// Gives back what the budget still has room for, most important classes first.
fn refill(candidates: &[Candidate], round_to: usize, keep: &mut [usize], met: &dyn Fn(&[usize]) -> bool) {
    let next = |g: usize, keep: &[usize]| {
        let c = &candidates[g];
        let k = (keep[g] / step(c, round_to) + 1) * step(c, round_to);
        (keep[g] < c.classes.len())
            .then(|| (c.relative[c.classes.len() - keep[g] - 1], k.min(c.classes.len())))
    };
    let mut open: Vec<usize> = (0..candidates.len()).collect();
    // Each round gives every group at most one step and drops those that do not fit any more.
    while !open.is_empty() {
        open.sort_by(|&a, &b| {
            let s = |g| next(g, keep).map_or(f64::NEG_INFINITY, |n| n.0);
            s(b).total_cmp(&s(a)).then(a.cmp(&b))
        });
        open.retain(|&g| {
            let Some((_, k)) = next(g, keep) else { return false };
            let old = std::mem::replace(&mut keep[g], k);
            let ok = met(keep);
            if !ok {
                keep[g] = old;
            }
            ok
        });
    }
}

/// The error of a budget below what is left with every one of `candidates` groups at its minimum.
pub fn unreachable(
    coupling: &Coupling,
    candidates: usize,
    budget: &Budget,
    least: &crate::Costs,
    whole: &crate::Costs,
) -> Box<secateur_diag::Diagnostic> {
    let inexact = coupling.groups.iter().filter(|g| g.inexact.is_some() && g.classes.len() > 1).count();
    let e = budget.limits.iter().fold(diag(Code::P001, "the budget cannot be met"), |e, (l, a)| {
        let (w, n) = (l.of(whole), l.of(least));
        e.at(
            "budget",
            format!(
                "{} at most {}, at least {n} of {w} ({:.1} %) remain with every group at its minimum",
                l.name(),
                a.of(w),
                100.0 * n as f64 / w.max(1) as f64
            ),
        )
    });
    let e = e.at("groups", format!("{} of {} may be pruned", candidates, coupling.groups.len()));
    match inexact {
        0 => e.help("see what is pinned and why: secateur inspect MODEL --groups"),
        n => e.help(format!(
            "{n} groups are inexact and need --allow-inexact; see secateur inspect MODEL --groups"
        )),
    }
}
