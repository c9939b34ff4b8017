//! One run of calibrated pruning.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashSet;
use secateur_calib::linear::linears;
use secateur_calib::measure::Reference;
use secateur_calib::statistics::{self, Known};
use secateur_calib::{products, wanda};
use secateur_coupling::Coupling;
use secateur_diag::Result;
use secateur_ir::Graph;
use secateur_prune::calib::allot;
use secateur_prune::calib::curves::{self, Curve};
use secateur_prune::calib::state::State;
use secateur_prune::{Amount, Budget, CostModel, Limit, Plan, allocate, score, unreachable};

use super::refine::Attempt;
use super::work::{Asked, Work, outline};
use super::{Calibrated, Calibration, CurveReport, Progress, Rating};
use crate::cache::Entry;
use crate::prune::{Analyzed, Request, bound, pins};

/// Most samples on which outputs are measured for the sensitivity of each group.
const SENSITIVITY_SAMPLES: usize = 96;
/// Multiply-adds that these measurements may take; large networks are measured on fewer samples.
const SENSITIVITY_WORK: f64 = 2e12;
/// Multiply-adds of one pass over the samples above which the budget is reached in one step, if nothing is said of steps.
const LARGE: f64 = 1e11;
/// How often zeros are shared out again where they do not save the time that was expected.
const TIGHTENED: usize = 3;
/// Samples on which results are compared with the original.
const JUDGED_SAMPLES: usize = 128;

/// One step's view of the graph.
pub struct View {
    graph: Graph,
    pub coupling: Coupling,
    costs: CostModel,
    allowed: Vec<bool>,
    /// What is known of small layers' inputs, once it was gathered.
    known: RefCell<Option<Rc<Vec<Known>>>>,
}

pub struct Run<'a> {
    pub analyzed: &'a Analyzed,
    pub request: &'a Request,
    pub calibration: &'a Calibration,
    /// The samples on which groups are measured.
    pub sensitivity: Reference<'a>,
    /// And those on which results are.
    pub judge: Reference<'a>,
}

impl<'a> Run<'a> {
    pub fn new(analyzed: &'a Analyzed, request: &'a Request, calibration: &'a Calibration) -> Result<Self> {
        let samples = &calibration.samples;
        let graph = &analyzed.module.graph;
        let held: Vec<usize> = (0..samples.batches.len()).filter(|b| samples.held_out(*b)).collect();
        let judged = match held.is_empty() {
            true => samples.spread(JUDGED_SAMPLES),
            false => held[..JUDGED_SAMPLES.div_ceil(samples.len_of(0).max(1)).min(held.len())].to_vec(),
        };
        // Three cuts of every group, each of which runs half of the network.
        let runs = 1.5 * analyzed.coupling.groups.len().max(1) as f64;
        let macs = analyzed.costs.whole().macs.unwrap_or(1).max(1) as f64;
        let measured = ((SENSITIVITY_WORK / (runs * macs)) as usize).min(SENSITIVITY_SAMPLES);
        Ok(Self {
            sensitivity: Reference::new(graph, samples, samples.spread(measured))?,
            judge: Reference::new(graph, samples, judged)?,
            analyzed,
            request,
            calibration,
        })
    }

    /// Numbers of steps to try.
    pub fn steps(&self) -> Vec<usize> {
        let c = self.calibration;
        let pass = self.analyzed.costs.whole().macs.unwrap_or(0) as f64 * c.samples.len() as f64;
        match c.steps {
            Some(n) => vec![n.max(1)],
            None if self.request.budget.limits.is_empty() || c.without.compensation || pass > LARGE => {
                vec![1]
            }
            None => vec![1, 2],
        }
    }

    /// What is to be done, and how much work it is.
    pub fn outline(&self, view: &View, steps: &[usize], cut: bool) -> Result<Vec<(&'static str, f64)>> {
        let (c, w) = (self.calibration, self.calibration.without);
        let samples = c.samples.len() as f64;
        let macs = self.analyzed.costs.whole().macs.unwrap_or(0) as f64;
        let graph = bound(&view.graph, &self.request.dims)?;
        let groups = view.allowed.iter().filter(|a| **a).count() as f64;
        let mut work = Work {
            pass: macs * samples,
            sensitivity: 1.5 * groups * macs * self.sensitivity.samples() as f64,
            ..Work::default()
        };
        for l in linears(&graph) {
            let (Some(weight), Some(out)) = (graph.init(l.weight), graph.shape(l.out)) else { continue };
            let (channels, taps, outputs) = l.sizes(weight);
            let (p, parts) = ((channels * taps) as f64, l.groups() as f64);
            let places: f64 = out.iter().filter_map(|d| d.size()).map(|n| n as f64).product();
            let rows = samples * places / (outputs as f64 * parts).max(1.0);
            work.products += parts * (rows * p * p).min(statistics::work(p));
            work.solutions += parts * p.powi(3);
        }
        let asked = Asked {
            cut,
            sensitivity: c.scope.is_none() && !w.sensitivity,
            exchange: c.rating == Rating::Obs && !w.exchange,
            zeros: c.masks.is_some(),
            epochs: if w.reconstruction || w.compensation || steps.is_empty() { 0 } else { c.epochs },
            quantize: c.quantize.is_some(),
        };
        Ok(outline(&work, steps, asked))
    }

