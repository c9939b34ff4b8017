//! Time on the target as a limit: cycles of the code generator's kernels, by their models of the core.
//!
//! While the budget is shared out, a step's cycles are taken to grow with the lengths that its multiply-adds (or its
//! result) grow with, from where they were measured last. What was chosen is then cut and measured by lowering it for
//! the target, and shared out again from there, until the limit holds with little to spare.

use std::sync::Arc;

use secateur_codegen::bundle;
use secateur_coupling::Coupling;
use secateur_diag::{Code, Result, diag};
use secateur_ir::Graph;
use secateur_neon::Core;
use secateur_prune::{Amount, Budget, CostModel, Limit, Plan, surgery};
use secateur_target::Target;

use crate::prune::bound;

/// What time is counted on: one core of a board.
#[derive(Debug, Clone, PartialEq)]
pub struct Clock {
    /// The target's name.
    pub target: String,
    /// The core.
    pub core: Core,
    /// Its clock.
    pub mhz: u32,
}

/// Rounds of sharing out and measuring.
const ROUNDS: usize = 8;
/// A result that uses this share of the limit is good enough.
const USED: f64 = 0.985;

impl Clock {
    /// One core of a target.
    ///
    /// # Errors
    /// `T002` where there are no kernels for its core.
    pub fn of(target: &Target) -> Result<Self> {
        let unknown = || diag(Code::T002, format!("there are no kernels for the core {}", target.core));
        let core = Core::from_name(&target.core).ok_or_else(unknown)?;
        Ok(Self { target: target.name.clone(), core, mhz: target.clock_mhz })
    }

    /// Milliseconds of so many cycles.
    pub fn milliseconds(&self, cycles: u64) -> f64 {
        cycles as f64 / (1e3 * f64::from(self.mhz.max(1)))
    }

    /// Reads `50%`, `2ms`, `800us` or `0.1s`.
    ///
    /// # Errors
    /// `P005`.
    pub fn parse(&self, text: &str) -> Result<Amount> {
        let bad = || {
            diag(Code::P005, format!("{text:?} is not a time"))
                .help("a share as in 50% or 0.5, or a time as in 2ms, 800us or 0.1s")
        };
        let t = text.trim();
        let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
        if let Some((number, unit)) = units.iter().find_map(|(u, f)| Some((t.strip_suffix(u)?, f))) {
            let cycles = number.trim().parse::<f64>().map_err(|_| bad())? * unit * f64::from(self.mhz);
            return match (1.0..1e18).contains(&cycles) {
                true => Ok(Amount::Absolute(cycles as u64)),
                false => Err(bad()),
            };
        }
        match Amount::parse(t) {
            Ok(a @ Amount::Share(_)) => Ok(a),
            _ if t.parse::<f64>().is_ok_and(|n| n > 1.0 && n <= 100.0) => {
                Err(diag(Code::P005, format!("{text:?} has no unit; is {t}% meant?"))
                    .help(format!("{t}% is a share, {t}ms a time")))
            }
            _ => Err(bad()),
        }
    }

    /// Cycles of every step that a graph becomes, with the index of the node it came from.
    ///
    /// # Errors
    /// `C001` naming the operator that no kernel serves; those of lowering.
    pub fn measure(&self, graph: &Graph, dims: &[(String, usize)]) -> Result<Vec<(Option<usize>, u64)>> {
        let mut g = graph.clone();
        let names: Vec<String> = g.nodes.iter().map(|n| n.name().to_owned()).collect();
        // Names may be missing or given twice.
        for (i, n) in g.nodes.iter_mut().enumerate() {
            n.proto.name = Some(format!("#{i}"));
        }
        let own = |mut e: Box<secateur_diag::Diagnostic>| {
            for f in e.fields.iter_mut().filter(|f| f.0 == "node") {
                let parts = f.1.strip_prefix("\"#").and_then(|t| t.split_once('"'));
                let name = parts.and_then(|(index, _)| names.get(index.parse::<usize>().ok()?));
                if let (Some(name), Some((_, rest))) = (name, parts) {
                    f.1 = format!("{name:?}{rest}");
                }
            }
            e.at("needed for", "--latency")
        };
        let steps = bundle::cycles(&g, dims, self.core).map_err(own)?;
        let node = |name: &str| name.strip_prefix('#').and_then(|i| i.parse().ok());
        Ok(steps.into_iter().map(|(name, cycles)| (node(&name), cycles)).collect())
    }

