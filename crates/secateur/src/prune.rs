//! Load, simplify, couple, plan and cut.

use std::path::Path;
use std::sync::Arc;

use secateur_coupling::{Axis, Coupling, Coverage};
use secateur_diag::{Code, Result, diag};
use secateur_ir::{Graph, Module, print, text};
use secateur_onnx::Model;
use secateur_ops::infer;
use secateur_passes::Options;
use secateur_prune::{
    Amount, Budget, CostModel, Costs, Criterion, Limit, Plan, Scope, Selection, allocate, mask, score,
    surgery,
};

use crate::latency::{Clock, Latency};
use crate::layers::{Layer, layers};

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Limits; none leaves the model at its size.
    pub budget: Budget,
    /// How classes are rated.
    pub criterion: Criterion,
    /// How groups share the budget.
    pub scope: Scope,
    /// Which groups may go, and how far.
    pub selection: Selection,
    /// `NAME.axis` of axes that must stay whole.
    pub pins: Vec<String>,
    /// Sizes of the inputs' symbolic dimensions, for costs.
    pub dims: Vec<(String, usize)>,
    /// BatchNormalization stays as it is.
    pub keep_batchnorm: bool,
    /// What latency is counted on, where it is limited.
    pub clock: Option<Arc<Clock>>,
}

/// A simplified model with its coupling and costs.
pub struct Analyzed {
    /// The model.
    pub module: Module,
    /// What goes together in it.
    pub coupling: Coupling,
    /// What any plan would cost.
    pub costs: CostModel,
    /// How much can be cut.
    pub coverage: Coverage,
    /// Costs of the file as it came.
    pub original: Costs,
    /// Layers that cost, for one sample.
    pub layers: Vec<Layer>,
    /// Nodes before and after simplification.
    pub nodes: (usize, usize),
    /// What each pass of the simplification changed, and how long it took.
    pub passes: secateur_passes::Report,
    /// Operators without a rule, with their number.
    pub unknown_ops: Vec<(String, usize)>,
    /// What latency is counted on, where it is limited.
    pub clock: Option<Arc<Clock>>,
}

/// A pruned model beside what it came from.
pub struct Pruned {
    /// The pruned model.
    pub module: Module,
    /// What was removed.
    pub plan: Plan,
    /// Costs after.
    pub costs: Costs,
    /// Time on the target, where it is limited.
    pub latency: Option<Latency>,
    /// Layers after, in the order of [`Analyzed::layers`].
    pub layers: Vec<Layer>,
    /// The pruned model quantized, where that was asked for.
    pub quantized: Option<Module>,
}

impl Pruned {
    /// The file to write.
    pub fn export(&self) -> (Model, secateur_onnx::ExternalOut) {
        match &self.quantized {
            Some(m) => crate::quantize::exported(m),
            None => self.module.export(),
        }
    }

    /// Whether the model is quantized, or was when it came.
    pub fn is_quantized(&self) -> bool {
        self.quantized.is_some() || self.module.graph.nodes.iter().any(secateur_quant::quantized)
    }

    /// The graph that machine code is made of: of a quantized model, what its integers stand for.
    ///
    /// # Errors
    /// `Q003` for operators on integers; those of the passes.
    pub fn float(&self) -> Result<Graph> {
        let graph = self.quantized.as_ref().map_or(&self.module.graph, |m| &m.graph);
        if !self.is_quantized() {
            return Ok(graph.clone());
        }
        let mut graph = secateur_quant::dequantized(graph)?;
        secateur_passes::prepare(&mut graph, &mut Options::default())?;
        Ok(graph)
    }
}

/// Reads a model file and builds its graph.
///
/// # Errors
/// Those of loading and of building the graph, with the file's name.
pub fn open(path: &Path) -> Result<Module> {
    let module = Model::load(path).and_then(Module::import);
    module.map_err(|e| match e.fields.iter().any(|(l, _)| *l == "file") {
        true => e,
        false => e.at("file", path.display().to_string()),
    })
}

/// A size without a name goes by input and axis, `x.2`.
fn spelled(symbol: &str) -> &str {
    symbol.trim_start_matches('?')
}

