//! Registers for a block, and its code.
//!
//! Several copies of a block are interleaved, instruction by instruction, so that an in-order core has independent work
//! between a result and its use. Constants stay in registers as long as there are enough; the rest are loaded where they
//! are used, from a literal pool behind the code.

use super::{Block, Inst, Op1, Op2, Op3, Val};
use crate::asm::{Asm, Label, V, X};

/// What a plan is asked for.
pub(crate) struct Request<'a> {
    /// The values that are wanted.
    pub results: &'a [Val],
    /// Inputs that stay in a register of the surroundings, the same for every copy.
    pub pinned: &'a [(usize, V)],
    /// Inputs that are in registers of the surroundings already (copy, input, register), which become the block's.
    pub placed: &'a [(usize, usize, V)],
    /// Registers that the block may use, `placed` ones not among them.
    pub registers: &'a [V],
    /// At most so many copies side by side.
    pub copies: usize,
}

/// Registers for a block.
pub(crate) struct Plan {
    block: Block,
    results: Vec<Val>,
    uses: Vec<usize>,
    pinned: Vec<(usize, V)>,
    placed: Vec<(usize, usize, V)>,
    /// Constants that stay in registers.
    constants: Vec<(Val, V)>,
    /// Constants in the literal pool, by 16 bytes.
    pool: Vec<Val>,
    /// What is left for values.
    registers: Vec<V>,
    /// How many copies fit side by side.
    pub copies: usize,
    /// Holds the address of the pool; needed if there is one.
    pub base: X,
    label: Option<Label>,
}

/// The state of emitting one run through the block: who lives where.
struct Live<'p> {
    plan: &'p Plan,
    free: Vec<V>,
    place: Vec<Vec<Option<V>>>,
    left: Vec<Vec<usize>>,
    short: bool,
}

impl Plan {
    /// Finds the largest number of copies, and constants in registers for them, that the registers allow. `None` if not
    /// even one copy fits. `base` is used if constants must be loaded again and again.
    pub(crate) fn new(block: &Block, request: &Request, base: X) -> Option<Plan> {
        let uses = block.uses(request.results);
        let constants: Vec<Val> = (0..uses.len())
            .filter(|i| uses[*i] > 0 && matches!(block.insts[*i], Inst::Const(_)))
            .map(Val)
            .collect();
        for copies in (1..=request.copies.max(1)).rev() {
            // Fewer copies with every constant at hand beat more copies that load them.
            let fewest = if copies == 1 { 0 } else { constants.len() };
            for kept in (fewest..=constants.len()).rev() {
                let Some(split) = request.registers.len().checked_sub(kept) else { continue };
                let plan = Plan {
                    block: block.clone(),
                    results: request.results.to_vec(),
                    uses: uses.clone(),
                    pinned: request.pinned.to_vec(),
                    placed: request.placed.to_vec(),
                    constants: constants
                        .iter()
                        .copied()
                        .zip(request.registers[split..].iter().copied())
                        .collect(),
                    pool: constants[kept..].to_vec(),
                    registers: request.registers[..split].to_vec(),
                    copies,
                    base,
                    label: None,
                };
                if plan.fits() {
                    return Some(plan);
                }
            }
        }
        None
    }

    fn fits(&self) -> bool {
        let mut nowhere = Asm::new();
        let mut live = Live::new(self, self.copies);
        live.run(&mut nowhere, self.copies, &mut |_, _, _, _| {}, &mut |_, _, _, _| {});
        !live.short
    }

    /// Whether both keep the same constants in the same registers, so that code of both may alternate.
    pub(crate) fn same_constants(&self, other: &Plan) -> bool {
        self.constants == other.constants
    }

    /// Puts constants into their registers; before the first [`Plan::emit`], outside of loops, or again where they were
    /// lost.
    pub(crate) fn prologue(&mut self, asm: &mut Asm) {
        for (value, register) in &self.constants {
            if let Inst::Const(bits) = self.block.insts[value.0] {
                asm.splat(*register, f32::from_bits(bits));
            }
        }
        if !self.pool.is_empty() {
            let label = *self.label.get_or_insert_with(|| asm.label());
            asm.adr(self.base, label);
        }
    }

