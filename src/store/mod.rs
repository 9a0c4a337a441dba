//! Everything that must survive: apps, their releases, and the phase of each rollout.
//!
//! A write is acknowledged after it was flushed, and what belongs together is one atomic batch: `kill -9` at any moment
//! leaves the old state or the new. Records are versioned JSON (`record`); a newer version than this binary knows is an
//! error, not a guess.
//!
//! One process owns a state directory at a time: [`Store::open`] takes a lock file that names its holder.
//!
//! This is the only module that knows sled.

mod answers;
mod apps;
mod callers;
mod certs;
mod cron;
mod domains;
mod drains;
mod environment;
mod events;
mod external;
mod formation;
mod hooks;
mod lock;
mod people;
mod record;
mod releases;
mod settings;
mod traffic;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::name::{AppName, BoxId, ReleaseId};
use crate::release::Release;
use crate::rollout::RolloutRecord;
use crate::route::RouteTable;
use crate::seal::BoxKey;
use crate::traffic::StickyKey;

pub use apps::AppRecord;
pub use cron::CronRecord;
pub use domains::Domain;
pub use drains::DrainRecord;
pub use lock::{Lock, LockError};

/// The page cache: the whole database of a large box fits, and an idle daemon stays small.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

const BOX_KEY: &str = "box";
const STICKY_KEY: &str = "sticky";
/// What the key of sticky cookies is sealed as.
const STICKY_SEALED_AS: &str = "sticky cookie key";
const TABLE_KEY: &str = "table";

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The database could not be opened, read or written.
    #[error("cannot {action} the state in `{path}`")]
    Database {
        /// What was being done.
        action: &'static str,
        /// The state directory.
        path: PathBuf,
        /// The database's word.
        #[source]
        source: io::Error,
    },
    /// A record cannot be read back.
    #[error("record `{key}` cannot be read: {reason}")]
    Record {
        /// Its key.
        key: String,
        /// Why.
        reason: String,
    },
}

/// The database; clones are handles on the same one, and the last to be dropped gives up the lock.
#[derive(Debug, Clone)]
pub struct Store {
    db: sled::Db,
    path: PathBuf,
    box_id: BoxId,
    /// Seals what is secret of the records.
    key: Option<BoxKey>,
    _lock: std::sync::Arc<Lock>,
    /// Where a test wants the process to be killed: nothing goes on after this moment.
    #[cfg(any(test, feature = "testing"))]
    halt_at: std::sync::Arc<std::sync::Mutex<Option<String>>>,
}

/// Everything that the store holds, as a controller reads it at its start.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// All apps, by name.
    pub apps: Vec<AppRecord>,
    /// All releases, by app and number.
    pub releases: Vec<Release>,
    /// The rollouts that had not ended.
    pub rollouts: Vec<RolloutRecord>,
    /// The highest release number of apps that were removed.
    pub removed: BTreeMap<AppName, ReleaseId>,
}

