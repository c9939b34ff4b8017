//! Names that are taken although no value of the graph has them.
//!
//! ONNX has one namespace for a graph and all graphs inside of it: a name that the body of an If, Loop or Scan defines
//! must not be defined around it. Declarations of values that are gone, and annotations, go by name too.

use rustc_hash::FxHashMap;
use secateur_onnx::proto::{GraphProto, NodeProto};

/// Names, with how many nodes hold each. Names of the shell are held by nobody who could let them go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    names: FxHashMap<String, u32>,
    /// By base: the number that was tried last.
    tried: FxHashMap<String, u32>,
}

impl Held {
    /// Nobody else may take `name`.
    pub fn hold(&mut self, name: &str) {
        if !name.is_empty() {
            *self.names.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn release(&mut self, name: &str) {
        if let Some(n) = self.names.get_mut(name) {
            *n -= 1;
            if *n == 0 {
                self.names.remove(name);
            }
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// `base`, or `base_N` with the next number for which `taken` does not hold and nobody holds the name.
    pub fn fresh(&mut self, base: &str, taken: impl Fn(&str) -> bool) -> String {
        let free = |held: &Self, name: &str| !taken(name) && !held.contains(name);
        if free(self, base) {
            return base.to_owned();
        }
        let mut n = self.tried.get(base).copied().unwrap_or(0);
        loop {
            n += 1;
            let name = format!("{base}_{n}");
            if free(self, &name) {
                self.tried.insert(base.to_owned(), n);
                return name;
            }
        }
    }

    /// Takes what the subgraphs of a node that comes into the graph define.
    pub fn enter(&mut self, node: &NodeProto) {
        for g in subgraphs(node) {
            definitions(g, &mut |name| self.hold(name));
        }
    }

    /// Gives up what the subgraphs of a node that leaves define.
    pub fn leave(&mut self, node: &NodeProto) {
        for g in subgraphs(node) {
            definitions(g, &mut |name| self.release(name));
        }
    }

    /// Gives up what a subgraph itself defines, not what those inside of it do.
    pub fn open(&mut self, body: &GraphProto) {
        own_definitions(body).for_each(|name| self.release(name));
    }
}

/// The graphs in a node's attributes.
pub(crate) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Calls `f` on every name that a graph defines, and on those that its own subgraphs do.
pub(crate) fn definitions<'a>(g: &'a GraphProto, f: &mut dyn FnMut(&'a str)) {
    own_definitions(g).for_each(&mut *f);
    for inner in g.node.iter().flat_map(subgraphs) {
        definitions(inner, f);
    }
}

/// Every name that a graph itself defines: inputs, initializers, what its nodes write.
pub(crate) fn own_definitions(g: &GraphProto) -> impl Iterator<Item = &str> {
    let sparse = g.sparse_initializer.iter().filter_map(|t| t.values.as_ref().map(|v| v.name()));
    g.input
        .iter()
        .map(|i| i.name())
        .chain(g.initializer.iter().map(|t| t.name()))
        .chain(sparse)
        .chain(g.node.iter().flat_map(|n| &n.output).map(String::as_str))
        .filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_names_are_the_least_that_are_free() {
        let mut held = Held::default();
        held.hold("a");
        held.hold("a_2");
        let mut made: Vec<String> = Vec::new();
        for _ in 0..3 {
            let name = held.fresh("a", |n| made.iter().any(|m| m == n));
            made.push(name);
        }
        assert_eq!(made, ["a_1", "a_3", "a_4"]);
        assert_eq!(held.fresh("b", |_| false), "b");
    }
}
