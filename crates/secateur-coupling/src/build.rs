//! From joined elements to classes and groups.

use rustc_hash::FxHashMap;

use crate::collect::Collected;
use crate::rows::State;
use crate::{Class, Coupling, Group, Row};

/// Row and index of each element of a class, ascending.
pub type Members = Vec<(u32, u32)>;

/// Classes that are not pinned, in the order of their first element, and the elements of those that are.
pub fn removable(state: &mut State) -> (Vec<Members>, Vec<(u32, u32, u32)>) {
    let mut number: FxHashMap<u32, usize> = FxHashMap::default();
    let mut classes: Vec<Members> = Vec::new();
    let mut pinned = Vec::new();
    for e in 0..state.owner.len() as u32 {
        let row = state.owner[e as usize];
        let index = e - state.rows[row as usize].first.unwrap_or(0);
        if let Some(pin) = state.pin_of(e) {
            pinned.push((row, index, pin));
            continue;
        }
        let root = state.sets.find(e);
        let at = *number.entry(root).or_insert_with(|| {
            classes.push(Vec::new());
            classes.len() - 1
        });
        classes[at].push((row, index));
    }
    (classes, pinned)
}

/// Rows touched by a class, with the number of its elements in each.
fn footprint(members: &Members) -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for &(row, _) in members {
        match out.last_mut() {
            Some((r, n)) if *r == row => *n += 1,
            _ => out.push((row, 1)),
        }
    }
    out
}

/// The finished result.
pub fn build(said: &Collected, mut state: State, picks: Vec<usize>) -> Coupling {
    let (members, pinned) = removable(&mut state);
    let mut by_print: FxHashMap<Vec<(u32, u32)>, u32> = FxHashMap::default();
    let mut groups: Vec<Group> = Vec::new();
    let mut classes = Vec::with_capacity(members.len());
    for m in members {
        let print = footprint(&m);
        let group = *by_print.entry(print).or_insert_with_key(|print| {
            let inexact = print.iter().find_map(|(r, _)| state.rows[*r as usize].inexact.clone());
            groups.push(Group { classes: Vec::new(), footprint: print.clone(), inexact });
            groups.len() as u32 - 1
        });
        groups[group as usize].classes.push(classes.len() as u32);
        classes.push(Class { members: m, group });
    }
    let mut contractions = said.contractions.clone();
    for (choice, &way) in said.choices.iter().zip(&picks) {
        contractions.extend(choice.ways[way].contractions.iter().copied());
    }
    contractions.sort_by_key(|c| c.node);
    Coupling {
        rows: state
            .rows
            .into_iter()
            .map(|r| Row { axes: r.axes, len: r.len, pin: r.pin, inexact: r.inexact })
            .collect(),
        classes,
        groups,
        contractions,
        pinned: pinned.into_iter().map(|(r, i, p)| (r, i, state.pins[p as usize].clone())).collect(),
        choices: said.choices.iter().zip(&picks).map(|(c, &w)| (c.node, c.ways[w].label.clone())).collect(),
        row_of: state.row_of,
    }
}
