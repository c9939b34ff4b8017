//! Rewrites of the lowered program that keep what it computes and leave fewer steps and fewer tensors.
//!
//! One rewrite is one file and one row of [`REWRITES`]. Each makes all the changes it finds; all are run in order until
//! none finds any.

mod affine;
mod chain;
mod conv;
mod dead;
mod fold;
mod forward;
mod functions;
mod gate;
mod one_hot;
mod pooled;

use crate::program::{Kind, Program, Step, Uses};
use crate::view::View;

/// Makes one change and says whether there was one to make.
type Rewrite = fn(&mut Program) -> bool;

const REWRITES: &[Rewrite] = &[
    fold::run,
    dead::run,
    one_hot::run,
    chain::run,
    conv::run,
    functions::run,
    affine::run,
    gate::run,
    pooled::run,
    forward::run,
    dead::run,
];

/// Runs all rewrites to a fixpoint.
pub fn fuse(p: &mut Program) {
    loop {
        let mut changed = false;
        for rewrite in REWRITES {
            while rewrite(p) {
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// The step that alone writes the whole of a tensor in the workspace, where the view is all of that tensor in order.
fn producer(p: &Program, uses: &[Uses], v: &View) -> Option<usize> {
    let t = p.tensor(v.tensor);
    let [s] = uses[v.tensor.0].writes[..] else { return None };
    let len = t.dims.iter().product();
    (t.kind == Kind::Temp && v.is_whole(len) && p.steps[s].output.is_whole(len)).then_some(s)
}

/// [`producer`], where nothing but one operand of one step reads the tensor.
fn only_for(p: &Program, uses: &[Uses], v: &View) -> Option<usize> {
    (uses[v.tensor.0].reads.len() == 1).then(|| producer(p, uses, v)).flatten()
}

/// What a constant says for each of `n` channels, where it is the same all over a channel of `[n, ..]`.
fn per_channel(p: &Program, v: &View, n: usize) -> Option<Vec<f32>> {
    if !p.is_const(v) {
        return None;
    }
    let rest = v.len().checked_div(n)?;
    // Strides that repeat do not always survive a reshape: look at the elements.
    let lead = v.dims.iter().take_while(|&&d| d == 1).count();
    if v.dims.get(lead).copied().unwrap_or(1) != n && n != 1 {
        return None;
    }
    let mut small = v.clone();
    for (d, s) in small.dims.iter_mut().zip(&small.strides).skip(lead + usize::from(n != 1)) {
        if *s != 0 && *d != 1 {
            let all = p.values(v)?;
            return all.chunks(rest).map(|c| c.iter().all(|x| x == &c[0]).then_some(c[0])).collect();
        }
        *d = 1;
    }
    p.values(&small)
}

/// Replaces step `at`, removing the steps in `gone`.
fn replace(p: &mut Program, at: usize, step: Step, gone: &[usize]) {
    p.steps[at] = step;
    let mut n = 0;
    p.steps.retain(|_| {
        n += 1;
        !gone.contains(&(n - 1))
    });
}
