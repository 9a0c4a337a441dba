//! Everything that must survive: apps, their releases, and the phase of each rollout.
//!
//! A write is acknowledged after it was flushed, and what belongs together is one atomic batch: `kill -9` at any moment
//! leaves the old state or the new. Records are versioned JSON (`record`); a newer version than this binary knows is an
//! error, not a guess.
//!
//! One process owns a state directory at a time: [`Store::open`] takes a lock file that names its holder.
//!
//! This is the only module that knows sled.

mod lock;
mod record;
mod settings;
mod traffic;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::manifest::Overrides;
use crate::name::{AppName, BoxId, ReleaseId};
use crate::release::{Release, ReleaseState};
use crate::rollout::{Phase, RolloutRecord};
use crate::route::{Mode, RouteTable, Share};
use crate::traffic::StickyKey;

pub use lock::{Lock, LockError};

/// The page cache: the whole database of a large box fits, and an idle daemon stays small.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

const BOX_KEY: &str = "box";
const STICKY_KEY: &str = "sticky";
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
    _lock: std::sync::Arc<Lock>,
    /// Where a test wants the process to be killed: nothing goes on after this phase is stored.
    #[cfg(any(test, feature = "testing"))]
    halt_at: std::sync::Arc<std::sync::Mutex<Option<Phase>>>,
}

