//! The build context: the files that go to the engine, as a list, a digest and an archive.
//!
//! The list is sorted and says of each file only what matters to a build: path, kind, content and whether it can be
//! executed. Owners, times and the other mode bits are the machine's, not the source's; the archive carries fixed ones
//! (root, the epoch, `rwxr-xr-x` or `rw-r--r--`), so that equal digests are equal archives, wherever they are made.
//!
//! Contents are read twice, for the digest and for the archive, and never held; a file that changes in between is an
//! error, see [`ContextError::Changed`]. Hard links are separate files; extended attributes are not carried.

mod scan;
mod stamped;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::EntryType;

use super::digest::{ContentDigest, Fields};
use super::ignore::IgnoreRules;
use scan::Limits;
use stamped::StampedFile;

/// Most files, folders and symlinks in a context; a large `node_modules` has 50,000.
pub const ENTRIES_MAX: usize = 200_000;
/// Most bytes in a context.
pub const BYTES_MAX: u64 = 4 << 30;

const EXECUTABLE_MODE: u32 = 0o755;
const PLAIN_MODE: u32 = 0o644;
const SYMLINK_MODE: u32 = 0o777;
const CHUNK_BYTES: usize = 64 * 1024;

/// The input of a build.
#[derive(Debug, Clone, Default)]
pub struct Context {
    items: BTreeMap<String, Item>,
    skipped: Vec<Skipped>,
}

/// One file, folder or symlink of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the context's root, with slashes.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The permission bits it has in the archive: 0755, 0644, or 0777 for a symlink.
    pub mode: u32,
    /// Content in bytes; 0 for all but files.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symlink, not followed.
    Symlink {
        /// What it points to, as it is written in the link.
        target: String,
    },
}

/// Something in the folder that no image can carry; left out, worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the context's root.
    pub path: String,
    /// What it is: `socket`, `device` or `named pipe`.
    pub what: &'static str,
}

/// Why there is no context, digest or archive.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what it was when the folder was scanned.
    #[error("`{}` changed while it was being read; try again, or ignore it if it is not part of the app", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A name or a symlink's target is not text.
    #[error("the name or target of `{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// The path, as far as it can be shown.
        path: PathBuf,
    },
    /// There is too much in the folder.
    #[error("`{}` has more than {entries_max} files; ignore what the build does not need", path.display())]
    TooManyEntries {
        /// The folder that was scanned.
        path: PathBuf,
        /// The limit, [`ENTRIES_MAX`].
        entries_max: usize,
    },
    /// The files are too large together.
    #[error("with `{}` the files have more than {bytes_max} bytes; ignore what the build does not need", path.display())]
    TooLarge {
        /// The file that was one too many.
        path: PathBuf,
        /// The limit, [`BYTES_MAX`].
        bytes_max: u64,
    },
    /// The archive's receiver failed.
    #[error("cannot write the archive of the build context")]
    Write {
        /// What it said.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Clone)]
struct Item {
    entry: Entry,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    None,
    Memory(Bytes),
    Disk(StampedFile),
}

impl Context {
    /// Lists what the rules leave of the folder `dir`. Contents are not read.
    ///
    /// A folder that is ignored is listed all the same when something in it is not.
    ///
    /// # Errors
    /// When something cannot be read, has a name that is not UTF-8, or there is too much; each names the path.
    pub fn scan(dir: &Path, rules: &IgnoreRules) -> Result<Context, ContextError> {
        scan::scan(dir, rules, Limits { entries_max: ENTRIES_MAX, bytes_max: BYTES_MAX })
    }

    /// Moves everything into the folder `prefix`, which exists even if the context is empty.
    #[must_use]
    pub fn under(self, prefix: &str) -> Context {
        let items = self.items.into_iter().map(|(path, item)| {
            let path = format!("{prefix}/{path}");
            (path.clone(), Item { entry: Entry { path, ..item.entry }, ..item })
        });
        let mut moved = Context { items: items.collect(), skipped: self.skipped };
        moved.insert(Item::directory(prefix.to_owned()));
        moved
    }

    /// Adds a file that is on no disk, in place of any at that path.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl Into<Bytes>) -> Context {
        let content = content.into();
        let size = content.len() as u64;
        let entry = Entry { path: path.to_owned(), kind: EntryKind::File, mode: PLAIN_MODE, size };
        self.insert(Item { entry, content: Content::Memory(content) });
        self
    }

    /// Adds the file at `source`, following symlinks, in place of any at that path.
    ///
    /// # Errors
    /// [`ContextError::Read`] when there is no such file.
    pub fn with_file_from(
        mut self,
        path: &str,
        source: &Path,
        is_executable: bool,
    ) -> Result<Context, ContextError> {
        let metadata = std::fs::metadata(source).map_err(|error| unreadable(source, error))?;
        let mode = if is_executable { EXECUTABLE_MODE } else { PLAIN_MODE };
        let file = StampedFile::new(source.to_owned(), &metadata);
        self.insert(Item::file(path.to_owned(), mode, metadata.len(), file));
        Ok(self)
    }

    /// Every entry, sorted by path.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.values().map(|item| &item.entry)
    }

    /// The files' contents together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries().map(|entry| entry.size).sum()
    }

    /// What was found and left out, because no image can carry it.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The digest of the whole context and of `extra`, what else decides the build (arguments, target).
    ///
    /// Independent of times, owners and the machine; of the mode only whether a file is executable counts.
    ///
    /// # Errors
    /// When a file cannot be read or changed since the scan.
    pub fn digest(&self, extra: &[&[u8]]) -> Result<ContentDigest, ContextError> {
        let mut fields = Fields::new("minipaas build context 1");
        fields.length(self.items.len() as u64);
        for item in self.items.values() {
            item.hash(&mut fields)?;
        }
        for extra in extra {
            fields.field(extra);
        }
        Ok(fields.finish())
    }

    /// Writes the context as a tar archive, file by file, and returns the writer.
    ///
    /// # Errors
    /// When a file cannot be read or changed since the scan, or the writer fails. What was written is useless then.
    pub fn write_tar<W: io::Write>(&self, writer: W) -> Result<W, ContextError> {
        let mut archive = tar::Builder::new(writer);
        for item in self.items.values() {
            item.append(&mut archive)?;
        }
        archive.into_inner().map_err(|source| ContextError::Write { source })
    }

    fn insert(&mut self, item: Item) {
        self.items.insert(item.entry.path.clone(), item);
    }
}

