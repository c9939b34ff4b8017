//! The program as calls of kernels with addresses: the last form before the object file.

use secateur_neon::{Code, Core, KernelSpec};

/// What an address counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The caller's workspace.
    Workspace,
    /// Input number so-and-so of the current sample.
    Input(usize),
    /// Output number so-and-so of the current sample.
    Output(usize),
    /// The constants of the object file.
    Constants,
}

/// A place in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where to count from.
    pub base: Base,
    /// Bytes.
    pub offset: usize,
}

/// One call of a kernel.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name of the ONNX node.
    pub name: String,
    /// The kernel.
    pub spec: KernelSpec,
    /// Its code.
    pub code: Code,
    /// x0.
    pub output: Address,
    /// x1, x2, x3.
    pub inputs: Vec<Address>,
    /// x4, where there are constants.
    pub constants: Option<Address>,
    /// x5, where scratch memory is needed.
    pub scratch: Option<Address>,
}

/// The whole network as calls.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The core that kernels are made for.
    pub core: Core,
    /// In order.
    pub calls: Vec<Call>,
    /// What [`Base::Constants`] points to.
    pub constants: Vec<u8>,
    /// Bytes of the workspace.
    pub workspace: usize,
    /// Bytes of the workspace that no plan could do without.
    pub bound: usize,
}
