//! The committed list of the cases that do not pass, with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{Outcome, python};

/// The reason of a row of the table that is still to be written: neither expected nor news.
pub(crate) const UNWRITTEN: &str = "not written yet";

/// What is listed of a case; rows that are still to be written are not.
fn listed(outcome: &Outcome) -> Option<String> {
    outcome.reason().filter(|r| !r.ends_with(UNWRITTEN))
}

/// One line a case, `NAME: REASON`, sorted; `#` begins a comment. A case that is not listed must pass.
#[derive(Clone, Debug)]
pub struct Expected {
    path: PathBuf,
    head: String,
    rows: BTreeMap<String, String>,
}

impl Expected {
    /// Reads the list; `path` is from the root of the repository.
    ///
    /// # Errors
    /// There is none, or a line has no reason.
    pub fn read(path: &str) -> Result<Self> {
        let path = python::root().join(path);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let head: String =
            text.lines().take_while(|l| l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        let mut rows = BTreeMap::new();
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let Some((name, reason)) = line.split_once(": ") else {
                bail!("{}: {line:?} is not NAME: REASON", path.display());
            };
            if rows.insert(name.to_owned(), reason.to_owned()).is_some() {
                bail!("{}: {name} is listed twice", path.display());
            }
        }
        Ok(Self { path: path.to_owned(), head, rows })
    }

    /// What differs from the list, one line a case. `whole` says that these are all the cases there are, so that nothing
    /// else may be listed.
    pub fn surprises(&self, outcomes: &[(String, Outcome)], whole: bool) -> Vec<String> {
        let mut out = Vec::new();
        for (name, outcome) in outcomes {
            match (self.rows.get(name), listed(outcome)) {
                (None, None) => {}
                (None, Some(now)) => out.push(format!("{name} passed before, now {now}")),
                (Some(was), None) => out.push(format!("{name} passes now (before {was})")),
                (Some(was), Some(now)) if *was != now => {
                    out.push(format!("{name} is now {now} (before {was})"))
                }
                _ => {}
            }
        }
        let there = |n: &String| outcomes.iter().any(|(name, _)| name == n);
        if whole {
            out.extend(
                self.rows.keys().filter(|n| !there(n)).map(|n| format!("{n} is listed and does not exist")),
            );
        }
        out
    }

    /// Fails with what differs from the list, or rewrites the list where `SECATEUR_BLESS` is set. All cases must be there.
    ///
    /// # Errors
    /// Something differs.
    pub fn check(&self, outcomes: &[(String, Outcome)]) -> Result<()> {
        let surprises = self.surprises(outcomes, true);
        if surprises.is_empty() {
            return Ok(());
        }
        if std::env::var_os("SECATEUR_BLESS").is_some() {
            return self.write(outcomes);
        }
        bail!(
            "{} of {} cases are not as {} says; where that is intended: cargo xtask bless -p secateur-tests\n{}",
            surprises.len(),
            outcomes.len(),
            self.path.display(),
            surprises.join("\n")
        )
    }

    /// Rewrites the list.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, outcomes: &[(String, Outcome)]) -> Result<()> {
        let rows: BTreeMap<&str, String> =
            outcomes.iter().filter_map(|(n, o)| Some((n.as_str(), listed(o)?))).collect();
        let rows: String = rows.iter().map(|(n, r)| format!("{n}: {}\n", r.replace('\n', " "))).collect();
        std::fs::write(&self.path, format!("{}{rows}", self.head))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_of_every_kind_are_told() {
        let list = Expected::parse(
            Path::new("list"),
            "# head\na: refused: no\nb: refused: no\nc: WRONG: values\nz: refused: no\n",
        )
        .unwrap();
        let outcomes = [
            ("a".to_owned(), Outcome::refused("no")),
            ("b".to_owned(), Outcome::Agrees),
            ("c".to_owned(), Outcome::refused("no")),
            ("d".to_owned(), Outcome::differs("shape", "")),
            ("e".to_owned(), Outcome::Agrees),
        ];
        let told = list.surprises(&outcomes, true);
        assert_eq!(
            told,
            [
                "b passes now (before refused: no)",
                "c is now refused: no (before WRONG: values)",
                "d passed before, now WRONG: shape",
                "z is listed and does not exist",
            ]
        );
        assert!(Expected::parse(Path::new("list"), "a\n").is_err());
        assert!(Expected::parse(Path::new("list"), "a: x\na: y\n").is_err());
    }
}
