//! Thousands of damaged models through the whole pipeline: every one is pruned or refused with a code, none panics,
//! and where both graphs still run, what was cut equals what was masked.

use secateur::{Request, analyze};
use secateur_diag::Code;
use secateur_ir::{Module, parse};
use secateur_onnx::{Model, proto::GraphProto};
use secateur_ops::infer;
use secateur_oracle::Oracle as Executor;
use secateur_prune::{Amount, Budget, Criterion, Limit, Scope, Selection};
use secateur_tensor::Tensor;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.roll(items.len()))
    }
}

/// Numbers that break things.
const NUMBERS: [i64; 14] = [0, 1, -1, 2, 3, 4, 5, 7, 8, -3, 64, 1 << 31, i64::MAX, i64::MIN];

/// Changes one thing.
fn damage(g: &mut GraphProto, d: &mut Dice) {
    let number = NUMBERS[d.roll(NUMBERS.len())];
    let names: Vec<String> = g
        .node
        .iter()
        .flat_map(|n| n.output.clone())
        .chain(g.initializer.iter().map(|t| t.name().to_owned()))
        .collect();
    let n = d.roll(g.node.len());
    let i = d.roll(g.initializer.len());
    match d.roll(10) {
        0 => {
            // These make not-a-number, which a mask of zeros does not stop.
            let gaps = ["Acos", "Acosh", "Asin", "Atanh", "Log", "Sqrt", "Pow"];
            let all: Vec<&str> = secateur_ops::all().map(|o| o.name).filter(|o| !gaps.contains(o)).collect();
            g.node[n].op_type = d.of(&all).map(|o| (*o).to_owned());
        }
        1 | 2 => {
            let k = d.roll(g.node[n].input.len());
            if let Some(input) = g.node[n].input.get_mut(k) {
                *input = d.of(&names).cloned().unwrap_or_default();
            }
        }
        3 => {
            let k = d.roll(g.node[n].input.len() + 1);
            g.node[n].input.truncate(k);
        }
        4 | 5 => {
            let k = d.roll(g.node[n].attribute.len());
            if let Some(a) = g.node[n].attribute.get_mut(k) {
                match d.roll(3) {
                    0 => a.i = Some(number),
                    1 => a.ints.push(number),
                    _ => {
                        let k = d.roll(a.ints.len());
                        if let Some(x) = a.ints.get_mut(k) {
                            *x = number;
                        }
                    }
                }
            }
        }
        6 => {
            // Sizes change places, so that the data still fit.
            let dims = &mut g.initializer[i].dims;
            let (a, b) = (d.roll(dims.len()), d.roll(dims.len()));
            if !dims.is_empty() {
                dims.swap(a, b);
            }
        }
        7 => {
            let dims = &mut g.initializer[i].dims;
            match d.roll(3) {
                0 => dims.insert(0, 1),
                1 => dims.push(1),
                _ => *dims = vec![dims.iter().product()],
            }
        }
        8 => {
            // Integers are sizes, axes, starts.
            if let Some(t) = g.initializer.iter_mut().find(|t| t.data_type() == 7) {
                let mut raw = t.raw_data().to_vec();
                let k = d.roll(raw.len() / 8);
                if let Some(slot) = raw.chunks_exact_mut(8).nth(k) {
                    slot.copy_from_slice(&number.to_le_bytes());
                }
                t.raw_data = Some(raw.into());
            }
        }
        _ => {
            let k = d.roll(g.output.len());
            if let Some(name) = d.of(&names) {
                g.output[k].name = Some(name.clone());
                g.output[k].r#type = None;
            }
        }
    }
}

fn outputs(m: &Module) -> Option<Vec<f32>> {
    // Damaged sizes may ask for more memory than there is.
    let small = |v| {
        m.graph.shape(v).is_none_or(|s| {
            s.iter()
                .try_fold(1usize, |n, d| n.checked_mul(d.size().unwrap_or(2)))
                .is_some_and(|n| n < 1 << 18)
        })
    };
    if !m.graph.value_ids().all(small) {
        return None;
    }
    let input = m.graph.data_inputs().next()?;
    let shape: Vec<usize> = m.graph.shape(input)?.iter().map(|d| d.size().unwrap_or(2)).collect();
    let values = secateur_ir::Tensor::uniform(&shape, 99).to_f32()?;
    let e = Executor::from_bytes(&m.export().0.encode()).ok()?;
    let out = e.run(&[(m.graph.value(input).name.as_str(), Tensor::of(&shape, values))]).ok()?;
    out.first()?.1.slice::<f32>().map(<[f32]>::to_vec)
}

/// Whether the damaged model was pruned, and whether both graphs ran.
///
/// # Errors
/// What went wrong.
fn attempt(model: Model, percent: f64) -> Result<(bool, bool), String> {
    let request = Request {
        budget: Budget { limits: vec![(Limit::Params, Amount::Share(percent))] },
        criterion: Criterion::Random(5),
        scope: Scope::Global,
        selection: Selection { min_keep: 1, round_to: 1, force: true, ..Selection::default() },
        pins: Vec::new(),
        dims: Vec::new(),
        keep_batchnorm: false,
        clock: None,
    };
    let encoded = Model::from_bytes(model.encode(), None);
    let pruned = encoded.and_then(Module::import).and_then(|m| {
        let a = analyze(m, &request)?;
        let plan = a.plan(&request)?;
        let masked = a.masked(&plan);
        Ok((masked, a.cut(plan, &[])?))
    });
    let (masked, cut) = match pruned {
        Ok(p) => p,
        Err(e) => {
            // Operators that cannot follow and shapes that come out otherwise are faults of a rule.
            return match e.code {
                Code::P004 | Code::S003 | Code::G005 => Err(e.to_string()),
                _ => Ok((false, false)),
            };
        }
    };
    let (Some(a), Some(b)) = (outputs(&masked), outputs(&cut.module)) else { return Ok((true, false)) };
    if a.len() != b.len() {
        return Err(format!("{} and {} outputs", a.len(), b.len()));
    }
    // Not-a-number times a masked 0 is not-a-number still.
    if a.iter().chain(&b).any(|v| !v.is_finite()) {
        return Ok((true, false));
    }
    let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let error = a.iter().zip(&b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    match error <= 1e-4 * largest {
        true => Ok((true, true)),
        false => Err(format!("cut and masked differ by {error:e} of {largest:e}")),
    }
}

#[test]
fn damaged_models_are_pruned_or_refused() {
    let (mut tried, mut pruned, mut ran, mut faults) = (0, 0, 0, Vec::new());
    insta::glob!("filetests/*.ir", |path| {
        let mut graph = parse::graph(&std::fs::read_to_string(path).unwrap()).unwrap();
        infer(&mut graph).unwrap();
        let (proto, extras, files) = Module::from_graph(graph).export().0.into_parts();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for seed in 0..200 {
            let mut dice = Dice(seed);
            let mut proto = proto.clone();
            let g = proto.graph.as_mut().unwrap();
            for _ in 0..=dice.roll(3) {
                damage(g, &mut dice);
            }
            let share = [0.4, 0.7, 0.9][dice.roll(3)];
            let model = Model::from_parts(proto, extras.clone(), files.clone());
            tried += 1;
            match attempt(model, share) {
                Ok((p, r)) => (pruned, ran) = (pruned + usize::from(p), ran + usize::from(r)),
                Err(e) => faults.push(format!("{name}, seed {seed}: {e}")),
            }
        }
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    println!("{tried} models: {pruned} pruned, {ran} of them ran");
    assert!(pruned > tried / 5 && ran > tried / 10, "{tried} models: {pruned} pruned, {ran} ran");
}
