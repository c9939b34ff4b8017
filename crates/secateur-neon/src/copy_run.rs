//! Copies a run of floats from x1 to x0.

use crate::asm::{Asm, V, X};
use crate::{Code, Core, Estimate, Family, Unsupported};

/// `output[i] = input[i]` for `count` floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRun {
    /// Floats.
    pub count: usize,
}

impl Family for CopyRun {
    fn symbol(&self, _: Core) -> String {
        format!("copy_run_{}", self.count)
    }

    fn generate(&self, core: Core) -> Result<Code, Unsupported> {
        let (to, from, counter) = (X(0), X(1), X(9));
        let mut asm = Asm::new();
        asm.repeat(counter, self.count / 8, |a| {
            a.ldp_q_post(V(0), V(1), from, 32);
            a.stp_q_post(V(0), V(1), to, 32);
        });
        if self.count % 8 >= 4 {
            asm.ldr_q_post(V(0), from, 16);
            asm.str_q_post(V(0), to, 16);
        }
        for _ in 0..self.count % 4 {
            asm.ldr_s_post(V(0), from, 4);
            asm.str_s_post(V(0), to, 4);
        }
        asm.finish(self.symbol(core))
    }

    fn estimate(&self, _: Core) -> Estimate {
        let instructions = (self.count / 8 * 4 + self.count % 8 / 4 * 2 + self.count % 4 * 2) as u64;
        Estimate { instructions, code_bytes: 64, cycles: instructions }
    }
}
