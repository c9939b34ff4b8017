//! The code of one small kernel of each family that is not a convolution. It is the same for every core.

use secateur_neon::{
    Activation, ArgMax, Base, Binary, Cell, ConvTranspose, Core, Element, GatherRows, KernelSpec, Map,
    MatMul, Norm, Planes, Pool, Pooling, Program, Recurrent, Reduce, Reduction, Resize, Sampling, Softmax,
    Strided, Unary, WindowAxis, listing,
};

fn specs() -> Vec<(&'static str, KernelSpec)> {
    let output = |steps: &[isize]| Strided::f32(Base::Output, 0, steps);
    let input = |n: u8, steps: &[isize]| Strided::f32(Base::Input(n), 0, steps);
    let planes = Planes::dense(2, 6, 8);
    let half = WindowAxis { kernel: 2, stride: 2, dilation: 1, before: 0, after: 0 };
    let repeat = |n: usize| Sampling::Nearest((0..2 * n).map(|i| i / 2).collect());
    vec![
        (
            "map",
            Map {
                extents: vec![8, 16],
                output: output(&[16, 1]),
                inputs: vec![input(0, &[16, 1]), input(1, &[1, 0])],
                program: Program::binary(Binary::Mul),
            }
            .into(),
        ),
        (
            "sigmoid",
            Map {
                extents: vec![32],
                output: output(&[1]),
                inputs: vec![input(0, &[1])],
                program: Program::unary(Unary::Activation(Activation::Sigmoid)),
            }
            .into(),
        ),
        (
            "reduce",
            Reduce {
                kept: vec![4],
                reduced: vec![18],
                output: output(&[1]),
                input: input(0, &[18, 1]),
                reduction: Reduction::Max,
                before: Program::copy(),
                after: Program::copy(),
            }
            .into(),
        ),
        (
            "softmax",
            Softmax {
                outer: vec![3],
                axis: 10,
                output: output(&[10, 1]),
                input: input(0, &[10, 1]),
                log: false,
            }
            .into(),
        ),
        (
            "norm",
            Norm {
                outer: vec![3],
                axes: vec![16],
                output: output(&[16, 1]),
                input: input(0, &[16, 1]),
                scale: Some(Strided::f32(Base::Constants, 0, &[0, 1])),
                bias: Some(Strided::f32(Base::Constants, 16, &[0, 1])),
                epsilon: 1e-5,
                center: true,
            }
            .into(),
        ),
        (
            "matmul",
            MatMul {
                batch: vec![],
                rows: 4,
                columns: 16,
                inner: 12,
                a: input(0, &[12, 1]),
                b: input(1, &[16, 1]),
                output: output(&[16, 1]),
                add: None,
                after: Program::copy(),
            }
            .into(),
        ),
        (
            "argmax",
            ArgMax {
                outer: vec![2],
                axis: 5,
                output: Strided { element: Element::I64, ..output(&[1]) },
                input: input(0, &[5, 1]),
                smallest: false,
                last: false,
            }
            .into(),
        ),
        (
            "rnn",
            Recurrent {
                cell: Cell::Rnn,
                steps: 3,
                hidden: 8,
                input_row: 8,
                output_row: 8,
                reverse: false,
                initial: false,
            }
            .into(),
        ),
        (
            "conv_transpose",
            ConvTranspose {
                input: Planes::dense(2, 3, 4),
                output: planes,
                rows: half,
                columns: half,
                groups: 1,
                bias: true,
                activation: Activation::None,
            }
            .into(),
        ),
        (
            "pool",
            Pool {
                input: planes,
                output: Planes::dense(2, 3, 4),
                rows: half,
                columns: half,
                pooling: Pooling::Average,
            }
            .into(),
        ),
        (
            "resize",
            Resize { input: planes, output: Planes::dense(2, 12, 16), rows: repeat(6), columns: repeat(8) }
                .into(),
        ),
        ("gather", GatherRows { count: 4, rows: 10, width: 8, index: Element::I64 }.into()),
    ]
}

#[test]
fn listings() {
    for (name, spec) in specs() {
        let [a53, a72, a76] = Core::ALL.map(|core| spec.generate(core).unwrap());
        assert!(a53 == a72 && a72 == a76, "{name}: show one listing for each core");
        insta::assert_snapshot!(name, listing(&a53));
    }
}

/// Names are for symbols: letters, digits and underscores, different for different specifications.
#[test]
fn symbols() {
    let symbols: Vec<String> = specs().iter().map(|(_, s)| s.symbol(Core::A53)).collect();
    for (i, symbol) in symbols.iter().enumerate() {
        assert!(symbol.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{symbol}");
        assert!(!symbols[..i].contains(symbol));
    }
}
