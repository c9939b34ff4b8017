//! Einsum. <https://onnx.ai/onnx/operators/onnx__Einsum.html>
//!
//! Every letter is one row of elements, wherever it stands; a letter that the output lacks is summed away.

use secateur_diag::{Code, Result, diag};

use crate::forms::{NO_DERIVATIVE, NOT_YET, broadcast, no_fold, no_shrink};
use crate::{Cost, CostCx, CoupleCx, InferCx, Op, Port, Relation, Relations};
use secateur_ir::dim::{Dim, Shape};
use secateur_ir::graph::Node;

/// The rows of this file.
pub const OPS: &[Op] = &[Op {
    domain: "",
    name: "Einsum",
    opsets: &[12],
    infer,
    couple,
    shrink: no_shrink,
    cost,
    fold: no_fold,
    eval: NOT_YET,
    derive: NO_DERIVATIVE,
}];

/// Letters of one operand; what stands before and after its ellipsis.
#[derive(Clone, Debug, Default, PartialEq)]
struct Term {
    head: Vec<char>,
    /// `None` where there is no ellipsis.
    tail: Option<Vec<char>>,
}

impl Term {
    fn parse(text: &str) -> Result<Self> {
        let letters = |s: &str| -> Result<Vec<char>> {
            match s.chars().find(|c| !c.is_ascii_alphabetic()) {
                Some(c) => Err(diag(Code::S002, format!("{c:?} in the equation is no letter"))),
                None => Ok(s.chars().collect()),
            }
        };
        Ok(match text.split_once("...") {
            Some((head, tail)) => Self { head: letters(head)?, tail: Some(letters(tail)?) },
            None => Self { head: letters(text)?, tail: None },
        })
    }

    fn letters(&self) -> impl Iterator<Item = char> + '_ {
        self.head.iter().chain(self.tail.iter().flatten()).copied()
    }

    /// Axes that the ellipsis stands for in a tensor of this rank; [`Code::S001`] where there are too few.
    fn ellipsis(&self, rank: usize) -> Result<std::ops::Range<usize>> {
        let named = self.letters().count();
        if named > rank || (self.tail.is_none() && named != rank) {
            return Err(diag(Code::S001, format!("{named} letters do not name {rank} axes")));
        }
        Ok(self.head.len()..self.head.len() + rank - named)
    }

    /// Letters with their axes.
    fn axes(&self, rank: usize) -> Result<Vec<(char, usize)>> {
        let gap = self.ellipsis(rank)?;
        Ok(self
            .letters()
            .enumerate()
            .map(|(i, c)| (c, if i < gap.start { i } else { i + gap.len() }))
            .collect())
    }
}

/// The equation: a term for every input, and the output's.
fn equation(node: &Node) -> Result<(Vec<Term>, Term)> {
    let Some(text) = node.string("equation")? else {
        return Err(diag(Code::S002, "equation is missing"));
    };
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((l, r)) => (l, Some(r)),
        None => (text.as_str(), None),
    };
    let terms = left.split(',').map(Term::parse).collect::<Result<Vec<_>>>()?;
    if terms.len() != node.inputs.len() {
        return Err(diag(
            Code::S002,
            format!("the equation has {} operands for {} inputs", terms.len(), node.inputs.len()),
        ));
    }
    let out = match right {
        Some(r) => Term::parse(r)?,
        None => {
            // Without an output: the letters that stand once, in order.
            let all: Vec<char> = terms.iter().flat_map(Term::letters).collect();
            let mut once: Vec<char> =
                all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
            once.sort_unstable();
            match terms.iter().any(|t| t.tail.is_some()) {
                true => Term { head: vec![], tail: Some(once) },
                false => Term { head: once, tail: None },
            }
        }
    };
    if let Some(c) = out.letters().find(|c| !terms.iter().any(|t| t.letters().any(|d| d == *c))) {
        return Err(diag(Code::S002, format!("the output's {c:?} is in no operand")));
    }
    Ok((terms, out))
}