    pub fn first(&self) -> Result<View> {
        let (graph, coupling) = (self.analyzed.module.graph.clone(), self.analyzed.coupling.clone());
        let allowed = self.request.selection.groups(&graph, &coupling)?;
        Ok(View { costs: self.analyzed.costs.clone(), graph, coupling, allowed, known: RefCell::default() })
    }

    pub fn view(&self, graph: &Graph) -> Result<View> {
        let coupling = secateur_coupling::analyze(graph, &pins(graph, &self.request.pins)?)?;
        let mut costs = CostModel::new(&bound(graph, &self.request.dims)?, &coupling)?;
        if let Some(clock) = &self.request.clock {
            clock.add(&mut costs, graph, &coupling, &self.request.dims)?;
        }
        let allowed = self.request.selection.groups(graph, &coupling)?;
        Ok(View { graph: graph.clone(), coupling, costs, allowed, known: RefCell::default() })
    }

    /// Orders of all groups, and the outputs' errors where they matter.
    pub fn curves(&self, view: &View, always: bool, progress: &mut dyn Progress) -> Result<Vec<Curve>> {
        let c = self.calibration;
        let measured = always || (c.scope.is_none() && !c.without.sensitivity);
        let what = format!("{:?} {measured} {:?} {:?}", c.rating, self.request.criterion, view.allowed);
        let entry = c.cache.as_ref().map(|f| Entry::new(f, &view.graph, &c.samples, &what));
        let fits = |curves: &Vec<Curve>| {
            curves.iter().all(|c| {
                view.coupling.groups.get(c.group).is_some_and(|g| g.classes.len() == c.order.classes.len())
            })
        };
        if let Some(kept) = entry.as_ref().and_then(Entry::read).filter(fits) {
            return Ok(kept);
        }
        let (graph, coupling) = (&view.graph, &view.coupling);
        let known = match measured || c.rating != Rating::Weights {
            true => self.known(view, &curves::wanted(graph, coupling, &view.allowed), progress)?,
            false => Vec::new(),
        };
        let mut by_weight = score(graph, coupling, self.request.criterion)?;
        if c.rating != Rating::Weights {
            // What no operator with a weight of its own sums away.
            let which = c.samples.spread(SENSITIVITY_SAMPLES);
            let products = products::score(graph, coupling, &c.samples, &which)?;
            by_weight.iter_mut().zip(products).for_each(|(w, p)| *w = p.or(*w));
        }
        let mut curves = match c.rating {
            Rating::Obs => {
                progress.stage("order of removal", coupling.groups.len());
                curves::orders(graph, coupling, &view.allowed, &known, &by_weight, &mut || progress.step())?
            }
            Rating::Wanda => {
                let scores = wanda::score(graph, coupling, &known);
                let either: Vec<_> = scores.iter().zip(&by_weight).map(|(a, b)| a.or(*b)).collect();
                curves::from_scores(coupling, &view.allowed, &either)
            }
            Rating::Weights => curves::from_scores(coupling, &view.allowed, &by_weight),
        };
        if measured {
            progress.stage("sensitivity", 3 * curves.len());
            let step = &mut || progress.step();
            curves::measure(graph, coupling, &known, &mut curves, &self.sensitivity, step)?;
        }
        if let Some(entry) = entry {
            entry.write(&curves);
        }
        self.keep(view, known);
        Ok(curves)
    }

    /// Keeps what exchanges need.
    fn keep(&self, view: &View, mut known: Vec<Known>) {
        known.retain(|k| k.covariance.iter().all(|c| c.nrows() <= curves::EXCHANGED_ROWS));
        *view.known.borrow_mut() = Some(Rc::new(known));
    }

    /// The plan with classes exchanged where that leaves a smaller error.
    fn exchanged(&self, view: &View, plan: Plan, progress: &mut dyn Progress) -> Result<Plan> {
        if self.calibration.rating != Rating::Obs || self.calibration.without.exchange {
            return Ok(plan);
        }
        if view.known.borrow().is_none() {
            let wanted = curves::wanted(&view.graph, &view.coupling, &view.allowed);
            self.keep(view, self.known(view, &wanted, progress)?);
        }
        let known = view.known.borrow().clone().unwrap_or_default();
        progress.stage("exchanges", 1);
        let plan = curves::exchanged(&view.graph, &view.coupling, &known, plan)?;
        progress.step();
        Ok(plan)
    }

