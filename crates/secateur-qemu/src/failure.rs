//! How running a kernel can go wrong.

use std::fmt;

/// Why a kernel's results are not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The cross compiler or the emulator is missing or does not work.
    Tools(String),
    /// The kernel was stopped by a signal (SIGALRM: it took too long).
    Signal {
        /// The signal's number.
        number: u32,
        /// The argument whose guard page was touched and the byte offset from the buffer's start, if it was one.
        argument: Option<(usize, i64)>,
        /// The address touched.
        address: u64,
        /// Byte offset of the instruction in the code.
        pc: i64,
    },
    /// A register that a callee keeps was changed: `x19` to `x29`, `d8` to `d15`, `sp`, `fpcr`; `x18` must be left alone.
    Register(String),
    /// Bytes beside a buffer were written.
    Spill {
        /// Which argument's buffer.
        argument: usize,
        /// Byte offset from the buffer's start.
        offset: i64,
    },
    /// Bytes of an input were changed.
    InputChanged {
        /// Which argument.
        argument: usize,
    },
    /// The results depend on where the buffers are.
    Placement {
        /// Which argument.
        argument: usize,
    },
    /// The emulator ended or spoke nonsense.
    Lost(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Tools(why) => write!(f, "{why}\nhelp: run `cargo xtask setup --cross`"),
            Failure::Signal { number, argument, address, pc } => {
                let name = match number {
                    4 => "an undefined instruction",
                    5 => "a trap",
                    7 => "a bus error",
                    8 => "an arithmetic exception",
                    11 => "an access outside its buffers",
                    14 => "taking too long",
                    _ => "a signal",
                };
                write!(f, "the kernel was stopped by {name} (signal {number}) at code byte {pc:#x}")?;
                match argument {
                    Some((a, offset)) => write!(f, ": byte {offset} of argument {a}"),
                    None => write!(f, ": address {address:#x}"),
                }
            }
            Failure::Register(name) => write!(f, "the kernel did not keep {name}"),
            Failure::Spill { argument, offset } => {
                write!(f, "the kernel wrote beside argument {argument}, at byte {offset}")
            }
            Failure::InputChanged { argument } => {
                write!(f, "the kernel wrote to its input, argument {argument}")
            }
            Failure::Placement { argument } => {
                write!(f, "argument {argument} comes out differently when the buffers lie elsewhere")
            }
            Failure::Lost(why) => write!(f, "the emulator is lost: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
