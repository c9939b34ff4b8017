//! Operands get the form that kernels read: planes with rows that lie together, with a border of zeros where a window
//! reaches over the edge, dense rows for the rest. Where a tensor has to have another form a copy comes in between.

use crate::layout::{Layout, Pads};
use crate::op::Op;
use crate::program::{Kind, Program, Step, TensorId};
use crate::view::{View, dense, split};

/// What a step asks of one of its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Any strides.
    Any,
    /// `[C,H,W]`, pixels of a row next to each other, with a border.
    Planes(Pads),
    /// Elements of the last axis next to each other.
    Rows,
    /// One after the other.
    Dense,
}

/// The forms that a step asks for, inputs first, output last.
fn forms(step: &Step) -> (Vec<Form>, Form) {
    let all = |f| vec![f; step.inputs.len()];
    let plain = Form::Planes([0; 4]);
    match &step.op {
        Op::Copy | Op::Fill(_) | Op::Map(_) | Op::Binary(..) | Op::MulAdd(_) | Op::Select => {
            (all(Form::Any), Form::Any)
        }
        Op::Conv(c) => {
            let mut f = all(plain);
            f[0] = Form::Planes(c.pads);
            (f, plain)
        }
        Op::ConvTranspose(_) | Op::Pool(_) | Op::Resize(_) => (all(plain), plain),
        Op::MatMul(_) => (all(Form::Any), Form::Rows),
        Op::Reduce(..) => (all(Form::Any), Form::Any),
        Op::Softmax { .. } | Op::Norm { .. } | Op::CumSum { .. } => (all(Form::Any), Form::Any),
        Op::ArgReduce { .. } => (all(Form::Any), Form::Any),
        Op::Gather => (all(Form::Dense), Form::Dense),
        Op::Recurrent(_) => (all(Form::Rows), Form::Rows),
    }
}

/// The functions that follow a step become a step of their own, which later works in place.
pub fn split_chain(p: &mut Program, s: usize) {
    let (Op::Conv(c) | Op::ConvTranspose(c)) = &mut p.steps[s].op else { return };
    // The first may still fit where all together do not.
    let keep = usize::from(c.chain.len() > 1 && crate::choose::activation(c.chain[0]).is_some());
    let rest = c.chain.split_off(keep);
    let step = p.steps[s].clone();
    let between = p.add(&step.name, &step.output.dims, Kind::Temp);
    p.steps[s].output = between.clone();
    p.steps.insert(s + 1, Step { op: Op::Map(rest), inputs: vec![between], ..step });
}

/// Copies where they are needed, and the layout of every tensor.
pub fn legalize(p: &mut Program) -> Vec<Layout> {
    let pads = borders(p);
    let mut layouts: Vec<Layout> =
        p.tensors.iter().zip(&pads).map(|(t, &pads)| Layout::padded(&t.dims, pads)).collect();
    for step in std::mem::take(&mut p.steps) {
        let (inputs, output) = forms(&step);
        let mut step = step;
        let mut after = None;
        for (i, form) in inputs.into_iter().enumerate() {
            let v = step.inputs[i].clone();
            let elem_ok = !is_raw(p, &v) || matches!(step.op, Op::Copy | Op::Map(_) | Op::Binary(..));
            if elem_ok && fits(&layouts[v.tensor.0], &v, form) {
                continue;
            }
            let pads = if let Form::Planes(pads) = form { pads } else { [0; 4] };
            let copy = fresh(p, &mut layouts, &step.name, &v.dims, pads);
            p.steps.push(Step {
                name: step.name.clone(),
                op: Op::Copy,
                inputs: vec![v],
                output: copy.clone(),
            });
            step.inputs[i] = copy;
        }
        let v = step.output.clone();
        let elem_ok = !is_raw(p, &v) || matches!(step.op, Op::Copy | Op::Map(_) | Op::Binary(..));
        if !elem_ok || !fits(&layouts[v.tensor.0], &v, output) {
            let copy = fresh(p, &mut layouts, &step.name, &v.dims, [0; 4]);
            let name = step.name.clone();
            step.output = copy.clone();
            after = Some(Step { name, op: Op::Copy, inputs: vec![copy], output: v });
        }
        p.steps.push(step);
        p.steps.extend(after);
    }
    layouts
}

