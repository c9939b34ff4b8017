//! Compiles `proto/onnx-ml.proto` to Rust types and to a table of the fields they know.

use std::fmt::Write as _;
use std::path::Path;

use protox::prost_reflect::prost_types::DescriptorProto;

const PROTO: &str = "proto/onnx-ml.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let fds = protox::compile([PROTO], ["proto"])?;

    let mut messages = Vec::new();
    for file in &fds.file {
        for message in &file.message_type {
            collect(file.package(), message, &mut messages);
        }
    }
    messages.sort_by(|a, b| a.0.cmp(&b.0));
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("schema.rs"), table(&messages))?;

    prost_build::Config::new().bytes(["."]).enable_type_names().disable_comments(["."]).compile_fds(fds)?;
    Ok(())
}

/// Full names and descriptors of `message` and of the messages declared inside it.
fn collect<'a>(scope: &str, message: &'a DescriptorProto, out: &mut Vec<(String, &'a DescriptorProto)>) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, out);
    }
    out.push((name, message));
}

fn table(messages: &[(String, &DescriptorProto)]) -> String {
    let mut rows = String::from("pub(crate) static MESSAGES: &[MessageInfo] = &[\n");
    let mut numbers = String::from(
        "/// Numbers of the fields of every message, e.g. `field::graph_proto::NODE`.\n#[allow(missing_docs)]\npub mod field {\n",
    );
    for (name, message) in messages {
        let mut fields: Vec<_> = message.field.iter().collect();
        fields.sort_by_key(|f| f.number());
        let short = name.split_once('.').map_or(name.as_str(), |(_, rest)| rest);
        let _ = writeln!(numbers, "pub mod {} {{", snake(short));
        let _ = write!(rows, "MessageInfo {{ name: {name:?}, fields: &[");
        for f in fields {
            let target = f.type_name().trim_start_matches('.');
            let message = messages.iter().position(|(n, _)| n == target);
            let repeated =
                f.label() == protox::prost_reflect::prost_types::field_descriptor_proto::Label::Repeated;
            let _ = write!(
                rows,
                "FieldInfo {{ number: {}, name: {:?}, repeated: {repeated}, message: {message:?} }},",
                f.number(),
                f.name(),
            );
            let _ = writeln!(numbers, "pub const {}: u32 = {};", f.name().to_uppercase(), f.number());
        }
        rows.push_str("] },\n");
        numbers.push_str("}\n");
    }
    rows + "];\n" + &numbers + "}\n"
}

/// `TensorShapeProto.Dimension` to `tensor_shape_proto_dimension`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if c == '.' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}
