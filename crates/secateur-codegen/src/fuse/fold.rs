//! Steps whose operands are constants are done at compile time; a view of a constant becomes a constant of its own when
//! the step writes it whole.

use std::sync::Arc;

use crate::interp;
use crate::op::Op;
use crate::program::{Kind, Program};

/// More elements than this are computed at run time, unless the operands have as many.
const MOST: usize = 1 << 16;

pub(super) fn run(p: &mut Program) -> bool {
    let uses = p.uses();
    for s in 0..p.steps.len() {
        let step = &p.steps[s];
        let t = p.tensor(step.output.tensor);
        let len: usize = t.dims.iter().product();
        let single = uses[step.output.tensor.0].writes.len() == 1;
        let stored: usize =
            step.inputs.iter().map(|v| p.tensor(v.tensor).dims.iter().product::<usize>()).sum();
        if t.kind != Kind::Temp || !single || !step.output.is_whole(len) || len > MOST.max(stored) {
            continue;
        }
        // Filling is cheaper than storing.
        if matches!(step.op, Op::Fill(_)) {
            continue;
        }
        if let Some(data) = interp::fold(p, step) {
            let t = step.output.tensor;
            p.tensors[t.0].kind = Kind::Const(Arc::new(data));
            p.steps.remove(s);
            return true;
        }
    }
    false
}
