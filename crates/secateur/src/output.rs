//! Files that appear whole or not at all.

use std::io::Write;
use std::path::Path;

use secateur_diag::{Code, Result, diag};

/// Writes a file under a temporary name in its folder and renames it.
///
/// # Errors
/// [`Code::L007`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = match path.parent() {
        Some(d) if !d.as_os_str().is_empty() => d,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|e| {
        diag(Code::L007, "the file cannot be written")
            .at("reason", e.to_string())
            .at("file", path.display().to_string())
    })
}
