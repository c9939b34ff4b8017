//! The original and the pruned network, ready to run backwards on rows of the samples.

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_diag::Result;
use secateur_grad::{Array, Facts, Program};
use secateur_ir::{ElemType, Graph, ValueId};
use secateur_run::fold_in_order;
use secateur_tensor::Tensor;

use super::descend::STEP;
use super::views::Views;
use super::{Left, Options, Steps, orthogonal};
use crate::Samples;
use crate::linear::{Kind, Linear, linears};
use crate::walk::Walk;

/// Bytes of intermediate values that one thread may hold.
const HELD: usize = 128 << 20;
/// Most samples in one run.
const CHUNK: usize = 8;

/// The samples' rows, and how runs are made of them.
pub struct Rows<'a> {
    pub samples: &'a Samples,
    /// The inputs' values and names.
    inputs: Vec<(ValueId, String)>,
    /// Samples in one run.
    pub chunk: usize,
}

impl Rows<'_> {
    /// All samples, by batch and row.
    pub fn all(&self) -> Vec<(usize, usize)> {
        let s = self.samples;
        (0..s.batches.len()).flat_map(|b| (0..s.len_of(b)).map(move |r| (b, r))).collect()
    }

    /// Those that are not held out.
    pub fn fitted(&self) -> Vec<(usize, usize)> {
        self.all().into_iter().filter(|(b, _)| !self.samples.held_out(*b)).collect()
    }

    /// Whether every input is a batch of images.
    pub fn images(&self) -> bool {
        let first = self.samples.batches.first();
        first.is_some_and(|b| b.iter().all(|(_, t)| t.dims.len() == 4 && Views::fit(&t.dims[1..])))
    }

    /// One run's inputs, made of these samples (batch and row).
    pub fn gather(&self, which: &[(usize, usize)], views: Option<&Views>) -> Option<Vec<(ValueId, Array)>> {
        let mut out = Vec::new();
        for (v, name) in &self.inputs {
            let (mut data, mut shape) = (Vec::new(), Vec::new());
            for (i, &(b, r)) in which.iter().enumerate() {
                let (_, t) = self.samples.batches[b].iter().find(|(n, _)| n == name)?;
                let width: usize = t.dims.get(1..)?.iter().product();
                let row = t.slice::<f32>()?.get(r * width..(r + 1) * width)?;
                match views {
                    Some(v) => v.append(&mut data, row, &t.dims[1..], i),
                    None => data.extend_from_slice(row),
                }
                shape.clone_from(&t.dims);
            }
            *shape.first_mut()? = which.len();
            out.push((*v, Array::new(&shape, data)));
        }
        Some(out)
    }
}

/// A value that is to be like the original's.
struct Match {
    value: ValueId,
    /// The original's channels that are left, where some are gone.
    kept: Option<Vec<usize>>,
    /// What its squared error counts.
    weight: f32,
}

impl Match {
    /// The derivative of half the weighted squared error.
    fn derivative(&self, y: &Array, t: &Array) -> Option<Array> {
        let each = |(y, t): (&f32, &f32)| self.weight * (y - t);
        let d = match &self.kept {
            None => y.data.iter().zip(t.data.iter()).map(each).collect(),
            Some(kept) => {
                let (n, own, all) = (y.shape[0], y.shape[1], t.shape[1]);
                let plane: usize = y.shape[2..].iter().product();
                let mut d = Vec::with_capacity(y.len());
                for (i, c) in (0..n).flat_map(|i| (0..own).map(move |c| (i, c))) {
                    let from = |wide: usize, c: usize| (i * wide + c) * plane..(i * wide + c + 1) * plane;
                    let (y, t) = (y.data.get(from(own, c))?, t.data.get(from(all, *kept.get(c)?))?);
                    d.extend(y.iter().zip(t).map(each));
                }
                d
            }
        };
        Some(Array::new(&y.shape, d))
    }
}

/// Both networks.
pub struct Pair<'a> {
    pub rows: Rows<'a>,
    original: Program,
    pub pruned: Program,
    matches: Vec<Match>,
    /// By weight that is made of matrices, each of which takes all of its input to all of its output: their rows
    /// and columns.
    pub matrices: FxHashMap<ValueId, (usize, usize)>,
    /// Multiply-adds of one sample in a step.
    pub work: f64,
    /// By parameter, in order: what it is rounded to, where it is.
    pub grids: Vec<Option<Steps>>,
}

