//! Cutting a plan's classes out of a graph.

use secateur_coupling::{Coupling, describe_axis};
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Dim, Edit, Graph, ValueId};
use secateur_ops::ShrinkCx;
use secateur_ops::infer;

use crate::plan::Plan;

/// Slices initializers, lets each touched operator shrink its attributes and operands, infers shapes again and
/// compares them with what was planned.
///
/// # Errors
/// [`Code::P004`] where an operator cannot follow, [`Code::S003`] where shapes come out otherwise than planned.
/// The graph is then half-changed and to be thrown away.
pub fn apply(graph: &mut Graph, coupling: &Coupling, plan: &Plan) -> Result<()> {
    let shapes: Vec<Option<Vec<Dim>>> =
        graph.value_ids().map(|v| graph.shape(v).map(<[Dim]>::to_vec)).collect();
    let before = |v: ValueId| shapes.get(v.index()).and_then(|s| s.as_deref());
    let kept = |v: ValueId, a: usize| plan.kept(coupling, (v, a));
    let touched = |v: ValueId| (0..before(v).map_or(0, <[Dim]>::len)).any(|a| kept(v, a).is_some());
    for v in graph.value_ids().collect::<Vec<_>>() {
        let Some(mut t) = graph.init(v).filter(|_| touched(v)).cloned() else { continue };
        for a in 0..t.dims.len() {
            if let Some(k) = kept(v, a) {
                t = t.take(a, k).ok_or_else(|| {
                    diag(Code::P004, "the elements of a printed tensor are not known")
                        .at("tensor", graph.value(v).name.clone())
                })?;
            }
        }
        graph.set_init(v, t);
    }
    let mut edit = Edit::new(graph);
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let Some(op) = secateur_ops::find(node.domain(), node.op()) else { continue };
        if node.inputs.iter().chain(&node.outputs).flatten().any(|v| touched(*v)) {
            let mut cx = ShrinkCx::new(graph, n, &kept, &before);
            match (op.shrink)(&mut cx) {
                Ok(()) => cx.into_new().into_iter().for_each(|new| edit.insert(n, new)),
                Err(e) => return Err(secateur_ir::place(e, graph, &graph.nodes[n]).at("pass", "shrink")),
            }
        }
    }
    edit.apply(graph);
    infer::infer(graph).map_err(|e| e.at("pass", "shrink"))?;
    for v in graph.value_ids().filter(|v| touched(*v)) {
        for (a, d) in before(v).unwrap_or(&[]).iter().enumerate() {
            let want = kept(v, a).map_or_else(|| d.clone(), |k| Dim::fixed(k.len()));
            let got = graph.shape(v).and_then(|s| s.get(a));
            if got != Some(&want) && (want.size().is_some() || kept(v, a).is_some()) {
                let got = got.map_or("nothing".into(), ToString::to_string);
                let e = diag(
                    Code::S003,
                    format!("{} should have length {want}, not {got}", describe_axis(graph, (v, a))),
                );
                return Err(match graph.links().def(v) {
                    Some(n) => secateur_ir::place(e, graph, &graph.nodes[n]),
                    None => e,
                }
                .at("pass", "shrink"));
            }
        }
    }
    Ok(())
}
