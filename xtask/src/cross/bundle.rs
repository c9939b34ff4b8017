//! What a folder written by `secateur compile` holds, and what the bundle says of itself.

use crate::sh;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder with `NAME.h`, `NAME.o`, `libNAME.a`, `NAME.rs` and perhaps `report.json`.
pub struct Bundle {
    pub folder: PathBuf,
    pub name: String,
    /// Node, symbol and kernel of each layer, in order.
    pub layers: Vec<Layer>,
}

/// A layer as `report.json` has it.
pub struct Layer {
    pub node: String,
    pub symbol: String,
    pub kernel: String,
}

/// What `NAME_describe` says.
pub struct About {
    pub name: String,
    pub target: String,
    pub core: String,
    pub workspace_bytes: u64,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

/// An input or output.
pub struct Port {
    pub name: String,
    pub field: String,
    pub element: String,
    pub shape: Vec<u64>,
}

impl Port {
    pub fn elements(&self) -> usize {
        self.shape.iter().product::<u64>() as usize
    }

    pub fn bytes(&self) -> usize {
        self.elements() * element_bytes(&self.element)
    }

    /// The element's type in Rust.
    pub fn rust(&self) -> &str {
        if self.element == "bool" { "u8" } else { &self.element }
    }
}

fn element_bytes(element: &str) -> usize {
    match element {
        "i64" | "f64" => 8,
        "i8" | "u8" | "bool" => 1,
        _ => 4,
    }
}

impl Bundle {
    pub fn open(folder: &Path) -> Result<Bundle> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".h")?.to_owned()))
            .filter(|name| folder.join(format!("lib{name}.a")).exists())
            .collect();
        let name = match (names.pop(), names.pop()) {
            (Some(name), None) => name,
            (None, _) => bail!("{} holds no bundle: there is no NAME.h with libNAME.a", folder.display()),
            _ => bail!("{} holds more than one bundle", folder.display()),
        };
        let report = fs::read(folder.join("report.json")).ok();
        let report: Value = report.and_then(|r| serde_json::from_slice(&r).ok()).unwrap_or(Value::Null);
        Ok(Bundle { folder: folder.to_owned(), name, layers: find_layers(&report) })
    }
}

/// The layers of the report, wherever it has them.
fn find_layers(report: &Value) -> Vec<Layer> {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let one =
        |v: &Value| Layer { node: text(v, "node"), symbol: text(v, "symbol"), kernel: text(v, "kernel") };
    match report {
        Value::Object(map) => match map.get("layers").and_then(Value::as_array) {
            Some(layers) if layers.iter().all(|l| l.get("symbol").is_some()) => {
                layers.iter().map(one).collect()
            }
            _ => map.values().map(find_layers).find(|l| !l.is_empty()).unwrap_or_default(),
        },
        _ => Vec::new(),
    }
}

pub fn describe(bench: &Path) -> Result<About> {
    let text = sh::output(Command::new("qemu-aarch64").arg(bench).arg("describe"))?;
    let about: Value = serde_json::from_str(&text).context("the bundle's description is not JSON")?;
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ports = |key: &str| -> Vec<Port> {
        let port = |v: &Value| Port {
            name: text(v, "name"),
            field: text(v, "field"),
            element: text(v, "type"),
            shape: v["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        };
        about[key].as_array().into_iter().flatten().map(port).collect()
    };
    Ok(About {
        name: text(&about, "name"),
        target: text(&about, "target"),
        core: text(&about, "core"),
        workspace_bytes: about["workspace_bytes"]
            .as_u64()
            .context("no workspace_bytes in the description")?,
        inputs: ports("inputs"),
        outputs: ports("outputs"),
    })
}

/// Files with one sample of each input: the first of each `.npy`, or numbers that look random and are always the same.
pub fn inputs(about: &About, given: &[PathBuf], work: &Path) -> Result<Vec<PathBuf>> {
    if !given.is_empty() && given.len() != about.inputs.len() {
        bail!("{} has {} inputs, not {}", about.name, about.inputs.len(), given.len());
    }
    let mut files = Vec::new();
    for (i, port) in about.inputs.iter().enumerate() {
        let bytes = match given.get(i) {
            Some(file) => first_sample(file, port).with_context(|| file.display().to_string())?,
            None => some_numbers(port, i as u64),
        };
        let file = work.join(format!("input{i}"));
        fs::write(&file, bytes)?;
        files.push(file);
    }
    Ok(files)
}

/// The format is NumPy's, versions 1 to 3: magic, version, length of the header, the header as a Python dictionary.
fn first_sample(file: &Path, port: &Port) -> Result<Vec<u8>> {
    let bytes = fs::read(file)?;
    if bytes.len() < 12 || &bytes[..6] != b"\x93NUMPY" {
        bail!("not a .npy file");
    }
    let (start, length) = match bytes[6] {
        1 => (10, u16::from_le_bytes([bytes[8], bytes[9]]) as usize),
        _ => (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize),
    };
    let header = bytes.get(start..start + length).context("the header is cut off")?;
    let header = String::from_utf8_lossy(header);
    let kind = match port.element.as_str() {
        "f32" => "'<f4'",
        "i64" => "'<i8'",
        "i32" => "'<i4'",
        "u8" => "'|u1'",
        "i8" => "'|i1'",
        "bool" => "'|b1'",
        other => bail!("inputs of type {other} are not supported"),
    };
    if !header.contains(kind) || header.contains("'fortran_order': True") {
        bail!("input {} wants elements {kind} in C order", port.name);
    }
    let sample = bytes.get(start + length..start + length + port.bytes());
    Ok(sample.with_context(|| format!("less than one sample of input {}", port.name))?.to_vec())
}

/// From a linear congruential generator: f32 from -1 to 1, integers from 0 to 7.
fn some_numbers(port: &Port, seed: u64) -> Vec<u8> {
    let mut state = seed + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let mut bytes = Vec::with_capacity(port.bytes());
    for _ in 0..port.elements() {
        match (port.element.as_str(), element_bytes(&port.element)) {
            ("f32", _) => bytes.extend((next() as f32 / (1 << 23) as f32 - 1.0).to_le_bytes()),
            ("bool", _) => bytes.push((next() & 1) as u8),
            (_, size) => bytes.extend(&(next() % 8).to_le_bytes()[..size]),
        }
    }
    bytes
}
