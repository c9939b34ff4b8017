//! The oracle: what is cut out computes what is masked out, and what else must hold of every graph.

use secateur::{Analyzed, Request};
use secateur_coupling::{Coupling, Tamper, analyze_with};
use secateur_diag::Result;
use secateur_ir::{ElemType, Graph, Module, ValueId, parse, print, verify};
use secateur_ops::infer;
use secateur_oracle::{Level, Oracle as Executor};
use secateur_prune::{Amount, Budget, CostModel, Costs, Criterion, Limit, Plan, Scope, Selection, surgery};
use secateur_run::Engine;
use secateur_tensor::Tensor;

use crate::graphs;
use crate::rng::Rng;

/// How far outputs may be apart, as a share of the largest magnitude in the output.
const TOLERANCE: f64 = 1e-4;

/// What is random about one case beside its graph.
#[derive(Clone, Copy)]
pub struct Case {
    pub seed: u64,
    /// Rules meet the graph as it is, without simplification.
    pub raw: bool,
    keep_batchnorm: bool,
    level: Level,
    batch: usize,
}

impl Case {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xca5e);
        Self {
            seed,
            raw: rng.chance(40),
            keep_batchnorm: rng.chance(50),
            level: if rng.chance(25) { Level::Optimized } else { Level::Typed },
            batch: rng.range(1, 3),
        }
    }

    fn request(&self) -> Request {
        let mut rng = Rng::new(self.seed ^ 0xb0d6);
        let share = 0.3 + 0.6 * f64::from(rng.unit().abs());
        let limit = rng.pick(&[Limit::Params, Limit::Macs, Limit::Bytes]);
        Request {
            budget: Budget { limits: vec![(limit, Amount::Share(share))] },
            criterion: Criterion::Random(self.seed),
            scope: if rng.chance(50) { Scope::Global } else { Scope::Layer },
            selection: Selection { force: true, min_keep: 1, round_to: 1, ..Selection::default() },
            pins: Vec::new(),
            dims: Vec::new(),
            keep_batchnorm: self.keep_batchnorm,
            clock: None,
        }
    }
}

/// What one graph had to show.
#[derive(Default, Clone)]
pub struct Shown {
    pub plans: usize,
    /// Weights removed, as shares of all, summed over the plans.
    pub removed: f64,
    /// Plans whose outputs differ from the whole model's.
    pub differing: usize,
    /// Plans that could not be compared: an output of the whole model is not finite.
    pub lost: usize,
    /// Plans that held at another level of the engine's rewriting than the first.
    pub retried: usize,
    pub blocks: Vec<&'static str>,
}

type Outputs = Vec<(String, Tensor)>;

fn batch_one(graph: &Graph) -> Result<Graph> {
    let mut bound = graph.clone();
    infer::bind(&mut bound, &|_| Some(1))?;
    Ok(bound)
}

/// [`secateur::analyze`] without the passes that simplify.
fn analyze_raw(mut module: Module) -> Result<Analyzed> {
    let g = &mut module.graph;
    infer(g)?;
    secateur_passes::run(g, &["constants", "split_shared"])?;
    let coupling = secateur_coupling::analyze(g, &[])?;
    let costs = CostModel::new(&batch_one(g)?, &coupling)?;
    Ok(Analyzed {
        coverage: secateur_coupling::coverage(g, &coupling),
        original: costs.whole(),
        layers: Vec::new(),
        nodes: (g.nodes.len(), g.nodes.len()),
        unknown_ops: Vec::new(),
        clock: None,
        passes: secateur_passes::Report::default(),
        costs,
        coupling,
        module,
    })
}

fn data(case: &Case, e: &Executor, graph: &Graph) -> Vec<(String, Tensor)> {
    let mut rng = Rng::new(case.seed ^ 0xda7a);
    e.inputs()
        .iter()
        .filter_map(|i| {
            let shape = graph.shape(graph.find(&i.name)?)?;
            let shape: Vec<usize> = shape.iter().map(|d| d.size().unwrap_or(case.batch)).collect();
            let values = rng.units(shape.iter().product());
            Some((i.name.clone(), Tensor::of(&shape, values)))
        })
        .collect()
}

