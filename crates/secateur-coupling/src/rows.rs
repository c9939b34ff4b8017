//! Rows, and union-find over their elements.

use rustc_hash::FxHashMap;
use secateur_ir::Graph;

use crate::collect::{Collected, Fact, Run};
use crate::{Axis, Pin};

/// Union-find with path halving; the smaller number becomes the root, so results do not depend on order.
#[derive(Debug, Clone)]
pub struct Sets {
    parent: Vec<u32>,
}

impl Sets {
    pub fn new(n: usize) -> Self {
        Self { parent: (0..n as u32).collect() }
    }

    pub fn find(&mut self, mut x: u32) -> u32 {
        while self.parent[x as usize] != x {
            let up = self.parent[self.parent[x as usize] as usize];
            self.parent[x as usize] = up;
            x = up;
        }
        x
    }

    /// The root of both, and the other old root where they were apart.
    pub fn union(&mut self, a: u32, b: u32) -> Option<(u32, u32)> {
        let (a, b) = (self.find(a), self.find(b));
        let (root, child) = (a.min(b), a.max(b));
        self.parent[child as usize] = root;
        (a != b).then_some((root, child))
    }
}

/// Longest row that is followed element by element in graphs whose weights are smaller than that.
const LONGEST_ROW: usize = 1 << 20;

/// A row while the analysis runs.
#[derive(Debug, Clone)]
pub struct RowState {
    pub axes: Vec<Axis>,
    pub len: usize,
    pub pin: Option<Pin>,
    pub inexact: Option<Pin>,
    /// First element; rows that were pinned from the start have none.
    pub first: Option<u32>,
}

/// What is known so far: rows are fixed at the start, elements are joined as choices are made.
#[derive(Debug, Clone)]
pub struct State {
    pub rows: Vec<RowState>,
    pub row_of: FxHashMap<Axis, u32>,
    pub sets: Sets,
    /// By element that is a root: why it must stay. Index into `pins`.
    pub pinned: Vec<u32>,
    pub pins: Vec<Pin>,
    /// Row of each element.
    pub owner: Vec<u32>,
}

const NOT_PINNED: u32 = u32::MAX;

impl State {
    pub fn new(graph: &Graph, said: &Collected) -> Self {
        let index: FxHashMap<Axis, u32> =
            said.axes.iter().enumerate().map(|(i, (a, _))| (*a, i as u32)).collect();
        let mut axes = Sets::new(said.axes.len());
        for fact in &said.facts {
            if let Fact::Same(a, b) = fact {
                axes.union(index[a], index[b]);
            }
        }
        let mut rows: Vec<RowState> = Vec::new();
        let mut row_of = FxHashMap::default();
        let mut by_root: FxHashMap<u32, u32> = FxHashMap::default();
        for (i, (axis, len)) in said.axes.iter().enumerate() {
            let row = *by_root.entry(axes.find(i as u32)).or_insert_with(|| {
                rows.push(RowState { axes: Vec::new(), len: *len, pin: None, inexact: None, first: None });
                rows.len() as u32 - 1
            });
            rows[row as usize].axes.push(*axis);
            row_of.insert(*axis, row);
        }
        let mut state = Self {
            rows,
            row_of,
            sets: Sets::new(0),
            pinned: Vec::new(),
            pins: Vec::new(),
            owner: Vec::new(),
        };
        for fact in &said.facts {
            state.row_fact(fact);
        }
        // A file of few weights cannot make the analysis large by naming long axes.
        let weights: usize = graph.value_ids().filter_map(|v| graph.init(v)).map(|t| t.len()).sum();
        let longest = weights.max(LONGEST_ROW);
        let mut room = weights.saturating_mul(4).max(1 << 24);
        for (r, row) in state.rows.iter_mut().enumerate() {
            if row.pin.is_some() {
                continue;
            }
            if row.len > longest || row.len > room {
                row.pin = Some(Pin { node: None, axis: row.axes[0], why: "is too long to follow".into() });
                continue;
            }
            room -= row.len;
            row.first = Some(state.owner.len() as u32);
            state.owner.extend(std::iter::repeat_n(r as u32, row.len));
        }
        state.sets = Sets::new(state.owner.len());
        state.pinned = vec![NOT_PINNED; state.owner.len()];
        for fact in &said.facts {
            state.element_fact(fact);
        }
        state
    }

    fn row_fact(&mut self, fact: &Fact) {
        let slot = match fact {
            Fact::Pin(a, p) => (&mut self.rows[self.row_of[a] as usize].pin, p),
            Fact::Inexact(a, p) => (&mut self.rows[self.row_of[a] as usize].inexact, p),
            _ => return,
        };
        slot.0.get_or_insert_with(|| slot.1.clone());
    }

