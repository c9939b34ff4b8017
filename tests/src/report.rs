//! What became of many cases, as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Outcome;

/// Outcomes by name.
pub type Outcomes = Vec<(String, Outcome)>;

/// One row: how many agree, are refused, differ, and panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All as stored.
    pub agree: usize,
    /// Refused with a reason.
    pub refused: usize,
    /// Something else than stored.
    pub differ: usize,
    /// Panics.
    pub panic: usize,
}

impl Counts {
    /// Counts outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut counts = Counts::default();
        for outcome in outcomes {
            *match outcome {
                Outcome::Agrees => &mut counts.agree,
                Outcome::Refused { .. } => &mut counts.refused,
                Outcome::Differs { .. } => &mut counts.differ,
                Outcome::Panics { .. } => &mut counts.panic,
            } += 1;
        }
        counts
    }
}

/// The head of the table and a row for each name.
pub fn table(rows: &[(String, Counts)]) -> String {
    let mut out = format!("{:<32} {:>6} {:>8} {:>6} {:>6}\n", "", "agree", "refused", "wrong", "panic");
    for (name, c) in rows {
        let _ = writeln!(out, "{name:<32} {:>6} {:>8} {:>6} {:>6}", c.agree, c.refused, c.differ, c.panic);
    }
    out
}

/// Reasons of what does not pass, the most frequent first, each with some of its cases.
pub fn reasons(outcomes: &Outcomes) -> String {
    let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, outcome) in outcomes {
        if let Some(reason) = outcome.reason() {
            by.entry(reason).or_default().push(name);
        }
    }
    let mut rows: Vec<_> = by.into_iter().collect();
    rows.sort_by_key(|(reason, names)| (reason.starts_with("refused"), std::cmp::Reverse(names.len())));
    let mut out = String::new();
    for (reason, names) in rows {
        let some =
            names.iter().take(3).map(|n| n.split('/').next_back().unwrap_or(n)).collect::<Vec<_>>().join(" ");
        let _ =
            writeln!(out, "{:>5}  {reason}: {some}{}", names.len(), if names.len() > 3 { " .." } else { "" });
    }
    out
}

/// Every case that does not pass, with the whole message.
pub fn details(outcomes: &Outcomes) -> String {
    let mut out = String::new();
    for (name, outcome) in outcomes {
        if let Some(reason) = outcome.reason() {
            let detail = outcome.detail();
            let _ = writeln!(out, "{name}: {reason}");
            if !reason.ends_with(detail) {
                let _ = writeln!(out, "    {}", detail.replace('\n', "\n    "));
            }
        }
    }
    out
}