impl Item {
    fn directory(path: String) -> Item {
        let entry = Entry { path, kind: EntryKind::Directory, mode: EXECUTABLE_MODE, size: 0 };
        Item { entry, content: Content::None }
    }

    fn symlink(path: String, target: String) -> Item {
        let entry = Entry { path, kind: EntryKind::Symlink { target }, mode: SYMLINK_MODE, size: 0 };
        Item { entry, content: Content::None }
    }

    fn file(path: String, mode: u32, size: u64, file: StampedFile) -> Item {
        Item { entry: Entry { path, kind: EntryKind::File, mode, size }, content: Content::Disk(file) }
    }

    fn hash(&self, fields: &mut Fields) -> Result<(), ContextError> {
        let Entry { path, kind, mode, size } = &self.entry;
        fields.field(path.as_bytes());
        match kind {
            EntryKind::File => fields.field(if *mode == EXECUTABLE_MODE { b"executable" } else { b"file" }),
            EntryKind::Directory => fields.field(b"directory"),
            EntryKind::Symlink { target } => {
                fields.field(b"symlink");
                fields.field(target.as_bytes());
            }
        }
        fields.length(*size);
        match &self.content {
            Content::None => {}
            Content::Memory(content) => fields.raw(content),
            Content::Disk(file) => {
                let mut reader = file.open()?;
                let mut chunk = vec![0; CHUNK_BYTES];
                loop {
                    let read = reader.read(&mut chunk).map_err(|source| {
                        let failure = reader.take_failure();
                        failure.unwrap_or_else(|| unreadable(file.path(), source))
                    })?;
                    if read == 0 {
                        break;
                    }
                    fields.raw(&chunk[..read]);
                }
            }
        }
        Ok(())
    }

    fn append<W: io::Write>(&self, archive: &mut tar::Builder<W>) -> Result<(), ContextError> {
        let Entry { path, kind, mode, size } = &self.entry;
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(*size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(match kind {
            EntryKind::File => EntryType::Regular,
            EntryKind::Directory => EntryType::Directory,
            EntryKind::Symlink { .. } => EntryType::Symlink,
        });
        // Names and targets over 100 bytes go out as GNU long names.
        let appended = match (kind, &self.content) {
            (EntryKind::Symlink { target }, _) => archive.append_link(&mut header, path, target),
            (_, Content::None) => archive.append_data(&mut header, path, io::empty()),
            (_, Content::Memory(content)) => archive.append_data(&mut header, path, content.as_ref()),
            (_, Content::Disk(file)) => {
                let mut reader = file.open()?;
                let appended = archive.append_data(&mut header, path, &mut reader);
                if let Some(failure) = reader.take_failure() {
                    return Err(failure);
                }
                appended
            }
        };
        appended.map_err(|source| ContextError::Write { source })
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is a {} and was left out", self.path, self.what)
    }
}

fn unreadable(path: &Path, source: io::Error) -> ContextError {
    ContextError::Read { path: path.to_owned(), source }
}
