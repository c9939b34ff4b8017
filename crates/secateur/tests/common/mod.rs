//! The built command, and small models and arrays to give it.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod quantizing;
pub mod referee;

use std::path::{Path, PathBuf};
use std::process::Command;

use secateur_onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as DimValue, type_proto, type_proto::Value as TypeValue,
};
use secateur_onnx::{ExternalFiles, Extras, Model};
use tempfile::TempDir;

/// The named file in the workspace's `fixtures` folder.
pub fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "fixtures", name].iter().collect()
}

/// What a run of the command left behind.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A temporary folder with an empty `out` in it, and the command run in it.
pub struct Desk {
    dir: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Runs `secateur` with the folder as working directory; the folder's own name reads DIR in its output,
    /// the fixtures' FIXTURES.
    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Run {
        let output = self.command(&[], args).output().unwrap();
        let text = |bytes: &[u8]| {
            let t = String::from_utf8(bytes.to_vec()).unwrap();
            let t = t.replace(&self.dir.path().display().to_string(), "DIR");
            t.replace(&fixture("").display().to_string(), "FIXTURES/")
        };
        let code = output.status.code().expect("the command was killed");
        Run { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The command to be run in the folder, by another one before it if there is one.
    pub fn command<S: AsRef<str>>(&self, before: &[&str], args: &[S]) -> Command {
        let mut words = before.to_vec();
        words.push(env!("CARGO_BIN_EXE_secateur"));
        words.extend(args.iter().map(AsRef::as_ref));
        let mut command = Command::new(words[0]);
        command.current_dir(self.dir.path()).args(&words[1..]);
        command
    }

    /// As [`Desk::run`] on one line of words.
    pub fn line(&self, line: &str) -> Run {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Names in the `out` folder, sorted.
    pub fn written(&self) -> Vec<String> {
        names(&self.path("out"))
    }

    /// The error of a run that must fail with `code` and write nothing.
    pub fn refused(&self, code: i32, line: &str) -> String {
        let run = self.line(line);
        assert_eq!(run.code, code, "{line}\n{}{}", run.out, run.err);
        assert!(run.out.is_empty(), "{}", run.out);
        assert!(self.written().is_empty(), "{:?}", self.written());
        assert!(!run.err.contains("panicked"), "{}", run.err);
        run.err
    }

    /// The lines of a run that must succeed.
    pub fn done(&self, line: &str) -> Run {
        let run = self.line(line);
        assert_eq!(run.code, 0, "{line}\n{}{}", run.out, run.err);
        run
    }
}

/// Names in a folder, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Uniform numbers in -1..1.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    secateur_ir::Tensor::uniform(&[n], seed).to_f32().unwrap()
}

/// A version 1.0 `.npy` file.
pub fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let dims: String = shape.iter().map(|d| format!("{d}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        raw_data: Some(bytes_of(values).into()),
        ..Default::default()
    }
}

pub fn weight(name: &str, dims: &[i64], seed: u64) -> TensorProto {
    tensor(name, dims, &noise(dims.iter().product::<i64>() as usize, seed))
}

/// A declared float; a size of -1 is the symbol `N`.
pub fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| Dimension {
        value: Some(if n == -1 { DimValue::DimParam("N".into()) } else { DimValue::DimValue(n) }),
        ..Default::default()
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(1), shape };
    let r#type = Some(TypeProto { value: Some(TypeValue::TensorType(tensor)), ..Default::default() });
    ValueInfoProto { name: Some(name.into()), r#type, ..Default::default() }
}

pub fn node(op: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let own = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    NodeProto {
        op_type: Some(op.into()),
        name: Some(name.into()),
        input: own(inputs),
        output: own(outputs),
        ..Default::default()
    }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(7), ints: values.to_vec(), ..Default::default() }
}

/// `x[N,3,8,8] -> Conv 3x3 to 8 channels -> Relu -> Conv 1x1 to 4 -> y`, opset 17.
pub fn small() -> ModelProto {
    let mut first = node("Conv", "first", &["x", "w1", "b1"], &["a"]);
    first.attribute.push(ints("pads", &[1, 1, 1, 1]));
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(GraphProto {
            name: Some("small".into()),
            node: vec![
                first,
                node("Relu", "act", &["a"], &["r"]),
                node("Conv", "last", &["r", "w2"], &["y"]),
            ],
            initializer: vec![
                weight("w1", &[8, 3, 3, 3], 1),
                weight("b1", &[8], 2),
                weight("w2", &[4, 8, 1, 1], 3),
            ],
            input: vec![value("x", &[-1, 3, 8, 8])],
            output: vec![value("y", &[-1, 4, 8, 8])],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The small model after a change.
pub fn changed(change: impl FnOnce(&mut ModelProto, &mut GraphProto)) -> Vec<u8> {
    let mut m = small();
    let mut g = m.graph.take().unwrap();
    change(&mut m, &mut g);
    m.graph = Some(g);
    encode(m)
}

pub fn encode(m: ModelProto) -> Vec<u8> {
    Model::from_parts(m, Extras::default(), ExternalFiles::new(None)).encode().to_vec()
}
