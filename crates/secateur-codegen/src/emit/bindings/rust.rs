//! The Rust module: a safe function over the C interface.

use super::{About, shape, types};
use crate::program::Port;

/// `NAME.rs`.
pub fn module(a: &About) -> String {
    let n = &a.name;
    let list = |ports: &[(String, Port)], f: &dyn Fn(&str, &Port) -> String| -> String {
        ports.iter().map(|(field, p)| f(field, p)).collect()
    };
    let size = |p: &Port| p.dims.iter().product::<usize>();
    let all: Vec<(String, Port)> = a.inputs.iter().chain(&a.outputs).cloned().collect();
    let fields_in = list(&a.inputs, &|f, p| format!("    {f}: *const {},\n", types(p.elem).1));
    let fields_out = list(&a.outputs, &|f, p| format!("    {f}: *mut {},\n", types(p.elem).1));
    let doc = list(&all, &|f, p| format!("/// - `{f}`: {}\n", shape(p)));
    let args_in = list(&a.inputs, &|f, p| format!("    in_{f}: &[{}],\n", types(p.elem).1));
    let args_out = list(&a.outputs, &|f, p| format!("    out_{f}: &mut [{}],\n", types(p.elem).1));
    let check = |prefix: &str, ports: &[(String, Port)]| {
        list(ports, &|f, p| {
            format!("        || Some({prefix}_{f}.len()) != batch.checked_mul({})\n", size(p))
        })
    };
    let checks = check("in", &a.inputs) + &check("out", &a.outputs);
    let names =
        list(&a.inputs, &|f, _| format!("in_{f}, ")) + &list(&a.outputs, &|f, _| format!("out_{f}, "));
    let division = match a.cores {
        1 => {
            "each runs on one thread, as the code was made for one core a sample (`secateur compile --cores`)"
                .into()
        }
        cores => format!("every layer of it is divided among up to {cores} threads"),
    };
    let set_in = list(&a.inputs, &|f, _| format!("{f}: in_{f}.as_ptr(), "));
    let set_out = list(&a.outputs, &|f, _| format!("{f}: out_{f}.as_mut_ptr(), "));
    let fixed = if a.batched { "batch == 0" } else { "batch != 1" };
    format!(
        "//! {n}: made by secateur {version} for {target} ({core}). Do not edit.
//!
//! Link `lib{n}.a`: `println!(\"cargo:rustc-link-lib=static={n}\")` in `build.rs`, with its folder as a search path.

#![allow(dead_code, reason = \"a program calls what it needs\")]

use std::ffi::{{c_char, c_void}};
use std::sync::atomic::{{AtomicBool, Ordering}};

/// The target that the code was made for.
pub const TARGET: &str = \"{target}\";
/// Bytes of a workspace.
pub const WORKSPACE_BYTES: usize = {workspace};

#[repr(C)]
struct Inputs {{
    batch: usize,
{fields_in}}}

#[repr(C)]
struct Outputs {{
{fields_out}}}

unsafe extern \"C\" {{
    fn {n}_run(inputs: *const Inputs, outputs: *mut Outputs, workspace: *mut u8) -> i32;
    fn {n}_run_parallel(
        inputs: *const Inputs,
        outputs: *mut Outputs,
        workspaces: *mut u8,
        count: usize,
        parallel_for: unsafe extern \"C\" fn(*mut c_void, usize, Task, *mut c_void),
        context: *mut c_void,
    ) -> i32;
    fn {n}_describe() -> *const c_char;
}}

type Task = unsafe extern \"C\" fn(*mut c_void, usize);

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// Memory for one run at a time.
pub struct Workspace {{
    lines: Vec<Line>,
    count: usize,
}}

impl Workspace {{
    /// Memory for one sample at a time.
    pub fn new() -> Self {{
        Self::many(1)
    }}

    /// Memory for `count` samples at a time, for [`run_parallel`].
    pub fn many(count: usize) -> Self {{
        let count = count.max(1);
        Self {{ lines: vec![Line([0; 64]); count * WORKSPACE_BYTES.div_ceil(64).max(1)], count }}
    }}
}}

