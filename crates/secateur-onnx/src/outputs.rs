//! The files that a command writes: all of them appear, or none.
//!
//! Each is written under a temporary name in the folder that it is to be in. Only when all are complete do they take
//! their names. A process that is killed leaves every name with its old file or its new one, never with a part of one;
//! what it may leave besides are temporary files, `.secateur-*.tmp`, which nobody reads.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use secateur_diag::{Code, Diagnostic, Result, diag};
use tempfile::TempPath;

use crate::model::Model;
use crate::rope::Rope;
use crate::save::{ExternalOut, data_name};

/// Files on their way. Dropped before [`Outputs::publish`], nothing of them is left.
#[derive(Debug, Default)]
pub struct Outputs {
    inputs: Vec<PathBuf>,
    staged: Vec<(TempPath, PathBuf)>,
    stale: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Outputs {
    /// No file yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Files that must not be replaced, because the command reads them.
    pub fn protect(&mut self, inputs: impl IntoIterator<Item = PathBuf>) {
        self.inputs.extend(inputs);
    }

    /// Checks before the work starts that a file can be made at each path.
    ///
    /// # Errors
    /// L007.
    pub fn check<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) -> Result<()> {
        let mut seen: Vec<PathBuf> = Vec::new();
        for path in paths {
            self.place(path)?;
            let full = resolved(path);
            if seen.contains(&full) {
                return Err(unwritable(path, TWICE));
            }
            seen.push(full);
            probe(folder(path)).map_err(|e| unwritable(path, &e))?;
        }
        Ok(())
    }

    /// Checks before the work starts that files can be made in a folder, or the folder itself where it is missing.
    ///
    /// # Errors
    /// L007.
    pub fn check_folder(&self, path: &Path) -> Result<()> {
        let around = path.ancestors().find(|d| d.as_os_str().is_empty() || d.symlink_metadata().is_ok());
        let around = around.filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match around.is_dir() {
            true => probe(around),
            false => Err(format!("{:?} is not a folder", around.display().to_string())),
        }
        .map_err(|reason| unmade(path, &reason))
    }

    /// Makes a folder and those that it is in, where they are missing. They go again if nothing is published.
    ///
    /// # Errors
    /// L007.
    pub fn folder(&mut self, path: &Path) -> Result<()> {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
        for dir in missing.into_iter().rev() {
            match std::fs::create_dir(dir) {
                Ok(()) => self.folders.push(dir.to_path_buf()),
                // Another process may have been faster.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(unmade(path, &e.to_string())),
            }
        }
        match path.is_dir() {
            true => Ok(()),
            false => Err(unmade(path, "it is not a folder")),
        }
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// L007.
    pub fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.stage(path, &mut |out| out.write_all(bytes))
    }

