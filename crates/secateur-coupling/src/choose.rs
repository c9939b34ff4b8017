//! Which factor of a factored axis may be cut.
//!
//! A choice with a single way that leaves anything to cut is made at once, as it may decide others (the
//! heads of the query decide those of key and value). What is still open is tried twice, preferring outer
//! factors (whole heads, whole groups) and inner ones (places within each), and every connected part of the
//! graph keeps the attempt that leaves more weights to remove. Any choice is safe; only how much can be
//! removed depends on it.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_ir::Graph;

use crate::Pin;
use crate::build::removable;
use crate::collect::{Choice, Collected, Fact};
use crate::rows::{Sets, State};

/// Makes every choice; returns the state after it and what was chosen, in the choices' order.
pub fn resolve(graph: &Graph, said: &Collected, start: State) -> (State, Vec<usize>) {
    if said.choices.is_empty() {
        return (start, Vec::new());
    }
    let (mut outer, outer_picks) = attempt(said, start.clone(), &|live| live[0]);
    let (mut inner, inner_picks) = attempt(said, start.clone(), &|live| live[live.len() - 1]);
    let cluster = clusters(said, &start);
    let scores = [scores(graph, &mut outer, &cluster), scores(graph, &mut inner, &cluster)];
    let picks: Vec<usize> = said
        .choices
        .iter()
        .enumerate()
        .map(|(c, choice)| {
            let at = choice_cluster(choice, &start, &cluster);
            let score = |s: &FxHashMap<u32, Score>| at.and_then(|a| s.get(&a).copied()).unwrap_or_default();
            if score(&scores[1]) > score(&scores[0]) { inner_picks[c] } else { outer_picks[c] }
        })
        .collect();
    let mut state = start;
    for (choice, &way) in said.choices.iter().zip(&picks) {
        commit(&mut state, choice, way);
    }
    (state, picks)
}

/// Makes all choices, forced ones first, then in node order with `prefer` picking among the live ways.
fn attempt(said: &Collected, mut state: State, prefer: &dyn Fn(&[usize]) -> usize) -> (State, Vec<usize>) {
    let mut picks = vec![None; said.choices.len()];
    let mut open: Vec<usize> = (0..said.choices.len()).collect();
    while !open.is_empty() {
        // Rounds of forced choices until none is left; each round looks at every open choice once.
        let before = open.len();
        let mut first_live: Option<(usize, Vec<usize>)> = None;
        open.retain(|&c| {
            let choice = &said.choices[c];
            let live: Vec<usize> = (0..choice.ways.len()).filter(|&w| lives(&mut state, choice, w)).collect();
            if live.len() <= 1 {
                let way = live.first().copied().unwrap_or(0);
                commit(&mut state, choice, way);
                picks[c] = Some(way);
                return false;
            }
            first_live.get_or_insert((c, live));
            true
        });
        if open.len() == before
            && let Some((c, live)) = first_live
        {
            let way = prefer(&live);
            commit(&mut state, &said.choices[c], way);
            picks[c] = Some(way);
            open.retain(|&o| o != c);
        }
    }
    (state, picks.into_iter().map(|p| p.unwrap_or(0)).collect())
}

/// Whether a way leaves anything to cut: some index of one of its factors is not pinned on any side.
fn lives(state: &mut State, choice: &Choice, way: usize) -> bool {
    let pinned_too: FxHashSet<_> =
        choice.covered.iter().filter(|a| !choice.ways[way].covers.contains(a)).copied().collect();
    choice.ways[way].facts.iter().any(|fact| match fact {
        Fact::Same(a, b) if state.has_no_elements(*a) || state.has_no_elements(*b) => false,
        Fact::Atoms(sides) if sides.iter().any(|s| state.has_no_elements(s.0)) => false,
        Fact::Same(a, b) => {
            let len = state.rows[state.row_of[a] as usize].len;
            !pinned_too.contains(a)
                && !pinned_too.contains(b)
                && (0..len).any(|i| free(state, &[(*a, i, 1, len), (*b, i, 1, len)]))
        }
        Fact::Atoms(sides) => {
            let size = sides.iter().map(|s| s.1).min().unwrap_or(0);
            (0..size).any(|i| free(state, &sides.iter().map(|&(a, n, k)| (a, i, k, n)).collect::<Vec<_>>()))
        }
        _ => false,
    })
}

