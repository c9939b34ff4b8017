//! What follows a cut: zeros, compensation, reconstruction.

use rustc_hash::FxHashMap;
use secateur_diag::Result;
use secateur_ir::Graph;
use secateur_prune::Scope;
use secateur_prune::calib::linear::linears;
use secateur_prune::calib::pattern::Pattern;
use secateur_prune::calib::reconstruct;
use secateur_prune::calib::refit::{self, Masks, Refitted};
use secateur_prune::calib::state::State;
use secateur_prune::calib::{Samples, share};
use secateur_quant::Target;

use super::run::Run;
use super::{Calibrated, Progress, Quantizing};

/// How a cut network is fitted.
pub struct Fit {
    /// The network before.
    pub cut: Graph,
    options: refit::Options,
}

/// What one way to the budget gave.
pub struct Attempt {
    pub report: Calibrated,
    pub state: State,
    /// The last fit.
    pub fit: Option<Fit>,
}

impl Run<'_> {
    /// How the network as it is cut is to be fitted, where it is.
    pub fn fit(&self, state: &State, last: bool, progress: &mut dyn Progress) -> Result<Option<Fit>> {
        let (c, w) = (self.calibration, self.calibration.without);
        let masks = match c.masks.filter(|_| last) {
            Some((pattern, sparsity)) => Some(self.masks(&state.graph, pattern, sparsity, progress)?),
            None => None,
        };
        if w.compensation && w.repair && masks.is_none() {
            return Ok(None);
        }
        let options = refit::Options {
            sums: !w.sums,
            rounds: if w.rectifiers { 0 } else { refit::Options::default().rounds },
            fit: !w.compensation,
            masks,
        };
        Ok(Some(Fit { cut: state.graph.clone(), options }))
    }

    pub fn compensate(
        &self,
        fit: &Fit,
        state: &mut State,
        samples: &Samples,
        done: &mut dyn FnMut(),
    ) -> Result<Vec<Refitted>> {
        let mut graph = fit.cut.clone();
        let kept = |v, a| state.kept(v, a);
        let original = &self.analyzed.module.graph;
        let layers = refit::compensate(original, &mut graph, &kept, samples, &fit.options, &mut |_| done())?;
        state.graph = graph;
        Ok(layers)
    }

    /// Moves all weights together.
    pub fn reconstruct(&self, attempt: &mut Attempt, progress: &mut dyn Progress) -> Result<()> {
        const STEPS: usize = 100;
        let c = self.calibration;
        let mut options = reconstruct::Options { epochs: c.epochs, ..reconstruct::Options::default() };
        options.views &= !c.without.views;
        if c.without.inside {
            options.inside = 0.0;
        }
        progress.stage("reconstruction", STEPS);
        let mut way = 0.0;
        let done = &mut |share: f64| {
            let before = way as usize;
            way = (way + STEPS as f64 * share).min(STEPS as f64);
            (before..way as usize).for_each(|_| progress.step());
        };
        let Attempt { report, state, fit } = attempt;
        let (original, mut graph) = (&self.analyzed.module.graph, state.graph.clone());
        let kept = |v, a| state.kept(v, a);
        // Compensation once more, without the samples that judge.
        let honest = &mut || match fit {
            Some(fit) => {
                let mut other = state.clone();
                self.compensate(fit, &mut other, &c.samples.fitted(), &mut || ())?;
                self.judge.error(&other.graph)
            }
            None => self.judge.error(&state.graph),
        };
        let judge = reconstruct::Judge { held_out: &self.judge, honest };
        let did = reconstruct::reconstruct(original, &mut graph, &kept, &c.samples, judge, &options, done)?;
        state.graph = graph;
        report.output_error = self.judge.error(&state.graph)?;
        match did {
            Ok(d) => report.reconstruction = Some(d),
            Err(left) => report.reconstruction_left = Some(left.to_string()),
        }
        Ok(())
    }

    /// The network with integers in the place of weights, moved towards the original.
    pub fn quantize(
        &self,
        attempt: &mut Attempt,
        q: &Quantizing,
        progress: &mut dyn Progress,
    ) -> Result<Graph> {
        let samples = &self.calibration.samples;
        let Attempt { report, state, .. } = attempt;
        let kept = |v, a| state.kept(v, a);
        let layers = report.reconstruction.is_none();
        let target = Target { original: &self.analyzed.module.graph, kept: &kept, layers };
        let data =
            secateur_quant::Calibration { data: &q.data, batch: samples.len_of(0), threads: samples.threads };
        let layers = linears(&state.graph).len();
        progress.stage("quantization", layers * q.options.rounds() + 1);
        let (graph, did) =
            secateur_quant::quantize(&state.graph, &q.options, Some(&data), Some(&target), &mut || {
                progress.step()
            })?;
        report.quantization = Some(did);
        Ok(graph)
    }

    /// How many zeros each layer gets.
    fn masks(
        &self,
        graph: &Graph,
        pattern: Pattern,
        sparsity: f64,
        progress: &mut dyn Progress,
    ) -> Result<Masks> {
        let all = linears(graph);
        let total = all.iter().filter_map(|l| graph.init(l.weight)).map(secateur_ir::Tensor::len).sum();
        let view = self.view(graph)?;
        let known = self.known(&view, &all.iter().map(|l| l.weight).collect(), progress)?;
        let density = if self.calibration.scope == Some(Scope::Layer) {
            let maskable = known.iter().filter(|k| share::maskable(graph, k));
            maskable.map(|k| (k.linear.weight, 1.0 - sparsity)).collect::<FxHashMap<_, _>>()
        } else {
            progress.stage("zeros by layer", 4 * known.len());
            let threads = self.calibration.samples.threads;
            let step = &mut || progress.step();
            let layers = share::layers(graph, &known, pattern, &self.sensitivity, threads, step)?;
            share::densities(&layers, pattern, total, sparsity)
        };
        Ok(Masks { pattern, density })
    }
}
