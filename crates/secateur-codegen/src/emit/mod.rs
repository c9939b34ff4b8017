//! Files of a bundle: object, archive, header and bindings.

pub mod archive;
pub mod bindings;
pub mod elf;
pub mod entry;
mod frames;

use secateur_neon::Code;

/// What goes into the object file.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Functions in order; relocations name each other's symbols, and those below.
    pub functions: Vec<Function>,
    /// Constants, each at a multiple of 64 bytes.
    pub constants: Vec<u8>,
    /// The name of the constants' first byte.
    pub constants_symbol: String,
    /// Text that functions refer to: symbol and bytes.
    pub texts: Vec<(String, Vec<u8>)>,
}

/// A function of the object file.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its code; the symbol is the function's inside the object file.
    pub code: Code,
    /// The name by which other files may call it. Calls from inside go by the other one, which nothing can replace.
    pub global: Option<String>,
}

impl Image {
    /// Adds constants and gives their offset.
    pub fn add_constants(&mut self, bytes: &[u8]) -> usize {
        // Equal ones are stored once where that is found cheaply: right behind each other in the list of offsets.
        let at = self.constants.len().next_multiple_of(crate::plan::ALIGN);
        self.constants.resize(at, 0);
        self.constants.extend_from_slice(bytes);
        at
    }
}
