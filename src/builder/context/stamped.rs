//! Reading a file that must be the one that was scanned.
//!
//! A digest and an archive of the same folder are two readings of it. Each file is stamped when it is scanned (which
//! file, how large, when modified) and must still have that stamp when it is opened and when it has been read, so
//! that an image never carries a digest that is not its own.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::ContextError;

/// A file on disk as it was when it was scanned.
#[derive(Debug, Clone)]
pub(super) struct StampedFile {
    path: PathBuf,
    stamp: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Reads exactly the stamped size, and fails if the file is not what it was.
#[derive(Debug)]
pub(super) struct StampedReader<'a> {
    expected: &'a StampedFile,
    file: File,
    left: u64,
    /// Why reading stopped: `io::Error` alone cannot name the file.
    failure: Option<ContextError>,
}

impl StampedFile {
    pub(super) fn new(path: PathBuf, metadata: &Metadata) -> StampedFile {
        StampedFile { path, stamp: Stamp::of(metadata) }
    }

    pub(super) fn open(&self) -> Result<StampedReader<'_>, ContextError> {
        // `NONBLOCK`: what is a FIFO by now must not hold the build.
        let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).expect("flags fit a C int");
        let opened = File::options().read(true).custom_flags(nonblock).open(&self.path);
        let file = opened.map_err(|source| self.unreadable(source))?;
        let reader = StampedReader { expected: self, file, left: self.stamp.size, failure: None };
        reader.check_stamp()?;
        Ok(reader)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn unreadable(&self, source: io::Error) -> ContextError {
        if source.kind() == io::ErrorKind::NotFound {
            ContextError::Changed { path: self.path.clone() }
        } else {
            ContextError::Read { path: self.path.clone(), source }
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl StampedReader<'_> {
    /// Why a read failed, once.
    pub(super) fn take_failure(&mut self) -> Option<ContextError> {
        self.failure.take()
    }

    fn check_stamp(&self) -> Result<(), ContextError> {
        let metadata = self.file.metadata().map_err(|source| self.expected.unreadable(source))?;
        if Stamp::of(&metadata) == self.expected.stamp {
            Ok(())
        } else {
            Err(ContextError::Changed { path: self.expected.path.clone() })
        }
    }

    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, ContextError> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if wanted == 0 {
            self.check_stamp()?;
            return Ok(0);
        }
        let read = loop {
            match self.file.read(&mut buf[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|source| self.expected.unreadable(source))?,
            }
        };
        if read == 0 {
            return Err(ContextError::Changed { path: self.expected.path.clone() });
        }
        self.left -= read as u64;
        Ok(read)
    }
}

impl Read for StampedReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.read_some(buf).map_err(|failure| {
            self.failure = Some(failure);
            io::Error::other("the file is not what was scanned")
        })
    }
}
