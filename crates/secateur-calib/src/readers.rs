//! Which columns of which weights the classes of a group go into.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_coupling::Coupling;
use secateur_ir::{Graph, ValueId};

use crate::linear::{Linear, linears};

/// One group of one linear operator that sums away classes of a coupled group.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The weight.
    pub weight: ValueId,
    /// Which group of the operator.
    pub part: usize,
    /// By position of the class in its group: its rows of the weight's matrix.
    pub rows: Vec<Vec<usize>>,
}

/// By coupled group: its readers.
pub fn readers(graph: &Graph, coupling: &Coupling) -> Vec<Vec<Reader>> {
    let by_weight: FxHashMap<ValueId, Linear> = linears(graph).into_iter().map(|l| (l.weight, l)).collect();
    // By row: its elements with group and place in it of their class.
    let mut places: FxHashMap<u32, Vec<(u32, u32, usize)>> = FxHashMap::default();
    for (g, group) in coupling.groups.iter().enumerate() {
        for (at, &c) in group.classes.iter().enumerate() {
            for &(r, i) in &coupling.classes[c as usize].members {
                places.entry(r).or_default().push((i, g as u32, at));
            }
        }
    }
    let mut out: Vec<Vec<Reader>> = vec![Vec::new(); coupling.groups.len()];
    let mut seen = FxHashSet::default();
    for c in &coupling.contractions {
        let Some((v, axis)) = c.weight else { continue };
        let Some(l) = by_weight.get(&v).filter(|l| l.node == c.node && l.data == c.data.0) else { continue };
        let (Some(w), Some(row)) = (graph.init(v), coupling.row_of((v, axis))) else { continue };
        let Some(elements) = places.get(&row).filter(|_| seen.insert((v, axis))) else { continue };
        let (channels, taps, _) = l.sizes(w);
        for part in 0..l.groups() {
            // The axis counts the channels of one part, or of all parts.
            let whole = w.dims[axis] == channels * l.groups() && l.groups() > 1;
            let mut by_group: FxHashMap<u32, Vec<Vec<usize>>> = FxHashMap::default();
            for &(i, g, at) in elements {
                let i = i as usize;
                let channel = match whole {
                    true if i / channels == part => i % channels,
                    true => continue,
                    false => i,
                };
                let n = coupling.groups[g as usize].classes.len();
                let rows = &mut by_group.entry(g).or_insert_with(|| vec![Vec::new(); n])[at];
                rows.extend(channel * taps..(channel + 1) * taps);
            }
            for (g, rows) in by_group {
                out[g as usize].push(Reader { weight: v, part, rows });
            }
        }
    }
    out.iter_mut().for_each(|r| r.sort_by_key(|r| (r.weight, r.part)));
    out
}