/// An app, apart from its releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRecord {
    /// Its name.
    pub name: AppName,
    /// The release that serves; `None` until one did.
    pub current: Option<ReleaseId>,
    /// The highest number that a release ever had, so that none is given twice.
    pub last: Option<ReleaseId>,
    /// The folder that it was deployed from.
    pub origin: String,
    /// Whether requests reach it, as an operator wants it.
    pub mode: Mode,
    /// Which requests its canary gets, while the rollout of one is in [`Phase::Canary`]; else it means nothing.
    pub canary: Option<Share>,
    /// Settings of its proxy that were made by command.
    pub proxy: Arc<Overrides>,
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
            _lock: std::sync::Arc::new(lock),
            #[cfg(any(test, feature = "testing"))]
            halt_at: std::sync::Arc::default(),
        })
    }

    /// This box's id, made once.
    #[must_use]
    pub fn box_id(&self) -> &BoxId {
        &self.box_id
    }

    /// The key of this box's sticky cookies, made once.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor written.
    pub fn sticky_key(&self) -> Result<StickyKey, StoreError> {
        let found = self.db.get(STICKY_KEY).map_err(|error| self.failed("read", error))?;
        // One of another length is no key of ours; a new one costs every client its upstream, once.
        if let Some(bytes) = found.and_then(|bytes| <[u8; 32]>::try_from(&*bytes).ok()) {
            return Ok(StickyKey::new(bytes));
        }
        let bytes = crate::random::bytes::<32>();
        self.db.insert(STICKY_KEY, &bytes).map_err(|error| self.failed("write", error))?;
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
            Ok(Snapshot {
                apps: store.scan("app/", record::app)?,
                releases: store.scan("release/", record::release)?,
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

    /// Keeps what changed of an app.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub async fn save_app(&self, app: &AppRecord) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        put_app(&mut batch, app);
        self.apply(batch).await
    }

    /// Notes that a release is about to be the app's canary, with the share of the requests that is in the app's record.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the release must not get requests then.
    pub async fn begin_canary(&self, app: &AppRecord, release: ReleaseId) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        put_app(&mut batch, app);
        put_rollout(&mut batch, &RolloutRecord { app: app.name.clone(), release, phase: Phase::Canary });
        self.apply(batch).await?;
        self.halt(Phase::Canary).await;
        Ok(())
    }

    /// Takes a switch back: `back` serves again, and `failed` never will.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the failed one goes on serving then.
    pub async fn flip_back(
        &self,
        app: &AppRecord,
        back: &Release,
        failed: &Release,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        put_app(&mut batch, &AppRecord { current: Some(back.id), ..app.clone() });
        put_release(&mut batch, &Release { state: ReleaseState::Active, ..back.clone() });
        put_release(&mut batch, failed);
        batch.remove(rollout_key(&app.name, failed.id).as_bytes());
        self.apply(batch).await
    }

    /// Adds a release to its app's ledger, with its rollout about to start. The app is made with its first release.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then nothing was.
    pub async fn append_release(&self, app: &AppRecord, release: &Release) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        put_app(&mut batch, app);
        put_release(&mut batch, release);
        put_rollout(
            &mut batch,
            &RolloutRecord { app: app.name.clone(), release: release.id, phase: Phase::Starting },
        );
        self.apply(batch).await?;
        self.halt(Phase::Starting).await;
        Ok(())
    }

    /// Notes the phase that a rollout is about to enter. A rollout that was ended meanwhile stays ended.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the phase must not be entered then.
    pub async fn set_phase(&self, rollout: &RolloutRecord) -> Result<(), StoreError> {
        let key = rollout_key(&rollout.app, rollout.release);
        let bytes = record::from_rollout(rollout);
        self.blocking(move |store| {
            let failed = |error| store.failed("write", error);
            store.db.update_and_fetch(key, |old| old.map(|_| bytes.clone())).map_err(failed)?;
            store.db.flush().map_err(failed)?;
            Ok(())
        })
        .await?;
        self.halt(rollout.phase).await;
        Ok(())
    }

    /// Makes `release` the one that serves, in one step with what that makes of the releases before.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the old release serves then.
    pub async fn switch(
        &self,
        app: &AppRecord,
        release: &Release,
        before: Option<&Release>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        put_app(&mut batch, &AppRecord { current: Some(release.id), ..app.clone() });
        put_release(&mut batch, &Release { state: ReleaseState::Active, ..release.clone() });
        if let Some(before) = before {
            put_release(&mut batch, &Release { state: ReleaseState::Superseded, ..before.clone() });
        }
        put_rollout(
            &mut batch,
            &RolloutRecord { app: app.name.clone(), release: release.id, phase: Phase::Switching },
        );
        self.apply(batch).await?;
        self.halt(Phase::Switching).await;
        Ok(())
    }

    /// Ends the rollout of a release that serves, or served.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn finish_rollout(&self, app: &AppName, release: ReleaseId) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.remove(rollout_key(app, release).as_bytes());
        self.apply(batch).await
    }

    /// Ends the rollout of a release that never served, and keeps why.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn fail_release(&self, release: &Release) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        put_release(&mut batch, release);
        batch.remove(rollout_key(&release.app, release.id).as_bytes());
        self.apply(batch).await
    }

    /// Forgets an app and its releases, all but their highest number: an app of the same name goes on from there, so that
    /// what an engine still has of this one is never taken for a part of the other.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then all of it is still there.
    pub async fn remove_app(&self, record: &AppRecord) -> Result<(), StoreError> {
        let app = &record.name;
        let prefixes = [format!("release/{app}/"), format!("rollout/{app}/")];
        let mut batch = sled::Batch::default();
        batch.remove(format!("app/{app}").as_bytes());
        if let Some(last) = record.last {
            batch.insert(format!("removed/{app}").as_bytes(), record::from_removed(app, last));
        }
        for prefix in prefixes {
            for key in self.db.scan_prefix(prefix).keys() {
                batch.remove(key.map_err(|error| self.failed("read", error))?);
            }
        }
        self.apply(batch).await
    }

    /// Makes whoever stores this phase next wait for ever, once it is stored: the moment at which a test kills the process.
    #[cfg(any(test, feature = "testing"))]
    pub fn halt_at(&self, phase: Phase) {
        *self.halt_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(phase);
    }

    /// Called after each phase was stored, before its effect.
    #[cfg(any(test, feature = "testing"))]
    async fn halt(&self, stored: Phase) {
        let is_here = *self.halt_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) == Some(stored);
        if is_here {
            tracing::warn!(phase = stored.as_str(), "halted");
            std::future::pending::<()>().await;
        }
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_async, reason = "the other one waits")]
    async fn halt(&self, _stored: Phase) {}

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
        read: fn(&str, &[u8]) -> Result<T, StoreError>,
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

fn put_app(batch: &mut sled::Batch, app: &AppRecord) {
    batch.insert(format!("app/{}", app.name).as_bytes(), record::from_app(app));
}

fn put_release(batch: &mut sled::Batch, release: &Release) {
    // Padded, so that the order of the keys is that of the numbers.
    let key = format!("release/{}/{:012}", release.app, release.id.number());
    batch.insert(key.as_bytes(), record::from_release(release));
}

fn put_rollout(batch: &mut sled::Batch, rollout: &RolloutRecord) {
    batch.insert(rollout_key(&rollout.app, rollout.release).as_bytes(), record::from_rollout(rollout));
}

fn rollout_key(app: &AppName, release: ReleaseId) -> String {
    format!("rollout/{app}/{:012}", release.number())
}

#[cfg(test)]
mod tests;
