//! Sizes: of a Rust file, of any file, of the whole.

use crate::sh;
use anyhow::Result;

/// A Rust file above this says why in its first line.
const LINES: usize = 400;
const FILE_BYTES: u64 = 8_000_000;
const ALL_BYTES: u64 = 40_000_000;

pub fn check() -> Result<Vec<String>> {
    let (mut complaints, mut all) = (Vec::new(), 0);
    for file in sh::files()? {
        let bytes = std::fs::metadata(&file)?.len();
        all += bytes;
        if bytes > FILE_BYTES {
            complaints.push(format!("{file}: {bytes} bytes; the most is {FILE_BYTES}"));
        }
        if file.ends_with(".rs") {
            complaints.extend(long(&std::fs::read_to_string(&file)?).map(|c| format!("{file}: {c}")));
        }
    }
    if all > ALL_BYTES {
        complaints.push(format!("the repository holds {all} bytes; the most is {ALL_BYTES}"));
    }
    Ok(complaints)
}

fn long(text: &str) -> Option<String> {
    let lines = text.lines().count();
    let first = text.lines().next().unwrap_or_default();
    let reason =
        first.strip_prefix("//! ").and_then(|l| l.split_once("(long: ")).is_some_and(|(_, r)| r.len() > 5);
    (lines > LINES && !reason).then(|| {
        format!(
            "{lines} lines; split it, or say why not in the first line: `//! What it is. (long: the reason)`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{LINES, long};

    #[test]
    fn long_files_need_a_reason() {
        let body = "fn f() {}\n".repeat(LINES);
        assert_eq!(long(&body), None);
        assert!(long(&format!("//! What it is.\n{body}")).unwrap().starts_with("401 lines; split it"));
        assert_eq!(long(&format!("//! What it is. (long: one table, one row a case)\n{body}")), None);
        assert!(long(&format!("// no (long: in the wrong kind of comment)\n{body}")).is_some());
    }
}
