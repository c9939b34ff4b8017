//! Steps whose results nobody reads are dropped.

use crate::program::{Kind, Program};

pub(super) fn run(p: &mut Program) -> bool {
    let before = p.steps.len();
    let uses = p.uses();
    let tensors = &p.tensors;
    p.steps.retain(|s| {
        let t = s.output.tensor.0;
        tensors[t].kind != Kind::Temp || !uses[t].reads.is_empty()
    });
    p.steps.len() < before
}