fn run(case: &Case, module: &Module) -> Result<Outputs> {
    let e = Executor::from_bytes(&module.export().0.encode())?.with_level(case.level);
    let data = data(case, &e, &module.graph);
    // The engine's rewriting stumbles over products of size one; what it cannot rewrite runs as it is.
    e.run(&data).or_else(|_| e.with_level(Level::Typed).run(&data))
}

/// The largest difference, as a share of the largest magnitude; `None` where something is not finite.
fn distance(a: &Tensor, b: &Tensor) -> std::result::Result<Option<f64>, String> {
    if a.dims != b.dims {
        return Err(format!("shapes {:?} and {:?}", a.dims, b.dims));
    }
    let (x, y) = (a.to_f64().unwrap_or_default(), b.to_f64().unwrap_or_default());
    if x.iter().any(|v| !v.is_finite()) {
        return Ok(None);
    }
    let scale = x.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    let worst = x.iter().zip(&y).map(|(p, q)| if q.is_finite() { (p - q).abs() } else { f64::INFINITY });
    Ok(Some(worst.fold(0.0, f64::max) / scale))
}

/// The largest distance over all outputs, `None` where it cannot be told.
fn apart(a: &Outputs, b: &Outputs) -> std::result::Result<Option<f64>, String> {
    if a.len() != b.len() {
        return Err(format!("{} and {} outputs", a.len(), b.len()));
    }
    let mut worst: f64 = 0.0;
    for ((name, x), (other, y)) in a.iter().zip(b) {
        if name != other {
            return Err(format!("the output {name} is now {other}"));
        }
        match distance(x, y).map_err(|e| format!("output {name}: {e}"))? {
            Some(d) => worst = worst.max(d),
            None => return Ok(None),
        }
    }
    Ok(Some(worst))
}

/// Verified, and the same after printing and parsing.
fn sound(graph: &Graph) -> std::result::Result<(), String> {
    verify::verify(graph).map_err(|e| format!("verify: {e}"))?;
    let text = print::graph(graph);
    let again = parse::graph(&text).map_err(|e| format!("the printed form does not parse: {e}\n{text}"))?;
    let again = print::graph(&again);
    if again != text {
        return Err(format!("the printed form changes:\n{text}\n{again}"));
    }
    Ok(())
}

/// Exact classes that may go: at least one of each group stays.
fn random_plan(coupling: &Coupling, rng: &mut Rng, most: bool) -> Plan {
    let mut removed = Vec::new();
    for g in coupling.groups.iter().filter(|g| g.inexact.is_none() && g.classes.len() > 1) {
        let n = g.classes.len();
        let gone = if most { n - 1 } else { rng.below(n) };
        removed.extend(rng.permutation(n)[..gone].iter().map(|&i| g.classes[i]));
    }
    Plan::new(coupling, removed)
}

/// Elements of the integer operands that something reads, where axis `.1` of `.0` is `len` long.
fn operands(graph: &Graph, len: impl Fn(ValueId, usize) -> usize) -> u64 {
    let links = graph.links();
    let used = graph.value_ids().filter(|&v| !links.uses(v).is_empty());
    let count = |v: ValueId| {
        let t = graph.init(v).filter(|t| t.elem == ElemType::I64)?;
        Some((0..t.dims.len()).map(|a| len(v, a) as u64).product::<u64>())
    };
    used.filter_map(count).sum()
}