/// Whether no element with index `i` in a factor (inner product `k`, size `n`) of any side is pinned.
fn free(state: &mut State, sides: &[(crate::Axis, usize, usize, usize)]) -> bool {
    sides.iter().all(|&(axis, i, k, n)| {
        let len = state.rows[state.row_of[&axis] as usize].len;
        let period = k * n;
        (i * k..len).step_by(period.max(1)).flat_map(|s| s..(s + k).min(len)).all(|e| {
            match state.element(axis, e) {
                Some(e) => state.pin_of(e).is_none(),
                None => false,
            }
        })
    })
}

fn commit(state: &mut State, choice: &Choice, way: usize) {
    let w = &choice.ways[way];
    for fact in &w.facts {
        state.apply(fact);
    }
    for &axis in choice.covered.iter().filter(|a| !w.covers.contains(a)) {
        let why: Cow<'static, str> = format!("its node cuts another factor: {}", w.label).into();
        state.apply(&Fact::Pin(axis, Pin { node: Some(choice.node), axis, why }));
    }
}

/// Rows that any relation, of any way, connects.
fn clusters(said: &Collected, state: &State) -> Vec<u32> {
    let mut sets = Sets::new(state.rows.len());
    let mut join = |axes: &[crate::Axis]| {
        for pair in axes.windows(2) {
            sets.union(state.row_of[&pair[0]], state.row_of[&pair[1]]);
        }
    };
    let mut all = |facts: &[Fact]| {
        for f in facts {
            match f {
                Fact::Same(a, b) | Fact::Listed(a, _, b) => join(&[*a, *b]),
                Fact::Pairs(a, b, _) => join(&[a.axis, b.axis]),
                Fact::Atoms(sides) => join(&sides.iter().map(|s| s.0).collect::<Vec<_>>()),
                Fact::Pin(..) | Fact::Inexact(..) => {}
            }
        }
    };
    all(&said.facts);
    for choice in &said.choices {
        choice.ways.iter().for_each(|w| all(&w.facts));
    }
    for choice in &said.choices {
        // The factors of one node decide about each other.
        let fixed: Vec<_> = choice
            .covered
            .iter()
            .filter(|a| state.rows[state.row_of[a] as usize].first.is_some())
            .copied()
            .collect();
        for pair in fixed.windows(2) {
            sets.union(state.row_of[&pair[0]], state.row_of[&pair[1]]);
        }
    }
    (0..state.rows.len() as u32).map(|r| sets.find(r)).collect()
}

fn choice_cluster(choice: &Choice, state: &State, cluster: &[u32]) -> Option<u32> {
    let rows = choice.covered.iter().map(|a| state.row_of[a]);
    rows.filter(|r| state.rows[*r as usize].first.is_some()).map(|r| cluster[r as usize]).next()
}

/// Weight elements in exact classes, the number of these, and weight elements in inexact ones: what can go
/// without `--allow-inexact` counts first.
type Score = (u64, u64, u64);

/// By cluster, what an attempt leaves to remove.
fn scores(graph: &Graph, state: &mut State, cluster: &[u32]) -> FxHashMap<u32, Score> {
    // Weight elements that go with one element of a row.
    let weight: Vec<u64> = state
        .rows
        .iter()
        .map(|r| {
            let inits = r.axes.iter().filter_map(|(v, _)| graph.init(*v));
            inits.map(|t| (t.len() / r.len.max(1)) as u64).sum()
        })
        .collect();
    let mut out: FxHashMap<u32, Score> = FxHashMap::default();
    for class in removable(state).0 {
        let score = out.entry(cluster[class[0].0 as usize]).or_default();
        let weights = class.iter().map(|m| weight[m.0 as usize]).sum::<u64>();
        if class.iter().any(|m| state.rows[m.0 as usize].inexact.is_some()) {
            score.2 += weights;
        } else {
            score.0 += weights;
            score.1 += 1;
        }
    }
    out
}
