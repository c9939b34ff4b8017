//! Costs as products of row lengths, so that a plan's cost is known without cutting.

use secateur_coupling::{Axis, Coupling};
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, Node};
use secateur_ops::{CostCx, Port, hidden};

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs {
    /// Multiply-adds of one sample: convolutions, matrix products and recurrent cells.
    /// `None` where they depend on a size that is not given.
    pub macs: Option<u64>,
    /// Elements of initializers.
    pub params: u64,
    /// Bytes of initializers.
    pub bytes: u64,
    /// Modelled cycles of one sample on a target, where one is asked for.
    pub cycles: Option<u64>,
}

/// `coef` times the lengths of rows that can be cut.
#[derive(Debug, Clone)]
struct Term {
    coef: f64,
    rows: Vec<u32>,
}

/// The costs of every plan over one coupling.
#[derive(Debug, Clone)]
pub struct CostModel {
    macs: Result<Vec<Term>>,
    params: Vec<Term>,
    bits: Vec<Term>,
    cycles: Option<Vec<Term>>,
    lens: Vec<usize>,
}

impl CostModel {
    /// `bound` is the coupling's graph with its symbolic sizes replaced by numbers (`infer::bind`).
    ///
    /// # Errors
    /// Those of the operators' cost rules. Multiply-adds that depend on a size that is still a symbol are
    /// not an error until [`CostModel::macs_known`] is asked.
    pub fn new(bound: &Graph, coupling: &Coupling) -> Result<Self> {
        let mut out = Self {
            macs: mac_terms(bound, coupling),
            params: Vec::new(),
            bits: Vec::new(),
            cycles: None,
            lens: coupling.rows.iter().map(|r| r.len).collect(),
        };
        if let Err(e) = &out.macs
            && e.code != Code::P002
        {
            return Err(e.clone());
        }
        let links = bound.links();
        for v in bound.value_ids().filter(|&v| !links.uses(v).is_empty()) {
            let Some(t) = bound.init(v) else { continue };
            let axes: Vec<Axis> = (0..t.dims.len()).map(|a| (v, a)).collect();
            out.params.push(term(bound, coupling, 1.0, &axes)?);
            out.bits.push(term(bound, coupling, t.elem.bits() as f64, &axes)?);
        }
        Ok(out)
    }

    /// The costs when row `r` keeps `lens[r]` elements.
    pub fn of(&self, lens: &[usize]) -> Costs {
        let sum = |terms: &[Term]| -> f64 {
            terms.iter().map(|t| t.rows.iter().fold(t.coef, |c, &r| c * lens[r as usize] as f64)).sum()
        };
        Costs {
            macs: self.macs.as_ref().ok().map(|t| sum(t) as u64),
            params: sum(&self.params) as u64,
            bytes: (sum(&self.bits) / 8.0).ceil() as u64,
            cycles: self.cycles.as_deref().map(|t| sum(t) as u64),
        }
    }

    /// Cycles, as measured where row `r` has `lens[r]` elements: of each step, with the node that it came from. They
    /// grow with the lengths that the node's multiply-adds grow with, or its result where it has none.
    ///
    /// # Errors
    /// Those of the operators' cost rules.
    pub fn set_cycles(
        &mut self,
        bound: &Graph,
        coupling: &Coupling,
        lens: &[usize],
        steps: &[(Option<usize>, u64)],
    ) -> Result<()> {
        let mut out = Vec::new();
        for &(node, cycles) in steps {
            let node = node.and_then(|n| bound.nodes.get(n));
            let mut rows = match node {
                Some(n) => node_terms(bound, coupling, n)?.into_iter().next().map(|t| t.rows),
                None => None,
            };
            if rows.is_none() {
                let made = node.and_then(|n| n.output(0));
                let axes = made.and_then(|v| Some((v, bound.shape(v)?.len())));
                let axes = axes.map_or(vec![], |(v, rank)| (0..rank).map(|a| (v, a)).collect());
                rows = term(bound, coupling, 1.0, &axes).ok().map(|t| t.rows);
            }
            let rows = rows.unwrap_or_default();
            let now: f64 = rows.iter().map(|&r| lens[r as usize].max(1) as f64).product();
            out.push(Term { coef: cycles as f64 / now, rows });
        }
        self.cycles = Some(out);
        Ok(())
    }

    /// Nothing, or why the multiply-adds are not known.
    ///
    /// # Errors
    /// [`Code::P002`] naming the node and the size.
    pub fn macs_known(&self) -> Result<()> {
        self.macs.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// The costs of the whole model.
    pub fn whole(&self) -> Costs {
        self.of(&self.lens)
    }

    /// Row lengths of the whole model.
    pub fn lens(&self) -> &[usize] {
        &self.lens
    }
}

fn mac_terms(bound: &Graph, coupling: &Coupling) -> Result<Vec<Term>> {
    let mut out = Vec::new();
    for node in &bound.nodes {
        out.extend(node_terms(bound, coupling, node)?);
    }
    Ok(out)
}

fn node_terms(bound: &Graph, coupling: &Coupling, node: &Node) -> Result<Vec<Term>> {
    let Some(op) = secateur_ops::find(node.domain(), node.op()) else { return Ok(Vec::new()) };
    let place = |e| secateur_ir::place(e, bound, node);
    let value = |port| match port {
        Port::In(i) => node.input(i),
        Port::Out(i) => node.output(i),
    };
    let one = |t: secateur_ops::Term| {
        let axes: Vec<Axis> = t.axes.iter().filter_map(|&(p, a)| Some((value(p)?, a))).collect();
        term(bound, coupling, t.coef as f64, &axes).map_err(place)
    };
    let cost = (op.cost)(&CostCx { graph: bound, node }).map_err(place)?;
    cost.macs.into_iter().map(one).collect()
}

/// How to say a size: those of inputs first, as others often follow from them.
fn missing(inputs: &[String], name: &str) -> String {
    let name = name.trim_start_matches('?');
    match inputs {
        [] => {
            format!("it shows only when the model runs: give --dim {name}=SIZE, or limit --params or --size")
        }
        _ => secateur_ir::dim_options(inputs),
    }
}

fn term(bound: &Graph, coupling: &Coupling, coef: f64, axes: &[Axis]) -> Result<Term> {
    let mut out = Term { coef, rows: Vec::new() };
    for &axis in axes {
        match coupling.row_of(axis).filter(|&r| coupling.rows[r as usize].pin.is_none()) {
            Some(r) => out.rows.push(r),
            None => {
                let d = bound.shape(axis.0).and_then(|s| s.get(axis.1));
                let n = d.and_then(|d| d.size()).ok_or_else(|| {
                    let name = d.map_or("?".into(), ToString::to_string);
                    let e = diag(Code::P002, format!("the multiply-adds depend on the size {name}"));
                    let behind = d.filter(|d| d.is_unknown()).and_then(|_| hidden::hides(bound, axis.0));
                    let e = match behind {
                        Some(n) => e.at("behind", hidden::explain(bound, n)),
                        None => e,
                    };
                    e.help(missing(&secateur_ir::input_symbols(bound), &name))
                })?;
                out.coef *= n as f64;
            }
        }
    }
    let whole = out.rows.iter().fold(out.coef, |c, &r| c * coupling.rows[r as usize].len as f64);
    if whole >= u64::MAX as f64 {
        return Err(diag(Code::L006, format!("the cost, about {whole:.0e}, overflows")));
    }
    Ok(out)
}
