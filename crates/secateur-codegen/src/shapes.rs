//! Before lowering: the batch becomes a loop, every other size a number.

use secateur_diag::{Code, Result, diag};
use secateur_ir::{Dim, Graph, ValueId};
use secateur_ops::infer;

/// A size without a name goes by input and axis, `x.2`.
fn spelled(symbol: &str) -> &str {
    symbol.trim_start_matches('?')
}

/// Fixes all sizes; the symbol of the batch becomes 1 and its name is returned. Inputs of the graph whose first axis
/// is that symbol, and whose symbol is not given in `dims`, are fed one sample at a time.
///
/// # Errors
/// [`Code::C002`] for sizes that are not given, [`Code::C003`] where samples of a batch meet, P003 for a size that no
/// input has.
pub fn fix(graph: &mut Graph, dims: &[(String, usize)]) -> Result<Option<String>> {
    secateur_passes::simplify(graph, &mut Default::default())?;
    let known = secateur_ir::input_symbols(graph);
    let inner = |n: &str| {
        let shapes = graph.value_ids().filter_map(|v| graph.shape(v));
        shapes.flatten().flat_map(Dim::symbols).any(|s| &**s == n)
    };
    if let Some((name, _)) =
        dims.iter().find(|(n, _)| !known.iter().any(|k| k == n || spelled(k) == n) && !inner(n))
    {
        let known: Vec<&str> = known.iter().map(|k| spelled(k)).collect();
        return Err(diag(Code::P003, format!("no input of the model has a dimension called {name}"))
            .at("known", if known.is_empty() { "none".into() } else { known.join(", ") }));
    }
    let given = |s: &str| dims.iter().find(|(n, _)| n == s || n == spelled(s)).map(|(_, k)| *k);
    infer::bind(graph, &given)?;
    secateur_passes::simplify(graph, &mut Default::default())?;
    let batch = batch_symbol(graph)?;
    if let Some(b) = &batch {
        independent(graph, b)?;
    }
    let open: Vec<String> = secateur_ir::input_symbols(graph)
        .into_iter()
        .filter(|s| Some(s) != batch.as_ref())
        .map(|s| spelled(&s).to_owned())
        .collect();
    if !open.is_empty() {
        let options: Vec<String> = open.iter().map(|n| format!("--dim {n}=SIZE")).collect();
        return Err(diag(Code::C002, format!("the size of {} is not fixed", open.join(", ")))
            .help(format!("give {}", options.join(" "))));
    }
    infer::bind(graph, &|s| batch.as_deref().is_some_and(|b| b == s).then_some(1))?;
    secateur_passes::simplify(graph, &mut Default::default())?;
    Ok(batch)
}

/// The symbol that every input's first axis is.
fn batch_symbol(graph: &Graph) -> Result<Option<String>> {
    let firsts: Vec<Option<&Dim>> = graph.data_inputs().map(|v| graph.shape(v)?.first()).collect();
    let symbol = |d: &Dim| match (d.coefficient(), d.symbols()) {
        (1, [s]) => Some(s.to_string()),
        _ => None,
    };
    let Some(first) = firsts.first().copied().flatten().and_then(symbol) else { return Ok(None) };
    match firsts.iter().all(|d| d.and_then(symbol).as_ref() == Some(&first)) {
        true => Ok(Some(first)),
        false => {
            Err(diag(Code::C002, format!("only some inputs have the batch dimension {}", spelled(&first)))
                .help(format!("give --dim {}=1", spelled(&first))))
        }
    }
}

/// Every value that hangs on the inputs must keep the batch as an axis of its own, and no operator may reach across it.
fn independent(graph: &Graph, batch: &str) -> Result<()> {
    let mut live = vec![false; graph.value_count()];
    graph.data_inputs().for_each(|v| live[v.index()] = true);
    let count = |v: ValueId| {
        let shape = graph.shape(v)?;
        Some(shape.iter().map(|d| d.symbols().iter().filter(|s| &***s == batch).count()).sum::<usize>())
    };
    let mixed = |why: &str| diag(Code::C003, format!("samples of a batch are not independent: {why}"));
    let fix = format!("compile for a fixed batch: --dim {}=1", spelled(batch));
    for node in &graph.nodes {
        if !node.inputs.iter().flatten().any(|v| live[v.index()]) || node.is("Shape") || node.is("Size") {
            continue;
        }
        let place = |e| secateur_ir::place(e, graph, node).help(fix.clone());
        for &v in node.outputs.iter().flatten() {
            // Arithmetic on sizes is known at compile time, once they are.
            if graph.value(v).ints.is_some() {
                continue;
            }
            live[v.index()] = true;
            if count(v).is_some_and(|n| n != 1) {
                return Err(place(mixed("the batch is not an axis of the result")));
            }
        }
        let along = |axis: usize| {
            let shape = node.input(0).and_then(|v| graph.shape(v));
            shape.and_then(|s| s.get(axis)).is_some_and(|d| d.symbols().iter().any(|s| &**s == batch))
        };
        let rank = node.input(0).and_then(|v| graph.shape(v)).map_or(0, <[Dim]>::len);
        let axis = match node.op() {
            "Softmax" | "LogSoftmax" | "LayerNormalization" => {
                Some(node.int_or("axis", if graph.opset("") < 13 && node.is("Softmax") { 1 } else { -1 })?)
            }
            "CumSum" | "TopK" => Some(0),
            _ => None,
        };
        if let Some(axis) = axis.and_then(|a| secateur_ir::norm_axis(a, rank).ok())
            && along(axis)
        {
            return Err(place(mixed("the operator works along the batch")));
        }
    }
    Ok(())
}
