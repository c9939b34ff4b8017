//! The static library: one object with an index of its symbols.

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use secateur_diag::{Code, Result, diag};

/// The bytes of `lib*.a` with one member.
///
/// # Errors
/// [`Code::C004`] where the object cannot be read back; an internal check.
pub fn archive(member: &str, object: &[u8]) -> Result<Vec<u8>> {
    let member = NewArchiveMember::new(object, &DEFAULT_OBJECT_READER, member.to_owned());
    let mut out = std::io::Cursor::new(Vec::new());
    write_archive_to_stream(&mut out, &[member], ArchiveKind::Gnu, false, None)
        .map_err(|e| diag(Code::C004, format!("the archive cannot be made: {e}")))?;
    Ok(out.into_inner())
}
