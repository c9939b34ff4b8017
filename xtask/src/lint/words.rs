//! Words that do not belong into the repository: paths of a developer's machine, hosts that a package client is set up
//! with, things left undone.

use crate::sh;
use anyhow::Result;

/// Put together here, so that this file does not hold them.
const PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/tmp/", "bash"), concat!("/ho", "me/"), concat!("/ro", "ot/")];
const HOSTS: &[&str] = &[
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("registry.npm", "js.org"),
    concat!("deb.debian", ".org"),
];
const UNDONE: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
];

pub fn check() -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in sh::files()? {
        let bytes = std::fs::read(&file)?;
        if let Ok(text) = std::str::from_utf8(&bytes)
            && !text.contains('\0')
        {
            complaints.extend(find(text, file.ends_with(".rs")).map(|c| format!("{file}:{c}")));
        }
    }
    Ok(complaints)
}

/// Line number and word of each find.
fn find(text: &str, rust: bool) -> impl Iterator<Item = String> {
    text.lines().enumerate().filter_map(move |(i, line)| {
        let path = || PATHS.iter().find(|w| line.match_indices(**w).any(|(at, _)| begins(line, at)));
        let host = || HOSTS.iter().find(|w| line.contains(**w));
        let undone = || UNDONE.iter().find(|w| rust && line.contains(**w));
        path().or_else(host).or_else(undone).map(|w| format!("{}: {w}", i + 1))
    })
}

/// Whether a path begins here, rather than going on: `a/b/` holds no `/b/`.
fn begins(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~*/}>$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::{PATHS, UNDONE, find};

    fn finds(text: &str, rust: bool) -> Vec<String> {
        find(text, rust).collect()
    }

    #[test]
    fn paths_from_the_root_only() {
        let word = PATHS[0];
        assert_eq!(finds(&format!("fine\nsee {word}x"), false), [format!("2: {word}")]);
        assert_eq!(finds(&format!("\"{word}x\""), false).len(), 1);
        assert!(finds(&format!("a{word}x, ..{word}x, $OUT{word}x"), false).is_empty());
    }

    #[test]
    fn undone_code_in_rust_only() {
        let code = format!("fn f() {{ {}) }}", UNDONE[0]);
        assert_eq!((finds(&code, true).len(), finds(&code, false).len()), (1, 0));
    }
}