    pub fn known(
        &self,
        view: &View,
        wanted: &FxHashSet<secateur_ir::ValueId>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Known>> {
        progress.stage("statistics", wanted.len());
        statistics::gather(&view.graph, &self.calibration.samples, wanted, &mut |_| progress.step())
    }

    /// What goes from a view so that a budget holds.
    fn plan(&self, view: &View, curves: &[Curve], budget: &Budget) -> Result<Plan> {
        if budget.limits.iter().any(|(l, _)| *l == Limit::Macs) {
            view.costs.macs_known()?;
        }
        let selection = &self.request.selection;
        let (graph, coupling) = (&view.graph, &view.coupling);
        let mut share_out = |costs: &CostModel, budget: &Budget| {
            if let Some(scope) = self.calibration.scope {
                let scores = curves::scores(coupling, curves);
                return allocate(graph, coupling, costs, &scores, budget, scope, selection);
            }
            match allot::allot(coupling, curves, costs, budget, selection)? {
                Ok(removed) => Ok(allot::plan(coupling, curves, &removed)),
                Err(least) => Err(unreachable(coupling, curves.len(), budget, &least, &costs.whole())),
            }
        };
        match &self.request.clock {
            Some(c) => c.settle(graph, coupling, &self.request.dims, &view.costs, budget, &mut share_out),
            None => share_out(&view.costs, budget),
        }
    }

    /// The final limits in figures, and those of the way there.
    fn budgets(&self, steps: usize) -> Vec<Budget> {
        let whole = self.analyzed.costs.whole();
        let last = self.analyzed.of_file(&self.request.budget);
        let part = |step: usize| {
            let way = step as f64 / steps as f64;
            let limit = |&(l, a): &(Limit, Amount)| {
                let (all, end) = (l.of(&whole).max(1) as f64, a.of(l.of(&whole)).max(1) as f64);
                let now = if step == steps { end } else { all * (end / all).min(1.0).powf(way) };
                (l, Amount::Absolute(now as u64))
            };
            Budget { limits: last.limits.iter().map(limit).collect() }
        };
        (1..=steps).map(part).collect()
    }

    pub fn attempt(
        &self,
        first: &View,
        curves: &[Curve],
        steps: usize,
        progress: &mut dyn Progress,
    ) -> Result<Attempt> {
        let mut state = State::new(&self.analyzed.module.graph);
        let mut fit = None;
        let mut report = Calibrated {
            samples: self.calibration.samples.len(),
            steps,
            output_error: 0.0,
            output_error_cut: 0.0,
            judged_on: self.judge.samples(),
            zeros: 0.0,
            reconstruction: None,
            reconstruction_left: None,
            curves: Vec::new(),
            layers: Vec::new(),
            quantization: None,
            peak_memory: None,
        };
        for (step, budget) in self.budgets(steps).iter().enumerate() {
            if !budget.limits.is_empty() {
                let later;
                let (view, curves) = if step == 0 {
                    (first, curves.to_vec())
                } else {
                    later = self.view(&state.graph)?;
                    let curves = self.curves(&later, false, progress)?;
                    (&later, curves)
                };
                let plan = self.exchanged(view, self.plan(view, &curves, budget)?, progress)?;
                state.cut(&view.coupling, &plan)?;
                if step == 0 {
                    let gone: FxHashSet<u32> = plan.removed.iter().copied().collect();
                    let count = |c: &Curve| {
                        view.coupling.groups[c.group].classes.iter().filter(|k| gone.contains(k)).count()
                    };
                    let removed: Vec<usize> = curves.iter().map(count).collect();
                    report.curves = self.reports(&view.coupling, &curves, &removed);
                }
            }
            let last = step + 1 == steps;
            if last {
                report.output_error_cut = self.judge.error(&state.graph)?;
            }
            fit = self.fit(&state, last, progress)?;
            let mut tries = 0;
            while let Some(f) = &fit {
                let stage = linears(&f.cut).len();
                progress.stage("compensation", stage);
                report.layers =
                    self.compensate(f, &mut state, &self.calibration.samples, &mut || progress.step())?;
                match self.tightened(f, &state.graph)? {
                    Some(tighter) if tries < TIGHTENED => fit = Some(tighter),
                    _ => break,
                }
                tries += 1;
            }
        }
        report.output_error = self.judge.error(&state.graph)?;
        report.zeros = zeros(&state.graph);
        Ok(Attempt { report, state, fit })
    }

    pub fn reports(&self, coupling: &Coupling, curves: &[Curve], removed: &[usize]) -> Vec<CurveReport> {
        let graph = &self.analyzed.module.graph;
        let name = |c: &Curve| {
            let rows = &coupling.groups[c.group].footprint;
            let axes = rows.iter().flat_map(|(r, _)| &coupling.rows[*r as usize].axes);
            let weight = axes.clone().find(|(v, _)| graph.init(*v).is_some());
            weight
                .or_else(|| axes.clone().next())
                .map_or(String::new(), |&a| secateur_coupling::describe_axis(graph, a))
        };
        let report = |(c, &removed): (&Curve, &usize)| CurveReport {
            axis: name(c),
            classes: c.order.classes.len(),
            removed,
            measured: c.measured.clone(),
        };
        curves.iter().zip(removed).map(report).collect()
    }
}

/// Share of zeros in the weights of linear operators.
fn zeros(graph: &Graph) -> f64 {
    let weights = linears(graph).into_iter().filter_map(|l| graph.init(l.weight)?.to_f32());
    let (zero, all) = weights
        .fold((0usize, 0usize), |(z, n), w| (z + w.iter().filter(|x| **x == 0.0).count(), n + w.len()));
    zero as f64 / all.max(1) as f64
}
