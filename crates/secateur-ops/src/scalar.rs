//! Elementwise operators on integers, and on small integer tensors whose elements may be symbols.
//!
//! Shape arithmetic of exported models runs through here: `Equal`, `Where`, `Mul`, `Max`, ... on the sizes
//! that `Shape` gave. A result that cannot be told gets a symbol of its own.

use std::cmp::Ordering;

use secateur_diag::Result;
use secateur_onnx::ElemType;

use crate::float::{FloatFn, float_fn};
use crate::{FoldCx, InferCx, broadcast};
use secateur_ir::dim::Dim;
use secateur_ir::graph::{Ints, Node};
use secateur_tensor::Tensor;
use secateur_tensor::{int_range, is_float, is_int, map_floats, map_ints};

/// A function of one element of every input; `None` where the result is not defined.
pub type IntFn = Box<dyn Fn(&[i128]) -> Option<i128>>;

/// What the operator computes of integers of type `elem`, truth as 1 and 0.
pub fn int_fn(node: &Node, elem: ElemType) -> Result<Option<IntFn>> {
    let truth: fn(bool) -> Option<i128> = |b| Some(i128::from(b));
    let ones = int_range(elem).filter(|r| r.0 == 0).map(|r| r.1);
    Ok(Some(match node.op() {
        "Abs" => Box::new(|x| x[0].checked_abs()),
        "Neg" => Box::new(|x| x[0].checked_neg()),
        "Sign" => Box::new(|x| Some(x[0].signum())),
        "Relu" => Box::new(|x| Some(x[0].max(0))),
        "Not" => Box::new(move |x| truth(x[0] == 0)),
        "BitwiseNot" => Box::new(move |x| Some(ones.map_or(!x[0], |m| !x[0] & m))),
        "Add" => Box::new(|x| x[0].checked_add(x[1])),
        "Sub" => Box::new(|x| x[0].checked_sub(x[1])),
        "Mul" => Box::new(|x| x[0].checked_mul(x[1])),
        "Div" => Box::new(|x| x[0].checked_div(x[1])),
        "Pow" => Box::new(|x| x[0].checked_pow(u32::try_from(x[1]).ok()?)),
        // The sign is the dividend's with `fmod`, else the divisor's.
        "Mod" if node.int_or("fmod", 0)? != 0 => Box::new(|x| x[0].checked_rem(x[1])),
        "Mod" => Box::new(|x| {
            let r = x[0].checked_rem(x[1])?;
            Some(if r != 0 && (r < 0) != (x[1] < 0) { r + x[1] } else { r })
        }),
        "Max" => Box::new(|x| x.iter().copied().max()),
        "Min" => Box::new(|x| x.iter().copied().min()),
        "Sum" => Box::new(|x| x.iter().try_fold(0i128, |s, &v| s.checked_add(v))),
        "BitwiseAnd" | "And" => Box::new(|x| Some(x[0] & x[1])),
        "BitwiseOr" | "Or" => Box::new(|x| Some(x[0] | x[1])),
        "BitwiseXor" | "Xor" => Box::new(|x| Some(x[0] ^ x[1])),
        "BitShift" => {
            let (Some(mask), Some(left)) = (ones, node.string("direction")?.map(|d| d == "LEFT")) else {
                return Ok(None);
            };
            let bits = elem.bits() as i128;
            Box::new(move |x| {
                let by = (0..bits).contains(&x[1]).then_some(x[1])?;
                Some(if left { (x[0] << by) & mask } else { x[0] >> by })
            })
        }
        "Equal" => Box::new(move |x| truth(x[0] == x[1])),
        "Less" => Box::new(move |x| truth(x[0] < x[1])),
        "LessOrEqual" => Box::new(move |x| truth(x[0] <= x[1])),
        "Greater" => Box::new(move |x| truth(x[0] > x[1])),
        "GreaterOrEqual" => Box::new(move |x| truth(x[0] >= x[1])),
        _ => return Ok(None),
    }))
}

/// The least number of inputs; what was found of the others is of no use without them.
fn arity(op: &str) -> usize {
    const BINARY: &[&str] = &[
        "Add",
        "And",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Mod",
        "Mul",
        "Or",
        "PRelu",
        "Pow",
        "Sub",
        "Xor",
    ];
    1 + usize::from(BINARY.contains(&op))
}

/// Whether the value is a size, or a product of sizes: not negative, whatever its symbols stand for.
fn is_size(d: &Dim) -> bool {
    d.coefficient() >= 0 && !d.is_unknown()
}

