//! Gram matrices of the inputs of linear operators, from one pass over the samples.

use crate::{Moments, Unfold};
use faer::Mat;
use rustc_hash::FxHashSet;
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, ValueId};
use secateur_run::fold_in_order;
use secateur_tensor::Tensor;

use crate::Samples;
use crate::linear::{Linear, linears};
use crate::store::{Square, Store};
use crate::walk::{Batches, Walk};

/// A linear operator and what is known of its input.
pub struct Known {
    /// The operator.
    pub linear: Linear,
    /// By group: `p x p` covariance of the unfolded input, per row; about the mean where the operator has a
    /// bias or may get one.
    pub covariance: Vec<Square>,
    /// By group: mean square of each column of the unfolded input.
    pub mean_square: Vec<Vec<f64>>,
}

/// Whether a linear operator has, or can be given, an offset for each output.
pub fn has_offset(graph: &Graph, l: &Linear) -> bool {
    l.bias.is_some() || !graph.nodes[l.node].is("MatMul")
}

/// The unfolding of an operator for the shapes of a batch.
///
/// # Errors
/// `X002` where the attributes do not fit the shapes.
pub fn unfolding(graph: &Graph, l: &Linear, data: &Tensor, out: &[usize]) -> Result<Unfold> {
    let node = &graph.nodes[l.node];
    let weight = graph.init(l.weight);
    weight.and_then(|w| l.unfold(node, w, &data.dims, out)).ok_or_else(|| {
        secateur_ir::place(diag(Code::X002, "the windows of the operator are not understood"), graph, node)
    })
}

/// Covariances of the inputs of the linear operators of which `wanted` holds the weight.
///
/// # Errors
/// Those of the engine.
pub fn gather(
    graph: &Graph,
    samples: &Samples,
    wanted: &FxHashSet<ValueId>,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Known>> {
    let mut walk = Walk::new(graph, samples, (0..samples.batches.len()).collect())?;
    let (mut out, mut store) = (Vec::new(), Store::default());
    for l in linears(graph).into_iter().filter(|l| wanted.contains(&l.weight)) {
        let raw = graph.nodes[l.node].output(0).unwrap_or(l.out);
        walk.advance(graph, l.node, &[l.data])?;
        let Some(data) = walk.get(l.data).cloned() else { continue };
        // The shape of the result is known once it has run.
        walk.advance(graph, l.node + 1, &[raw])?;
        let Some(result) = walk.get(raw) else { continue };
        let unfold = unfolding(graph, &l, &data[0], &result[0].dims)?;
        let (channels, taps, _) = graph.init(l.weight).map_or((0, 0, 0), |w| l.sizes(w));
        let (mut covariance, mut mean_square) = (Vec::new(), Vec::new());
        for g in 0..l.groups() {
            let range = g * channels..(g + 1) * channels;
            let m = moments(&data, &unfold, range, channels * taps, samples.threads, true)?;
            let mut c = m.gram(has_offset(graph, &l));
            let n = m.count.max(1.0);
            c.col_iter_mut().for_each(|c| c.iter_mut().for_each(|x| *x /= n));
            covariance.push(store.put(c));
            mean_square.push((0..channels * taps).map(|i| m.xx[(i, i)] / n).collect());
        }
        done(l.node);
        out.push(Known { linear: l, covariance, mean_square });
    }
    Ok(out)
}

/// Multiply-adds that one layer's products may take.
const WORK: f64 = 2e10;
/// Rows for every column that are taken in any case.
const ROWS_PER_COLUMN: f64 = 16.0;

/// Most multiply-adds that the products of a matrix of `p` columns take.
pub fn work(p: f64) -> f64 {
    WORK.max(ROWS_PER_COLUMN * p.powi(3))
}

/// Of how many rows one is taken, for batch `batch` of `data` whose unfolded matrix has `rows` rows and `p` columns:
/// neighbouring places of large images tell much the same.
pub fn stride(data: &Batches, batch: usize, rows: usize, p: usize) -> usize {
    let samples = |t: &Tensor| t.dims.first().copied().unwrap_or(1).max(1);
    let all: usize = data.iter().map(|t| samples(t)).sum();
    let p = p.max(1) as f64;
    let enough = (ROWS_PER_COLUMN * p).max(WORK / (p * p));
    (((rows / samples(&data[batch]) * all) as f64 / enough) as usize).max(1)
}

/// Every `stride`-th row of batch `batch`; batches begin at different rows.
pub fn thinned(m: &Mat<f32>, stride: usize, batch: usize) -> Mat<f32> {
    let first = (batch * 7) % stride;
    let rows = m.nrows().saturating_sub(first).div_ceil(stride);
    let mut out = Mat::zeros(rows, m.ncols());
    for j in 0..m.ncols() {
        let from = m.col_as_slice(j)[first.min(m.nrows())..].iter().step_by(stride);
        out.col_as_slice_mut(j).iter_mut().zip(from).for_each(|(a, b)| *a = *b);
    }
    out
}

/// Moments of the `p` unfolded columns of channels `range`, over all batches; without `products` only their sums.
///
/// # Errors
/// `X002` where a tensor is not f32 or not of the expected shape.
pub fn moments(
    data: &Batches,
    unfold: &Unfold,
    range: std::ops::Range<usize>,
    p: usize,
    threads: usize,
    products: bool,
) -> Result<Moments> {
    let mut sum = Moments::zero(p, 0);
    let work = |b: usize| {
        let x = unfold.rows(&data[b], range.clone())?;
        let mut m = Moments::zero(p, 0);
        if products {
            let step = stride(data, b, x.nrows(), p);
            let x = if step > 1 { thinned(&x, step, b) } else { x };
            m.add(x.as_ref(), Mat::zeros(x.nrows(), 0).as_ref());
        } else {
            m.count = x.nrows() as f64;
            m.x = (0..p).map(|i| x.col(i).iter().map(|v| f64::from(*v)).sum()).collect();
        }
        Ok(m)
    };
    fold_in_order(data.len(), threads, work, &mut |_, m| {
        sum.merge(&m);
        Ok(())
    })?;
    sum.mirror();
    Ok(sum)
}
