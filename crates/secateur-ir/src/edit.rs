//! Rewriting: a batch of replaced values, removed and inserted nodes, applied in one sweep.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::{Graph, Node, ValueId};

/// Changes that a pass has decided on; the graph's nodes keep their indices until [`Edit::apply`].
///
/// # Invariants
///
/// - Outputs of the graph, and values that subgraphs read, keep their names and their meaning.
/// - A replaced value's own node is removed by the same edit, or is left without readers.
#[derive(Debug)]
pub struct Edit {
    /// Names that must stay: graph outputs, captured values.
    fixed: FxHashSet<ValueId>,
    outputs: FxHashSet<ValueId>,
    /// By value: the node that will write it.
    def: Vec<Option<usize>>,
    replace: FxHashMap<ValueId, ValueId>,
    /// Keys of `replace` that are renamed where they are written, too.
    renamed: FxHashSet<ValueId>,
    remove: FxHashSet<usize>,
    insert: Vec<(usize, Node)>,
}

impl Edit {
    /// An edit of `graph` that changes nothing yet.
    pub fn new(graph: &Graph) -> Self {
        let outputs: FxHashSet<ValueId> = graph.outputs.iter().copied().collect();
        let mut fixed = outputs.clone();
        let mut def = vec![None; graph.value_count()];
        for (n, node) in graph.nodes.iter().enumerate() {
            fixed.extend(&node.captures);
            for v in node.outputs.iter().flatten() {
                def[v.index()] = Some(n);
            }
        }
        Self {
            fixed,
            outputs,
            def,
            replace: FxHashMap::default(),
            renamed: FxHashSet::default(),
            remove: FxHashSet::default(),
            insert: Vec::new(),
        }
    }

    /// What `v` will be called once the edit is applied.
    pub fn resolve(&self, mut v: ValueId) -> ValueId {
        while let Some(&to) = self.replace.get(&v) {
            v = to;
        }
        v
    }

    /// Whether `v` is an output of the graph.
    pub fn is_output(&self, v: ValueId) -> bool {
        self.outputs.contains(&v)
    }

    /// Whether `v` is an output of the graph or read by a subgraph.
    pub fn is_fixed(&self, v: ValueId) -> bool {
        self.fixed.contains(&v)
    }

    /// Readers of `old` are to read `new`, which is defined before all of them.
    ///
    /// Where `old`'s name must stay, the node that writes `new` writes `old` instead, and the caller must
    /// remove the node that wrote `old`. `false`, and nothing changed, where `new`'s name must stay as well.
    pub fn replace(&mut self, old: ValueId, new: ValueId) -> bool {
        let (old, new) = (self.resolve(old), self.resolve(new));
        if old == new {
            return false;
        }
        if !self.fixed.contains(&old) {
            self.replace.insert(old, new);
            return true;
        }
        let written = self.def.get(new.index()).copied().flatten().filter(|n| !self.remove.contains(n));
        if self.fixed.contains(&new) || written.is_none() {
            return false;
        }
        // A capture that comes before old's node would read it too early; it cannot exist, as old is
        // written later than new and captures of old come later still.
        self.def[old.index()] = written;
        self.replace.insert(new, old);
        self.renamed.insert(new);
        true
    }

    /// Node `n` is taken out, its output `old` replaced by `new`; `false` where names forbid that.
    pub fn bypass(&mut self, n: usize, old: ValueId, new: ValueId) -> bool {
        if self.remove.contains(&n) || !self.replace(old, new) {
            return false;
        }
        self.remove.insert(n);
        true
    }

    /// Node `n` is taken out.
    pub fn remove(&mut self, n: usize) {
        self.remove.insert(n);
    }

    /// Whether node `n` is to be taken out.
    pub fn is_removed(&self, n: usize) -> bool {
        self.remove.contains(&n)
    }

    /// `node` comes right before the node that now has index `at`, after those inserted there earlier.
    pub fn insert(&mut self, at: usize, node: Node) {
        self.insert.push((at, node));
    }

    /// Makes the changes.
    pub fn apply(mut self, graph: &mut Graph) {
        if self.replace.is_empty() && self.remove.is_empty() && self.insert.is_empty() {
            return;
        }
        self.insert.sort_by_key(|(at, _)| *at);
        let mut insert = std::mem::take(&mut self.insert).into_iter().peekable();
        let old = std::mem::take(&mut graph.nodes);
        let mut nodes = Vec::with_capacity(old.len() + insert.len());
        for (n, node) in old.into_iter().enumerate() {
            while let Some((_, new)) = insert.next_if(|(at, _)| *at <= n) {
                nodes.push(new);
            }
            if !self.remove.contains(&n) {
                nodes.push(node);
            }
        }
        nodes.extend(insert.map(|(_, new)| new));
        if !self.replace.is_empty() {
            for node in &mut nodes {
                for v in node.inputs.iter_mut().flatten() {
                    *v = self.resolve(*v);
                }
                for v in node.outputs.iter_mut().flatten() {
                    while let (true, Some(&to)) = (self.renamed.contains(v), self.replace.get(v)) {
                        *v = to;
                    }
                }
            }
        }
        graph.nodes = nodes;
    }
}

impl Graph {
    /// `v` is no initializer any more.
    pub fn drop_init(&mut self, v: ValueId) {
        self.value_mut(v).init = None;
    }

    /// A copy of an initializer under a fresh name; the elements are shared until written.
    ///
    /// The copy remembers what it was made from, see [`crate::Init::copy_of`].
    pub fn copy_init(&mut self, v: ValueId) -> Option<ValueId> {
        let value = self.value(v).clone();
        let mut init = value.init?;
        init.copy_of = Some(init.copy_of.unwrap_or(v));
        let copy = self.add_fresh(&value.name, value.ty);
        self.value_mut(copy).init = Some(init);
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse, print, verify};

    fn check(text: &str, edit: impl FnOnce(&Graph, &mut Edit), expect: &str) {
        let mut g = parse::graph(text).unwrap();
        let mut e = Edit::new(&g);
        edit(&g, &mut e);
        e.apply(&mut g);
        verify::verify(&g).unwrap();
        let body = print::graph(&g).lines().skip(1).map(|l| l.trim().to_owned() + "\n").collect::<String>();
        assert_eq!(body, expect.to_owned() + "}\n");
    }

    #[test]
    fn outputs_keep_their_names() {
        let chain = "graph g opset(\"\"=13) (%x: f32[2]) -> (%y) {
            %a: f32[2] = Relu(%x)
            %b: f32[2] = Identity(%a)
            %y: f32[2] = Identity(%b)
        }";
        check(
            chain,
            |g, e| {
                let [a, b, y] = ["a", "b", "y"].map(|n| g.find(n).unwrap());
                assert!(e.bypass(1, b, a));
                assert!(e.bypass(2, y, b));
            },
            "%y: f32[2] = Relu(%x)\n",
        );
        // An output that is an input needs its Identity.
        let through = "graph g opset(\"\"=13) (%x: f32[2]) -> (%y) { %y: f32[2] = Identity(%x) }";
        let same = "%y: f32[2] = Identity(%x)\n";
        check(through, |g, e| assert!(!e.bypass(0, g.find("y").unwrap(), g.find("x").unwrap())), same);
    }
}
