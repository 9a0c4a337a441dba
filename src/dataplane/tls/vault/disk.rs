//! The files of a vault: one a certificate, and an index of them that saves reading them at a start.
//!
//! The certificates' files are the truth; each is replaced all at once. The index is a journal that is believed only as far as
//! it can be: a certificate without a line in it is read, a line without a file is dropped, and where a line is damaged all are
//! read. So they are where it begins with another box's key: a certificate whose key stays closed is as good as none, and is
//! left out. What would escape that is a file replaced by another of the same name, with a kill before its new line: so before a
//! file is replaced, a line that its old one is no longer to be believed is written and flushed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::atomic::AtomicUsize;

use super::record::{self, Line, Row};
use super::shelf::Sealed;
use super::{CertificateId, Summary, VaultError, purpose};
use crate::file::{self, PRIVATE_MODE};
use crate::seal::BoxKey;

const INDEX_FILE: &str = "index";
/// Of a certificate's file, after its id.
const EXTENSION: &str = "pem";
const DIRECTORY_MODE: u32 = 0o700;
/// Lines of the index that say nothing any more, beyond one for each certificate: then it is written anew.
const STALE_LINES_MAX: usize = 256;

/// In an index that could not be written anew: so many that the next change tries it again.
const LINES_UNKNOWN: usize = usize::MAX / 2;

/// The directory, to read from; any number of threads may.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    #[cfg(test)]
    pub(super) reads: AtomicUsize,
}

/// The index, to write to; there is one.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Seals the first line.
    key: BoxKey,
    /// In the file, whatever they say.
    lines: usize,
}

// === impl Directory ===

