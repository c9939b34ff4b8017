//! What kernels are asked for: shapes in memory, activations, and the enumeration of all families.

use crate::code::{Code, Unsupported};

/// The core that code is scheduled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Core {
    /// Cortex-A53: in order, two issues (Raspberry Pi 3, Zero 2 W).
    A53,
    /// Cortex-A72: out of order, one 128-bit multiply-add a cycle (Raspberry Pi 4).
    A72,
    /// Cortex-A76: out of order, two 128-bit multiply-adds a cycle (Raspberry Pi 5).
    A76,
}

impl Core {
    /// All cores.
    pub const ALL: [Core; 3] = [Core::A53, Core::A72, Core::A76];

    /// From the `core` entry of a target.
    pub fn from_name(name: &str) -> Option<Core> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// As targets, QEMU and LLVM name it.
    pub fn name(self) -> &'static str {
        match self {
            Core::A53 => "cortex-a53",
            Core::A72 => "cortex-a72",
            Core::A76 => "cortex-a76",
        }
    }
}

/// A planar f32 image of one sample in memory: element (c, y, x) is at float index
/// `origin + c * plane + y * row + x` from its pointer. A padded plane has `row > width` and a border of zeros that the
/// memory plan guarantees; kernels read it and never write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planes {
    /// Channels.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Floats from row to row.
    pub row: usize,
    /// Floats from channel to channel.
    pub plane: usize,
    /// Floats before element (0, 0, 0); what lies before it belongs to the image as well.
    pub origin: usize,
}

impl Planes {
    /// Without borders or gaps.
    pub fn dense(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, row: width, plane: height * width, origin: 0 }
    }

    /// With borders: `border` rows above and below, `border` pixels right of each row, which are the left border of
    /// the next row as well (so `row = width + border`), and `border` pixels before the first and after the last row.
    pub fn padded(channels: usize, height: usize, width: usize, border: usize) -> Self {
        let row = width + border;
        let plane = (height + 2 * border) * row + border;
        Self { channels, height, width, row, plane, origin: border * row + border }
    }

    /// Float index of element (c, y, x).
    pub fn index(&self, c: usize, y: usize, x: usize) -> usize {
        self.origin + c * self.plane + y * self.row + x
    }

    /// Floats that the image takes in memory, borders included.
    pub fn floats(&self) -> usize {
        self.channels * self.plane
    }

    /// Whether rows follow each other without a gap.
    pub fn contiguous(&self) -> bool {
        self.row == self.width
    }
}

/// What is done to a result before it is stored, or to an array on its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `x < 0 ? slope * x : x`.
    LeakyRelu(f32),
    /// `x * clip(x / 6 + 0.5, 0, 1)`.
    HardSwish,
    /// `clip(alpha * x + beta, 0, 1)`.
    HardSigmoid {
        /// Factor.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x * (1 + erf(x / sqrt(2))) / 2`.
    Gelu,
}

/// What a convolution does with its sums before it stores them: bias, then residual, then activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue {
    /// Whether a bias per output channel follows the weights in the constants.
    pub bias: bool,
    /// Where the tensor that is added lies, from x2; shape as the output.
    pub residual: Option<Planes>,
    /// The activation.
    pub activation: Activation,
}

impl Epilogue {
    /// Bias only.
    pub const BIAS: Epilogue = Epilogue { bias: true, residual: None, activation: Activation::None };
}

/// What a kernel is expected to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Instructions executed in one call.
    pub instructions: u64,
    /// Bytes of code.
    pub code_bytes: u64,
    /// Cycles on the core, from its issue rates, with data in L1.
    pub cycles: u64,
}

/// What every family answers.
pub trait Family {
    /// A stable, readable name; equal specifications have equal names, different ones different names.
    fn symbol(&self, core: Core) -> String;

    /// The code.
    ///
    /// # Errors
    /// The reason why this family cannot serve the specification.
    fn generate(&self, core: Core) -> Result<Code, Unsupported>;

    /// Constants (weights first, then bias) in the layout that the code reads from x4.
    fn pack(&self, constants: &[&[f32]], core: Core) -> Vec<u8> {
        let _ = core;
        constants.iter().flat_map(|c| c.iter().flat_map(|f| f.to_le_bytes())).collect()
    }

    /// Bytes of scratch memory that x5 must point to, 64-byte aligned.
    fn scratch_bytes(&self, core: Core) -> usize {
        let _ = core;
        0
    }

    /// Expected cost.
    fn estimate(&self, core: Core) -> Estimate;
}

/// All families; one row each. The variant's name, its type, and a line of documentation.
macro_rules! families {
    ($($(#[$doc:meta])* $name:ident($spec:ty),)*) => {
        /// A kernel, as a value.
        #[derive(Clone, Debug)]
        pub enum KernelSpec {
            $($(#[$doc])* $name($spec),)*
        }

        $(impl From<$spec> for KernelSpec {
            fn from(spec: $spec) -> Self {
                Self::$name(spec)
            }
        })*

        impl KernelSpec {
            fn family(&self) -> &dyn Family {
                match self {
                    $(Self::$name(spec) => spec,)*
                }
            }
        }
    };
}
pub(crate) use families;