fn fresh(p: &mut Program, layouts: &mut Vec<Layout>, name: &str, dims: &[usize], pads: Pads) -> View {
    let v = p.add(name, dims, Kind::Temp);
    layouts.push(Layout::padded(dims, pads));
    v
}

/// Whether the view is of memory of the caller that does not hold `f32`.
fn is_raw(p: &Program, v: &View) -> bool {
    let ports = p.inputs.iter().chain(&p.outputs);
    ports.into_iter().any(|port| port.tensor == v.tensor && port.elem != secateur_ir::ElemType::F32)
}

/// For each tensor the border that its readers ask for, where all its views allow one.
fn borders(p: &Program) -> Vec<Pads> {
    let mut pads = vec![[0usize; 4]; p.tensors.len()];
    for step in &p.steps {
        for (v, form) in step.inputs.iter().zip(forms(step).0) {
            let t = p.tensor(v.tensor);
            if let Form::Planes(want) = form
                && t.kind == Kind::Temp
                && covers(v, &t.dims)
            {
                let have = &mut pads[v.tensor.0];
                have.iter_mut().zip(want).for_each(|(h, w)| *h = (*h).max(w));
            }
        }
    }
    // What is changed in place has the layout of the result, so that both can share memory.
    for step in p.steps.iter().rev() {
        let (x, y) = match (&step.op, step.inputs.first()) {
            (Op::Map(_), Some(x)) => (x, &step.output),
            _ => continue,
        };
        let size = |v: &View| p.tensor(v.tensor).dims.iter().product::<usize>();
        let whole = x.is_whole(size(x)) && step.output.is_whole(size(y));
        if whole && p.tensor(x.tensor).kind == Kind::Temp && pads[x.tensor.0] == [0; 4] {
            pads[x.tensor.0] = pads[y.tensor.0];
        }
    }
    let mut ok = |v: &View| {
        let TensorId(t) = v.tensor;
        if pads[t] != [0; 4] && Layout::padded(&p.tensors[t].dims, pads[t]).locate(v).is_none() {
            pads[t] = [0; 4];
        }
    };
    for step in &p.steps {
        step.inputs.iter().chain([&step.output]).for_each(&mut ok);
    }
    pads
}

/// Whether a view `[C,H,W]` shows whole planes of its tensor.
fn covers(v: &View, dims: &[usize]) -> bool {
    let rank = dims.len();
    if v.dims.len() != 3 || rank < 3 {
        return false;
    }
    let Some((start, axes)) = split(v, dims, &dense(dims)) else { return false };
    let whole = |axis: usize, of: usize| {
        v.dims[axis] == dims[of] && start[of] == 0 && axes[axis].is_none_or(|a| a == (of, 1))
    };
    whole(1, rank - 2) && whole(2, rank - 1) && axes[0].is_none_or(|(_, k)| k > 0)
}

fn fits(layout: &Layout, v: &View, form: Form) -> bool {
    let Some(span) = layout.locate(v) else { return false };
    let end = span.dims.len().wrapping_sub(1);
    let unit = span.dims.is_empty() || span.dims[end] <= 1 || span.strides[end] == 1;
    match form {
        Form::Any => true,
        Form::Rows => unit,
        Form::Dense => layout.is_dense() && v.is_dense(),
        Form::Planes(pads) => {
            let enough = layout.pads.iter().zip(pads).all(|(have, want)| *have >= want);
            let forward = span.strides.iter().zip(&span.dims).all(|(&s, &n)| s > 0 || n <= 1);
            unit && forward && span.dims.len() == 3 && enough && (pads == [0; 4] || covers(v, &layout.dims))
        }
    }
}
