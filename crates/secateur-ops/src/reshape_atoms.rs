//! The common refinement of two factorings of the same elements.

use crate::{Alternative, Atom, Port, Relation, Relations};
use secateur_ir::dim::Dim;

/// A factor that is contiguous on both sides: which axis holds it, and what lies inside it in that axis.
struct Piece {
    a_axis: usize,
    b_axis: usize,
    size: Dim,
}

/// Relations of a row-major reshape from `a` to `b`.
///
/// Axes are matched from the front into groups of equal product, each group is refined into factors that are
/// contiguous on both sides, and one factor of each group may be cut: `[90] -> [9, 10]` either by whole rows
/// of ten, or by the same places in every row. A group without a refinement is left to its pins.
pub fn relate(r: &mut Relations, a: (Port, &[Dim]), b: (Port, &[Dim])) {
    let (pa, sa) = a;
    let (pb, sb) = b;
    for (port, shape) in [a, b] {
        for (axis, d) in shape.iter().enumerate() {
            if d.is(1) {
                r.free(port, axis);
            }
        }
    }
    for group in groups(sa, sb) {
        let Some(pieces) = group else { continue };
        // Inside a group every factor is a candidate; those of unknown size cannot be cut.
        let mut alternatives = Vec::new();
        for (p, piece) in pieces.iter().enumerate() {
            let Some(size) = piece.size.size().filter(|&n| n > 1) else { continue };
            let inner = |same: &dyn Fn(&Piece) -> bool| {
                Dim::product(pieces[p + 1..].iter().take_while(|q| same(q)).map(|q| &q.size))
                    .and_then(|d| d.size())
            };
            let whole = |same: &dyn Fn(&Piece) -> bool| {
                Dim::product(pieces.iter().filter(|q| same(q)).map(|q| &q.size)).and_then(|d| d.size())
            };
            let (ia, ib) = (inner(&|q| q.a_axis == piece.a_axis), inner(&|q| q.b_axis == piece.b_axis));
            let fixed = whole(&|q| q.a_axis == piece.a_axis).is_some()
                && whole(&|q| q.b_axis == piece.b_axis).is_some();
            let (Some(ia), Some(ib), true) = (ia, ib, fixed) else { continue };
            alternatives.push(Alternative {
                label: format!("factor {size} of axis {}", piece.a_axis).into(),
                relations: vec![Relation::Atoms(vec![
                    Atom { port: pa, axis: piece.a_axis, size, inner: ia },
                    Atom { port: pb, axis: piece.b_axis, size, inner: ib },
                ])],
            });
        }
        r.choose(alternatives);
    }
}

/// Groups of factors; `None` for one whose factorings have no common refinement.
fn groups(sa: &[Dim], sb: &[Dim]) -> Vec<Option<Vec<Piece>>> {
    let one = Dim::fixed(1);
    let (mut out, mut pieces) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    // What is left of the current axis on either side.
    let (mut ra, mut rb) = (one.clone(), one.clone());
    loop {
        if ra.is(1) && rb.is(1) && !pieces.is_empty() {
            out.push(Some(std::mem::take(&mut pieces)));
        }
        while ra.is(1) && i < sa.len() {
            ra = sa[i].clone();
            i += 1;
        }
        while rb.is(1) && j < sb.len() {
            rb = sb[j].clone();
            j += 1;
        }
        if ra.is(1) && rb.is(1) {
            return out;
        }
        let (size, na, nb) = if let Some(q) = ra.div(&rb) {
            (rb.clone(), q, one.clone())
        } else if let Some(q) = rb.div(&ra) {
            (ra.clone(), one.clone(), q)
        } else {
            // The rest of both shapes is one group without a refinement.
            out.push(None);
            return out;
        };
        if size.is(1) || size.is(0) {
            out.push(None);
            return out;
        }
        pieces.push(Piece { a_axis: i - 1, b_axis: j - 1, size });
        (ra, rb) = (na, nb);
    }
}