impl Directory {
    /// Makes the directory if need be, closes it to others, and takes away what writers that were killed have left.
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let failed = |action| move |source| VaultError::Path { action, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed("make"))?;
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)).map_err(failed("restrict"))?;
        let path = path.to_owned();
        #[cfg(not(test))]
        return Ok(Self { path });
        #[cfg(test)]
        Ok(Self { path, reads: AtomicUsize::new(0) })
    }

    /// What is kept and opens with `key`, and the index to write to.
    pub(super) fn load(&self, key: &BoxKey) -> Result<(Vec<Summary>, Journal), VaultError> {
        let ids = self.sweep()?;
        let (mut indexed, lines) = self.read_index(key)?.unwrap_or_default();
        indexed.retain(|id, _| ids.contains(id));
        let mut is_complete = true;
        for id in ids {
            if indexed.contains_key(&id) {
                continue;
            }
            is_complete = false;
            let opened = self.read(id).and_then(|(summary, sealed)| {
                key.open(&purpose(id), &sealed.key)?;
                Ok(summary)
            });
            match opened {
                Ok(summary) => drop(indexed.insert(id, summary)),
                Err(error) => {
                    tracing::warn!(certificate = %id, error = &error as &dyn std::error::Error, "certificate left out");
                }
            }
        }
        let summaries: Vec<_> = indexed.into_values().collect();
        let is_current = is_complete && lines > 0 && lines <= summaries.len() + STALE_LINES_MAX;
        let path = self.path.join(INDEX_FILE);
        if is_current {
            return Ok((summaries, Journal::open(path, lines, key)?));
        }
        let journal = Journal::write(path.clone(), summaries.iter(), key).or_else(|error| {
            // As on a full disk. What is there goes on: it is right as far as it goes, or is not believed for its first line or its
            // damage, whatever follows.
            tracing::warn!(error = &error as &dyn std::error::Error, "index of certificates not written");
            Journal::open(path, LINES_UNKNOWN, key)
        })?;
        Ok((summaries, journal))
    }

    /// One certificate from its file.
    pub(super) fn read(&self, id: CertificateId) -> Result<(Summary, Sealed), VaultError> {
        let path = self.path_of(id);
        self.count_read();
        let text = fs::read_to_string(&path).map_err(|source| VaultError::Path {
            action: "read",
            path: path.clone(),
            source,
        })?;
        record::read_file(id, &text).ok_or(VaultError::Damaged { path })
    }

    /// Writes one certificate's file, flushed; the one of the same id gives way.
    pub(super) fn write(&self, id: CertificateId, contents: &str) -> Result<(), VaultError> {
        let path = self.path_of(id);
        file::replace(&path, PRIVATE_MODE, contents.as_bytes()).map_err(|source| VaultError::Path {
            action: "write",
            path,
            source,
        })
    }

    /// Removes one certificate's file, flushed. That there is none is as good.
    pub(super) fn remove(&self, id: CertificateId) -> Result<(), VaultError> {
        let path = self.path_of(id);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed.and_then(|()| File::open(&self.path)?.sync_all()).map_err(|source| VaultError::Path {
            action: "remove",
            path,
            source,
        })
    }

    /// The ids that have a file. Temporary files are removed; what is not ours is left alone.
    fn sweep(&self) -> Result<HashSet<CertificateId>, VaultError> {
        let failed = |source| VaultError::Path { action: "list", path: self.path.clone(), source };
        let mut ids = HashSet::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(id) = id_of(name) {
                ids.insert(id);
            } else if name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).is_some_and(is_ours) {
                match fs::remove_file(self.path.join(name)) {
                    Ok(()) => tracing::info!(name, "removed what a write that was cut short had left"),
                    Err(error) => tracing::warn!(
                        name,
                        error = &error as &dyn std::error::Error,
                        "what a write that was cut short had left cannot be removed"
                    ),
                }
            }
        }
        Ok(ids)
    }

    /// What the index says, and in how many lines; `None` if it is missing, damaged, of another version or with another key.
    #[expect(clippy::type_complexity, reason = "read in one place")]
    fn read_index(
        &self,
        key: &BoxKey,
    ) -> Result<Option<(HashMap<CertificateId, Summary>, usize)>, VaultError> {
        let path = self.path.join(INDEX_FILE);
        let failed = |source| VaultError::Path { action: "read", path: path.clone(), source };
        self.count_read();
        let mut file = match File::open(&path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let (mut indexed, mut lines, mut line) = (HashMap::new(), 0, Vec::new());
        while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            let parsed = str::from_utf8(&line).ok().filter(|line| line.ends_with('\n')).and_then(Line::parse);
            let is_good = match parsed {
                Some(first @ Line::Index { .. }) => {
                    if lines == 0 && !first.is_first(key) {
                        tracing::warn!(path = %path.display(), "index of certificates of another box; all are read");
                        return Ok(None);
                    }
                    lines == 0
                }
                Some(Line::Kept(row)) if lines > 0 => {
                    row.summary().map(|summary| indexed.insert(summary.id, summary)).is_some()
                }
                Some(Line::Forgotten { id }) if lines > 0 => {
                    id.parse().map(|id: CertificateId| indexed.remove(&id)).is_ok()
                }
                _ => false,
            };
            if !is_good {
                tracing::warn!(path = %path.display(), line = lines + 1, "index of certificates damaged; it is made anew");
                return Ok(None);
            }
            lines += 1;
            line.clear();
        }
        Ok(Some((indexed, lines)))
    }

    /// Where it is, or would be.
    pub(super) fn path_of(&self, id: CertificateId) -> PathBuf {
        self.path.join(format!("{id}.{EXTENSION}"))
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests count"))]
    fn count_read(&self) {
        #[cfg(test)]
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

// === impl Journal ===

impl Journal {
    /// Says that the certificate is kept. That this line is lost costs the next start one look into its file.
    pub(super) fn keep(&mut self, summary: &Summary) -> io::Result<()> {
        self.append(&Line::Kept(Box::new(Row::from(summary))))
    }

    /// Says, flushed, that nothing said of the certificate so far is to be believed.
    pub(super) fn forget(&mut self, id: CertificateId) -> Result<(), VaultError> {
        self.append(&Line::Forgotten { id: id.to_string() })
            .and_then(|()| self.file.sync_data())
            .map_err(|source| VaultError::Path { action: "write", path: self.path.clone(), source })
    }

    /// Whether it is time to [`write`](Self::write) it anew, for so many certificates.
    pub(super) fn is_stale(&self, certificates: usize) -> bool {
        self.lines > 2 * certificates + STALE_LINES_MAX
    }

    /// Writes the index of these certificates anew, in place of what it says so far.
    pub(super) fn rewrite<'a>(
        &mut self,
        summaries: impl Iterator<Item = &'a Summary>,
    ) -> Result<(), VaultError> {
        *self = Self::write(self.path.clone(), summaries, &self.key)?;
        Ok(())
    }

    fn write<'a>(
        path: PathBuf,
        summaries: impl Iterator<Item = &'a Summary>,
        key: &BoxKey,
    ) -> Result<Self, VaultError> {
        let mut lines = 1;
        let text = summaries.fold(Line::first(key).text(), |text, summary| {
            lines += 1;
            text + &Line::Kept(Box::new(Row::from(summary))).text()
        });
        file::replace(&path, PRIVATE_MODE, text.as_bytes()).map_err(|source| VaultError::Path {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Self::open(path, lines, key)
    }

    fn open(path: PathBuf, lines: usize, key: &BoxKey) -> Result<Self, VaultError> {
        let file = OpenOptions::new().append(true).create(true).mode(PRIVATE_MODE).open(&path);
        let file = file.map_err(|source| VaultError::Path { action: "open", path: path.clone(), source })?;
        Ok(Self { path, file, key: key.clone(), lines })
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        self.lines += 1;
        self.file.write_all(line.text().as_bytes())
    }
}

fn id_of(name: &str) -> Option<CertificateId> {
    let id = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    // Upper-case digits are no name of ours.
    id.parse().ok().filter(|parsed: &CertificateId| parsed.to_string() == id)
}

fn is_ours(name: &str) -> bool {
    name == INDEX_FILE || id_of(name).is_some()
}
