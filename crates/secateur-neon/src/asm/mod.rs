//! A typed layer over `dynasm`'s encoder: registers are values, so a generator can compute which it uses.
//!
//! A kernel is written as a body. [`Asm::finish`] puts before it the prologue that saves what the body was seen to
//! use of the callee-saved registers (AAPCS64, sections 6.1.1 and 6.1.2: x19-x30 and the low halves of v8-v15), and
//! after it the epilogue. A body ends by falling through or by a branch to [`Asm::end`]; it contains no `ret`.

// `dynasm!` converts every register with `.into()`, whatever its type.
#![allow(clippy::useless_conversion)]

mod control;
mod frame;
mod lists;
mod memory;
mod ops;

pub use lists::Then;

use crate::code::{Code, Relocation, RelocationKind, Unsupported};
use dynasmrt::aarch64::Aarch64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};

/// A general register; 31 is `sp` as a base address or in `add`/`sub` of an immediate, and zero elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct X(pub u8);

/// A vector register (four f32 lanes, or a scalar in its first lane).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct V(pub u8);

/// The stack pointer.
pub const SP: X = X(31);
/// The zero register.
pub const ZR: X = X(31);
/// The register that wrappers use to hold immediates and addresses that no instruction can; never keep a value in it.
pub const SCRATCH: X = X(16);

/// A place in the code.
#[derive(Clone, Copy, Debug)]
pub struct Label(DynamicLabel);

/// Conditions of `b.cond` and `csel`, with their encodings (Arm ARM, C1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cond {
    Eq = 0,
    Ne = 1,
    Hs = 2,
    Lo = 3,
    Mi = 4,
    Pl = 5,
    Hi = 8,
    Ls = 9,
    Ge = 10,
    Lt = 11,
    Gt = 12,
    Le = 13,
}

/// An assembler for one kernel.
pub struct Asm {
    ops: VecAssembler<Aarch64Relocation>,
    /// Bit n: x(n) appeared.
    general: u32,
    /// Bit n: v(n) appeared.
    vector: u32,
    stack: u32,
    calls: bool,
    end: DynamicLabel,
    relocations: Vec<Relocation>,
}

/// What an instruction wrapper accepts: registers are noted as used, numbers pass.
trait Operand {
    type Raw;
    fn note(self, asm: &mut Asm) -> Self::Raw;
}

impl Operand for X {
    type Raw = u8;
    fn note(self, asm: &mut Asm) -> u8 {
        asm.general |= 1 << self.0;
        self.0
    }
}

impl Operand for V {
    type Raw = u8;
    fn note(self, asm: &mut Asm) -> u8 {
        asm.vector |= 1 << self.0;
        self.0
    }
}

impl Operand for u32 {
    type Raw = u32;
    fn note(self, _: &mut Asm) -> u32 {
        self
    }
}

impl Operand for Label {
    type Raw = DynamicLabel;
    fn note(self, _: &mut Asm) -> DynamicLabel {
        self.0
    }
}

impl Default for Asm {
    fn default() -> Self {
        Self::new()
    }
}

impl Asm {
    /// An empty body.
    pub fn new() -> Self {
        let mut ops = VecAssembler::new(0);
        let end = ops.new_dynamic_label();
        Self { ops, general: 0, vector: 0, stack: 0, calls: false, end, relocations: Vec::new() }
    }

    /// A label to be placed with [`Asm::bind`].
    pub fn label(&mut self) -> Label {
        Label(self.ops.new_dynamic_label())
    }

    /// Places a label here. A label is placed once.
    pub fn bind(&mut self, label: Label) {
        self.ops.dynamic_label(label.0);
    }

    /// The label before the epilogue: branching to it returns.
    pub fn end(&self) -> Label {
        Label(self.end)
    }

    /// Bytes of the body so far.
    pub fn position(&self) -> usize {
        self.ops.offset().0
    }

    /// An instruction word that `dynasm` has no name for. The caller names the manual's section and notes the
    /// registers that it uses with [`Asm::uses_x`] and [`Asm::uses_v`].
    pub fn word(&mut self, word: u32) {
        self.ops.push_u32(word);
    }

    /// Data in the code stream (a literal pool): never executed, so place it after a branch or after [`Asm::end`].
    pub fn data(&mut self, bytes: &[u8]) {
        self.ops.extend(bytes);
    }

    /// Notes a general register as used.
    pub fn uses_x(&mut self, x: X) {
        x.note(self);
    }

    /// Notes a vector register as used.
    pub fn uses_v(&mut self, v: V) {
        v.note(self);
    }

    /// Reserves `bytes` of stack (rounded up to 16) for the whole kernel and gives their offset from `sp`. They are
    /// not initialized.
    pub fn reserve(&mut self, bytes: u32) -> u32 {
        let offset = self.stack;
        self.stack += bytes.next_multiple_of(16);
        offset
    }

    /// The body alone, for prologues and epilogues, which have no labels.
    fn into_bytes(self) -> Vec<u8> {
        self.ops.finalize().unwrap_or_default()
    }

    fn relocate(&mut self, kind: RelocationKind, symbol: &str, addend: i64) {
        let offset = self.position();
        self.relocations.push(Relocation { offset, kind, symbol: symbol.to_owned(), addend });
    }

    /// Prologue, body, epilogue as code named `symbol`.
    ///
    /// # Errors
    /// A branch that does not reach its label, or a label that was never placed.
    pub fn finish(mut self, symbol: String) -> Result<Code, Unsupported> {
        let end = self.end;
        self.ops.dynamic_label(end);
        let frame = frame::Layout::of(self.general, self.vector, self.stack, self.calls);
        let body =
            self.ops.finalize().map_err(|e| Unsupported::new(format!("code does not assemble: {e}")))?;
        let (prologue, epilogue) = (frame.prologue(), frame.epilogue());
        for relocation in &mut self.relocations {
            relocation.offset += prologue.len();
        }
        let bytes = [prologue, body, epilogue].concat();
        Ok(Code { symbol, bytes, relocations: self.relocations, frame: frame.info() })
    }
}
