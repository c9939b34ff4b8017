//! The functions that a caller sees, and the one that calls the kernels.

use secateur_diag::{Code as Error, Result, diag};
use secateur_neon::Code;
use secateur_neon::asm::{Asm, Cond, Label, SP, X};

use crate::emit::{Function, Image};
use crate::machine::{Address, Base, Call, Machine, Wave};
use crate::plan::ALIGN;
use crate::program::{Port, Program};

/// Return values of `NAME_run`, as the header names them.
pub const ERRORS: [(&str, i64, &str); 4] = [
    ("OK", 0, "done"),
    ("ERROR_NULL", 1, "a pointer is null"),
    ("ERROR_ALIGNMENT", 2, "a pointer is not aligned: the workspace to 64 bytes, arrays to their elements"),
    ("ERROR_BATCH", 3, "the batch is zero, or not one where the model's batch is fixed"),
];

/// Bits of `AT_HWCAP` that the code needs: floating point and Advanced SIMD.
pub const HWCAP: i64 = 0b11;

/// Bytes of an element in the caller's memory.
pub fn elem_bytes(port: &Port) -> usize {
    port.elem.bits() / 8
}

/// Bytes of one sample.
pub fn sample_bytes(port: &Port) -> usize {
    elem_bytes(port) * port.dims.iter().product::<usize>()
}

fn done(asm: Asm, symbol: String) -> Result<Code> {
    asm.finish(symbol).map_err(|e| diag(Error::C004, e.reason))
}

fn set(a: &mut Asm, to: X, from: &Address, constants: &str) {
    let table = |a: &mut Asm, slot: usize| {
        a.ldr_x(to, X(20), 8 * slot as i64);
        a.add_imm(to, to, from.offset as i64);
    };
    match from.base {
        Base::Workspace => a.add_imm(to, X(19), from.offset as i64),
        Base::Input(i) => table(a, i),
        // Outputs come behind the inputs; `Machine` numbers them so.
        Base::Output(i) => table(a, i),
        Base::Constants => a.address(to, constants, from.offset as i64),
    }
}

/// The kernel of a call with its arguments; x20 is the table of pointers, x19 the workspace.
fn kernel(a: &mut Asm, call: &Call, symbol: &str, inputs: usize, constants: &str) {
    let behind = |p: &Address| match p.base {
        Base::Output(i) => Address { base: Base::Output(i + inputs), ..*p },
        _ => *p,
    };
    set(a, X(0), &behind(&call.output), constants);
    for (i, p) in call.inputs.iter().enumerate() {
        set(a, X(1 + i as u8), &behind(p), constants);
    }
    if let Some(p) = &call.constants {
        set(a, X(4), p, constants);
    }
    if let Some(p) = &call.scratch {
        set(a, X(5), p, constants);
    }
    a.call(symbol);
}

/// What the functions that call kernels know.
struct Calls<'a> {
    m: &'a Machine,
    p: &'a Program,
    /// The kernels' names, one a call.
    symbols: &'a [String],
    /// The network's.
    name: &'a str,
    /// The first constant's.
    constants: &'a str,
}

impl Calls<'_> {
    fn kernels(&self, a: &mut Asm, calls: std::ops::Range<usize>) {
        for i in calls {
            kernel(a, &self.m.calls[i], &self.symbols[i], self.p.inputs.len(), self.constants);
        }
    }

    /// `NAME_sample(table of pointers, workspace)`: one sample through all kernels.
    fn sample(&self) -> Result<Code> {
        let mut a = Asm::new();
        a.mov(X(20), X(0));
        a.mov(X(19), X(1));
        self.kernels(&mut a, 0..self.m.calls.len());
        done(a, format!("{}_sample", self.name))
    }

    /// `NAME_divided(table of pointers, workspace, parallel_for, context)`: the same, all parts of a layer at once.
    fn divided(&self) -> Result<Code> {
        let mut a = Asm::new();
        let task = i64::from(a.reserve(16));
        a.mov(X(20), X(0));
        a.mov(X(19), X(1));
        a.mov(X(21), X(2));
        a.mov(X(22), X(3));
        a.stp_x(X(20), X(19), SP, task);
        for (w, wave) in self.m.waves.iter().enumerate() {
            self.kernels(&mut a, wave.before.clone());
            if wave.parts.len() == 1 {
                self.kernels(&mut a, wave.parts.clone());
                continue;
            }
            // parallel_for(context, parts, task, argument)
            a.mov(X(0), X(22));
            a.mov_imm(X(1), wave.parts.len() as i64);
            a.address(X(2), &format!("{}_parts_{w}", self.name), 0);
            a.add_imm(X(3), SP, task);
            a.call_x(X(21));
        }
        done(a, format!("{}_divided", self.name))
    }

    /// `NAME_parts_W(table of pointers and workspace, index)`: one part of a layer.
    fn parts(&self, w: usize, wave: &Wave) -> Result<Code> {
        let mut a = Asm::new();
        a.ldp_x(X(20), X(19), X(0), 0);
        let end = a.end();
        for (i, call) in wave.parts.clone().enumerate() {
            let next = a.label();
            a.cmp_i(X(1), i as u32);
            a.b_if(Cond::Ne, next);
            self.kernels(&mut a, call..call + 1);
            a.b(end);
            a.bind(next);
        }
        done(a, format!("{}_parts_{w}", self.name))
    }
}