    /// Adds a model and, where it has external tensors, the file of their data, as [`Model::save`] describes them.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn model(&mut self, path: &Path, model: &Model, external: &ExternalOut) -> Result<()> {
        let failed = |reason: &str| {
            diag(Code::L007, "the model cannot be written")
                .at("reason", reason)
                .at("file", path.display().to_string())
        };
        let named = |mut e: Box<Diagnostic>| {
            if e.title == UNWRITABLE {
                e.title = "the model cannot be written".into();
            }
            e
        };
        self.place(path).map_err(named)?;
        let name = data_name(path).map_err(failed)?;
        let (rope, data) = model.arrange(external, &name)?;
        if rope.len() > i32::MAX as usize {
            return Err(failed("it would be larger than the 2 GiB that a protobuf can be")
                .help("keep its large tensors in an external file"));
        }
        let mut add = |path: &Path, rope: &Rope| self.stage(path, &mut |out| rope.write_to(out));
        // The data take their name first: a model without them would be of no use.
        if data.len() > 0 {
            add(&folder(path).join(name), &data).map_err(named)?;
        }
        add(path, &rope).map_err(named)
    }

    /// Adds the removal of a file that would not fit the new ones; it may be missing.
    pub fn remove(&mut self, path: &Path) {
        self.stale.push(path.to_path_buf());
    }

    /// Gives all files their names. Where one cannot get its name, those that had theirs before get the old files back.
    ///
    /// # Errors
    /// L007.
    pub fn publish(mut self) -> Result<()> {
        let staged = std::mem::take(&mut self.staged);
        let stale: Vec<PathBuf> = std::mem::take(&mut self.stale);
        let stale: Vec<PathBuf> = stale.into_iter().filter(|p| p.symlink_metadata().is_ok()).collect();
        // A single rename is all or nothing by itself.
        let mut undo = Undo { kept: Vec::new(), needed: staged.len() + stale.len() > 1 };
        for path in stale {
            undo.keep(&path);
            if let Err(e) = std::fs::remove_file(&path) {
                undo.roll_back();
                return Err(unwritable(&path, &e.to_string()));
            }
        }
        for (temporary, path) in staged {
            undo.keep(&path);
            if let Err(e) = temporary.persist(&path) {
                undo.roll_back();
                return Err(unwritable(&path, &e.error.to_string()));
            }
        }
        self.folders.clear();
        Ok(())
    }

    /// Whether a regular file may be at the path.
    fn place(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Err(unwritable(path, "there is a folder of that name"));
        }
        // Renaming onto a device or pipe would replace it.
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return Err(unwritable(path, "the path is not a regular file"));
        }
        if path.file_name().is_none() {
            return Err(unwritable(path, "the path names no file"));
        }
        let dir = folder(path);
        if !dir.is_dir() {
            return Err(unwritable(path, &format!("there is no folder {:?}", dir.display().to_string())));
        }
        if let Some(input) = self.inputs.iter().find(|i| same_file(i, path)) {
            return Err(diag(Code::L007, "the output would replace a file that this command reads")
                .at("file", input.display().to_string())
                .help("choose another name with -o"));
        }
        Ok(())
    }

    fn stage(
        &mut self,
        path: &Path,
        fill: &mut dyn FnMut(&mut BufWriter<tempfile::NamedTempFile>) -> io::Result<()>,
    ) -> Result<()> {
        self.place(path)?;
        let full = resolved(path);
        if self.staged.iter().any(|(_, p)| resolved(p) == full) {
            return Err(unwritable(path, TWICE));
        }
        let mut write = || -> io::Result<TempPath> {
            let mut builder = tempfile::Builder::new();
            builder.prefix(PREFIX).suffix(SUFFIX);
            // Readable as any new file is; temporary files are private by default.
            #[cfg(unix)]
            let permissions: Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            #[cfg(unix)]
            builder.permissions(permissions);
            let mut file = BufWriter::new(builder.tempfile_in(folder(path))?);
            fill(&mut file)?;
            file.flush()?;
            Ok(file.into_inner().map_err(|e| e.into_error())?.into_temp_path())
        };
        let temporary = write().map_err(|e| unwritable(path, &reason(&e)))?;
        self.staged.push((temporary, path.to_path_buf()));
        Ok(())
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // Folders can only go when they are empty.
        self.staged.clear();
        for dir in self.folders.iter().rev() {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// How to undo what has been published so far.
struct Undo {
    /// Each path, and a second name of the file that it had; `None` where it had none.
    kept: Vec<(PathBuf, Option<TempPath>)>,
    needed: bool,
}

impl Undo {
    /// Keeps the file that is at the path, if there is one. Where the file system has no second names it cannot be kept;
    /// such a path keeps the new file.
    fn keep(&mut self, path: &Path) {
        if !self.needed {
            return;
        }
        if path.symlink_metadata().is_err() {
            self.kept.push((path.to_path_buf(), None));
            return;
        }
        let link = |second: &Path| std::fs::hard_link(path, second);
        let second = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).make_in(folder(path), link);
        if let Ok(second) = second {
            self.kept.push((path.to_path_buf(), Some(second.into_temp_path())));
        }
    }

    fn roll_back(self) {
        for (path, old) in self.kept.into_iter().rev() {
            let _ = match old {
                Some(old) => old.persist(&path).map_err(|e| e.error),
                None => std::fs::remove_file(&path),
            };
        }
    }
}

const PREFIX: &str = ".secateur-";
const SUFFIX: &str = ".tmp";
const UNWRITABLE: &str = "the file cannot be written";
const TWICE: &str = "two outputs have this name";

/// The system's reason. The temporary name that may be in the error's own text would only confuse.
fn reason(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => e.kind().to_string(),
    }
}

fn unwritable(path: &Path, reason: &str) -> Box<Diagnostic> {
    diag(Code::L007, UNWRITABLE).at("reason", reason).at("file", path.display().to_string())
}

fn unmade(path: &Path, reason: &str) -> Box<Diagnostic> {
    diag(Code::L007, "the folder cannot be made")
        .at("reason", reason)
        .at("folder", path.display().to_string())
}

/// The folder that a path's file is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(d) if !d.as_os_str().is_empty() => d,
        _ => Path::new("."),
    }
}

/// Whether a file can be made in a folder; the reason where not.
fn probe(dir: &Path) -> Result<(), String> {
    tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(dir).map(drop).map_err(|e| reason(&e))
}

/// The path without links in its folders.
fn resolved(path: &Path) -> PathBuf {
    match (folder(path).canonicalize(), path.file_name()) {
        (Ok(dir), Some(name)) => dir.join(name),
        _ => path.to_path_buf(),
    }
}

/// Whether both paths lead to one file, however they are spelled.
pub fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
