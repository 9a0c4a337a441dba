//! The certificates that the box keeps: those that people gave it, and those that authorities issued.
//!
//! Each is a file in one directory, with its chain in the open and its key sealed with the box's key for that certificate
//! alone. In memory there is an index of what they say, without keys, published whole: a handshake finds its certificate
//! without a lock, and only the first one for a certificate reads and opens its file. So ten thousand certificates cost a start
//! the reading of one file, and memory for those in use.
//!
//! A change is on disk, flushed, before it is published, and published before the caller goes on. Whenever the process is
//! killed, the next start finds the old certificate or the new one, whole.
//!
//! A certificate whose file is damaged, or was sealed with another key, is reported once and passed over; others may cover its
//! hosts. The vault does not judge: what expired is kept, and found if there is nothing better. Orders, renewals and cleaning
//! up are for others, and so is that no second process has the directory: the daemon's lock on its home sees to that.

mod disk;
mod id;
mod index;
mod record;
mod shelf;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use self::disk::{Directory, Journal};
use self::index::Index;
use self::shelf::{Entry, LOADED_MAX, Sealed, Shelf};
use super::chain::{Chain, Facts, KeyKind, certified};
use crate::clock;
use crate::seal::{BoxKey, SealError};

pub use id::{CertificateId, CertificateIdError};

/// A handle to the kept certificates; clones share them. Dropping the last one loses nothing.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    directory: Directory,
    key: BoxKey,
    shelf: Shelf,
    /// Replaced by whoever holds the journal; handshakes read.
    index: ArcSwap<Index>,
    journal: Mutex<Journal>,
}

/// Where a certificate is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Somebody brought it. It is preferred to what an authority issued for the same name.
    Own,
    /// It was ordered.
    Acme {
        /// Of whom, as the settings call the authority.
        authority: String,
    },
}

/// What there is to say about a kept certificate. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name here.
    pub id: CertificateId,
    /// DNS names in lower case, also `*.` and a name, and IP addresses as text.
    pub names: Vec<String>,
    /// When the last certificate of the chain becomes valid.
    pub not_before: SystemTime,
    /// When the first certificate of the chain expires.
    pub not_after: SystemTime,
    /// Who signed the leaf, for people.
    pub issuer: String,
    /// Of which kind its key is.
    pub key_kind: KeyKind,
    /// SHA-256 of the leaf as upper-case hex with colons.
    pub fingerprint: String,
    /// The leaf's serial number as lower-case hex with colons.
    pub serial: String,
    /// Where it is from.
    pub source: Source,
    /// When it was put here, to the millisecond.
    pub added: SystemTime,
}

