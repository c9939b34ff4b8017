//! Files that appear whole or not at all.

use std::io::Write;
use std::path::Path;

use secateur_diag::{Code, Diagnostic, Result, diag};

/// Checks before the work starts that files can be made where `path` is to be.
///
/// # Errors
/// [`Code::L007`].
pub fn check_writable(path: &Path) -> Result<()> {
    let dir = folder(path);
    let reason = if path.is_dir() {
        "there is a folder of that name".to_owned()
    } else if !dir.is_dir() {
        format!("there is no folder {:?}", dir.display().to_string())
    } else {
        match tempfile::NamedTempFile::new_in(dir) {
            Ok(_) => return Ok(()),
            // The temporary name in the error's own text would only confuse.
            Err(e) => e.kind().to_string(),
        }
    };
    Err(unwritable(path, &reason))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(d) if !d.as_os_str().is_empty() => d,
        _ => Path::new("."),
    }
}

fn unwritable(path: &Path, reason: &str) -> Box<Diagnostic> {
    diag(Code::L007, "the file cannot be written").at("reason", reason).at("file", path.display().to_string())
}

/// Writes a file under a temporary name in its folder and renames it.
///
/// # Errors
/// [`Code::L007`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = folder(path);
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // Readable as any new file is; temporary files are private by default.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|e| unwritable(path, &e.to_string()))
}