/// The graph with a plan cut out costs what was foretold. Operands like the indices of a Gather are no
/// weights: their lengths may change otherwise.
fn costs_hold(a: &Analyzed, plan: &Plan) -> std::result::Result<(), String> {
    let whole = &a.module.graph;
    let mut graph = whole.clone();
    surgery::apply(&mut graph, &a.coupling, plan).map_err(|e| format!("surgery: {e}"))?;
    let now = secateur_coupling::analyze(&graph, &[])
        .and_then(|c| Ok(CostModel::new(&batch_one(&graph)?, &c)?.whole()))
        .map_err(|e| format!("analysis after surgery: {e}"))?;
    let foretold = a.costs.of(&plan.lens(&a.coupling));
    let size = |g: &Graph, v, axis: usize| g.shape(v).and_then(|s| s[axis].size()).unwrap_or(0);
    let kept = |v, axis| plan.kept(&a.coupling, (v, axis)).map_or(size(whole, v, axis), <[_]>::len);
    let weights = |c: &Costs, operands: u64| (c.macs, c.params - operands, c.bytes - 8 * operands);
    let now = weights(&now, operands(&graph, |v, axis| size(&graph, v, axis)));
    let foretold = weights(&foretold, operands(whole, kept));
    if now != foretold {
        return Err(format!("costs are {now:?}, foretold were {foretold:?}"));
    }
    Ok(())
}

/// Cut against masked: the distance of the masked from the whole, and how often the engine erred before.
fn plan_holds(
    case: &Case,
    a: &Analyzed,
    whole: &Outputs,
    plan: &Plan,
) -> std::result::Result<(Option<f64>, usize), String> {
    costs_hold(a, plan)?;
    let cut = a.cut(plan.clone(), &[]).map_err(|e| format!("cut: {e}"))?.module;
    sound(&cut.graph)?;
    let masked = a.masked(plan);
    // The engine errs now and then, but not at all levels alike.
    let mut why = String::new();
    for (n, level) in [case.level, Level::Typed, Level::Decluttered, Level::Optimized].into_iter().enumerate()
    {
        match same(&Case { level, ..*case }, whole, &masked, &cut) {
            Ok(d) => return Ok((d, n)),
            Err(e) => why = e,
        }
    }
    Err(why)
}

fn same(
    case: &Case,
    whole: &Outputs,
    masked: &Module,
    cut: &Module,
) -> std::result::Result<Option<f64>, String> {
    let before = run(case, masked).map_err(|e| format!("the masked model: {e}"))?;
    let after = match run(case, cut) {
        // The engine has no recurrent cells of one unit or input.
        Err(e) if e.to_string().contains("xw not contiguous") => return Ok(None),
        out => out.map_err(|e| format!("the cut model: {e}\n{}", print::graph(&cut.graph)))?,
    };
    match apart(&before, &after)? {
        Some(d) if d > TOLERANCE => Err(format!("the outputs are {d:.1e} apart")),
        Some(_) => apart(whole, &before),
        None => Ok(None),
    }
}

/// One class alone that still fails, or the plan itself.
fn smallest(case: &Case, a: &Analyzed, whole: &Outputs, plan: &Plan, why: String) -> (Plan, String) {
    for &c in &plan.removed {
        let one = Plan::new(&a.coupling, vec![c]);
        if let Err(why) = plan_holds(case, a, whole, &one) {
            return (one, why);
        }
    }
    (plan.clone(), why)
}

/// Writes both models where other engines can have a look at them.
fn keep(case: &Case, a: &Analyzed, plan: &Plan) {
    let Ok(folder) = std::env::var("SECATEUR_ORACLE_DUMP") else { return };
    let write = |name: &str, m: &Module| {
        let path = std::path::Path::new(&folder).join(format!("{}.{name}.onnx", case.seed));
        std::fs::write(path, m.export().0.encode()).expect("the folder can be written to");
    };
    write("masked", &a.masked(plan));
    if let Ok(cut) = a.cut(plan.clone(), &[]) {
        write("cut", &cut.module);
    }
}