/// A batch of one, and the sizes that were given.
pub(crate) fn bound(graph: &Graph, dims: &[(String, usize)]) -> Result<Graph> {
    let mut g = graph.clone();
    let batch: Vec<String> = g
        .data_inputs()
        .filter_map(|v| g.shape(v)?.first())
        .flat_map(|d| d.symbols().iter().map(ToString::to_string).collect::<Vec<_>>())
        .collect();
    let size = |s: &str| {
        let given = dims.iter().find(|(n, _)| n == s || n == spelled(s)).map(|(_, k)| *k);
        given.or_else(|| batch.iter().any(|b| b == s).then_some(1))
    };
    infer::bind(&mut g, &size)?;
    Ok(g)
}

/// Every size that is given must be one of an input, or one that only shows when the model runs.
fn known_dims(graph: &Graph, dims: &[(String, usize)]) -> Result<()> {
    let known = secateur_ir::input_symbols(graph);
    let inner = |n: &str| {
        let shapes = graph.value_ids().filter_map(|v| graph.shape(v));
        shapes.flatten().flat_map(|d| d.symbols()).any(|s| &**s == n)
    };
    let given = |n: &String| known.iter().any(|k| k == n || spelled(k) == n) || inner(n);
    if let Some((name, _)) = dims.iter().find(|(n, _)| !given(n)) {
        let known: Vec<&str> = known.iter().map(|k| spelled(k)).collect();
        return Err(diag(Code::P003, format!("no input of the model has a dimension called {name}"))
            .at("known", if known.is_empty() { "none".into() } else { known.join(", ") }));
    }
    Ok(())
}

fn parameters(graph: &Graph) -> Costs {
    let links = graph.links();
    let used = graph.value_ids().filter(|&v| !links.uses(v).is_empty()).filter_map(|v| graph.init(v));
    used.fold(Costs::default(), |c, t| Costs {
        params: c.params + t.len() as u64,
        bytes: c.bytes + t.byte_len() as u64,
        ..c
    })
}

pub(crate) fn pins(graph: &Graph, names: &[String]) -> Result<Vec<Axis>> {
    names.iter().map(|text| pin(graph, text)).collect()
}

/// `NAME.axis`, of a value as it is printed, or of what a node makes.
fn pin(graph: &Graph, text: &str) -> Result<Axis> {
    let bad = || diag(Code::P003, format!("--pin {text:?} is not NAME.axis of a value of the model"));
    let values = || graph.value_ids().map(|v| graph.value(v).name.as_str());
    let all = || graph.nodes.iter().map(|n| graph.name_of(n)).chain(values());
    let find = |name: &str| {
        let bare = name.strip_prefix(['%', '@']).unwrap_or(name);
        let quoted = || graph.value_ids().find(|v| text::word(&graph.value(*v).name) == bare);
        let made = || graph.nodes.iter().find(|n| !n.name().is_empty() && n.name() == name)?.output(0);
        graph.find(name).or_else(|| graph.find(bare)).or_else(quoted).or_else(made)
    };
    let named = text.rsplit_once('.').and_then(|(name, axis)| Some((find(name)?, axis)));
    let Some((v, axis)) = named else {
        let help = match find(text) {
            Some(v) => format!("give an axis too, as in --pin {}.0", print::name(graph, v)),
            None => "as in --pin conv1.weight.0, with names that secateur inspect MODEL prints".into(),
        };
        let name = text.rsplit_once('.').map_or(text, |(name, _)| name);
        return Err(if find(text).is_some() { bad() } else { bad().near(name, all()) }.help(help));
    };
    let rank = graph.shape(v).ok_or_else(|| bad().at("reason", "its shape is unknown"))?.len();
    let axis = axis.parse().ok().and_then(|a| secateur_ir::norm_axis(a, rank).ok());
    let axis = axis.ok_or_else(|| bad().at("value", format!("{} has {rank} axes", print::name(graph, v))))?;
    Ok((v, axis))
}