impl Default for Workspace {{
    fn default() -> Self {{
        Self::new()
    }}
}}

/// A slice does not have as many elements as the batch asks for, or the batch is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongSize;

impl std::fmt::Display for WrongSize {{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
        f.write_str(\"a slice does not fit the batch\")
    }}
}}

impl std::error::Error for WrongSize {{}}

/// Runs the network on `batch` samples, one after the other in each slice:
///
{doc}///
/// # Errors
/// [`WrongSize`]; nothing is written then.
pub fn run(
    batch: usize,
{args_in}{args_out}    workspace: &mut Workspace,
) -> Result<(), WrongSize> {{
    let memory = workspace.lines.as_mut_ptr().cast();
    // The slices have the sizes that the code reads and writes; the workspace is large and aligned enough.
    checked(batch, {names}|i, o| unsafe {{ {n}_run(i, o, memory) }})
}}

/// [`run`] on several threads. `parallel_for(n, task)` calls `task(i)` for every `i` below `n`, on any threads, and returns
/// when all are done; with rayon, `|n, task| (0..n).into_par_iter().for_each(task)`. The samples of a batch are shared
/// among the workspace's parts ([`Workspace::many`]). With a workspace for one sample,
/// {division}.
/// Results are those of [`run`].
///
/// # Errors
/// [`WrongSize`]; nothing is written then.
pub fn run_parallel<F: Fn(usize, &(dyn Fn(usize) + Sync))>(
    batch: usize,
{args_in}{args_out}    workspace: &mut Workspace,
    parallel_for: F,
) -> Result<(), WrongSize> {{
    let (memory, count) = (workspace.lines.as_mut_ptr().cast(), workspace.count);
    let context = (&raw const parallel_for).cast_mut().cast();
    // As in `run`; the context is what `share` takes it for.
    checked(batch, {names}|i, o| unsafe {{ {n}_run_parallel(i, o, memory, count, share::<F>, context) }})
}}

/// Hands the parts of one stage to the caller's threads.
unsafe extern \"C\" fn share<F: Fn(usize, &(dyn Fn(usize) + Sync))>(
    context: *mut c_void,
    n: usize,
    task: Task,
    argument: *mut c_void,
) {{
    struct Argument(*mut c_void);
    // Parts read it and write places that differ.
    unsafe impl Sync for Argument {{}}
    impl Argument {{
        fn get(&self) -> *mut c_void {{
            self.0
        }}
    }}
    let argument = Argument(argument);
    let begun: Vec<AtomicBool> = (0..n).map(|_| AtomicBool::new(false)).collect();
    let one = |i: usize| {{
        // Each part runs once, whatever the caller does.
        if begun.get(i).is_some_and(|b| !b.swap(true, Ordering::Relaxed)) {{
            unsafe {{ task(argument.get(), i) }}
        }}
    }};
    let parallel_for = unsafe {{ &*context.cast::<F>() }};
    parallel_for(n, &one);
    (0..n).for_each(one);
}}

/// Calls `f` if all sizes are right.
fn checked(
    batch: usize,
{args_in}{args_out}    f: impl FnOnce(*const Inputs, *mut Outputs) -> i32,
) -> Result<(), WrongSize> {{
    if {fixed}
{checks}    {{
        return Err(WrongSize);
    }}
    let inputs = Inputs {{ batch, {set_in}}};
    let mut outputs = Outputs {{ {set_out}}};
    match f(&inputs, &mut outputs) {{
        0 => Ok(()),
        _ => Err(WrongSize),
    }}
}}

/// Names, shapes, types, workspace, compiler version and target, as JSON.
pub fn describe() -> &'static str {{
    // The text is part of the object file, ends in a zero byte, and is ASCII but for names.
    let text = unsafe {{ std::ffi::CStr::from_ptr({n}_describe()) }};
    text.to_str().unwrap_or(\"\")
}}
",
        version = a.version,
        target = a.target,
        core = a.core,
        workspace = a.workspace,
    )
}
