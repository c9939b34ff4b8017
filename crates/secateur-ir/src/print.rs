//! The printed form; its grammar is in `docs/ir.md`.

use std::fmt::Write;

use secateur_onnx::ElemType;
use secateur_onnx::proto::{AttributeProto, attribute_proto::AttributeType};

use crate::graph::{Graph, Node, TensorType, ValueId};
use crate::text::word;
use secateur_tensor::{Data, Tensor};

/// Tensors up to this many numbers are printed element by element.
const INLINE: usize = 16;

/// `f32[N,3,32,32]`, `f32[..]` for an unknown rank, `?` for an unknown type.
pub fn ty(t: Option<&TensorType>) -> String {
    let Some(t) = t else { return "?".into() };
    match &t.shape {
        None => format!("{}[..]", t.elem),
        Some(s) => format!("{}[{}]", t.elem, s.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
    }
}

/// The whole graph.
pub fn graph(g: &Graph) -> String {
    let mut out = String::new();
    let opsets: Vec<String> = g.opsets.iter().map(|(d, v)| format!("{}={v}", word(d))).collect();
    let typed = |v: &ValueId| format!("{}: {}", name(g, *v), ty(g.value(*v).ty.as_ref()));
    let inputs: Vec<String> = g.inputs.iter().map(typed).collect();
    let outputs: Vec<String> = g.outputs.iter().map(|v| name(g, *v)).collect();
    let _ = writeln!(
        out,
        "graph {} opset({}) ({}) -> ({}) {{",
        word(&g.name),
        opsets.join(", "),
        inputs.join(", "),
        outputs.join(", ")
    );
    for v in used_inits(g) {
        if let Some(t) = g.init(v) {
            let _ = writeln!(out, "  {}: {}", name(g, v), tensor(t));
        }
    }
    for n in &g.nodes {
        let _ = writeln!(out, "  {}", node(g, n));
    }
    out.push_str("}\n");
    out
}

/// Initializers that something reads, in the order of their ids.
fn used_inits(g: &Graph) -> Vec<ValueId> {
    let links = g.links();
    g.value_ids()
        .filter(|&v| {
            g.value(v).init.is_some()
                && (!links.uses(v).is_empty() || g.is_output(v) || g.inputs.contains(&v))
        })
        .collect()
}

/// `%name`, or `@name` for an initializer.
pub fn name(g: &Graph, v: ValueId) -> String {
    let value = g.value(v);
    format!("{}{}", if value.init.is_some() { '@' } else { '%' }, word(&value.name))
}

/// One node on one line.
pub fn node(g: &Graph, n: &Node) -> String {
    let outputs: Vec<String> = n
        .outputs
        .iter()
        .map(|v| v.map_or("_".into(), |v| format!("{}: {}", name(g, v), ty(g.value(v).ty.as_ref()))))
        .collect();
    let inputs: Vec<String> = n
        .inputs
        .iter()
        .map(|v| {
            v.map_or("_".into(), |v| match g.init(v) {
                Some(t) => format!("{}{}", name(g, v), dims(&t.dims)),
                None => name(g, v),
            })
        })
        .collect();
    let mut line = format!("{} = ", outputs.join(", "));
    if !n.domain().is_empty() {
        let _ = write!(line, "{}::", word(n.domain()));
    }
    // What stands before the last `::` of a bare name is the domain.
    let op = if n.op().contains("::") { format!("{:?}", n.op()) } else { word(n.op()) };
    let _ = write!(line, "{op}({})", inputs.join(", "));
    if !n.proto.attribute.is_empty() {
        let attrs: Vec<String> = n.proto.attribute.iter().map(attr).collect();
        let _ = write!(line, " {{{}}}", attrs.join(", "));
    }
    if !n.captures.is_empty() {
        let captures: Vec<String> = n.captures.iter().map(|&v| name(g, v)).collect();
        let _ = write!(line, " captures({})", captures.join(", "));
    }
    if !n.name().is_empty() {
        let _ = write!(line, " as {}", word(n.name()));
    }
    line
}

fn dims(d: &[usize]) -> String {
    format!("[{}]", d.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// A float that reads back as the same bits and never looks like an integer.
fn float(v: f32) -> String {
    if v.is_nan() { format!("nan:{:08x}", v.to_bits()) } else { format!("{v:?}") }
}

/// Type, sizes, and the elements or their digest.
fn tensor(t: &Tensor) -> String {
    let head = format!("{}{}", t.elem, dims(&t.dims));
    let list = |items: Vec<String>| format!("{head} = [{}]", items.join(", "));
    if t.len() <= INLINE && !matches!(t.data, Data::Elided(_)) {
        if let Some(v) = t.to_i64() {
            return list(v.iter().map(ToString::to_string).collect());
        }
        if t.elem == ElemType::F32
            && let Some(v) = t.to_f32()
        {
            return list(v.into_iter().map(float).collect());
        }
    }
    format!("{head} = #{:016x}", t.digest())
}

fn attr(a: &AttributeProto) -> String {
    let text = |s: &[u8]| match std::str::from_utf8(s) {
        Ok(s) => format!("{s:?}"),
        Err(_) => format!("bytes {:?}", s.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    };
    let list = |kind: &str, items: Vec<String>| match items.is_empty() {
        true => format!("{kind}[]"),
        false => format!("[{}]", items.join(", ")),
    };
    let kind = a.r#type.and_then(|t| AttributeType::try_from(t).ok());
    let value = match kind {
        Some(AttributeType::Int) => a.i().to_string(),
        Some(AttributeType::Float) => float(a.f()),
        Some(AttributeType::String) => text(a.s()),
        Some(AttributeType::Ints) => list("ints", a.ints.iter().map(ToString::to_string).collect()),
        Some(AttributeType::Floats) => list("floats", a.floats.iter().map(|f| float(*f)).collect()),
        Some(AttributeType::Strings) => list("strings", a.strings.iter().map(|s| text(s)).collect()),
        _ => format!("opaque #{:016x}", opaque(a)),
    };
    format!("{}={value}", word(a.name()))
}

/// The digest of an attribute that has no printed form: graphs, tensors, types.
fn opaque(a: &AttributeProto) -> u64 {
    // Read back from a printed graph: the digest itself was kept as the attribute's text.
    if let Some(d) = a.doc_string.as_deref().and_then(|d| d.strip_prefix('#'))
        && a.g.is_none()
        && a.t.is_none()
    {
        return u64::from_str_radix(d, 16).unwrap_or(0);
    }
    let bytes = secateur_onnx::encode_with_extras(a, &secateur_onnx::Extras::default());
    Tensor::from_bytes(ElemType::U8, vec![bytes.len()], bytes).digest()
}