fn report(case: &Case, a: &Analyzed, plan: &Plan, why: &str) -> String {
    let g = &a.module.graph;
    let mut members = String::new();
    for &c in plan.removed.iter().take(6) {
        members += &format!("class {c}:");
        for &(r, i) in &a.coupling.classes[c as usize].members {
            let axes = &a.coupling.rows[r as usize].axes;
            let names: Vec<_> = axes.iter().map(|&x| secateur_coupling::describe_axis(g, x)).collect();
            members += &format!(" {}[{i}]", names.join("="));
        }
        members.push('\n');
    }
    format!(
        "seed {} (raw {}): {why}\n{}\nplan: {:?}\n{}\n{members}choices: {:?}",
        case.seed,
        case.raw,
        print::graph(g),
        plan.removed,
        plan.text(g, &a.coupling),
        a.coupling.choices,
    )
}

/// All that must hold of the graph of one seed, its rules changed by `tamper` where there is one.
pub fn check(seed: u64, tamper: Option<&mut Tamper>) -> std::result::Result<Shown, String> {
    let case = Case::new(seed);
    let random = std::panic::catch_unwind(|| graphs::random(seed))
        .map_err(|_| format!("seed {seed}: the generator gave up"))?;
    let fail = |what: &str, e: &dyn std::fmt::Display| {
        format!("seed {seed} (raw {}): {what}: {e}\n{}", case.raw, print::graph(&random.graph))
    };
    sound(&random.graph).map_err(|e| fail("the graph", &e))?;
    let module = Module::from_graph(random.graph.clone());
    let original = run(&case, &module).map_err(|e| fail("the original does not run", &e))?;
    let module = secateur_onnx::Model::from_bytes(module.export().0.encode(), None)
        .and_then(Module::import)
        .map_err(|e| fail("export and import", &e))?;
    let request = case.request();
    let analyzed = if case.raw { analyze_raw(module) } else { secateur::analyze(module, &request) };
    let mut a = analyzed.map_err(|e| fail("analyze", &e))?;
    sound(&a.module.graph).map_err(|e| fail("the simplified graph", &e))?;
    let whole = run(&case, &a.module).map_err(|e| fail("the simplified model does not run", &e))?;
    match apart(&original, &whole) {
        Ok(Some(d)) if d > TOLERANCE => {
            let after = print::graph(&a.module.graph);
            return Err(fail("the passes", &format!("the outputs are {d:.1e} apart after them\n{after}")));
        }
        Err(e) => return Err(fail("the passes", &e)),
        _ => {}
    }
    if let Some(tamper) = tamper {
        a.coupling = analyze_with(&a.module.graph, &[], tamper).map_err(|e| fail("tampered", &e))?;
        let bound = batch_one(&a.module.graph).map_err(|e| fail("bind", &e))?;
        a.costs = CostModel::new(&bound, &a.coupling).map_err(|e| fail("tampered costs", &e))?;
    }
    let mut rng = Rng::new(seed ^ 0x91a4);
    let mut plans = vec![random_plan(&a.coupling, &mut rng, false)];
    if rng.chance(40) {
        plans.push(random_plan(&a.coupling, &mut rng, true));
    }
    if rng.chance(40) {
        plans.push(a.plan(&request).map_err(|e| fail("plan", &e))?);
    }
    let mut shown = Shown { blocks: random.blocks, ..Shown::default() };
    for plan in plans.iter().filter(|p| !p.removed.is_empty()) {
        match plan_holds(&case, &a, &whole, plan) {
            Ok((d, errors)) => {
                shown.plans += 1;
                shown.retried += usize::from(errors > 0);
                let kept = a.costs.of(&plan.lens(&a.coupling)).params as f64;
                shown.removed += 1.0 - kept / a.costs.whole().params.max(1) as f64;
                shown.lost += usize::from(d.is_none());
                shown.differing += usize::from(d.is_some_and(|d| d > 10.0 * TOLERANCE));
            }
            Err(why) => {
                let (plan, why) = smallest(&case, &a, &whole, plan, why);
                keep(&case, &a, &plan);
                return Err(report(&case, &a, &plan, &why));
            }
        }
    }
    Ok(shown)
}