/// How two values compare, where that holds for any size of their symbols.
fn order(a: &Dim, b: &Dim) -> Option<Ordering> {
    match (a.constant(), b.constant()) {
        _ if a == b => Some(Ordering::Equal),
        (Some(x), Some(y)) => Some(x.cmp(&y)),
        (Some(x), None) if x < 0 && is_size(b) => Some(Ordering::Less),
        (None, Some(y)) if y < 0 && is_size(a) => Some(Ordering::Greater),
        _ => None,
    }
}

/// Whether `a < b`, where it holds or fails for any size; sizes may be 0.
fn less(a: &Dim, b: &Dim) -> Option<bool> {
    match order(a, b) {
        Some(o) => Some(o == Ordering::Less),
        None if is_size(a) && b.is(0) => Some(false),
        None => None,
    }
}

/// The sum, where both are multiples of the same symbols.
pub fn add(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a.is(0), b.is(0)) {
        (true, _) => Some(b.clone()),
        (_, true) => Some(a.clone()),
        _ if a.symbols() == b.symbols() => {
            let unit = a.div(&Dim::fixed(a.coefficient()))?;
            unit.mul(&Dim::fixed(a.coefficient().checked_add(b.coefficient())?))
        }
        _ => None,
    }
}

/// The larger or smaller of two, where that holds for any size.
pub fn pick(larger: bool, a: Dim, b: Dim) -> Option<Dim> {
    let a_first = match (less(&a, &b), less(&b, &a)) {
        (Some(true), _) | (_, Some(false)) => true,
        (Some(false), _) | (_, Some(true)) => false,
        _ => return None,
    };
    Some(if a_first == larger { b } else { a })
}

/// The operator on elements of which some are symbols; `None` where the result cannot be told.
fn symbolic(op: &str, x: &[Dim]) -> Option<Dim> {
    let truth = |b: bool| Some(Dim::fixed(i64::from(b)));
    match (op, x) {
        ("Mul", [a, b]) => a.mul(b),
        ("Div", [a, b]) => a.div(b),
        ("Mod", [a, b]) => a.div(b).map(|_| Dim::fixed(0)),
        ("Sub", [a, b]) => add(a, &b.mul(&Dim::fixed(-1))?),
        ("Neg", [a]) => a.mul(&Dim::fixed(-1)),
        ("Abs" | "Relu", [a]) if is_size(a) => Some(a.clone()),
        ("Floor" | "Ceil" | "Round", [a]) => Some(a.clone()),
        ("Pow", [a, b]) => (0..b.size().filter(|&n| n < 64)?).try_fold(Dim::fixed(1), |p, _| p.mul(a)),
        ("Add" | "Sum", [first, rest @ ..]) => rest.iter().try_fold(first.clone(), |s, d| add(&s, d)),
        ("Max" | "Min", [first, rest @ ..]) => {
            rest.iter().try_fold(first.clone(), |m, d| pick(op == "Max", m, d.clone()))
        }
        ("Equal", [a, b]) => truth(order(a, b)? == Ordering::Equal),
        ("Less", [a, b]) | ("Greater", [b, a]) => truth(less(a, b)?),
        ("GreaterOrEqual", [a, b]) | ("LessOrEqual", [b, a]) => truth(!less(a, b)?),
        ("And", [a, b]) => match (a.constant(), b.constant()) {
            (Some(0), _) | (_, Some(0)) => truth(false),
            _ => None,
        },
        ("Or", [a, b]) => match (a.constant(), b.constant()) {
            (Some(1), _) | (_, Some(1)) => truth(true),
            _ => None,
        },
        _ => None,
    }
}

/// One element of an operand: an integer or symbol, or a float that is neither.
enum Num {
    Dim(Dim),
    Float(f64),
}

impl Num {
    fn float(&self) -> Option<f64> {
        match self {
            Num::Dim(d) => d.constant().map(|c| c as f64),
            Num::Float(f) => Some(*f),
        }
    }
}

/// Integers that a float type holds exactly become sizes again.
fn whole(v: f64) -> Option<Dim> {
    (v.fract() == 0.0 && v.abs() <= 16_777_216.0).then(|| Dim::fixed(v as i64))
}

fn operand(cx: &InferCx, i: usize) -> Option<(bool, Vec<Num>)> {
    if let Some(ints) = cx.ints(i) {
        return Some((ints.scalar, ints.elems.into_iter().map(Num::Dim).collect()));
    }
    let t = cx.tensor(i).filter(|t| t.elem == ElemType::F32 && t.dims.len() <= 1 && t.len() <= 16)?;
    let num = |v: f32| whole(v.into()).map_or(Num::Float(v.into()), Num::Dim);
    Some((t.dims.is_empty(), t.to_f32()?.into_iter().map(num).collect()))
}