impl<'a> Pair<'a> {
    /// Makes both ready.
    pub fn new(
        original: &Graph,
        pruned: &Graph,
        kept: &dyn Fn(ValueId, usize) -> Option<Vec<usize>>,
        samples: &'a Samples,
        options: &Options,
    ) -> Result<std::result::Result<Self, Left>> {
        let inside = options.inside;
        let inputs: Vec<_> = pruned.data_inputs().map(|v| (v, pruned.value(v).name.clone())).collect();
        let float = |v: &ValueId| pruned.value(*v).ty.as_ref().is_some_and(|t| t.elem == ElemType::F32);
        let outputs: Vec<ValueId> = pruned.outputs.iter().copied().filter(float).collect();
        let fixed = inputs.iter().find_map(|(v, _)| pruned.shape(*v)?.first()?.size());
        if outputs.is_empty() || inputs.is_empty() || !inputs.iter().all(|(v, _)| float(v)) {
            return Ok(Err(Left::Nothing));
        }
        let mut rows = Rows { samples, inputs, chunk: fixed.unwrap_or(1).max(1) };
        let Some(mut known) = facts(pruned, &rows)? else { return Ok(Err(Left::Nothing)) };
        if fixed.is_none() {
            let one = known.shapes.values().map(|s| s.iter().product::<usize>()).sum::<usize>();
            rows.chunk = (HELD / (4 * one).max(1)).clamp(1, CHUNK);
        }
        if rows.fitted().len() < rows.chunk {
            return Ok(Err(Left::Nothing));
        }
        if rows.chunk > 1 && fixed.is_none() {
            let Some(more) = facts(pruned, &rows)? else { return Ok(Err(Left::Nothing)) };
            known = more;
        }
        let Some(whole) = facts(original, &rows)? else { return Ok(Err(Left::Nothing)) };
        let inner = within(pruned, &whole, &known, &outputs);
        let wanted: Vec<ValueId> = outputs.iter().copied().chain(inner.iter().map(|(v, _)| *v)).collect();
        let built = [
            Program::new(original, &whole, &[], &wanted),
            Program::new(pruned, &known, &params(pruned), &wanted),
        ];
        let (original_program, pruned_program) = match built {
            [Ok(a), Ok(b)] => (a, b),
            [Err(r), _] | [_, Err(r)] => return Ok(Err(Left::Operator(r))),
        };
        if pruned_program.params().is_empty() {
            return Ok(Err(Left::Nothing));
        }
        let count = inner.len().max(1) as f32;
        let plain = outputs.iter().map(|v| Match { value: *v, kept: None, weight: 1.0 });
        // Channels that are gone must be known, or the value cannot be compared.
        let hidden = inner.iter().filter(|_| inside > 0.0).filter_map(|&(v, axis)| {
            let left = axis.map(|a| kept(v, a)).map_or(Some(None), |k| k.map(Some))?;
            let channels = known.shapes.get(&v).and_then(|s| s.get(1)).copied();
            let fits = left.as_ref().is_none_or(|k: &Vec<usize>| Some(k.len()) == channels);
            fits.then_some(Match { value: v, kept: left, weight: inside / count })
        });
        let matches = plain.chain(hidden).collect();
        let cost = |g: &Graph, f: &Facts| multiply_adds(g, f) / rows.chunk as f64;
        let matrices = matrices(pruned);
        let turned = |(rows, columns): &(usize, usize)| orthogonal::work(*rows, *columns) / STEP as f64;
        let work =
            cost(original, &whole) + 3.0 * cost(pruned, &known) + matrices.values().map(turned).sum::<f64>();
        let (original, pruned) = (original_program, pruned_program);
        let grids = pruned.params().iter().map(|p| options.grids.get(p).cloned()).collect();
        let mut out = Self { rows, original, pruned, matches, matrices, work, grids };
        out.weigh()?;
        Ok(Ok(out))
    }

    /// The parameters as the network runs on them, from what each is before it is rounded.
    pub fn at(&self, of: impl Fn(ValueId) -> Option<Array>) -> Vec<Array> {
        let all = self.pruned.params().iter().filter_map(|p| of(*p));
        all.zip(&self.grids).map(|(a, grid)| rounded(grid.as_ref(), a)).collect()
    }

    /// Divides weights by the original's variances.
    fn weigh(&mut self) -> Result<()> {
        let all = self.rows.all();
        let chunk = self.rows.chunk;
        let mut sums = vec![(0.0f64, 0.0f64, 0.0f64); self.matches.len()];
        let work = |i: usize| {
            let inputs = self.rows.gather(&all[i * chunk..(i + 1) * chunk], None);
            Ok(inputs.and_then(|x| self.original.forward(&x, &[], false)))
        };
        fold_in_order((all.len() / chunk).min(8), self.rows.samples.threads, work, &mut |_, run| {
            for (m, s) in self.matches.iter().zip(&mut sums) {
                for &x in run.iter().filter_map(|r| r.get(m.value)).flat_map(|a| a.data.iter()) {
                    *s = (s.0 + 1.0, s.1 + f64::from(x), s.2 + f64::from(x).powi(2));
                }
            }
            Ok(())
        })?;
        for (m, (n, s, q)) in self.matches.iter_mut().zip(sums) {
            let power = q - s * s / n.max(1.0);
            // A value that does not move says nothing.
            m.weight = if power > 1e-9 * q.max(1e-30) { (f64::from(m.weight) / power) as f32 } else { 0.0 };
        }
        Ok(())
    }

