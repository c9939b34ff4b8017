//! Constant nodes become initializers of the same name.
//!
//! ```text
//! %c: i64[2] = Constant() {value_ints=[1, 2]}     @c: i64[2] = [1, 2]
//! %y: .. = Reshape(%x, %c)                    =>  %y: .. = Reshape(%x, @c[2])
//! ```
//!
//! Sparse constants, and those whose elements are outside the file, stay.

use secateur_diag::Result;
use secateur_ir::{Data, Edit, ElemType, Graph, Node, Tensor, module};
use secateur_onnx::ExternalFiles;

use crate::Pass;

/// The row of this pass.
pub const PASS: Pass = Pass { name: "constants", doc: "Constant nodes become initializers", run };

fn run(graph: &mut Graph) -> Result<usize> {
    let mut edit = Edit::new(graph);
    let mut changes = 0;
    for n in 0..graph.nodes.len() {
        let node = &graph.nodes[n];
        let (true, [Some(y)]) = (node.is("Constant"), node.outputs.as_slice()) else { continue };
        let y = *y;
        // An output of the graph must be written by a node to be one in every runtime.
        if edit.is_output(y) {
            continue;
        }
        let Some(tensor) = value(node) else { continue };
        graph.set_init(y, tensor);
        edit.remove(n);
        changes += 1;
    }
    edit.apply(graph);
    Ok(changes)
}

/// The constant, `None` where it is of a kind that stays a node.
fn value(node: &Node) -> Option<Tensor> {
    let [a] = node.proto.attribute.as_slice() else { return None };
    match a.name() {
        "value" => module::tensor(a.t.as_ref()?, &ExternalFiles::new(None)).ok(),
        "value_int" => Some(Tensor::i64(&[], &[node.int("value_int").ok()??])),
        "value_ints" => Some(Tensor::vec_i64(node.ints("value_ints").ok()??)),
        "value_float" => Some(Tensor::f32(&[], &[node.float("value_float").ok()??])),
        "value_floats" => Some(Tensor::f32(&[a.floats.len()], &a.floats)),
        "value_string" => {
            Some(Tensor { elem: ElemType::String, dims: vec![], data: Data::Strings(vec![a.s.clone()?]) })
        }
        "value_strings" => Some(Tensor {
            elem: ElemType::String,
            dims: vec![a.strings.len()],
            data: Data::Strings(a.strings.clone()),
        }),
        _ => None,
    }
}
