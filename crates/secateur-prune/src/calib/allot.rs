//! How many classes of each group go, from all groups' curves at once.

use secateur_coupling::Coupling;
use secateur_diag::Result;

use super::curves::Curve;
use crate::budget::Budget;
use crate::cost::{CostModel, Costs};
use crate::plan::Plan;
use crate::select::Selection;

/// A group's freedom.
struct Range {
    /// Numbers of removed classes that may be chosen, ascending from none.
    steps: Vec<usize>,
    footprint: Vec<(u32, u32)>,
    /// Expected error at each step.
    error: Vec<f64>,
}

/// The allocation: for each curve the number of classes removed.
///
/// The error is taken to be the sum of the groups' errors. From nothing removed, the move that costs least
/// error for what it saves is made until the budget holds; then what is left of the budget is given back, and
/// pairs of moves that lower the error are made.
///
/// # Errors
/// `P001` is the caller's to raise: the smallest allocation is returned as `Err(costs)` inside `Ok`.
pub fn allot(
    coupling: &Coupling,
    curves: &[Curve],
    costs: &CostModel,
    budget: &Budget,
    selection: &Selection,
) -> Result<std::result::Result<Vec<usize>, Costs>> {
    let ranges: Vec<Range> = curves.iter().map(|c| range(coupling, c, selection)).collect();
    let whole = costs.whole();
    let of = |at: &[usize]| {
        let mut lens = costs.lens().to_vec();
        for (r, &s) in ranges.iter().zip(at) {
            r.footprint.iter().for_each(|&(row, n)| lens[row as usize] -= r.steps[s] * n as usize);
        }
        costs.of(&lens)
    };
    // How far over its limits, summed; what holds does not count.
    let excess = |c: &Costs| -> f64 {
        let over = |(l, a): &(crate::Limit, crate::Amount)| {
            let limit = a.of(l.of(&whole)).max(1) as f64;
            (l.of(c) as f64 / limit - 1.0).max(0.0)
        };
        budget.limits.iter().map(over).sum()
    };
    let most: Vec<usize> = ranges.iter().map(|r| r.steps.len() - 1).collect();
    let least = of(&most);
    if !budget.met(&least, &whole) {
        return Ok(if selection.force { Ok(removed(&ranges, &most)) } else { Err(least) });
    }
    let mut at = vec![0; ranges.len()];
    while !budget.met(&of(&at), &whole) {
        let now = excess(&of(&at));
        let mut best: Option<(f64, usize, usize)> = None;
        for (g, r) in ranges.iter().enumerate() {
            let mut jump = 1;
            while at[g] + jump < r.steps.len() {
                let mut next = at.clone();
                next[g] += jump;
                let saved = now - excess(&of(&next));
                let slope = (r.error[next[g]] - r.error[at[g]]).max(1e-15) / saved.max(1e-30);
                if saved > 0.0 && best.is_none_or(|b| slope < b.0) {
                    best = Some((slope, g, next[g]));
                }
                jump += (jump / 4).max(1);
            }
        }
        match best {
            Some((_, g, step)) => at[g] = step,
            None => break,
        }
    }
    refine(&ranges, &mut at, &|at| budget.met(&of(at), &whole));
    Ok(Ok(removed(&ranges, &at)))
}

fn removed(ranges: &[Range], at: &[usize]) -> Vec<usize> {
    ranges.iter().zip(at).map(|(r, &s)| r.steps[s]).collect()
}

/// Gives back what fits, and makes pairs of moves that lower the error, until nothing changes.
fn refine(ranges: &[Range], at: &mut [usize], met: &dyn Fn(&[usize]) -> bool) {
    let gain = |g: usize, from: usize, to: usize| ranges[g].error[from] - ranges[g].error[to];
    for _ in 0..200 {
        // Give back one step.
        let mut best: Option<(f64, Vec<usize>)> = None;
        let mut consider = |value: f64, next: Vec<usize>| {
            if value > 1e-12 && best.as_ref().is_none_or(|b| value > b.0) && met(&next) {
                best = Some((value, next));
            }
        };
        for g in (0..ranges.len()).filter(|g| at[*g] > 0) {
            for back in [1, 2, 4].into_iter().filter(|b| *b <= at[g]) {
                let mut next = at.to_vec();
                next[g] -= back;
                let won = gain(g, at[g], next[g]);
                consider(won, next.clone());
                for h in (0..ranges.len()).filter(|h| *h != g) {
                    for more in [1, 2, 4].into_iter().filter(|m| at[h] + m < ranges[h].steps.len()) {
                        let value = won + gain(h, at[h], at[h] + more);
                        if value > 1e-12 {
                            let mut next = next.clone();
                            next[h] += more;
                            consider(value, next);
                        }
                    }
                }
            }
        }
        match best {
            Some((_, next)) => at.copy_from_slice(&next),
            None => return,
        }
    }
}

fn range(coupling: &Coupling, c: &Curve, selection: &Selection) -> Range {
    let group = &coupling.groups[c.group];
    let n = group.classes.len();
    let width = group.footprint.iter().map(|f| f.1 as usize).max().unwrap_or(1);
    let step = step(width, selection.round_to);
    let min = selection.min_keep.clamp(1, n);
    let keeps = std::iter::once(n).chain((1..n).rev().filter(|k| k.is_multiple_of(step) && *k >= min));
    let steps: Vec<usize> = keeps.map(|k| n - k).collect();
    let error = steps.iter().map(|&k| c.error(k)).collect();
    Range { steps, footprint: group.footprint.clone(), error }
}

/// Classes by which a group's length moves from multiple to multiple.
fn step(width: usize, round_to: usize) -> usize {
    let m = round_to.max(1);
    let gcd = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    m / gcd(m, width)
}

/// The plan that removes so many classes of each curve's group.
pub fn plan(coupling: &Coupling, curves: &[Curve], removed: &[usize]) -> Plan {
    let gone = curves.iter().zip(removed).flat_map(|(c, &k)| {
        let classes = &coupling.groups[c.group].classes;
        c.removed(k).iter().map(move |&at| classes[at])
    });
    Plan::new(coupling, gone.collect())
}