    /// Places the literal pool; where no instruction falls into it.
    pub(crate) fn literals(&self, asm: &mut Asm) {
        if let Some(label) = self.label {
            asm.bind(label);
            for value in &self.pool {
                if let Inst::Const(bits) = self.block.insts[value.0] {
                    let word = bits.to_le_bytes();
                    asm.data(&[word, word, word, word].concat());
                }
            }
        }
    }

    /// Whether [`Plan::literals`] has anything to place.
    pub(crate) fn has_literals(&self) -> bool {
        !self.pool.is_empty()
    }

    /// Emits `copies` runs (at most as many as planned). `load(asm, input, copy, register)` and
    /// `store(asm, result, copy, register)` give and take values.
    pub(crate) fn emit(
        &self,
        asm: &mut Asm,
        copies: usize,
        load: &mut dyn FnMut(&mut Asm, usize, usize, V),
        store: &mut dyn FnMut(&mut Asm, usize, usize, V),
    ) {
        Live::new(self, copies).run(asm, copies, load, store);
    }
}

impl<'p> Live<'p> {
    fn new(plan: &'p Plan, copies: usize) -> Self {
        let n = plan.block.insts.len();
        Live {
            plan,
            free: plan.registers.iter().rev().copied().collect(),
            place: vec![vec![None; n]; copies],
            left: vec![plan.uses.clone(); copies],
            short: false,
        }
    }

    fn take(&mut self) -> V {
        self.free.pop().unwrap_or_else(|| {
            self.short = true;
            V(0)
        })
    }

    /// The register that holds a value for all time, if one does.
    fn resident(&self, value: Val) -> Option<V> {
        match self.plan.block.insts[value.0] {
            Inst::Const(_) => self.plan.constants.iter().find(|(v, _)| *v == value).map(|(_, r)| *r),
            Inst::Input(n) => self.plan.pinned.iter().find(|(i, _)| *i == n).map(|(_, r)| *r),
            _ => None,
        }
    }

    fn pool_offset(&self, value: Val) -> Option<i64> {
        self.plan.pool.iter().position(|v| *v == value).map(|i| 16 * i as i64)
    }

    /// The register of an operand; loads it if it is in the pool.
    fn read(&mut self, asm: &mut Asm, copy: usize, value: Val) -> V {
        if let Some(r) = self.resident(value).or(self.place[copy][value.0]) {
            return r;
        }
        let r = self.take();
        if let Some(offset) = self.pool_offset(value) {
            asm.ldr_q(r, self.plan.base, offset);
        }
        self.place[copy][value.0] = Some(r);
        r
    }

    /// One use of a value is over. What is in the pool is not kept from use to use.
    fn release(&mut self, copy: usize, value: Val) {
        self.left[copy][value.0] -= 1;
        let reload = self.pool_offset(value).is_some();
        if (self.left[copy][value.0] == 0 || reload)
            && self.resident(value).is_none()
            && let Some(r) = self.place[copy][value.0].take()
        {
            self.free.push(r);
        }
    }

    fn dies(&self, copy: usize, value: Val) -> bool {
        self.resident(value).is_none() && (self.left[copy][value.0] == 1 || self.pool_offset(value).is_some())
    }

    fn run(
        &mut self,
        asm: &mut Asm,
        copies: usize,
        load: &mut dyn FnMut(&mut Asm, usize, usize, V),
        store: &mut dyn FnMut(&mut Asm, usize, usize, V),
    ) {
        for i in 0..self.plan.block.insts.len() {
            if self.plan.uses[i] == 0 {
                continue;
            }
            for copy in 0..copies {
                self.inst(asm, copy, Val(i), load);
            }
        }
        for copy in 0..copies {
            for (n, result) in self.plan.results.iter().enumerate() {
                let r = self.read(asm, copy, *result);
                store(asm, n, copy, r);
                self.release(copy, *result);
            }
        }
    }

