//! Kernels for AArch64, generated as machine code: a specification is a value, [`KernelSpec`], and gives [`Code`].
//!
//! # Calling convention
//! AAPCS64: x0 = output, x1 = first input, x2 = second input or residual, x3 = third input, x4 = packed constants,
//! x5 = scratch; nothing is returned. Shapes and strides are constants of the code. A kernel reads and writes only the
//! regions that its specification declares, calls nothing, and keeps no state.

mod argmax;
pub mod asm;
mod block;
mod border;
mod code;
mod conv;
mod conv_transpose;
mod copy_run;
mod counted;
mod depthwise;
mod gemm;
mod lanes;
mod map;
mod math;
mod matmul;
mod norm;
mod pool;
mod program;
mod recurrent;
mod reduce;
mod registers;
mod resize;
mod softmax;
mod sparse;
mod spec;
mod strided;
mod window;
mod winograd;

pub use argmax::ArgMax;
pub use border::Border;
pub use code::{Code, FrameInfo, Relocation, RelocationKind, Saved, Unsupported, listing};
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use copy_run::CopyRun;
pub use depthwise::Depthwise;
pub use map::Map;
pub use matmul::MatMul;
pub use norm::Norm;
pub use pool::{Pool, Pooling};
pub use program::{Binary, Program, Step, Unary};
pub use recurrent::{Cell, Recurrent};
pub use reduce::{Reduce, Reduction};
pub use resize::{GatherRows, Resize, Sampling};
pub use softmax::Softmax;
pub use sparse::SparseConv;
pub use spec::{Activation, Core, Epilogue, Estimate, Family, Planes};
pub use strided::{Base, Element, Strided};
pub use window::WindowAxis;

pub use winograd::{Tile, Winograd};

use spec::families;

families! {
    /// Dense convolution.
    Conv(conv::Conv),
    /// Convolution by a table of the weights that are not zero.
    SparseConv(sparse::SparseConv),
    /// Convolution of every channel by itself.
    Depthwise(depthwise::Depthwise),
    /// 3 x 3 convolution by minimal filtering.
    Winograd(winograd::Winograd),
    /// Copies a run of floats (the smallest kernel there is: a model for the others).
    CopyRun(copy_run::CopyRun),
    /// Zeros around planes.
    Border(border::Border),
    /// Elementwise: maps, broadcasting, strided copies, casts.
    Map(map::Map),
    /// Sums, products and extrema over axes.
    Reduce(reduce::Reduce),
    /// Softmax and its logarithm.
    Softmax(softmax::Softmax),
    /// Layer, instance, group and RMS normalization.
    Norm(norm::Norm),
    /// Matrix products of any layout.
    MatMul(matmul::MatMul),
    /// The index of the largest or smallest of a row.
    ArgMax(argmax::ArgMax),
    /// GRU, LSTM, RNN.
    Recurrent(recurrent::Recurrent),
    /// Transposed convolution.
    ConvTranspose(conv_transpose::ConvTranspose),
    /// Max and average pooling.
    Pool(pool::Pool),
    /// Nearest and bilinear resizing.
    Resize(resize::Resize),
    /// Rows of a table at indices known at run time.
    GatherRows(resize::GatherRows),
}

impl KernelSpec {
    /// A stable, readable name; equal specifications share it, and so their code.
    pub fn symbol(&self, core: Core) -> String {
        self.family().symbol(core)
    }

    /// The code.
    ///
    /// # Errors
    /// The reason why no code can be made for this specification.
    pub fn generate(&self, core: Core) -> Result<Code, Unsupported> {
        self.family().generate(core)
    }

    /// Constants (weights first, then bias) in the layout that the code reads from x4.
    pub fn pack(&self, constants: &[&[f32]], core: Core) -> Vec<u8> {
        self.family().pack(constants, core)
    }

    /// Bytes of scratch memory that x5 must point to, 64-byte aligned.
    pub fn scratch_bytes(&self, core: Core) -> usize {
        self.family().scratch_bytes(core)
    }

    /// Expected cost.
    pub fn estimate(&self, core: Core) -> Estimate {
        self.family().estimate(core)
    }
}
