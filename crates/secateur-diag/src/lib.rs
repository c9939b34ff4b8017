//! The one shape of a message: a stable code, what went wrong, where, and what to do about it.
//!
//! Libraries return [`Diagnostic`]; the command line prints it. A rule that fails returns the bare
//! reason ([`Diagnostic::new`]) and its driver adds the place ([`Diagnostic::at`]).

use std::fmt;

mod codes;
mod nearest;
pub use codes::Code;
pub use nearest::nearest;

/// One error or warning, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code; its page is in `docs/errors.md`.
    pub code: Code,
    /// One sentence without a final stop.
    pub title: String,
    /// Label and text of each line under the title, in the order they are shown.
    pub fields: Vec<(&'static str, String)>,
    /// What the user can do about it.
    pub help: Option<String>,
}

/// The result of everything that can fail on account of its input.
pub type Result<T, E = Box<Diagnostic>> = std::result::Result<T, E>;

/// Short for [`Diagnostic::new`].
pub fn diag(code: Code, title: impl Into<String>) -> Box<Diagnostic> {
    Diagnostic::new(code, title)
}

impl Diagnostic {
    /// A message without a place yet.
    pub fn new(code: Code, title: impl Into<String>) -> Box<Self> {
        Box::new(Self { code, title: title.into(), fields: Vec::new(), help: None })
    }

    /// Adds a line that says where, e.g. `at("node", "\"conv1\" (Conv, opset 13)")`.
    pub fn at(mut self: Box<Self>, label: &'static str, text: impl Into<String>) -> Box<Self> {
        self.fields.push((label, text.into()));
        self
    }

    /// Adds a line with those of `names` that may have been meant by `wanted`, if any is near.
    pub fn near<'a>(self: Box<Self>, wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Box<Self> {
        match nearest(wanted, names).as_slice() {
            [] => self,
            near => self.at("near", near.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")),
        }
    }

    /// Sets the line that says what to do.
    pub fn help(mut self: Box<Self>, text: impl Into<String>) -> Box<Self> {
        self.help = Some(text.into());
        self
    }

    /// The rendered text, with `level` ("error", "warning") in front of the code.
    pub fn render(&self, level: &str) -> String {
        let mut out = format!("{level}[{}]: {}", self.code, self.title);
        for (label, text) in
            self.fields.iter().map(|(l, t)| (*l, t)).chain(self.help.iter().map(|h| ("help", h)))
        {
            out.push_str(&format!("\n  {label:<6} {}", text.replace('\n', "\n         ")));
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render("error"))
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_place_and_help() {
        let d = Diagnostic::new(Code::P004, "Reshape splits a pruned axis unevenly")
            .at("node", "\"head/reshape\" (Reshape, opset 13)")
            .help("pin the axis: --pin %c.1");
        assert_eq!(
            d.to_string(),
            "error[P004]: Reshape splits a pruned axis unevenly\n  node   \"head/reshape\" (Reshape, opset 13)\n  help   pin the axis: --pin %c.1"
        );
    }
}