    /// Sum of [`Clock::measure`].
    ///
    /// # Errors
    /// As there.
    pub fn total(&self, graph: &Graph, dims: &[(String, usize)]) -> Result<u64> {
        Ok(self.measure(graph, dims)?.iter().map(|s| s.1).sum())
    }

    /// Cost model of a graph with this clock's cycles.
    ///
    /// # Errors
    /// As [`Clock::measure`], and those of the cost rules.
    pub fn add(
        &self,
        costs: &mut CostModel,
        graph: &Graph,
        coupling: &Coupling,
        dims: &[(String, usize)],
    ) -> Result<()> {
        let lens = costs.lens().to_vec();
        costs.set_cycles(&bound(graph, dims)?, coupling, &lens, &self.measure(graph, dims)?)
    }

    /// A plan that holds a latency limit as measured, or the last one tried where none does. `share_out` chooses one
    /// under a cost model and a budget.
    ///
    /// # Errors
    /// Those of sharing out and measuring.
    pub fn settle(
        &self,
        graph: &Graph,
        coupling: &Coupling,
        dims: &[(String, usize)],
        costs: &CostModel,
        budget: &Budget,
        share_out: &mut dyn FnMut(&CostModel, &Budget) -> Result<Plan>,
    ) -> Result<Plan> {
        let Some(limit) = budget.limits.iter().find(|l| l.0 == Limit::Cycles) else {
            return share_out(costs, budget);
        };
        let limit = limit.1.of(costs.whole().cycles.unwrap_or(0)).max(1);
        let whole = bound(graph, dims)?;
        let mut model = costs.clone();
        let mut aim = limit;
        let mut best: Option<(u64, Plan)> = None;
        let mut last = None;
        for _ in 0..ROUNDS {
            let now = |&(l, a): &(Limit, Amount)| match l {
                Limit::Cycles => (l, Amount::Absolute(aim)),
                _ => (l, a),
            };
            let plan = share_out(&model, &Budget { limits: budget.limits.iter().map(now).collect() })?;
            let mut cut = graph.clone();
            surgery::apply(&mut cut, coupling, &plan)?;
            let steps = self.measure(&cut, dims)?;
            let total: u64 = steps.iter().map(|s| s.1).sum();
            let holds = total <= limit;
            if holds && best.as_ref().is_none_or(|b| total > b.0) {
                best = Some((total, plan.clone()));
            }
            if holds && total as f64 >= USED * limit as f64 {
                break;
            }
            let again = last.as_ref() == Some(&plan);
            // The model agrees with the measurement here; where that does not move the plan, the aim must.
            aim = match (again, holds) {
                (true, true) => aim + (limit - total) / 2 + 1,
                (true, false) => aim.saturating_sub(total - limit).max(1),
                (false, _) => limit,
            };
            model.set_cycles(&whole, coupling, &plan.lens(coupling), &steps)?;
            last = Some(plan);
        }
        // What does not hold is the caller's to refuse, or to accept where that is asked for.
        match best.map(|b| b.1).or(last) {
            Some(plan) => Ok(plan),
            None => share_out(costs, budget),
        }
    }
}

/// Cycles in a report.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Latency {
    /// The target.
    pub target: String,
    /// Modelled cycles of one sample on one core before.
    pub cycles_before: u64,
    /// And after.
    pub cycles_after: u64,
    /// Milliseconds at the target's clock before.
    pub milliseconds_before: f64,
    /// And after.
    pub milliseconds_after: f64,
}

impl Latency {
    /// Before and after on a clock.
    pub fn new(clock: &Arc<Clock>, before: u64, after: u64) -> Self {
        Self {
            target: clock.target.clone(),
            cycles_before: before,
            cycles_after: after,
            milliseconds_before: clock.milliseconds(before),
            milliseconds_after: clock.milliseconds(after),
        }
    }
}
