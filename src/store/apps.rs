//! Apps, apart from their releases.

use std::sync::Arc;

use super::{Domain, Store, StoreError, record};
use crate::environment::EnvironmentChange;
use crate::external::External;
use crate::formation::Formation;
use crate::manifest::Overrides;
use crate::name::{AppName, Host, ReleaseId};
use crate::route::{Mode, Share};

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
    /// Which requests its canary gets, while the rollout of one is in [`crate::rollout::Phase::Canary`]; else it means nothing.
    pub canary: Option<Share>,
    /// Where it leads, if it is only a route; then it has no release.
    pub external: Option<External>,
    /// Settings of its proxy that were made by command.
    pub proxy: Arc<Overrides>,
    /// What `config` was told that no release has yet.
    pub staged: EnvironmentChange,
    /// Its hosts that were given by command, in their order.
    pub domains: Vec<Domain>,
    /// How many instances commands want of each process type, and by what rule that changes.
    pub formation: Formation,
}

impl AppRecord {
    /// An app of which nothing is known but its name.
    #[must_use]
    pub fn new(name: AppName) -> Self {
        Self {
            name,
            current: None,
            last: None,
            origin: String::new(),
            mode: Mode::Open,
            canary: None,
            external: None,
            proxy: Arc::default(),
            staged: EnvironmentChange::default(),
            domains: Vec::new(),
            formation: Formation::default(),
        }
    }

    /// The hosts that were given to it by command.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        self.domains.iter().map(|domain| domain.host.clone()).collect()
    }
}

impl Store {
    /// Keeps what changed of an app.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub async fn save_app(&self, app: &AppRecord) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        self.put_app(&mut batch, app)?;
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
        let prefixes = [format!("release/{app}/"), format!("rollout/{app}/"), format!("cron/{app}/")];
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

    pub(super) fn put_app(&self, batch: &mut sled::Batch, app: &AppRecord) -> Result<(), StoreError> {
        let bytes = record::from_app(app, self.key.as_ref())?;
        batch.insert(format!("app/{}", app.name).as_bytes(), bytes);
        Ok(())
    }
}
