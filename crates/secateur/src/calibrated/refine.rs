//! What follows a cut: zeros, compensation, reconstruction.

use rustc_hash::FxHashMap;
use secateur_calib::Samples;
use secateur_calib::linear::linears;
use secateur_calib::pattern::Pattern;
use secateur_calib::reconstruct;
use secateur_calib::refit::{self, Masks, Refitted};
use secateur_calib::share::{self, Goal};
use secateur_diag::{Code, Result, diag};
use secateur_ir::Graph;
use secateur_prune::Scope;
use secateur_prune::calib::state::State;
use secateur_quant::Target;

use super::run::Run;
use super::{Calibrated, Masking, Progress, Quantizing};

/// Share of the time that is left unused once zeros were found to save less than expected.
const MARGIN: f64 = 0.002;

/// How a cut network is fitted.
pub struct Fit {
    /// The network before.
    pub cut: Graph,
    options: refit::Options,
    /// How many zeros each layer got.
    zeros: Option<Zeros>,
}

/// How zeros are shared out.
#[derive(Clone)]
struct Zeros {
    pattern: Pattern,
    layers: Vec<share::Layer>,
    goal: Goal,
    /// Every layer gets the same share.
    even: bool,
    /// Cycles of the whole network at most, where that can be reached.
    limit: Option<u64>,
}

impl Zeros {
    fn masks(&self) -> Masks {
        let density = match self.even {
            true => self.layers.iter().map(|l| (l.weight, 1.0 - self.goal.sparsity)).collect(),
            false => share::densities(&self.layers, self.pattern, &self.goal),
        };
        Masks { pattern: self.pattern, density }
    }
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
        let zeros = match c.masks.filter(|_| last) {
            Some(m) => Some(self.zeros(&state.graph, m, progress)?),
            None => None,
        };
        let masks = zeros.as_ref().map(Zeros::masks);
        if w.compensation && w.repair && masks.is_none() {
            return Ok(None);
        }
        let options = refit::Options {
            sums: !w.sums,
            rounds: if w.rectifiers { 0 } else { refit::Options::default().rounds },
            fit: !w.compensation,
            masks,
        };
        Ok(Some(Fit { cut: state.graph.clone(), options, zeros }))
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

    /// What is known of zeros in each layer.
    fn zeros(&self, graph: &Graph, m: Masking, progress: &mut dyn Progress) -> Result<Zeros> {
        let all = linears(graph);
        let total = all.iter().filter_map(|l| graph.init(l.weight)).map(secateur_ir::Tensor::len).sum();
        let view = self.view(graph)?;
        let known = self.known(&view, &all.iter().map(|l| l.weight).collect(), progress)?;
        let even = self.calibration.scope == Some(Scope::Layer);
        let mut layers = if even {
            let maskable = known.iter().filter(|k| share::maskable(graph, k));
            maskable.map(|k| share::Layer::of(k.linear.weight)).collect()
        } else {
            progress.stage("zeros by layer", 4 * known.len());
            let threads = self.calibration.samples.threads;
            let step = &mut || progress.step();
            share::layers(graph, &known, m.pattern, &self.sensitivity, threads, step)?
        };
        let mut goal = Goal { total, sparsity: m.sparsity, cycles: None };
        let mut limit = None;
        if let (Some(clock), Some(amount)) = (&self.request.clock, m.latency) {
            let most = amount.of(self.analyzed.original.cycles.unwrap_or(0));
            let mut timed: FxHashMap<usize, Vec<u64>> = FxHashMap::default();
            let mut rest = 0;
            for (i, at) in share::TIMED.into_iter().enumerate() {
                let masked = share::with_zeros(graph, &known, m.pattern, at);
                for (node, cycles) in clock.measure(&masked, &self.request.dims)? {
                    match node.filter(|n| known.iter().any(|k| k.linear.node == *n)) {
                        Some(n) => timed.entry(n).or_insert_with(|| vec![0; share::TIMED.len()])[i] += cycles,
                        None if i == 0 => rest += cycles,
                        None => {}
                    }
                }
            }
            for k in &known {
                let Some(timed) = timed.get(&k.linear.node) else { continue };
                match layers.iter_mut().find(|l| l.weight == k.linear.weight) {
                    // A weight may have several readers.
                    Some(l) if l.cycles.is_empty() => l.cycles = share::cycles(timed),
                    Some(l) => l.cycles.iter_mut().zip(share::cycles(timed)).for_each(|(a, b)| *a += b),
                    None => rest += timed[0],
                }
            }
            // A layer without a step of its own takes no time.
            let idle = layers.iter_mut().filter(|l| l.cycles.is_empty());
            idle.for_each(|l| l.cycles = share::cycles(&[0; share::TIMED.len()]));
            let least = rest + layers.iter().filter_map(|l| l.cycles.last()).sum::<f64>() as u64;
            let selection = &self.request.selection;
            if least > most && !selection.force {
                let ms = |cycles: u64| format!("{:.3} ms", clock.milliseconds(cycles));
                return Err(diag(Code::P001, "the time cannot be reached by zeros")
                    .at("time", format!("at most {}; next to nothing but zeros takes {}", ms(most), ms(least)))
                    .help("remove channels as well, as with --latency or --macs; --force writes what can be reached"));
            }
            goal.cycles = Some(most.saturating_sub(rest) as f64);
            limit = (least <= most).then_some(most);
        }
        Ok(Zeros { pattern: m.pattern, layers, goal, even, limit })
    }

    /// Where the network with its zeros takes longer than it may: the fit with a tighter aim.
    pub fn tightened(&self, fit: &Fit, graph: &Graph) -> Result<Option<Fit>> {
        let (Some(zeros), Some(clock)) = (&fit.zeros, &self.request.clock) else { return Ok(None) };
        let Some(most) = zeros.limit else { return Ok(None) };
        let taken = clock.total(graph, &self.request.dims)?;
        let Some(cycles) = zeros.goal.cycles.filter(|_| taken > most) else { return Ok(None) };
        let mut zeros = zeros.clone();
        // The prediction is short by so much; a little more keeps it from being so again.
        zeros.goal.cycles = Some(cycles - 1.5 * (taken - most) as f64 - MARGIN * most as f64);
        let options = refit::Options { masks: Some(zeros.masks()), ..fit.options.clone() };
        Ok(Some(Fit { cut: fit.cut.clone(), options, zeros: Some(zeros) }))
    }
}