    /// Applies what is said of a choice that was made after the rows were laid out.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Pin(a, p) => {
                let row = self.row_of[a] as usize;
                let Some(first) = self.rows[row].first else { return };
                if self.rows[row].pin.is_none() {
                    self.rows[row].pin = Some(p.clone());
                    let pin = self.add_pin(p.clone());
                    for e in first..first + self.rows[row].len as u32 {
                        self.pin_element(e, pin);
                    }
                }
            }
            Fact::Inexact(..) => self.row_fact(fact),
            Fact::Same(a, b) => {
                let len = self.rows[self.row_of[a] as usize].len;
                self.pairs(Run { axis: *a, start: 0, step: 1 }, Run { axis: *b, start: 0, step: 1 }, len);
            }
            _ => self.element_fact(fact),
        }
    }

    fn element_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Pairs(a, b, len) => self.pairs(*a, *b, *len),
            Fact::Listed(a, index, b) => {
                for (i, &j) in index.iter().enumerate() {
                    self.join((*a, j), (*b, i));
                }
            }
            Fact::Atoms(sides) => {
                let Some(&(head, size, inner)) = sides.first() else { return };
                // A side that was pinned from the start has every index of the factor, however long it is.
                if let Some(&(stays, ..)) = sides.iter().find(|s| self.has_no_elements(s.0)) {
                    let Some(pin) = self.row_pin(stays) else { return };
                    for &(axis, ..) in sides {
                        let row = &self.rows[self.row_of[&axis] as usize];
                        let elements = row.first.map_or(0..0, |f| f..f + row.len as u32);
                        elements.for_each(|e| self.pin_element(e, pin));
                    }
                    return;
                }
                for &(axis, n, k) in sides {
                    let len = self.rows[self.row_of[&axis] as usize].len;
                    for e in 0..len {
                        let i = e / k.max(1) % n.max(1);
                        if i < size {
                            self.join((head, i * inner), (axis, e));
                        }
                    }
                }
            }
            Fact::Same(..) | Fact::Pin(..) | Fact::Inexact(..) => {}
        }
    }

    /// Whether the axis was pinned from the start; its length may be anything.
    pub fn has_no_elements(&self, axis: Axis) -> bool {
        self.row_of.get(&axis).is_none_or(|&r| self.rows[r as usize].first.is_none())
    }

    fn pairs(&mut self, a: Run, b: Run, len: usize) {
        if self.has_no_elements(a.axis) && self.has_no_elements(b.axis) {
            return;
        }
        let at = |r: &Run, i: usize| (r.start as isize + r.step * i as isize) as usize;
        for i in 0..len {
            self.join((a.axis, at(&a, i)), (b.axis, at(&b, i)));
        }
    }

    pub fn element(&self, axis: Axis, i: usize) -> Option<u32> {
        let row = &self.rows[*self.row_of.get(&axis)? as usize];
        Some(row.first? + u32::try_from(i).ok().filter(|_| i < row.len)?)
    }

    fn add_pin(&mut self, p: Pin) -> u32 {
        self.pins.push(p);
        self.pins.len() as u32 - 1
    }

    fn row_pin(&mut self, axis: Axis) -> Option<u32> {
        let row = *self.row_of.get(&axis)?;
        let pin = self.rows[row as usize].pin.clone()?;
        // The last one is nearly always the one that is needed again.
        match self.pins.last() {
            Some(p) if *p == pin => Some(self.pins.len() as u32 - 1),
            _ => Some(self.add_pin(pin)),
        }
    }

    fn pin_element(&mut self, e: u32, pin: u32) {
        let root = self.sets.find(e) as usize;
        if self.pinned[root] == NOT_PINNED {
            self.pinned[root] = pin;
        }
    }

    fn join(&mut self, a: (Axis, usize), b: (Axis, usize)) {
        match (self.element(a.0, a.1), self.element(b.0, b.1)) {
            (Some(x), Some(y)) => self.join_elements(x, y),
            // A row without elements was pinned from the start; what meets it stays too.
            (Some(x), None) => {
                if let Some(pin) = self.row_pin(b.0) {
                    self.pin_element(x, pin);
                }
            }
            (None, Some(y)) => {
                if let Some(pin) = self.row_pin(a.0) {
                    self.pin_element(y, pin);
                }
            }
            (None, None) => {}
        }
    }

    /// Two elements go together.
    pub fn join_elements(&mut self, a: u32, b: u32) {
        if let Some((root, child)) = self.sets.union(a, b)
            && self.pinned[root as usize] == NOT_PINNED
        {
            self.pinned[root as usize] = self.pinned[child as usize];
        }
    }

    /// Why an element must stay, if it must.
    pub fn pin_of(&mut self, e: u32) -> Option<u32> {
        let root = self.sets.find(e) as usize;
        Some(self.pinned[root]).filter(|p| *p != NOT_PINNED)
    }
}
