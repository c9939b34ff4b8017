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
    let set_in = list(&a.inputs, &|f, _| format!("{f}: in_{f}.as_ptr(), "));
    let set_out = list(&a.outputs, &|f, _| format!("{f}: out_{f}.as_mut_ptr(), "));
    let fixed = if a.batched { "batch == 0" } else { "batch != 1" };
    format!(
        "//! {n}: made by secateur {version} for {target} ({core}). Do not edit.
//!
//! Link `lib{n}.a`: `println!(\"cargo:rustc-link-lib=static={n}\")` in `build.rs`, with its folder as a search path.

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
    fn {n}_describe() -> *const std::ffi::c_char;
}}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// Memory for one run at a time.
pub struct Workspace(Vec<Line>);

impl Workspace {{
    /// A new workspace.
    pub fn new() -> Self {{
        Self(vec![Line([0; 64]); WORKSPACE_BYTES.div_ceil(64).max(1)])
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
    if {fixed}
{checks}    {{
        return Err(WrongSize);
    }}
    let inputs = Inputs {{ batch, {set_in}}};
    let mut outputs = Outputs {{ {set_out}}};
    // The slices have the sizes that the code reads and writes; the workspace is large and aligned enough.
    match unsafe {{ {n}_run(&inputs, &mut outputs, workspace.0.as_mut_ptr().cast()) }} {{
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
