//! The lock of a state directory: a file that is held by one process and names it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("state directory `{}` is in use by process {holder}", dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The holder's process id, as it wrote it.
        holder: String,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock `{}`", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// The held lock; dropping it, or the end of the process however it ends, gives it up.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, and writes this process's id into it.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] at once when another process has it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |source: io::Error| LockError::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(error.into()));
            }
            let dir = path.parent().unwrap_or(path).to_owned();
            return Err(LockError::Held {
                dir,
                holder: read_holder(&mut file).unwrap_or_else(|_| "?".to_owned()),
            });
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// The process id that holds the lock now; `None` when none does.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        let mut file = File::open(path).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => read_holder(&mut file).ok()?.parse().ok(),
        }
    }
}

fn read_holder(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
