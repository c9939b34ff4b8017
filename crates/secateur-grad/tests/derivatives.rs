//! Every operator's derivative against differences of its values.

use secateur_grad::{Array, Facts, Program};
use secateur_ir::{Graph, ValueId, parse};
use secateur_ops::infer;

fn graph(opset: i64, data: &str, body: &str) -> Graph {
    let text = format!(
        "graph g opset(\"\"={opset}) (%z: f32[1]) -> (%y) {{
            @x: f32{data} = rand(1)
            {body}
        }}"
    );
    let mut g = parse::graph(&text).unwrap_or_else(|e| panic!("{text}\n{e:?}"));
    infer(&mut g).unwrap();
    g
}

fn facts(g: &Graph) -> Facts {
    let size = |v: &ValueId| Some((*v, g.shape(*v)?.iter().map(|d| d.size()).collect::<Option<Vec<_>>>()?));
    Facts { shapes: g.value_ids().filter_map(|v| size(&v)).collect(), ..Facts::default() }
}

fn noise(like: &Array, seed: u64) -> Array {
    let t = secateur_ir::Tensor::uniform(&[like.len()], seed);
    Array::new(&like.shape, t.to_f32().unwrap())
}

fn dot(a: &Array, b: &Array) -> f64 {
    a.data.iter().zip(b.data.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Compares the derivative by each parameter, along a random direction, with a difference of values.
fn check(g: &Graph, what: &str) {
    let y = g.outputs[0];
    let params: Vec<ValueId> = g
        .value_ids()
        .filter(|v| g.init(*v).is_some_and(|t| t.elem == secateur_ir::ElemType::F32))
        .filter(|v| !g.value(*v).name.starts_with('k'))
        .collect();
    let program = Program::new(g, &facts(g), &params, &[y]).unwrap_or_else(|r| panic!("{what}: {r:?}"));
    let at: Vec<Array> = program.params().iter().map(|p| program.param(*p).unwrap().clone()).collect();
    assert_eq!(at.len(), params.len(), "{what}: some parameters have no part");
    let run = program.forward(&[], &at, true).unwrap();
    let by = noise(run.get(y).unwrap(), 77);
    let grads = program.backward(run, vec![(y, by.clone())]).unwrap();
    for (k, g) in grads.iter().enumerate() {
        let direction = noise(&at[k], 99 + k as u64);
        let value = |step: f32| {
            let mut moved = at.clone();
            let data = at[k].data.iter().zip(direction.data.iter()).map(|(a, d)| a + step * d).collect();
            moved[k] = Array::new(&at[k].shape, data);
            dot(program.forward(&[], &moved, false).unwrap().get(y).unwrap(), &by)
        };
        let step = 3e-4;
        let want = (value(step) - value(-step)) / f64::from(2.0 * step);
        let have = dot(g, &direction);
        let scale = (dot(g, g) * dot(&direction, &direction)).sqrt();
        assert!(scale > 0.0, "{what}: parameter {k} has no derivative");
        assert!((want - have).abs() < 4e-3 * scale, "{what}: parameter {k}: {have} for {want} (of {scale})");
    }
}

#[test]
fn functions_of_one_element() {
    for op in [
        "Relu(@x)",
        "LeakyRelu(@x) {alpha=0.3}",
        "Elu(@x)",
        "HardSigmoid(@x) {alpha=0.3, beta=0.4}",
        "HardSwish(@x)",
        "Sigmoid(@x)",
        "Tanh(@x)",
        "Erf(@x)",
        "Exp(@x)",
        "Neg(@x)",
        "Abs(@x)",
        "Softplus(@x)",
    ] {
        check(&graph(17, "[2,30]", &format!("%y: ? = {op}")), op);
    }
    check(&graph(20, "[2,30]", "%y: ? = Gelu(@x)"), "Gelu");
    check(
        &graph(17, "[2,30]", "@kl: f32[] = [-0.3]\n@kh: f32[] = [0.4]\n%y: ? = Clip(@x, @kl, @kh)"),
        "Clip",
    );
    // Where they are defined: on squares.
    for op in ["Log(%s)", "Sqrt(%s)", "Reciprocal(%s)", "Pow(%s, @ke)"] {
        let body = format!(
            "@ke: f32[] = [1.5]\n@k1: f32[] = [0.5]\n%q: ? = Mul(@x, @x)\n%s: ? = Add(%q, @k1)\n%y: ? = {op}"
        );
        check(&graph(17, "[2,30]", &body), op);
    }
    check(&graph(17, "[2,30]", "@ke: f32[] = [2]\n%y: ? = Pow(@x, @ke)"), "square");
}

#[test]
fn arithmetic_broadcasts() {
    for shape in ["[2,3,4]", "[3,1]", "[4]", "[1,3,4]", "[2,1,1]", "[]"] {
        for op in ["Add", "Sub", "Mul"] {
            let body = format!("@w: f32{shape} = rand(2)\n%y: ? = {op}(@x, @w)");
            check(&graph(17, "[2,3,4]", &body), &format!("{op} {shape}"));
        }
    }
    let body = "@w: f32[3,1] = rand(2)\n@k: f32[] = [2]\n%s: ? = Add(@w, @k)\n%y: ? = Div(@x, %s)";
    check(&graph(17, "[2,3,4]", body), "Div");
    check(&graph(17, "[2,3,4]", "%y: ? = Mul(@x, @x)"), "the same twice");
}

#[test]
fn convolutions() {
    for (w, attributes) in [
        ("[4,6,3,3]", "pads=[1,1,1,1]"),
        ("[4,6,1,1]", ""),
        ("[4,6,1,1]", "strides=[2,2]"),
        ("[4,6,3,2]", "pads=[1,0,0,1], strides=[2,1]"),
        ("[4,6,3,3]", "pads=[2,2,2,2], dilations=[2,2]"),
        ("[4,3,3,3]", "pads=[1,1,1,1], group=2"),
        ("[6,1,3,3]", "pads=[1,1,1,1], group=6"),
        ("[12,1,3,3]", "pads=[1,1,1,1], group=6, strides=[2,2]"),
        ("[4,6,5,5]", "auto_pad=\"SAME_UPPER\", strides=[2,2]"),
        ("[4,6,3,3]", ""),
        ("[4,6,3,3]", "pads=[3,3,3,3]"),
        ("[4,6,3,3]", "pads=[2,1,2,1], strides=[3,2], dilations=[2,1]"),
        ("[4,6,1,5]", "pads=[0,2,0,2], strides=[3,1]"),
        ("[6,1,3,3]", "pads=[0,0,2,2], group=6"),
        ("[6,1,5,5]", "pads=[2,2,2,2], group=6"),
    ] {
        let body = |bias: &str| format!("@w: f32{w} = rand(2)\n%y: ? = Conv(@x, @w{bias}) {{{attributes}}}");
        check(&graph(17, "[2,6,7,8]", &body("")), attributes);
        let out = w[1..].split(',').next().unwrap();
        let with = format!("@b: f32[{out}] = rand(3)\n{}", body(", @b"));
        check(&graph(17, "[2,6,7,8]", &with), attributes);
    }
    check(&graph(17, "[2,3,9]", "@w: f32[4,3,3] = rand(2)\n%y: ? = Conv(@x, @w) {pads=[1,1]}"), "one axis");
    for (w, attributes) in [
        ("[6,4,2,2]", "strides=[2,2]"),
        ("[6,4,3,3]", "pads=[1,1,1,1]"),
        ("[6,2,3,3]", "group=2, strides=[2,1], pads=[0,1,1,0]"),
        ("[6,1,3,3]", "group=6"),
        ("[6,1,3,3]", "group=6, strides=[2,2], pads=[1,1,1,1]"),
    ] {
        let body = format!("@w: f32{w} = rand(2)\n%y: ? = ConvTranspose(@x, @w) {{{attributes}}}");
        check(&graph(17, "[2,6,4,5]", &body), &format!("transposed {attributes}"));
    }
}

#[test]
fn products() {
    for (x, w) in
        [("[4,6]", "[6,5]"), ("[2,3,4,6]", "[6,5]"), ("[2,3,4,6]", "[2,3,6,5]"), ("[4,6]", "[3,6,5]")]
    {
        check(&graph(17, x, &format!("@w: f32{w} = rand(2)\n%y: ? = MatMul(@x, @w)")), w);
    }
    for (w, attributes) in [("[6,5]", ""), ("[5,6]", "transB=1"), ("[6,5]", "alpha=0.5, beta=2.0")] {
        for c in ["[5]", "[4,1]", "[4,5]"] {
            let body = format!(
                "@w: f32{w} = rand(2)\n@c: f32{c} = rand(3)\n%y: ? = Gemm(@x, @w, @c) {{{attributes}}}"
            );
            check(&graph(17, "[4,6]", &body), attributes);
        }
    }
    check(&graph(17, "[6,4]", "@w: f32[6,5] = rand(2)\n%y: ? = Gemm(@x, @w) {transA=1}"), "transA");
}

#[test]
fn pools_and_reductions() {
    for op in [
        "AveragePool(@x) {kernel_shape=[2,2], strides=[2,2]}",
        "AveragePool(@x) {kernel_shape=[3,3], pads=[1,1,1,1]}",
        "AveragePool(@x) {kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1, strides=[2,2]}",
        "MaxPool(@x) {kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]}",
        "GlobalAveragePool(@x)",
        "GlobalMaxPool(@x)",
        "ReduceMean(@x) {axes=[2,3], keepdims=0}",
        "ReduceMean(@x) {axes=[1]}",
        "ReduceMean(@x)",
    ] {
        check(&graph(17, "[2,3,7,9]", &format!("%y: ? = {op}")), op);
    }
    let body = "@a: i64[2] = [-1, 0]\n%y: ? = ReduceSum(@x, @a) {keepdims=0}";
    check(&graph(17, "[2,3,7,9]", body), "ReduceSum");
}

#[test]
fn normalizations() {
    let body = "@s: f32[3] = rand(2)\n@b: f32[3] = rand(3)\n@km: f32[3] = [0.1, -0.2, 0.3]
        @kv: f32[3] = [0.5, 1, 2]\n%y: ? = BatchNormalization(@x, @s, @b, @km, @kv)";
    check(&graph(17, "[2,3,4,5]", body), "BatchNormalization");
    let body = "@s: f32[20] = rand(2)\n@b: f32[20] = rand(3)\n%y: ? = LayerNormalization(@x, @s, @b)";
    check(&graph(17, "[2,3,20]", body), "LayerNormalization");
    check(&graph(17, "[2,3,7]", "%y: ? = Softmax(@x)"), "Softmax");
    check(&graph(11, "[2,3,7]", "%y: ? = Softmax(@x)"), "Softmax over all axes but the first");
}

#[test]
fn moves() {
    for (what, body) in [
        ("Reshape", "@s: i64[2] = [0, -1]\n%y: ? = Reshape(@x, @s)"),
        ("Flatten", "%y: ? = Flatten(@x) {axis=2}"),
        ("Unsqueeze", "@a: i64[1] = [1]\n%y: ? = Unsqueeze(@x, @a)"),
        ("Transpose", "%y: ? = Transpose(@x) {perm=[2,0,1]}"),
        (
            "Slice",
            "@s: i64[2] = [1, -1]\n@e: i64[2] = [4, -10]\n@a: i64[2] = [1, 2]\n@t: i64[2] = [2, -2]
            %y: ? = Slice(@x, @s, @e, @a, @t)",
        ),
        ("Split", "%a: ?, %b: ? = Split(@x) {axis=1}\n%y: ? = Mul(%a, %b)"),
        ("one half of Split", "%a: ?, %b: ? = Split(@x) {axis=1}\n%y: ? = Neg(%b)"),
        ("Gather", "@i: i64[2,2] = [0, -1, 2, 0]\n%y: ? = Gather(@x, @i) {axis=1}"),
        ("Pad", "@p: i64[6] = [0, 1, 0, 2, -1, 1]\n%y: ? = Pad(@x, @p)"),
        ("Expand", "@s: i64[4] = [2, 2, 4, 5]\n%y: ? = Expand(@x, @s)"),
        ("Concat", "@w: f32[2,3,5] = rand(2)\n%y: ? = Concat(@x, @w, @x) {axis=1}"),
    ] {
        check(&graph(17, "[2,4,5]", body), what);
    }
}

#[test]
fn what_has_no_derivative_is_refused_by_name() {
    let refused = |body: &str| {
        let g = graph(17, "[2,4,5]", body);
        let x = g.find("x").unwrap();
        Program::new(&g, &facts(&g), &[x], &[g.outputs[0]]).err().map(|r| (r.node, r.op))
    };
    assert_eq!(refused("%a: ? = Relu(@x)\n%y: ? = Sin(%a)"), Some((1, "Sin".into())));
    assert_eq!(
        refused("@s: f32[5] = rand(1)\n%y: ? = LpNormalization(@x)"),
        Some((0, "LpNormalization".into()))
    );
    // An index that is an answer to the data is not a constant.
    let g = parse::graph(
        "graph g opset(\"\"=17) (%z: f32[3]) -> (%y) {
            @x: f32[4,5] = rand(1)
            %i: ? = ArgMax(%z)
            %y: ? = Gather(@x, %i)
        }",
    );
    let mut g = g.unwrap();
    infer(&mut g).unwrap();
    let mut f = facts(&g);
    f.ints.insert(g.find("i").unwrap(), vec![1]);
    let x = g.find("x").unwrap();
    assert!(Program::new(&g, &f, &[x], &[g.outputs[0]]).is_err_and(|r| r.op == "Gather"));
}

#[test]
fn resampling() {
    for mode in [
        "mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\", nearest_mode=\"floor\"",
        "mode=\"nearest\"",
        "mode=\"nearest\", nearest_mode=\"ceil\", coordinate_transformation_mode=\"align_corners\"",
        "mode=\"linear\"",
        "mode=\"linear\", coordinate_transformation_mode=\"align_corners\"",
        "mode=\"linear\", coordinate_transformation_mode=\"pytorch_half_pixel\"",
    ] {
        for scales in ["[1.0, 1.0, 2.0, 1.5]", "[1.0, 1.0, 0.5, 3.0]"] {
            let body = format!("@ks: f32[4] = {scales}\n%y: ? = Resize(@x, _, @ks) {{{mode}}}");
            check(&graph(17, "[2,3,4,6]", &body), &format!("{mode} {scales}"));
        }
    }
}