    /// The derivatives of the error on one run, by the parameters at `now`.
    pub fn derivative(
        &self,
        now: &[Array],
        which: &[(usize, usize)],
        views: Option<&Views>,
    ) -> Option<Vec<Array>> {
        let inputs = self.rows.gather(which, views)?;
        let target = self.original.forward(&inputs, &[], false)?;
        let run = self.pruned.forward(&inputs, now, true)?;
        let by = |m: &Match| Some((m.value, m.derivative(run.get(m.value)?, target.get(m.value)?)?));
        let by = self.matches.iter().map(by).collect::<Option<Vec<_>>>()?;
        self.pruned.backward(run, by)
    }
}

/// A parameter as it is rounded.
pub fn rounded(grid: Option<&Steps>, a: Array) -> Array {
    match grid {
        Some(g) => Array::new(&a.shape.clone(), g.round(&a.data)),
        None => a,
    }
}

/// What a run on the first samples tells of a graph's values; `None` where an input is not of f32 rows.
fn facts(graph: &Graph, rows: &Rows) -> Result<Option<Facts>> {
    let first: Vec<_> = rows.all().into_iter().take(rows.chunk).collect();
    let Some(fed) = rows.gather(&first, None).filter(|_| first.len() == rows.chunk) else { return Ok(None) };
    let tensor = |((_, name), (_, a)): (&(ValueId, String), (ValueId, Array))| {
        (name.clone(), std::sync::Arc::new(Tensor::of(&a.shape, a.data.to_vec())))
    };
    let batch = rows.inputs.iter().zip(fed).map(tensor).collect();
    let probe = Samples { batches: vec![batch], threads: 1 };
    let mut walk = Walk::new(graph, &probe, vec![0])?;
    let all: Vec<ValueId> = graph.value_ids().collect();
    walk.advance(graph, graph.nodes.len(), &all)?;
    let mut out = Facts::default();
    for v in all {
        let Some(t) = walk.get(v).and_then(|b| b.first()) else { continue };
        out.shapes.insert(v, t.dims.clone());
        if matches!(t.elem, ElemType::I32 | ElemType::I64) {
            out.ints.extend(t.to_i64().map(|x| (v, x)));
        }
    }
    Ok(Some(out))
}

/// Values inside that are to be like the original's: what linear operators give, behind a sum and a rectifier
/// where these follow. With the axis of channels, where that is the second.
fn within(graph: &Graph, whole: &Facts, known: &Facts, outputs: &[ValueId]) -> Vec<(ValueId, Option<usize>)> {
    let links = graph.links();
    let mut seen: FxHashSet<ValueId> = outputs.iter().copied().collect();
    let mut out = Vec::new();
    for l in linears(graph) {
        let mut at = l.out;
        while let [only] = links.uses(at) {
            let n = &graph.nodes[only.node];
            let computed = n.inputs.iter().flatten().all(|v| graph.init(*v).is_none());
            let through = n.is("Relu") || n.is("Clip") || (n.is("Add") && computed);
            match n.output(0).filter(|_| through && !graph.is_output(at)) {
                Some(v) => at = v,
                None => break,
            }
        }
        let (Some(a), Some(b)) = (whole.shapes.get(&at), known.shapes.get(&at)) else { continue };
        let channels = a.len() == b.len() && a.len() >= 2 && (0..a.len()).all(|i| i == 1 || a[i] == b[i]);
        if (a == b || channels) && seen.insert(at) {
            out.push((at, (a != b).then_some(1)));
        }
    }
    out
}

/// Weights of linear operators but those with one input or one output, as depthwise convolutions have.
fn matrices(graph: &Graph) -> FxHashMap<ValueId, (usize, usize)> {
    let size = |l: Linear| {
        let d = &graph.init(l.weight)?.dims;
        let groups = if matches!(l.kind, Kind::Rows | Kind::Columns) { 1 } else { l.groups() };
        let (rows, columns) = (d[0] / groups.max(1), d[1..].iter().product());
        (rows > 1 && columns > 1 && d[1] > 1).then_some((l.weight, (rows, columns)))
    };
    linears(graph).into_iter().filter_map(size).collect()
}

/// Weights and biases of linear operators, and scale and shift of normalizations that are left.
fn params(graph: &Graph) -> Vec<ValueId> {
    let links = graph.links();
    let own = |v: &ValueId| graph.init(*v).is_some() && links.uses(*v).len() == 1;
    let linear = linears(graph).into_iter().flat_map(|l| [Some(l.weight), l.bias]).flatten();
    let normal = graph.nodes.iter().filter(|n| n.is("BatchNormalization") || n.is("LayerNormalization"));
    let normal = normal.flat_map(|n| [n.input(1), n.input(2)]).flatten();
    linear.chain(normal).filter(own).collect()
}

/// Multiply-adds of the linear operators in one run.
fn multiply_adds(graph: &Graph, facts: &Facts) -> f64 {
    let elements: FxHashMap<ValueId, usize> =
        facts.shapes.iter().map(|(v, s)| (*v, s.iter().product())).collect();
    let one = |l: &crate::linear::Linear| {
        let weight = graph.init(l.weight)?;
        let (channels, taps, _) = l.sizes(weight);
        Some(*elements.get(&l.out)? as f64 * (channels * taps) as f64)
    };
    linears(graph).iter().filter_map(one).sum()
}