fn infer(cx: &mut InferCx) -> Result<()> {
    let (terms, out) = equation(cx.node)?;
    let Some(elem) = cx.elem(0) else { return Ok(()) };
    let mut sizes: Vec<(char, Dim)> = Vec::new();
    let mut gap: Shape = vec![];
    for (i, term) in terms.iter().enumerate() {
        let Some(s) = cx.shape(i) else {
            cx.set(0, elem, None);
            return Ok(());
        };
        gap = broadcast(&gap, &s[term.ellipsis(s.len())?])?;
        for (c, a) in term.axes(s.len())? {
            match sizes.iter_mut().find(|(d, _)| *d == c) {
                None => sizes.push((c, s[a].clone())),
                Some((_, d)) => {
                    let one = broadcast(std::slice::from_ref(d), &s[a..=a])
                        .map_err(|_| diag(Code::S001, format!("{c:?} is {d} and {} long", s[a])))?;
                    *d = one[0].clone();
                }
            }
        }
    }
    let size = |c: &char| sizes.iter().find(|(d, _)| d == c).map_or(Dim::fixed(1), |(_, s)| s.clone());
    let mut shape: Shape = out.head.iter().map(size).collect();
    if let Some(tail) = &out.tail {
        shape.extend(gap);
        shape.extend(tail.iter().map(size));
    }
    cx.set(0, elem, Some(shape));
    Ok(())
}

/// Ports of the operands and the output, with their terms.
fn sides(cx: &CoupleCx) -> Result<(Vec<(Port, Term)>, Term)> {
    let (terms, out) = equation(cx.node)?;
    Ok((terms.into_iter().enumerate().map(|(i, t)| (Port::In(i), t)).collect(), out))
}

fn couple(cx: &CoupleCx, r: &mut Relations) -> Result<()> {
    let (ins, out) = sides(cx)?;
    let y = Port::Out(0);
    let mut places: Vec<(char, Vec<(Port, usize)>)> = Vec::new();
    for (port, term) in ins.iter().chain([&(y, out.clone())]) {
        for (c, a) in term.axes(cx.rank(*port)?)? {
            match places.iter_mut().find(|(d, _)| *d == c) {
                Some((_, at)) => at.push((*port, a)),
                None => places.push((c, vec![(*port, a)])),
            }
        }
    }
    for (_, at) in &places {
        letter(cx, r, at)?;
    }
    // An ellipsis is broadcast from the right; one that the output lacks is left to its pins.
    let gap = out.ellipsis(cx.rank(y)?)?;
    if out.tail.is_none() {
        return Ok(());
    }
    for (port, term) in &ins {
        let own = term.ellipsis(cx.rank(*port)?)?;
        for (i, a) in own.clone().enumerate() {
            match cx.need(*port)?[a].is(1) {
                true => r.free(*port, a),
                false => r.tie(cx, (*port, a), (y, gap.end - own.len() + i))?,
            }
        }
    }
    for a in gap {
        if cx.size(y, a)? == Some(1) {
            r.free(y, a);
        }
    }
    Ok(())
}

/// All places of one letter.
fn letter(cx: &CoupleCx, r: &mut Relations, at: &[(Port, usize)]) -> Result<()> {
    // A diagonal has one length on two axes of the same tensor: it cannot be cut on one alone.
    if at.iter().enumerate().any(|(i, p)| at[..i].iter().any(|q| q.0 == p.0)) {
        at.iter().for_each(|&(p, a)| r.pin(p, a, "its letter stands twice in one operand"));
        return Ok(());
    }
    // A side of length 1 is broadcast.
    let mut long: Vec<(Port, usize)> = Vec::new();
    for &(p, a) in at {
        match cx.need(p)?[a].is(1) {
            true => r.free(p, a),
            false => long.push((p, a)),
        }
    }
    for pair in long.windows(2) {
        r.tie(cx, pair[0], pair[1])?;
    }
    if at.iter().any(|(p, _)| *p == Port::Out(0)) {
        return Ok(());
    }
    for (i, &data) in long.iter().enumerate() {
        // Any other operand with the letter weighs it, as the sides of a MatMul weigh each other.
        let weight = long.iter().enumerate().find(|(j, _)| *j != i).map(|(_, w)| *w);
        r.push(Relation::Contract { data, weight });
    }
    Ok(())
}

fn cost(cx: &CostCx) -> Result<Cost> {
    let (terms, out) = equation(cx.node)?;
    if terms.len() < 2 {
        return Ok(Cost::default());
    }
    let y = Port::Out(0);
    let mut axes: Vec<(Port, usize)> = cx.axes(y)?;
    let mut done: Vec<char> = out.letters().collect();
    // Letters that are summed away; where one is broadcast, its long side counts.
    let mut rest: Vec<(char, Port, usize)> = Vec::new();
    for (i, term) in terms.iter().enumerate() {
        let shape = cx.shape(Port::In(i))?;
        rest.extend(term.axes(shape.len())?.into_iter().map(|(c, a)| (c, Port::In(i), a)));
    }
    for one in [false, true] {
        for &(c, p, a) in &rest {
            if !done.contains(&c) && (one || !cx.shape(p)?[a].is(1)) {
                done.push(c);
                axes.push((p, a));
            }
        }
    }
    Ok(Cost::macs(1, axes))
}
