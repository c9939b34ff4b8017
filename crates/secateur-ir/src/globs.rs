//! Patterns for names, as options take them.

use globset::{Glob, GlobMatcher};
use rustc_hash::FxHashSet;
use secateur_diag::{Code, Diagnostic, Result, diag};

use crate::{Graph, Node, ValueId, text};

/// The patterns of one option. Each matches names as `*` and `?` say, and the name that is spelled as it is, with or
/// without the sign and the quotes that the printed graph has.
#[derive(Debug, Clone)]
pub struct Globs {
    option: &'static str,
    patterns: Vec<(String, Option<GlobMatcher>)>,
}

impl Globs {
    /// Reads the values of `option`.
    ///
    /// # Errors
    /// [`Code::P005`] for an empty pattern.
    pub fn new(option: &'static str, texts: &[String]) -> Result<Self> {
        let one = |text: &String| {
            if text.trim().is_empty() {
                return Err(
                    diag(Code::P005, format!("{option} takes a name or a pattern; it is empty")).help(NAMES)
                );
            }
            Ok((text.clone(), Glob::new(text).ok().map(|g| g.compile_matcher())))
        };
        Ok(Self { option, patterns: texts.iter().map(one).collect::<Result<_>>()? })
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether any pattern matches a name.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|p| one(p, name))
    }

    /// Whether any pattern matches a value, or the initializer that it is a copy of.
    pub fn match_value(&self, graph: &Graph, v: ValueId) -> bool {
        let origin = graph.value(v).init.as_ref().and_then(|i| i.copy_of);
        [Some(v), origin].into_iter().flatten().any(|v| self.matches(&graph.value(v).name))
    }

    /// Whether any pattern matches a node: its name, what it makes, or what it computes with beside its first input.
    pub fn match_node(&self, graph: &Graph, node: &Node) -> bool {
        let values = node.inputs.iter().skip(1).chain(&node.outputs).flatten();
        self.matches(node.name()) || values.into_iter().any(|v| self.match_value(graph, *v))
    }

    /// The nodes that match, by index; every pattern must match one.
    ///
    /// # Errors
    /// As [`Globs::check`].
    pub fn nodes(&self, graph: &Graph) -> Result<FxHashSet<usize>> {
        let mut all = FxHashSet::default();
        for pattern in &self.patterns {
            let one = Self { option: self.option, patterns: vec![pattern.clone()] };
            let nodes = graph.nodes.iter().enumerate();
            let hit: Vec<usize> = nodes.filter(|(_, n)| one.match_node(graph, n)).map(|(n, _)| n).collect();
            if hit.is_empty() {
                return Err(self.nothing(&pattern.0, graph, "node"));
            }
            all.extend(hit);
        }
        Ok(all)
    }

    /// Every pattern must match something in the graph.
    ///
    /// # Errors
    /// [`Code::P003`] with the nearest names, [`Code::P005`] for what is neither a name nor a pattern.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        match self.patterns.iter().find(|p| !all_names(graph).any(|name| one(p, name))) {
            Some((text, _)) => Err(self.nothing(text, graph, "node, value or initializer")),
            None => Ok(()),
        }
    }

    /// The error of a pattern that matches nothing.
    fn nothing(&self, text: &str, graph: &Graph, what: &str) -> Box<Diagnostic> {
        let e = match Glob::new(text) {
            Ok(_) => diag(Code::P003, format!("{} {text:?} matches no {what}", self.option)),
            Err(e) => diag(Code::P005, format!("{} {text:?} is neither a name nor a pattern", self.option))
                .at("reason", e.kind().to_string()),
        };
        e.near(text, all_names(graph)).help(NAMES)
    }
}

/// Where names are to be found.
const NAMES: &str = "names are those that secateur inspect MODEL prints";

/// What nodes and values are called.
fn all_names(graph: &Graph) -> impl Iterator<Item = &str> {
    let values = graph.value_ids().map(|v| graph.value(v).name.as_str());
    graph.nodes.iter().map(|n| graph.name_of(n)).chain(values)
}

fn one((pattern, glob): &(String, Option<GlobMatcher>), name: &str) -> bool {
    // What has no name cannot be meant.
    if name.is_empty() {
        return false;
    }
    let bare = pattern.strip_prefix(['%', '@']).unwrap_or(pattern);
    pattern == name
        || bare == name
        || bare == text::word(name)
        || glob.as_ref().is_some_and(|g| g.is_match(name))
}
