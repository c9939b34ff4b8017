//! What a generator gives: machine code, what the linker must fill in, what an unwinder must know.

/// The code of one kernel, position independent, with prologue and `ret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The name of the function.
    pub symbol: String,
    /// Little-endian instruction words (and literal data, if any).
    pub bytes: Vec<u8>,
    /// Places that name other symbols.
    pub relocations: Vec<Relocation>,
    /// The stack frame.
    pub frame: FrameInfo,
}

/// A place in the code that the linker fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Bytes from the start of the code.
    pub offset: usize,
    /// How.
    pub kind: RelocationKind,
    /// What it refers to.
    pub symbol: String,
    /// Bytes behind the symbol.
    pub addend: i64,
}

/// How a place is filled in (ELF for the Arm 64-bit Architecture, AAELF64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationKind {
    /// `R_AARCH64_CALL26` on a `bl`.
    Call,
    /// `R_AARCH64_ADR_PREL_PG_HI21` on an `adrp`.
    AdrPage,
    /// `R_AARCH64_ADD_ABS_LO12_NC` on an `add`.
    AddLow,
}

/// The frame after the prologue, for `.eh_frame`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// Bytes by which `sp` was lowered.
    pub size: u32,
    /// Bytes of code until the frame is complete.
    pub prologue: u32,
    /// Saved registers.
    pub saved: Vec<Saved>,
}

/// A saved register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// DWARF number (DWARF for the Arm 64-bit Architecture): 0-30 for x, 64-95 for v.
    pub dwarf: u8,
    /// Bytes from the caller's `sp` (the canonical frame address); negative.
    pub offset: i32,
}

/// A specification that a generator cannot serve, with the reason; the caller adds node, operator and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What is not supported, as the end of a sentence.
    pub reason: String,
}

impl Unsupported {
    /// For the reason given.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unsupported {}

/// The code as assembly, one instruction a line with its offset. Words that do not decode are shown as data.
pub fn listing(code: &Code) -> String {
    let mut text = format!("{}:\n", code.symbol);
    for (i, word) in code.bytes.chunks_exact(4).enumerate() {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let shown = match disarm64::decoder::decode(word) {
            Some(op) => list_name(word).map_or(format!("{op}"), |name| {
                // The decoder calls every access of a list by the name of the widest.
                let text = format!("{op}");
                match text.split_once(char::is_whitespace) {
                    Some((_, rest)) => format!("{name}\t{rest}"),
                    None => text,
                }
            }),
            None => format!(".word {word:#010x}"),
        };
        text.push_str(&format!("{:5x}  {}\n", 4 * i, shown));
    }
    text
}

/// The name of a load or store of several whole registers (Arm ARM, C4.1, Advanced SIMD load/store multiple structures).
fn list_name(word: u32) -> Option<String> {
    if word & 0xbf20_0000 != 0x0c00_0000 {
        return None;
    }
    let count = match word >> 12 & 15 {
        0b0000 => 4,
        0b0100 => 3,
        0b1000 => 2,
        0b0010 | 0b0110 | 0b0111 | 0b1010 => 1,
        _ => return None,
    };
    Some(format!("{}{count}", if word >> 22 & 1 == 1 { "ld" } else { "st" }))
}