/// Simplifies a model and finds out what can be cut.
///
/// # Errors
/// Those of the passes and rules, naming the node; P003 for a pin or dimension that is not in the model.
pub fn analyze(mut module: Module, request: &Request) -> Result<Analyzed> {
    let before = module.graph.nodes.len();
    // Weights in Constant nodes count as initializers do.
    secateur_passes::run(&mut module.graph, &["constants"])?;
    let file = parameters(&module.graph);
    let passes = secateur_passes::prepare(
        &mut module.graph,
        &mut Options { keep_batchnorm: request.keep_batchnorm, ..Options::default() },
    )?;
    let graph = &module.graph;
    request.selection.check(graph)?;
    let coupling = secateur_coupling::analyze(graph, &pins(graph, &request.pins)?)?;
    known_dims(graph, &request.dims)?;
    let bound = bound(graph, &request.dims)?;
    let mut costs = CostModel::new(&bound, &coupling)?;
    if let Some(clock) = &request.clock {
        clock.add(&mut costs, graph, &coupling, &request.dims)?;
    }
    let mut unknown: Vec<(String, usize)> = Vec::new();
    for n in graph.nodes.iter().filter(|n| secateur_ops::find(n.domain(), n.op()).is_none()) {
        let name =
            if n.domain().is_empty() { n.op().to_owned() } else { format!("{}::{}", n.domain(), n.op()) };
        match unknown.iter_mut().find(|u| u.0 == name) {
            Some(u) => u.1 += 1,
            None => unknown.push((name, 1)),
        }
    }
    Ok(Analyzed {
        coverage: secateur_coupling::coverage(graph, &coupling),
        original: Costs { macs: costs.whole().macs, cycles: costs.whole().cycles, ..file },
        layers: layers(&bound),
        nodes: (before, graph.nodes.len()),
        unknown_ops: unknown,
        passes,
        costs,
        coupling,
        module,
        clock: request.clock.clone(),
    })
}

impl Analyzed {
    /// The removal that a request asks for.
    ///
    /// # Errors
    /// P001 where the budget cannot be met, P002 where it needs a size, P003 and P005 for bad options.
    pub fn plan(&self, request: &Request) -> Result<Plan> {
        let scores = score(&self.module.graph, &self.coupling, request.criterion)?;
        let (graph, coupling) = (&self.module.graph, &self.coupling);
        let budget = self.of_file(&request.budget);
        let mut share_out = |costs: &CostModel, budget: &Budget| {
            allocate(graph, coupling, costs, &scores, budget, request.scope, &request.selection)
        };
        match &request.clock {
            Some(c) => c.settle(graph, coupling, &request.dims, &self.costs, &budget, &mut share_out),
            None => share_out(&self.costs, &budget),
        }
    }

    /// The budget in figures, but for MACs and cycles. Shares are of the file as it came; simplification may have made the
    /// graph smaller or larger.
    pub(crate) fn of_file(&self, budget: &Budget) -> Budget {
        let of_file = |&(l, a): &(Limit, Amount)| match a {
            Amount::Share(_) if !matches!(l, Limit::Macs | Limit::Cycles) => {
                (l, Amount::Absolute(a.of(l.of(&self.original))))
            }
            a => (l, a),
        };
        Budget { limits: budget.limits.iter().map(of_file).collect() }
    }

    /// The original with the plan's classes zeroed where they are summed away.
    pub fn masked(&self, plan: &Plan) -> Module {
        let mut m = self.module.clone();
        m.graph = mask::masked(&self.module.graph, &self.coupling, plan);
        m
    }

    /// Cuts a plan out.
    ///
    /// # Errors
    /// P004 or S003 where an operator cannot follow.
    pub fn cut(&self, plan: Plan, dims: &[(String, usize)]) -> Result<Pruned> {
        let mut graph = self.module.graph.clone();
        surgery::apply(&mut graph, &self.coupling, &plan)?;
        self.finished(graph, plan, dims)
    }

    /// The model around a graph that was cut.
    pub(crate) fn finished(&self, graph: Graph, plan: Plan, dims: &[(String, usize)]) -> Result<Pruned> {
        let mut module = self.module.clone();
        module.graph = graph;
        secateur_passes::finish(&mut module.graph)?;
        let bound = bound(&module.graph, dims)?;
        let (mut cycles, mut latency) = (None, None);
        if let (Some(clock), Some(before)) = (&self.clock, self.original.cycles) {
            let after = clock.total(&module.graph, dims)?;
            (cycles, latency) = (Some(after), Some(Latency::new(clock, before, after)));
        }
        let macs = self.costs.of(&plan.lens(&self.coupling)).macs;
        let costs = Costs { macs, cycles, ..parameters(&module.graph) };
        Ok(Pruned { layers: layers(&bound), costs, latency, plan, module, quantized: None })
    }
}

/// The whole way from a model to a smaller one.
///
/// # Errors
/// As [`analyze`], [`Analyzed::plan`] and [`Analyzed::cut`].
pub fn prune(module: Module, request: &Request) -> Result<(Analyzed, Pruned)> {
    let analyzed = analyze(module, request)?;
    let plan = analyzed.plan(request)?;
    let pruned = analyzed.cut(plan, &request.dims)?;
    Ok((analyzed, pruned))
}
