//! A crate may use only crates on floors below its own, and everybody may use the diagnostics. Tests may use the
//! crate's own floor as well.

use anyhow::{Context, Result};
use toml::{Table, Value};

/// Crates from the ground up; `docs/architecture.md` says what each must not know.
const FLOORS: &[(&str, u32)] = &[
    ("secateur-diag", 0),
    ("secateur-onnx", 1),
    ("secateur-neon", 1),
    ("secateur-qemu", 1),
    ("secateur-target", 1),
    ("secateur-tensor", 2),
    ("secateur-ir", 3),
    ("secateur-loops", 4),
    ("secateur-ops", 4),
    ("secateur-data", 4),
    ("secateur-passes", 5),
    ("secateur-coupling", 5),
    ("secateur-run", 5),
    ("secateur-oracle", 6),
    ("secateur-grad", 6),
    ("secateur-calib", 7),
    ("secateur-codegen", 8),
    ("secateur-prune", 8),
    ("secateur-quant", 9),
    ("secateur", 10),
    ("secateur-tests", 11),
    ("xtask", 11),
];

pub fn check() -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let folders = std::fs::read_dir("crates")?.map(|e| Ok(e?.path())).chain([Ok("tests".into())]);
    for folder in folders.collect::<std::io::Result<Vec<std::path::PathBuf>>>()? {
        let path = folder.join("Cargo.toml");
        if path.is_file() {
            let text = std::fs::read_to_string(&path)?;
            complaints.extend(complain(&text).with_context(|| path.display().to_string())?);
        }
    }
    complaints.sort();
    Ok(complaints)
}

fn floor(name: &str) -> Option<u32> {
    FLOORS.iter().find(|(n, _)| *n == name).map(|(_, floor)| *floor)
}

/// What is wrong with one manifest.
fn complain(manifest: &str) -> Result<Vec<String>> {
    let manifest: Table = manifest.parse()?;
    let name = manifest
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(Value::as_str)
        .context("no package name")?;
    let Some(own) = floor(name) else {
        return Ok(vec![format!("{name} has no floor: add it to xtask/src/lint/floors.rs")]);
    };
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(|t| t.values());
    let tables = std::iter::once(&manifest).chain(platforms.filter_map(Value::as_table));
    let mut complaints = Vec::new();
    for (table, kind) in
        tables.flat_map(|t| ["dependencies", "build-dependencies", "dev-dependencies"].map(|k| (t, k)))
    {
        let highest = if kind == "dev-dependencies" { own } else { own.saturating_sub(1) };
        for used in table.get(kind).and_then(Value::as_table).into_iter().flat_map(Table::keys) {
            match floor(used) {
                Some(f) if f > highest => {
                    complaints.push(format!("{name} (floor {own}) must not use {used} (floor {f})"))
                }
                None if used.starts_with("secateur") => {
                    complaints.push(format!("{name} uses {used}, which has no floor"))
                }
                _ => {}
            }
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::complain;

    fn complaints(name: &str, rest: &str) -> Vec<String> {
        complain(&format!("[package]\nname = \"{name}\"\n{rest}")).unwrap()
    }

    #[test]
    fn downwards_is_fine() {
        let uses =
            "[dependencies]\nsecateur-ir.workspace = true\nsecateur-diag.workspace = true\nanyhow = \"1\"";
        assert!(complaints("secateur-passes", uses).is_empty());
    }

    #[test]
    fn upwards_and_sideways_are_not() {
        assert_eq!(
            complaints(
                "secateur-oracle",
                "[dependencies]\nsecateur-grad.workspace = true\nsecateur-prune = {}"
            ),
            [
                "secateur-oracle (floor 6) must not use secateur-grad (floor 6)",
                "secateur-oracle (floor 6) must not use secateur-prune (floor 8)"
            ]
        );
        let platform = "[target.'cfg(unix)'.build-dependencies]\nsecateur-ir = {}";
        assert_eq!(
            complaints("secateur-onnx", platform),
            ["secateur-onnx (floor 1) must not use secateur-ir (floor 3)"]
        );
    }

    #[test]
    fn tests_may_use_their_own_floor() {
        assert!(complaints("secateur-coupling", "[dev-dependencies]\nsecateur-passes = {}").is_empty());
        assert_eq!(complaints("secateur-coupling", "[dev-dependencies]\nsecateur-prune = {}").len(), 1);
    }

    #[test]
    fn every_crate_has_a_floor() {
        assert_eq!(complaints("secateur-new", "").len(), 1);
        assert_eq!(complaints("secateur", "[dependencies]\nsecateur-new = {}").len(), 1);
    }
}