/// Why certificates cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file or the directory cannot be used.
    #[error("cannot {action} `{}` of the kept certificates", path.display())]
    Path {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A certificate's file is not what was written there.
    #[error("`{}` is damaged; restore it from a backup, or remove it and add or order the certificate again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The certificate was sealed with another box's key.
    #[error(transparent)]
    Closed(#[from] SealError),
    /// There is no such certificate.
    #[error("there is no certificate `{id}`; `minipaas certs` lists those that there are")]
    Unknown {
        /// Which was asked for.
        id: CertificateId,
    },
}

// === impl Vault ===

impl Vault {
    /// Opens the certificates in `dir`, which is made if need be, for its owner alone; their keys are sealed with `key`.
    ///
    /// Blocks on the disk, for one file however many certificates there are; only where the index is missing, damaged or of
    /// another key are all of them read. Certificates that cannot be read or opened then are left out, with a warning in the log.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, listed or written to.
    pub fn open(dir: &Path, key: BoxKey) -> Result<Self, VaultError> {
        Self::open_with(dir, key, LOADED_MAX)
    }

    fn open_with(dir: &Path, key: BoxKey, loaded_max: usize) -> Result<Self, VaultError> {
        let directory = Directory::open(dir)?;
        let (summaries, journal) = directory.load(&key)?;
        let index = ArcSwap::from_pointee(Index::new(summaries.into_iter().map(Entry::new).collect()));
        let (shelf, journal) = (Shelf::new(loaded_max), Mutex::new(journal));
        Ok(Self(Arc::new(Inner { directory, key, shelf, index, journal })))
    }

    /// Keeps `chain`, in the place of the same one if it is here already; the next handshake may get it.
    ///
    /// Blocks until it is flushed to the disk. Whether the chain is valid now is not asked; [`Chain::check`] says.
    ///
    /// # Errors
    ///
    /// When it cannot be written; what was served before is served on.
    pub fn put(&self, chain: &Chain, source: Source) -> Result<CertificateId, VaultError> {
        let id = CertificateId::of(chain.leaf());
        let now = clock::time(clock::now());
        let summary = Summary::new(id, chain.facts(), source, now);
        let sealed = self.0.key.seal(&purpose(id), chain.key_pem().as_bytes());
        let contents = record::write_file(&summary, chain, &sealed);

        let mut journal = self.journal();
        let index = self.0.index.load();
        if index.get(id).is_some() {
            journal.forget(id)?;
        }
        self.0.directory.write(id, &contents)?;
        if let Err(error) = journal.keep(&summary) {
            tracing::warn!(certificate = %id, error = &error as &dyn Error, "index of certificates not written");
        }
        let entry = Arc::new(Entry::new(summary));
        self.0.shelf.keep(&entry, chain.certified_key());
        self.publish(index.with(&entry), &mut journal);
        Ok(id)
    }

    /// Forgets the certificate; no handshake from now on gets it. Blocks until that is flushed to the disk.
    ///
    /// # Errors
    ///
    /// When there is none of this id, or its file cannot be removed.
    pub fn remove(&self, id: CertificateId) -> Result<(), VaultError> {
        let mut journal = self.journal();
        let index = self.0.index.load();
        index.get(id).ok_or(VaultError::Unknown { id })?;
        self.0.directory.remove(id)?;
        self.publish(index.without(id), &mut journal);
        journal.forget(id)
    }

    /// All that are kept, by their names.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        let index = self.0.index.load();
        let mut summaries: Vec<_> = index.entries().map(|entry| entry.summary.clone()).collect();
        summaries.sort_by(|a, b| (&a.names, a.id).cmp(&(&b.names, b.id)));
        summaries
    }

    /// What there is to say about this one.
    #[must_use]
    pub fn summary(&self, id: CertificateId) -> Option<Summary> {
        self.0.index.load().get(id).map(|entry| entry.summary.clone())
    }

    /// The certificate to serve for `host`, in lower case: a DNS name, or an address as text.
    ///
    /// One that is not valid now comes after all that are. Then an exact name comes before a wildcard, [`Source::Own`] before
    /// [`Source::Acme`], ECDSA before RSA, the one that lasts longest, and the one that came last. The first time a certificate
    /// is asked for its file is read, some kilobytes.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.find_for(host, |_| true)
    }

    /// As [`find`](Self::find), of the kinds of key that `accepts` names; any if there is none of those.
    #[must_use]
    pub fn find_for(&self, host: &str, accepts: impl Fn(KeyKind) -> bool) -> Option<Arc<CertifiedKey>> {
        let index = self.0.index.load();
        let mut candidates = index.candidates(host, SystemTime::now());
        candidates.sort_by_key(|entry| !accepts(entry.summary.key_kind));
        candidates.into_iter().find_map(|entry| match self.certified(entry) {
            Ok(certified) => Some(certified),
            Err(error) => {
                if entry.report() {
                    let certificate = entry.summary.id;
                    tracing::error!(%certificate, host, error = &error as &dyn Error, "certificate cannot be served");
                }
                None
            }
        })
    }

    /// What [`find`](Self::find) would choose. Nothing is read, so a file that is damaged shows only after it was tried.
    #[must_use]
    pub fn best(&self, host: &str) -> Option<Summary> {
        let index = self.0.index.load();
        index.candidates(host, SystemTime::now()).first().map(|entry| entry.summary.clone())
    }

    /// The chain and key of this certificate, read and opened if they are not in memory.
    ///
    /// # Errors
    ///
    /// When there is none of this id, its file cannot be read or is damaged, or its key cannot be opened with the box's key.
    pub fn load(&self, id: CertificateId) -> Result<Arc<CertifiedKey>, VaultError> {
        let index = self.0.index.load();
        self.certified(index.get(id).ok_or(VaultError::Unknown { id })?)
    }

    fn certified(&self, entry: &Arc<Entry>) -> Result<Arc<CertifiedKey>, VaultError> {
        if let Some(certified) = entry.certified() {
            return Ok(certified);
        }
        let loaded = self.read(entry.summary.id);
        match &loaded {
            Ok(certified) => self.0.shelf.keep(entry, Arc::clone(certified)),
            // A file that cannot be read now may be later, when there are file descriptors again.
            Err(VaultError::Path { .. }) => {}
            Err(_) => entry.mark_broken(),
        }
        loaded
    }

    fn read(&self, id: CertificateId) -> Result<Arc<CertifiedKey>, VaultError> {
        let (_, Sealed { certificates, key }) = self.0.directory.read(id)?;
        let key = self.0.key.open(&purpose(id), &key)?;
        let damaged = || VaultError::Damaged { path: self.0.directory.path_of(id) };
        let key = str::from_utf8(&key).map_err(|_| damaged())?;
        certified(certificates, key).map(Arc::new).map_err(|_| damaged())
    }

    /// Writes the index anew when most of it is stale. That this fails costs nothing but its length.
    fn publish(&self, index: Index, journal: &mut Journal) {
        if journal.is_stale(index.entries().len())
            && let Err(error) = journal.rewrite(index.entries().map(|entry| &entry.summary))
        {
            tracing::warn!(error = &error as &dyn Error, "index of certificates not shortened");
        }
        self.0.index.store(Arc::new(index));
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.0.journal.lock().expect("nothing panics while the index is written")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self.0.index.load().entries().len();
        f.debug_struct("Vault").field("certificates", &certificates).finish_non_exhaustive()
    }
}

// === impl Source ===

impl Source {
    /// Who issued it, if it was ordered.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::Acme { authority } => Some(authority),
        }
    }

    fn from_authority(authority: Option<String>) -> Self {
        authority.map_or(Self::Own, |authority| Self::Acme { authority })
    }
}

// === impl Summary ===

impl Summary {
    fn new(id: CertificateId, facts: &Facts, source: Source, added: SystemTime) -> Self {
        Self {
            id,
            names: facts.names.clone(),
            not_before: facts.not_before(),
            not_after: facts.not_after(),
            issuer: facts.issuer.clone(),
            key_kind: facts.key_kind,
            fingerprint: facts.fingerprint.clone(),
            serial: facts.serial.clone(),
            source,
            added,
        }
    }

    /// Whether clients with the right time accept it at `now`.
    #[must_use]
    pub fn is_valid(&self, now: SystemTime) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }
}

/// What a key is sealed for: this certificate, and no other.
fn purpose(id: CertificateId) -> String {
    format!("the key of certificate `{id}`")
}

#[cfg(test)]
mod tests;
