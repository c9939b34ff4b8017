//! Rules that are wrong on purpose.

use secateur_ir::Graph;
use secateur_ops::{Atom, CoupleCx, Port, Relation, Relations, Span};

/// Changes what the rule of node `.1` said.
pub type Wrong = fn(&Graph, usize, &mut Relations);

/// What is broken, and how.
pub const WRONGS: &[(&str, Wrong)] = &[
    ("Concat lays its inputs one too early", |g, n, r| {
        of(g, n, "Concat", r, &mut |r| {
            runs(r, &mut |a, b| {
                let out = if a.port == Port::Out(0) { a } else { b };
                out.start = out.start.saturating_sub(1);
            })
        });
    }),
    ("Conv counts groups from the inside", |g, n, r| {
        of(g, n, "Conv", r, &mut |r| atoms(r, &mut |t| t.inner = 1));
    }),
    ("Gather is off by one", |g, n, r| {
        of(g, n, "Gather", r, &mut |r| {
            if let Relation::List { index, .. } = r {
                index.rotate_left(1);
            }
        });
    }),
    ("Reshape takes inner factors for outer ones", |g, n, r| {
        let cx = CoupleCx { graph: g, node: &g.nodes[n] };
        of(g, n, "Reshape", r, &mut |r| {
            atoms(r, &mut |t| {
                let len = cx.size(t.port, t.axis).ok().flatten().unwrap_or(0);
                if t.port == Port::Out(0) {
                    t.inner = (len / (t.size * t.inner).max(1)).max(1);
                }
            })
        });
    }),
    ("Split starts one too early", |g, n, r| {
        of(g, n, "Split", r, &mut |r| {
            runs(r, &mut |a, b| {
                let input = if a.port == Port::In(0) { a } else { b };
                input.start = input.start.saturating_sub(1);
            })
        });
    }),
    ("Transpose leaves axes where they are", |g, n, r| {
        of(g, n, "Transpose", r, &mut |r| runs(r, &mut |a, b| b.axis = a.axis));
    }),
    ("Slice starts at the first element", |g, n, r| {
        of(g, n, "Slice", r, &mut |r| {
            runs(r, &mut |a, b| {
                let input = if a.port == Port::In(0) { a } else { b };
                input.start = 0;
            })
        });
    }),
    ("Pad puts nothing before", |g, n, r| {
        of(g, n, "Pad", r, &mut |r| runs(r, &mut |a, b| (a.start, b.start) = (0, 0)));
    }),
    ("ReduceMean may lose elements", |g, n, r| {
        if g.nodes[n].is("ReduceMean") {
            r.list.retain(|r| !matches!(r, Relation::Inexact { .. }));
        }
    }),
    ("Add does not tie its second input", |g, n, r| {
        if g.nodes[n].is("Add") {
            let second = |s: &Span| s.port == Port::In(1);
            for r in &mut r.list {
                if let Relation::Run { a, b, .. } = r
                    && (second(a) || second(b))
                {
                    *r = Relation::Free { at: if second(a) { (a.port, a.axis) } else { (b.port, b.axis) } };
                }
            }
        }
    }),
];

/// Every relation of one operator, also those that are a matter of choice.
fn of(g: &Graph, n: usize, op: &str, r: &mut Relations, change: &mut dyn FnMut(&mut Relation)) {
    if !g.nodes[n].is(op) {
        return;
    }
    for r in &mut r.list {
        match r {
            Relation::Choose(ways) => ways.iter_mut().flat_map(|w| &mut w.relations).for_each(&mut *change),
            r => change(r),
        }
    }
}

fn runs(r: &mut Relation, change: &mut dyn FnMut(&mut Span, &mut Span)) {
    if let Relation::Run { a, b, .. } = r {
        change(a, b);
    }
}

fn atoms(r: &mut Relation, change: &mut dyn FnMut(&mut Atom)) {
    if let Relation::Atoms(sides) = r {
        sides.iter_mut().for_each(change);
    }
}
