//! Every tensor of a model, wherever it hides.

use crate::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto};

macro_rules! visitor {
    ($doc:literal $model:ident $graph:ident $node:ident $attribute:ident $sparse:ident $iter:ident $($m:tt)?) => {
        #[doc = $doc]
        ///
        /// Goes through initializers, sparse initializers and attributes of the graph, of its
        /// subgraphs, of functions and of training graphs.
        pub fn $model<'a>(model: &'a $($m)? ModelProto, f: &mut impl FnMut(&'a $($m)? TensorProto)) {
            model.graph.$iter().for_each(|g| $graph(g, f));
            for function in model.functions.$iter() {
                function.attribute_proto.$iter().for_each(|a| $attribute(a, f));
                function.node.$iter().for_each(|n| $node(n, f));
            }
            for training in model.training_info.$iter() {
                training.initialization.$iter().for_each(|g| $graph(g, f));
                training.algorithm.$iter().for_each(|g| $graph(g, f));
            }
        }

        fn $graph<'a>(graph: &'a $($m)? GraphProto, f: &mut impl FnMut(&'a $($m)? TensorProto)) {
            graph.initializer.$iter().for_each(&mut *f);
            graph.sparse_initializer.$iter().for_each(|s| $sparse(s, f));
            graph.node.$iter().for_each(|n| $node(n, f));
        }

        fn $node<'a>(node: &'a $($m)? NodeProto, f: &mut impl FnMut(&'a $($m)? TensorProto)) {
            node.attribute.$iter().for_each(|a| $attribute(a, f));
        }

        fn $attribute<'a>(a: &'a $($m)? AttributeProto, f: &mut impl FnMut(&'a $($m)? TensorProto)) {
            a.t.$iter().for_each(&mut *f);
            a.tensors.$iter().for_each(&mut *f);
            a.sparse_tensor.$iter().for_each(|s| $sparse(s, f));
            a.sparse_tensors.$iter().for_each(|s| $sparse(s, f));
            a.g.$iter().for_each(|g| $graph(g, f));
            a.graphs.$iter().for_each(|g| $graph(g, f));
        }

        fn $sparse<'a>(sparse: &'a $($m)? SparseTensorProto, f: &mut impl FnMut(&'a $($m)? TensorProto)) {
            sparse.values.$iter().for_each(&mut *f);
            sparse.indices.$iter().for_each(f);
        }
    };
}

visitor! { "Calls `f` on every tensor of `model`." for_each_tensor graph node attribute sparse iter }
visitor! {
    "Calls `f` on every tensor of `model`, to be changed."
    for_each_tensor_mut graph_mut node_mut attribute_mut sparse_mut iter_mut mut
}
