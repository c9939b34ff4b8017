//! An assembler that knows how often what it emits is executed, for kernels whose loops have fixed lengths.

use crate::asm::{Asm, Cond, X};
use crate::{Code, Core, Estimate, Family, Unsupported};
use std::ops::{Deref, DerefMut};

/// An [`Asm`] whose loops go through [`Counted::repeat`].
pub(crate) struct Counted {
    asm: Asm,
    times: u64,
    executed: u64,
    mark: usize,
}

impl Deref for Counted {
    type Target = Asm;
    fn deref(&self) -> &Asm {
        &self.asm
    }
}

impl DerefMut for Counted {
    fn deref_mut(&mut self) -> &mut Asm {
        &mut self.asm
    }
}

/// Code and what it executes.
pub(crate) struct Made {
    pub(crate) code: Code,
    executed: u64,
}

impl Made {
    /// Instructions of one call.
    pub(crate) fn executed(&self) -> u64 {
        self.executed
    }

    /// Instructions are exact; cycles are instructions over the rate that streams of mixed vector code reach on the core
    /// with data in L1 (A53 issues two, but few pairs of vector instructions; A72 three, A76 four).
    pub(crate) fn estimate(&self, core: Core) -> Estimate {
        let cycles = match core {
            Core::A53 => self.executed,
            Core::A72 => self.executed * 2 / 3,
            Core::A76 => self.executed * 2 / 5,
        };
        Estimate { instructions: self.executed, code_bytes: self.code.bytes.len() as u64, cycles }
    }
}

impl Counted {
    pub(crate) fn new() -> Self {
        Counted { asm: Asm::new(), times: 1, executed: 0, mark: 0 }
    }

    fn settle(&mut self) {
        let position = self.asm.position();
        self.executed += self.times * ((position - self.mark) / 4) as u64;
        self.mark = position;
    }

    /// `body`, `times` times, counting `counter` down.
    pub(crate) fn repeat(&mut self, counter: X, times: usize, body: impl FnOnce(&mut Counted)) {
        match times {
            0 => {}
            1 => body(self),
            _ => {
                let start = |a: &mut Asm| a.mov_imm(counter, times as i64);
                self.repeat_by(times, start, body, |a| a.subs_i(counter, counter, 1));
            }
        }
    }

    /// Code that is executed `times` times in all while what is around it is executed `outer` times.
    pub(crate) fn share(&mut self, (times, outer): (u64, u64), body: impl FnOnce(&mut Counted)) {
        self.settle();
        let before = self.times;
        self.times = before * times / outer.max(1);
        body(self);
        self.settle();
        self.times = before;
    }

    /// `body(vectors, lanes)` for `count` elements, four to a vector: `copies` vectors at a time, then the rest, then the
    /// elements that are left over as one vector of fewer lanes.
    pub(crate) fn vectors(
        &mut self,
        counter: X,
        count: usize,
        copies: usize,
        body: &mut dyn FnMut(&mut Counted, usize, usize),
    ) {
        self.repeat(counter, count / (4 * copies), |c| body(c, copies, 4));
        let (rest, tail) = (count / 4 % copies, count % 4);
        if rest > 0 {
            body(self, rest, 4);
        }
        if tail > 0 {
            body(self, 1, tail);
        }
    }

    /// The same with a counter that `start` sets and `next` counts down, setting flags.
    pub(crate) fn repeat_by(
        &mut self,
        times: usize,
        start: impl FnOnce(&mut Asm),
        body: impl FnOnce(&mut Counted),
        next: impl FnOnce(&mut Asm),
    ) {
        start(&mut self.asm);
        self.settle();
        let outer = self.times;
        self.times *= times as u64;
        let top = self.asm.label();
        self.asm.bind(top);
        body(self);
        next(&mut self.asm);
        self.asm.b_if(Cond::Ne, top);
        self.settle();
        self.times = outer;
    }

    /// Data behind the code: jumped over, not executed.
    pub(crate) fn data_behind(&mut self, place: impl FnOnce(&mut Asm)) {
        let end = self.asm.end();
        self.asm.b(end);
        self.settle();
        place(&mut self.asm);
        self.mark = self.asm.position();
    }

    pub(crate) fn finish(mut self, symbol: String) -> Result<Made, Unsupported> {
        self.settle();
        let body = self.asm.position();
        let code = self.asm.finish(symbol)?;
        let executed = self.executed + ((code.bytes.len() - body) / 4) as u64;
        Ok(Made { code, executed })
    }
}

/// A family whose estimates come from its code.
pub(crate) trait Generated: std::fmt::Debug {
    /// What it is called: family and shape, for people. A digest makes it unique.
    fn name(&self) -> String;

    /// The code, named `symbol`.
    fn made(&self, core: Core, symbol: String) -> Result<Made, Unsupported>;

    /// As [`Family::pack`].
    fn packed(&self, constants: &[&[f32]]) -> Vec<u8> {
        constants.iter().flat_map(|c| c.iter().flat_map(|f| f.to_le_bytes())).collect()
    }

    /// As [`Family::scratch_bytes`].
    fn scratch(&self) -> usize {
        0
    }
}

impl<G: Generated> Family for G {
    fn symbol(&self, _: Core) -> String {
        format!("{}_{}", self.name(), digest(self))
    }

    fn generate(&self, core: Core) -> Result<Code, Unsupported> {
        Ok(self.made(core, self.symbol(core))?.code)
    }

    fn pack(&self, constants: &[&[f32]], _: Core) -> Vec<u8> {
        self.packed(constants)
    }

    fn scratch_bytes(&self, _: Core) -> usize {
        self.scratch()
    }

    fn estimate(&self, core: Core) -> Estimate {
        self.made(core, String::new()).map_or(Estimate::default(), |made| made.estimate(core))
    }
}

/// Extents as text: `16x8x8`; `1` if there are none.
pub(crate) fn shape(extents: &[usize]) -> String {
    match extents {
        [] => "1".to_owned(),
        _ => extents.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// A short name for anything that can be shown: 64-bit FNV-1a of its debug form (Fowler, Noll, Vo).
pub(crate) fn digest(what: &impl std::fmt::Debug) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in format!("{what:?}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    format!("{hash:016x}")
}