fn fail_if_unaligned(a: &mut Asm, x: X, bytes: usize, to: Label) {
    if bytes > 1 {
        a.mov_imm(X(10), bytes as i64 - 1);
        a.and(X(11), x, X(10));
        a.cbnz(X(11), to);
    }
}

/// `NAME_run(inputs, outputs, workspace)`, or with `divided` `NAME_run_divided(.., parallel_for, context)`.
fn run(m: &Machine, p: &Program, name: &str, divided: bool) -> Result<Code> {
    let mut a = Asm::new();
    let ports: Vec<&Port> = p.inputs.iter().chain(&p.outputs).collect();
    let table = i64::from(a.reserve(8 * ports.len() as u32));
    let [null, unaligned, batch, next] = [(); 4].map(|()| a.label());
    for x in [X(0), X(1)] {
        a.cbz(x, null);
    }
    if m.workspace > 0 {
        a.cbz(X(2), null);
        fail_if_unaligned(&mut a, X(2), ALIGN, unaligned);
    }
    a.ldr_x(X(19), X(0), 0);
    match p.batch {
        Some(_) => a.cbz(X(19), batch),
        None => {
            a.cmp_i(X(19), 1);
            a.b_if(Cond::Ne, batch);
        }
    }
    for (i, port) in ports.iter().enumerate() {
        match i.checked_sub(p.inputs.len()) {
            None => a.ldr_x(X(9), X(0), 8 + 8 * i as i64),
            Some(o) => a.ldr_x(X(9), X(1), 8 * o as i64),
        }
        a.cbz(X(9), null);
        fail_if_unaligned(&mut a, X(9), elem_bytes(port), unaligned);
        a.str_x(X(9), SP, table + 8 * i as i64);
    }
    a.mov(X(20), X(2));
    if divided {
        a.mov(X(21), X(3));
        a.mov(X(22), X(4));
    }
    a.bind(next);
    a.add_imm(X(0), SP, table);
    a.mov(X(1), X(20));
    if divided {
        a.mov(X(2), X(21));
        a.mov(X(3), X(22));
    }
    a.call(&format!("{name}_{}", if divided { "divided" } else { "sample" }));
    for (i, port) in ports.iter().enumerate() {
        a.ldr_x(X(9), SP, table + 8 * i as i64);
        a.add_imm(X(9), X(9), sample_bytes(port) as i64);
        a.str_x(X(9), SP, table + 8 * i as i64);
    }
    a.subs_i(X(19), X(19), 1);
    a.b_if(Cond::Ne, next);
    let end = a.end();
    a.mov_imm(X(0), 0);
    a.b(end);
    for (label, value) in [(null, 1), (unaligned, 2), (batch, 3)] {
        a.bind(label);
        a.mov_imm(X(0), value);
        a.b(end);
    }
    done(a, format!("{name}_run{}", if divided { "_divided" } else { "" }))
}

// The argument of a task: inputs, outputs, workspaces, their number, and the status.
const TASK_BYTES: u32 = 40;

/// `NAME_run_parallel(inputs, outputs, workspaces, count, parallel_for, context)`.
fn run_parallel(m: &Machine, name: &str) -> Result<Code> {
    let mut a = Asm::new();
    let task = i64::from(a.reserve(TASK_BYTES));
    let [null, batch, many] = [(); 3].map(|()| a.label());
    let end = a.end();
    for x in [0, 1, 2, 4] {
        a.cbz(X(x), null);
    }
    a.cbz(X(3), batch);
    a.ldr_x(X(9), X(0), 0);
    a.cbz(X(9), batch);
    if m.divided() {
        // One workspace: the cores share each sample.
        a.cmp_i(X(3), 1);
        a.b_if(Cond::Ne, many);
        a.mov(X(3), X(4));
        a.mov(X(4), X(5));
        a.call(&format!("{name}_run_divided"));
        a.b(end);
    }
    a.bind(many);
    a.stp_x(X(0), X(1), SP, task);
    a.stp_x(X(2), X(3), SP, task + 16);
    a.mov_imm(X(9), 0);
    a.str_x(X(9), SP, task + 32);
    // parallel_for(context, count, task, argument)
    a.mov(X(9), X(4));
    a.mov(X(0), X(5));
    a.mov(X(1), X(3));
    a.address(X(2), &format!("{name}_task"), 0);
    a.add_imm(X(3), SP, task);
    a.call_x(X(9));
    a.ldr_x(X(0), SP, task + 32);
    a.b(end);
    for (label, value) in [(null, 1), (batch, 3)] {
        a.bind(label);
        a.mov_imm(X(0), value);
        a.b(end);
    }
    done(a, format!("{name}_run_parallel"))
}

