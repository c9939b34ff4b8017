//! What a step computes: operators of the lowered program.
//!
//! Axes in front of those that an operator names must have size 1 or are looped over ("leading").

use crate::unary::Unary;

/// What a step computes. `x`, `y`, .. are its inputs in order, all in the output's shape unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The first input as it is; any strides.
    Copy,
    /// Every element is this number; no input.
    Fill(f32),
    /// A chain of functions of one number, first to last.
    Map(Vec<Unary>),
    /// A function of two numbers, then a chain of functions of one.
    Binary(Binary, Vec<Unary>),
    /// `x·y + z`, then a chain of functions.
    MulAdd(Vec<Unary>),
    /// Where the first input is not 0 the second, else the third.
    Select,
    /// Convolution. `x: [C,H,W]`, weights and bias inside, then the residual where there is one. Output `[O,H',W']`.
    Conv(Box<Conv>),
    /// Transposed convolution, the same operands.
    ConvTranspose(Box<Conv>),
    /// `x: [..,M,K]`, `y: [..,K,N]` (leading axes broadcast), then what is added, in the output's shape.
    MatMul(MatMul),
    /// Windows over `x: [C,H,W]`.
    Pool(Pool),
    /// Over the axes where the output's size is 1 and the input's is not, then a chain of functions.
    Reduce(Reduce, Vec<Unary>),
    /// Along the last axis.
    Softmax {
        /// Logarithm of the result.
        log: bool,
    },
    /// Over the last axis: mean and variance are taken out; then the second input times, the third added (both in the
    /// output's shape, repeated by strides).
    Norm {
        /// Added to the variance.
        epsilon: f32,
        /// Whether only the root mean square is divided by.
        rms: bool,
    },
    /// `x: [C,H,W]` resampled to the output's size.
    Resize(Resize),
    /// Rows of `x: [R,L]` by the numbers in the second input `[I]`; output `[I,L]`. Negative numbers count from the end.
    Gather,
    /// Along the last axis (size 1 in the output): the place of the largest or smallest number.
    ArgReduce {
        /// Largest, else smallest.
        max: bool,
        /// The last of equal ones.
        last: bool,
    },
    /// The part of a recurrent layer that hangs on the state, one direction. `x: [T,gates·H]` is the product of the
    /// input and the weights with all biases that are added to it; then the initial state `[H]` (and the cell's for
    /// LSTM) where there is one. Output `[T,H]`.
    Recurrent(Box<Recurrent>),
    /// `x`'s runs along the last axis, summed up.
    CumSum {
        /// Without the element itself.
        exclusive: bool,
        /// From the end.
        reverse: bool,
    },
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // named as in ONNX
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Pow,
    PRelu,
    Mod,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A convolution with its constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `[O, C/groups, KH, KW]`; for the transposed one `[C, O/groups, KH, KW]`.
    pub weights: Vec<f32>,
    /// One number each output channel; empty for none.
    pub bias: Vec<f32>,
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Down and right.
    pub strides: [usize; 2],
    /// Down and right.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// A second input in the output's shape is added before `chain`.
    pub residual: bool,
    /// Functions of each result, first to last.
    pub chain: Vec<Unary>,
}

/// A matrix product.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// The product is multiplied by this.
    pub alpha: f32,
    /// A third input, in the output's shape, is added.
    pub add: bool,
    /// Functions of each result, first to last.
    pub chain: Vec<Unary>,
}

/// Pooling over windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Largest element, else the mean.
    pub max: bool,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Down and right.
    pub strides: [usize; 2],
    /// Down and right.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Zeros of the padding count in the mean.
    pub count_pad: bool,
}

/// A reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in ONNX
pub enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    SumSquare,
    L1,
    L2,
}

/// Resampling.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// Nearest element, else linear between neighbours.
    pub nearest: bool,
    /// For each output row: the input rows and their weights.
    pub rows: Vec<Taps>,
    /// For each output column: the input columns and their weights.
    pub columns: Vec<Taps>,
}

/// Two input places and the second one's weight; the first one's is one minus that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taps {
    /// First place.
    pub low: usize,
    /// Second place.
    pub high: usize,
    /// Weight of the second place.
    pub weight: f32,
}

/// A recurrent layer with its constants, in ONNX's order of gates.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// Which cell.
    pub cell: Cell,
    /// Size of the hidden state.
    pub hidden: usize,
    /// `[gates·H, H]`.
    pub recurrence: Vec<f32>,
    /// For GRU with `linear_before_reset`: `[H]`, added to the product of state and weights before the reset.
    pub bias: Vec<f32>,
    /// From the end.
    pub reverse: bool,
    /// For GRU: the reset gate is applied after the product.
    pub linear_before_reset: bool,
    /// The initial state is an input, else zero.
    pub initial: bool,
}

/// A recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in ONNX
pub enum Cell {
    Rnn,
    Gru,
    Lstm,
}

impl Cell {
    /// Rows of weights for each hidden unit.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }
}
