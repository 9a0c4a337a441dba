//! Files that hold secrets, or must be whole: replaced so that a reader, or the next start after a crash, sees the old one or
//! the new one; and closed to others.
//!
//! The new contents go to a temporary file beside the target, are flushed, and are renamed over it; then the
//! directory is flushed, so that the rename itself survives a power cut. It does not serialise writers: two
//! that write one path at once need a lock of their own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Of files that are nobody else's business.
pub const PRIVATE_MODE: u32 = 0o600;

/// Writes `contents` to `path` with exactly the permission bits `mode`, all or nothing.
///
/// The temporary file has the mode from its first byte on, so a secret is never readable by others, not
/// even for a moment. Its name starts with a dot and ends in `.tmp`: no tool takes it for a certificate.
pub fn replace(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let temporary = directory.join(format!(".{}.tmp", name.to_string_lossy()));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    // A strict umask may have taken away bits that others need, as for a certificate that all may read.
    let written = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(contents))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // Where there is no room it would take what there is.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Takes the file away from everybody but its owner, if a copy or a restore has left it open; the log says so.
pub fn make_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(PRIVATE_MODE))?;
        let was = format!("{mode:o}");
        tracing::warn!(path = %path.display(), was, "a secret was accessible to others; now only to its owner");
    }
    Ok(())
}