/// `NAME_task(argument, index)`: samples `batch·index/count` up to `batch·(index + 1)/count`.
fn task(m: &Machine, p: &Program, name: &str) -> Result<Code> {
    let mut a = Asm::new();
    let inputs = i64::from(a.reserve(8 + 8 * p.inputs.len() as u32));
    let outputs = i64::from(a.reserve(8 * p.outputs.len() as u32));
    a.mov(X(19), X(0));
    a.ldp_x(X(9), X(10), X(19), 0);
    a.ldp_x(X(11), X(12), X(19), 16);
    a.ldr_x(X(13), X(9), 0);
    a.mul(X(14), X(13), X(1));
    a.add(X(15), X(14), X(13));
    a.udiv(X(14), X(14), X(12));
    a.udiv(X(15), X(15), X(12));
    a.sub(X(15), X(15), X(14));
    let end = a.end();
    a.cbz(X(15), end);
    a.str_x(X(15), SP, inputs);
    let mut pointer = |from: X, at: i64, to: i64, port: &Port| {
        let skip = a.label();
        a.ldr_x(X(3), from, at);
        // A null pointer is for `run` to complain of.
        a.cbz(X(3), skip);
        a.mov_imm(X(4), sample_bytes(port) as i64);
        a.madd(X(3), X(14), X(4), X(3));
        a.bind(skip);
        a.str_x(X(3), SP, to);
    };
    for (i, port) in p.inputs.iter().enumerate() {
        pointer(X(9), 8 + 8 * i as i64, inputs + 8 + 8 * i as i64, port);
    }
    for (i, port) in p.outputs.iter().enumerate() {
        pointer(X(10), 8 * i as i64, outputs + 8 * i as i64, port);
    }
    a.mov_imm(X(4), m.workspace as i64);
    a.madd(X(2), X(1), X(4), X(11));
    a.add_imm(X(0), SP, inputs);
    a.add_imm(X(1), SP, outputs);
    a.call(&format!("{name}_run_inside"));
    a.cbz(X(0), end);
    a.str_x(X(0), X(19), 32);
    done(a, format!("{name}_task"))
}

/// `NAME_describe()`: the address of a text.
fn describe(name: &str) -> Result<Code> {
    let mut a = Asm::new();
    a.address(X(0), &format!("{name}_description"), 0);
    done(a, format!("{name}_describe"))
}

/// `NAME_supported(hwcap)`.
fn supported(name: &str) -> Result<Code> {
    let mut a = Asm::new();
    let end = a.end();
    let no = a.label();
    a.mov_imm(X(9), HWCAP);
    a.and(X(10), X(0), X(9));
    a.cmp(X(10), X(9));
    a.b_if(Cond::Ne, no);
    a.mov_imm(X(0), 1);
    a.b(end);
    a.bind(no);
    a.mov_imm(X(0), 0);
    done(a, format!("{name}_supported"))
}

/// Adds all functions that call kernels; those are named in `symbols`, one a call.
///
/// # Errors
/// [`Error::C004`] where code does not assemble; an internal check.
pub fn add(
    image: &mut Image,
    m: &Machine,
    p: &Program,
    symbols: &[String],
    name: &str,
    about: &str,
) -> Result<()> {
    let constants = image.constants_symbol.clone();
    let mut add = |mut code: Code, global: bool| {
        let name = code.symbol.clone();
        if global {
            code.symbol.push_str("_inside");
        }
        image.functions.push(Function { code, global: global.then_some(name) });
    };
    let calls = Calls { m, p, symbols, name, constants: &constants };
    add(calls.sample()?, false);
    add(run(m, p, name, false)?, true);
    if m.divided() {
        for (w, wave) in m.waves.iter().enumerate().filter(|(_, w)| w.parts.len() > 1) {
            add(calls.parts(w, wave)?, false);
        }
        add(calls.divided()?, false);
        add(run(m, p, name, true)?, false);
    }
    add(task(m, p, name)?, false);
    add(run_parallel(m, name)?, true);
    add(describe(name)?, true);
    add(supported(name)?, true);
    let mut text = about.as_bytes().to_vec();
    text.push(0);
    image.texts.push((format!("{name}_description"), text));
    Ok(())
}