impl Store {
    /// Opens the state directory, making it when it is not there, and the box's id with it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when another process has it; else when it cannot be read or written.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = Lock::take(&dir.join("minipaas.lock"))?;
        let path = dir.join("store");
        let failed = |action| {
            let path = path.clone();
            move |error: sled::Error| StoreError::Database { action, path, source: error.into() }
        };
        let db = sled::Config::new()
            .path(&path)
            .cache_capacity(CACHE_BYTES)
            // Every acknowledged write is flushed by itself; a timer would only keep an idle machine awake.
            .flush_every_ms(None)
            .open()
            .map_err(failed("open"))?;
        let box_id = match db.get(BOX_KEY).map_err(failed("read"))? {
            Some(bytes) => record::box_id(BOX_KEY, &bytes)?,
            None => {
                let id = BoxId::from_bits(crate::random::bits());
                db.insert(BOX_KEY, record::from_box_id(&id)).map_err(failed("write"))?;
                db.flush().map_err(failed("write"))?;
                id
            }
        };
        Ok(Self {
            db,
            path,
            box_id,
            key: None,
            _lock: std::sync::Arc::new(lock),
            #[cfg(any(test, feature = "testing"))]
            halt_at: std::sync::Arc::default(),
        })
    }

    /// With the box's key, without which no variable of an app can be kept or read.
    #[must_use]
    pub fn sealed_with(self, key: BoxKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// This box's id, made once.
    #[must_use]
    pub fn box_id(&self) -> &BoxId {
        &self.box_id
    }

    /// The key of this box's sticky cookies, made once, and sealed with `key`.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor written.
    pub fn sticky_key(&self, key: &BoxKey) -> Result<StickyKey, StoreError> {
        let found = self.db.get(STICKY_KEY).map_err(|error| self.failed("read", error))?;
        let opened = found.and_then(|sealed| key.open(STICKY_SEALED_AS, &sealed).ok());
        if let Some(bytes) = opened.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok()) {
            return Ok(StickyKey::new(bytes));
        }
        // Also where an older version has kept it unsealed: copies of that may be anywhere, in this database's own log as well.
        // A new one costs every client its upstream, once.
        let bytes = crate::random::bytes::<32>();
        let sealed = key.seal(STICKY_SEALED_AS, &bytes);
        self.db.insert(STICKY_KEY, sealed).map_err(|error| self.failed("write", error))?;
        self.db.flush().map_err(|error| self.failed("write", error))?;
        Ok(StickyKey::new(bytes))
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.blocking(|store| {
            let key = store.key.as_ref();
            Ok(Snapshot {
                apps: store.scan("app/", |name, bytes| record::app(name, bytes, key))?,
                releases: store.scan("release/", |name, bytes| record::release(name, bytes, key))?,
                rollouts: store.scan("rollout/", record::rollout)?,
                removed: store.scan("removed/", record::removed)?.into_iter().collect(),
            })
        })
        .await
    }

    /// The route table that was published last.
    ///
    /// # Errors
    ///
    /// When it cannot be read back.
    pub fn route_table(&self) -> Result<Option<RouteTable>, StoreError> {
        let found = self.db.get(TABLE_KEY).map_err(|error| self.failed("read", error))?;
        found.map(|bytes| record::table(TABLE_KEY, &bytes)).transpose()
    }

    /// Keeps the route table for the next start. Not flushed: an older one only costs that start a moment.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn save_route_table(&self, table: &RouteTable) -> Result<(), StoreError> {
        let bytes = record::from_table(table);
        self.blocking(move |store| {
            store.db.insert(TABLE_KEY, bytes).map_err(|error| store.failed("write", error))?;
            Ok(())
        })
        .await
    }

    /// Makes whoever comes to this moment next wait for ever: the one at which a test kills the process. It is a phase, once it
    /// is stored, or `certificate-kept`.
    #[cfg(any(test, feature = "testing"))]
    pub fn halt_at(&self, moment: &str) {
        *self.halt_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(moment.to_owned());
    }

    /// Called at each such moment.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) async fn halt(&self, moment: &str) {
        let is_here =
            self.halt_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_deref() == Some(moment);
        if is_here {
            tracing::warn!(moment, "halted");
            std::future::pending::<()>().await;
        }
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_async, reason = "the other one waits")]
    pub(crate) async fn halt(&self, _moment: &str) {}

    async fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.blocking(move |store| {
            store.db.apply_batch(batch).map_err(|error| store.failed("write", error))?;
            store.db.flush().map_err(|error| store.failed("write", error))?;
            Ok(())
        })
        .await
    }

    /// Runs on the blocking pool: a flush waits for the disk, and paused time must not run on meanwhile.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .expect("the work does not panic and is never aborted")
    }

    fn scan<T>(
        &self,
        prefix: &str,
        read: impl Fn(&str, &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.db
            .scan_prefix(prefix)
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.failed("read", error))?;
                read(&String::from_utf8_lossy(&key), &value)
            })
            .collect()
    }

    fn failed(&self, action: &'static str, error: sled::Error) -> StoreError {
        StoreError::Database { action, path: self.path.clone(), source: error.into() }
    }
}

#[cfg(test)]
mod tests;