    fn inst(&mut self, asm: &mut Asm, copy: usize, at: Val, load: &mut dyn FnMut(&mut Asm, usize, usize, V)) {
        match self.plan.block.insts[at.0] {
            Inst::Const(_) => {}
            Inst::Input(n) => {
                let placed = self.plan.placed.iter().find(|p| (p.0, p.1) == (copy, n));
                if let Some(placed) = placed {
                    self.place[copy][at.0] = Some(placed.2);
                } else if self.resident(at).is_none() {
                    let r = self.take();
                    self.place[copy][at.0] = Some(r);
                    load(asm, n, copy, r);
                }
            }
            Inst::One(op, a) => {
                let n = self.read(asm, copy, a);
                self.release(copy, a);
                let d = self.take();
                self.place[copy][at.0] = Some(d);
                one(asm, op, d, n);
            }
            Inst::Two(op, a, b) => {
                let (n, m) = (self.read(asm, copy, a), self.read(asm, copy, b));
                self.release(copy, a);
                self.release(copy, b);
                let d = self.take();
                self.place[copy][at.0] = Some(d);
                two(asm, op, d, n, m);
            }
            Inst::Three(op, a, b, c) => {
                // The first operand's register becomes the result's, so it must be ours.
                let first = self.read(asm, copy, a);
                let (n, m) = (self.read(asm, copy, b), self.read(asm, copy, c));
                let ours = self.dies(copy, a) && first != n && first != m;
                let d = if ours { first } else { self.take() };
                if ours {
                    self.left[copy][a.0] -= 1;
                    self.place[copy][a.0] = None;
                } else {
                    asm.mov_v(d, first);
                    self.release(copy, a);
                }
                self.release(copy, b);
                self.release(copy, c);
                self.place[copy][at.0] = Some(d);
                match op {
                    Op3::MulAdd => asm.fmla(d, n, m),
                    Op3::MulSub => asm.fmls(d, n, m),
                    Op3::Select => asm.bsl(d, n, m),
                }
            }
        }
    }
}

fn one(asm: &mut Asm, op: Op1, d: V, n: V) {
    match op {
        Op1::Neg => asm.fneg(d, n),
        Op1::Abs => asm.fabs(d, n),
        Op1::Sqrt => asm.fsqrt(d, n),
        Op1::RoundEven => asm.frintn(d, n),
        Op1::Floor => asm.frintm(d, n),
        Op1::Ceil => asm.frintp(d, n),
        Op1::Truncate => asm.frintz(d, n),
        Op1::ToInt => asm.fcvtns(d, n),
        Op1::FromInt => asm.scvtf(d, n),
        Op1::Not => asm.not_v(d, n),
        Op1::ShiftLeft(bits) => asm.shl_v(d, n, bits),
        Op1::ShiftRightSigned(bits) => asm.sshr_v(d, n, bits),
    }
}

fn two(asm: &mut Asm, op: Op2, d: V, n: V, m: V) {
    match op {
        Op2::Add => asm.fadd(d, n, m),
        Op2::Sub => asm.fsub(d, n, m),
        Op2::Mul => asm.fmul(d, n, m),
        Op2::Div => asm.fdiv(d, n, m),
        Op2::Max => asm.fmax(d, n, m),
        Op2::Min => asm.fmin(d, n, m),
        Op2::Greater => asm.fcmgt(d, n, m),
        Op2::GreaterEqual => asm.fcmge(d, n, m),
        Op2::Equal => asm.fcmeq(d, n, m),
        Op2::And => asm.and_v(d, n, m),
        Op2::Or => asm.orr_v(d, n, m),
        Op2::Xor => asm.eor_v(d, n, m),
        Op2::AddInt => asm.add_v(d, n, m),
        Op2::SubInt => asm.sub_v(d, n, m),
    }
}
