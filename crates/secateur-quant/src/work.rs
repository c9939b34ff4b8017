//! A graph quantized with one choice of the nodes that stay float.

use std::cell::RefCell;

use rustc_hash::{FxHashMap, FxHashSet};
use secateur_calib::Histogram;
use secateur_calib::Samples;
use secateur_calib::linear::{Linear, linears};
use secateur_diag::Result;
use secateur_ir::{Graph, Links, Tensor, ValueId, verify};
use secateur_ops::infer;

use crate::layers::{Rounding, layers};
use crate::place::{Placement, place};
use crate::quantize::{Calibration, LayerReport, Options, Report};
use crate::range::{Activations, Scale, choose};
use crate::reconstruct::{Target, moved};
use crate::sweep::swept;
use crate::weight::Grid;
use crate::{emit, opset};

/// What does not change from one choice to another.
pub struct Work<'a> {
    pub graph: &'a Graph,
    options: &'a Options,
    calibration: Option<&'a Calibration<'a>>,
    links: Links,
    /// Its linear operators.
    pub all: Vec<Linear>,
    grid: Grid,
    opset: i64,
    to: Activations,
    /// What values were on the samples, of those that were asked for so far.
    seen: RefCell<FxHashMap<ValueId, Histogram>>,
}

impl<'a> Work<'a> {
    pub fn new(graph: &'a Graph, options: &'a Options, calibration: Option<&'a Calibration>) -> Self {
        let grid = options.weights.grid();
        let opset = if grid.bits == 4 { 21 } else { 13 };
        let to = options.activations.unwrap_or(match graph.opset("").max(opset) {
            ..21 => Activations::Int8,
            _ => Activations::Uint8,
        });
        let (links, all, seen) = (graph.links(), linears(graph), RefCell::default());
        Self { graph, options, calibration, links, all, grid, opset, to, seen }
    }

    fn placement(&self, float: &FxHashSet<usize>) -> Placement {
        let fits = |l: &&Linear| {
            let finite = |w: Vec<f32>| w.iter().all(|x| x.is_finite());
            let finite = self.graph.init(l.weight).and_then(Tensor::to_f32).is_some_and(finite);
            emit::storable(l, self.grid.block) && finite && !float.contains(&l.node)
        };
        let chosen: FxHashSet<usize> = self.all.iter().filter(fits).map(|l| l.node).collect();
        match self.options.weights.activations() {
            true => place(self.graph, &chosen, float),
            false => Placement {
                layers: chosen,
                region: vec![None; self.graph.nodes.len()],
                ..Placement::default()
            },
        }
    }

    /// The quantized graph, and what was done. With `samples` layers are fitted and rounded with error feedback, and
    /// moved together afterwards if the options say so. `done` is called as [`crate::quantize`] says.
    pub fn build(
        &self,
        float: &FxHashSet<usize>,
        samples: Option<&Samples>,
        target: Option<&Target>,
        done: &mut dyn FnMut(),
    ) -> Result<(Graph, Report)> {
        let (graph, grid) = (self.graph, self.grid);
        let placement = self.placement(float);
        let scales = match self.calibration.filter(|_| self.options.weights.activations()) {
            Some(c) => self.scales(&placement, c)?,
            None => Vec::new(),
        };
        done();
        let number: FxHashMap<ValueId, usize> = placement.pairs.iter().copied().collect();
        let source = |l: &Linear| self.source(&number, l.data).filter(|n| *n < scales.len());
        let scale = |l: &Linear| source(l).map(|n| scales[n].scale);
        let quantized = self.all.iter().filter(|l| placement.layers.contains(&l.node));
        let data_scale: FxHashMap<usize, f32> = quantized.filter_map(|l| Some((l.node, scale(l)?))).collect();
        let rounding = Rounding { grid, data_scale: data_scale.clone() };
        let own = Target { original: graph, kept: &|_, _| None, layers: true };
        let target = target.unwrap_or(&own);
        let (mut out, mut rounded) = match samples {
            Some(s) => {
                let one_by_one = if target.layers { target } else { &own };
                swept(graph, &placement.layers, &rounding, s, one_by_one, done)?
            }
            None => (graph.clone(), layers(graph, &placement.layers, &rounding, done)),
        };
        let mut report = Report {
            layers: Vec::new(),
            float: Vec::new(),
            auto: Vec::new(),
            pairs: placement.pairs.len(),
            scales: placement.scales,
            equalized: None,
            reconstruction: None,
            reconstruction_left: None,
        };
        if let (true, Some(samples)) = (self.options.reconstruct, samples) {
            let (steps, mut way) = (rounded.len() as f64, 0.0);
            let told = &mut |share: f64| {
                let before = way as usize;
                way = (way + steps * share).min(steps);
                (before..way as usize).for_each(|_| done());
            };
            let how = (grid.bits, self.options.epochs);
            match moved(&mut out, &mut rounded, how, target, samples, told)? {
                Ok(did) => report.reconstruction = Some(did),
                Err(left) => report.reconstruction_left = Some(left.to_string()),
            }
        }
        let name = |l: &Linear| graph.value(l.weight).name.clone();
        let constants = emit::constants(&mut out, &scales, self.to);
        let mut front = Vec::new();
        for layer in &rounded {
            report.layers.push(LayerReport { weight: name(&layer.linear), bits: grid.bits });
            let data = source(&layer.linear).map(|n| (scales[n].scale, constants[n].0));
            emit::weights(&mut out, layer, grid.bits, grid.block, data, &mut front);
        }
        let stays = |l: &&Linear| rounded.iter().all(|r| r.linear.weight != l.weight);
        report.float = self.all.iter().filter(stays).map(name).collect();
        emit::pairs(&mut out, &placement, &constants, self.to);
        out.nodes.splice(0..0, front);
        emit::unused(&mut out);
        infer(&mut out)?;
        opset::raise(&mut out, self.opset)?;
        verify::verify(&out)?;
        Ok((out, report))
    }

    /// The number of the scale on which a value's elements are.
    fn source(&self, number: &FxHashMap<ValueId, usize>, mut v: ValueId) -> Option<usize> {
        loop {
            if let Some(&n) = number.get(&v) {
                return Some(n);
            }
            let node = &self.graph.nodes[self.links.def(v)?];
            v = node.inputs.iter().flatten().copied().find(|i| self.graph.init(*i).is_none())?;
        }
    }

    /// A scale for every number of a placement.
    fn scales(&self, placement: &Placement, c: &Calibration) -> Result<Vec<Scale>> {
        let (graph, o) = (self.graph, self.options);
        let mut seen = self.seen.borrow_mut();
        let new: Vec<ValueId> =
            placement.pairs.iter().map(|(v, _)| *v).filter(|v| !seen.contains_key(v)).collect();
        seen.extend(crate::seen::seen(graph, &new, c)?);
        let mut sums = vec![Histogram::default(); placement.scales];
        for (v, n) in &placement.pairs {
            if let Some(h) = seen.get(v) {
                sums[*n].merge(h);
            }
        }
        let name =
            |k: usize| placement.pairs.iter().find(|p| p.1 == k).map_or("", |p| &graph.value(p.0).name);
        let one = |(k, h): (usize, &Histogram)| {
            let scale = choose(h, o.method, self.to, o.power_of_two);
            scale.map_err(|e| e.at("value", format!("%{}", name(k))))
        };
        sums.iter().enumerate().map(one).collect()
    }
}
