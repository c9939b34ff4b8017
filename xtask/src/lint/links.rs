//! Links between pages lead somewhere.

use crate::sh;
use anyhow::Result;
use std::path::Path;

pub fn check() -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in sh::files()?.into_iter().filter(|f| f.ends_with(".md")) {
        let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
        let text = std::fs::read_to_string(&file)?;
        let dead = targets(&text).filter(|(_, target)| !folder.join(target).exists());
        complaints.extend(dead.map(|(line, target)| format!("{file}:{line}: nothing at {target}")));
    }
    Ok(complaints)
}

/// Line and path of each link to a file, outside of code.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().flat_map(move |(i, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        let parts = if code || fence { "" } else { line }.split("](").skip(1);
        let targets = parts.filter_map(|p| p.split([')', '#', ' ']).next());
        let local = targets.filter(|t| !t.is_empty() && !t.contains("://") && !t.starts_with("mailto:"));
        local.map(move |t| (i + 1, t)).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn links_to_files() {
        let page = "[a](x.md) and [b](y/z.md#part), [c](https://example.net/q), [d](#here)\n```\n[e](no.md)\n```\n![f](p.png)";
        assert_eq!(targets(page).collect::<Vec<_>>(), [(1, "x.md"), (1, "y/z.md"), (5, "p.png")]);
    }
}