/// Floats: a product of sizes stays one as long as its factors are whole, or parts of one.
fn float_element(op: &str, f: Option<&FloatFn>, x: &[&Num]) -> Option<Dim> {
    if let Some(all) = x.iter().map(|n| n.float()).collect::<Option<Vec<f64>>>() {
        return whole(f64::from(f?(&all) as f32));
    }
    match (op, x) {
        ("Mul", [Num::Dim(d), Num::Float(f)] | [Num::Float(f), Num::Dim(d)]) => d.div(&whole(1.0 / f)?),
        ("Div", [Num::Dim(d), Num::Float(f)]) => d.mul(&whole(1.0 / f)?),
        _ => {
            let dims = x.iter().map(|n| if let Num::Dim(d) = n { Some(d.clone()) } else { None });
            symbolic(op, &dims.collect::<Option<Vec<_>>>()?)
        }
    }
}

/// Infer: all inputs broadcast to output 0 of type `elem`, and small integer tensors are followed.
pub fn infer(cx: &mut InferCx, elem: ElemType) -> Result<()> {
    let shape = broadcast::shape(cx)?;
    cx.set(0, elem, shape);
    // Something must be known that is no constant of the file: those are evaluated elsewhere.
    if !(0..cx.node.inputs.len()).any(|i| cx.ints(i).is_some()) {
        return Ok(());
    }
    let operands: Option<Vec<_>> = (0..cx.node.inputs.len()).map(|i| operand(cx, i)).collect();
    let Some(operands) = operands.filter(|o| o.len() >= arity(cx.node.op())) else { return Ok(()) };
    let mut n = 1;
    for (_, x) in &operands {
        match (n, x.len()) {
            (_, 1) => {}
            (1, m) => n = m,
            (n, m) if n == m => {}
            _ => return Ok(()),
        }
    }
    let Some(elem_in) = cx.elem(0) else { return Ok(()) };
    let ints = int_fn(cx.node, elem_in)?.filter(|_| is_int(elem_in));
    let floats = float_fn(cx.node, cx.opset())?.filter(|_| is_float(elem_in));
    let range = int_range(elem).unwrap_or((i64::MIN.into(), i64::MAX.into()));
    let element = |i: usize| -> Option<Dim> {
        let x: Vec<&Num> = operands.iter().map(|(_, x)| &x[if x.len() == 1 { 0 } else { i }]).collect();
        if is_float(elem_in) {
            return float_element(cx.node.op(), floats.as_ref(), &x);
        }
        let dims = x.iter().map(|n| if let Num::Dim(d) = n { Some(d.clone()) } else { None });
        let dims = dims.collect::<Option<Vec<Dim>>>()?;
        let constants = dims.iter().map(|d| d.constant().map(i128::from)).collect::<Option<Vec<_>>>();
        match constants {
            Some(c) => {
                let v = ints.as_deref()?(&c).filter(|v| (range.0..=range.1).contains(v))?;
                i64::try_from(v).ok().map(Dim::fixed)
            }
            None => symbolic(cx.node.op(), &dims),
        }
    };
    let elems = (0..n).map(|i| element(i).unwrap_or_else(|| cx.unknown(0, i))).collect();
    cx.set_ints(0, elem, Ints { scalar: operands.iter().all(|o| o.0), elems });
    Ok(())
}

/// Fold: elementwise on constants; `out` is the result's type, `None` for the inputs' own.
pub fn fold(cx: &FoldCx, out: Option<ElemType>) -> Result<Option<Vec<Tensor>>> {
    let Some(mut inputs) = cx.inputs.iter().copied().collect::<Option<Vec<&Tensor>>>() else {
        return Ok(None);
    };
    let Some(elem) = inputs.first().map(|t| t.elem) else { return Ok(None) };
    if inputs.len() < arity(cx.node.op()) {
        return Ok(None);
    }
    // Only Pow mixes types; integers to a float power are left alone.
    let power = cx.node.op() == "Pow" && is_float(elem);
    if inputs.iter().any(|t| t.elem != elem && !(power && (is_float(t.elem) || is_int(t.elem)))) {
        return Ok(None);
    }
    let aligned;
    if let [a, b] = inputs[..] {
        let behind = if b.len() == 1 {
            0
        } else {
            broadcast::trailing(cx.node, cx.opset(), a.dims.len(), b.dims.len())?
        };
        if behind > 0 {
            aligned = Tensor { dims: [b.dims.as_slice(), &vec![1; behind]].concat(), ..b.clone() };
            inputs[1] = &aligned;
        }
    }
    let out = out.unwrap_or(elem);
    let result = if is_int(elem) {
        int_fn(cx.node, elem)?.and_then(|f| map_ints(&inputs, out, f))
    } else if is_float(elem) {
        float_fn(cx.node, cx.opset())?.and_then(|f| map_floats(&inputs, out, f))
    } else {
        None
    };
    Ok(result.map(|t| vec![t]))
}
