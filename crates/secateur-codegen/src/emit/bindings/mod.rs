//! What calls the object file: a C header, a Rust module, a Python module.

mod c;
mod python;
mod rust;

pub use c::header;
pub use python::module as python_module;
pub use rust::module as rust_module;

use secateur_ir::ElemType;

use crate::program::Port;

/// What the bindings say of a bundle.
#[derive(Clone, Debug)]
pub struct About {
    /// The model's name, an identifier.
    pub name: String,
    /// Version of this program.
    pub version: String,
    /// The target's name.
    pub target: String,
    /// The core.
    pub core: String,
    /// Bytes of the workspace.
    pub workspace: usize,
    /// Cores that one sample may run on at once.
    pub cores: usize,
    /// The batch is free.
    pub batched: bool,
    /// Inputs with their fields' names.
    pub inputs: Vec<(String, Port)>,
    /// Outputs with their fields' names.
    pub outputs: Vec<(String, Port)>,
}

/// Words that C, C++, Rust or Python keep for themselves and that a value may well be called.
const RESERVED: &[&str] = &[
    "as",
    "auto",
    "batch",
    "bool",
    "break",
    "case",
    "class",
    "const",
    "def",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extern",
    "float",
    "fn",
    "for",
    "from",
    "global",
    "if",
    "impl",
    "import",
    "in",
    "int",
    "is",
    "lambda",
    "let",
    "long",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "namespace",
    "new",
    "not",
    "operator",
    "or",
    "and",
    "out",
    "pass",
    "private",
    "pub",
    "public",
    "ref",
    "return",
    "self",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "template",
    "this",
    "trait",
    "true",
    "false",
    "try",
    "type",
    "typedef",
    "union",
    "unsafe",
    "unsigned",
    "use",
    "using",
    "virtual",
    "void",
    "volatile",
    "where",
    "while",
    "with",
    "yield",
    "async",
    "await",
    "dyn",
    "workspace",
];

/// An identifier made of a name: other characters become underscores.
pub fn identifier(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let trimmed = out.trim_matches('_');
    out = if trimmed.is_empty() { "value".into() } else { trimmed.to_owned() };
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
        out.insert(0, 'm');
    }
    if RESERVED.contains(&out.as_str()) {
        out.push('_');
    }
    out
}

/// Identifiers for ports, all different.
pub fn fields(ports: &[Port]) -> Vec<(String, Port)> {
    let mut out: Vec<(String, Port)> = Vec::new();
    for p in ports {
        let base = identifier(&p.name);
        let mut name = base.clone();
        let mut n = 1;
        while out.iter().any(|(o, _)| *o == name) {
            n += 1;
            name = format!("{base}_{n}");
        }
        out.push((name, p.clone()));
    }
    out
}

impl About {
    /// The text that `NAME_describe` returns: JSON.
    pub fn json(&self) -> String {
        let port = |(field, p): &(String, Port)| {
            serde_json::json!({
                "name": p.name,
                "field": field,
                "type": p.elem.to_string(),
                "shape": p.dims,
                "batched": p.batched,
            })
        };
        serde_json::json!({
            "name": self.name,
            "secateur": self.version,
            "target": self.target,
            "core": self.core,
            "cores": self.cores,
            "needs": ["fp", "asimd"],
            "workspace_bytes": self.workspace,
            "workspace_align": crate::plan::ALIGN,
            "inputs": self.inputs.iter().map(port).collect::<Vec<_>>(),
            "outputs": self.outputs.iter().map(port).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// The types of an element in C, Rust and numpy.
pub(super) fn types(e: ElemType) -> (&'static str, &'static str, &'static str) {
    match e {
        ElemType::I32 => ("int32_t", "i32", "int32"),
        ElemType::I64 => ("int64_t", "i64", "int64"),
        ElemType::U8 => ("uint8_t", "u8", "uint8"),
        ElemType::I8 => ("int8_t", "i8", "int8"),
        ElemType::Bool => ("uint8_t", "u8", "bool_"),
        _ => ("float", "f32", "float32"),
    }
}

/// `[1,3,32,32]`.
pub(super) fn shape(p: &Port) -> String {
    let sizes: Vec<String> = p
        .dims
        .iter()
        .enumerate()
        .map(|(a, d)| if a == 0 && p.batched { "batch".to_owned() } else { d.to_string() })
        .collect();
    format!("[{}]", sizes.join(", "))
}
