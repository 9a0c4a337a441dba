//! The ledger of releases and the config of an app: shown, and changed without a release.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::app::App;
use super::change::{ChangeError, check_unset};
use super::task::Task;
use crate::environment::{ENVIRONMENT_BYTES_MAX, Environment, EnvironmentChange};
use crate::manifest::Manifest;
use crate::name::AppName;
use crate::release::Release;
use crate::store::{AppRecord, StoreError};

/// All releases of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The first one first.
    pub releases: Vec<Release>,
    /// The one that serves.
    pub current: Option<crate::name::ReleaseId>,
}

/// An app's variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// What the next release will have of `config`: what the one that serves has, with what is staged.
    pub wanted: Environment,
    /// What of it no release has yet.
    pub staged: EnvironmentChange,
    /// What the manifest's `[env]` says, under them.
    pub manifest: BTreeMap<String, String>,
    /// Whether there is a release that serves.
    pub is_deployed: bool,
}

/// Why the config is as it was, or an app is not made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It breaks a rule.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// There is one of this name.
    #[error("there is an app `{0}` already")]
    Exists(AppName),
    /// The state could not be written.
    #[error("the config could not be stored")]
    Store(#[from] StoreError),
}

impl Task {
    /// All releases of an app.
    pub(super) fn ledger(&self, name: &AppName) -> Result<Ledger, ChangeError> {
        let app = self.apps.get(name).ok_or_else(|| ChangeError::NoApp(name.clone()))?;
        Ok(Ledger { releases: app.releases.values().cloned().collect(), current: app.record.current })
    }

    /// Makes an app that nothing was deployed to.
    pub(super) async fn create_app(&mut self, name: &AppName) -> Result<(), ConfigError> {
        if self.apps.contains_key(name) {
            return Err(ConfigError::Exists(name.clone()));
        }
        // The numbers of an app that was removed are not given again.
        let record = AppRecord { last: self.removed.get(name).copied(), ..AppRecord::new(name.clone()) };
        self.deps.store.save_app(&record).await?;
        tracing::info!(app = %name, "app made");
        self.apps.insert(name.clone(), App::new(record));
        self.publish().await;
        Ok(())
    }

    /// Stages the change, stored first, if there is one; says what holds from then on.
    pub(super) async fn stage_config(
        &mut self,
        name: &AppName,
        change: Option<EnvironmentChange>,
    ) -> Result<ConfigView, ConfigError> {
        let app = self.apps.get_mut(name).ok_or_else(|| ChangeError::NoApp(name.clone()))?;
        if app.record.external.is_some() {
            return Err(ChangeError::External(name.clone()).into());
        }
        if let Some(change) = change {
            let wanted = app.wanted_environment();
            check_unset(name, &wanted, &change)?;
            if wanted.with(&change).bytes() > ENVIRONMENT_BYTES_MAX {
                return Err(ChangeError::TooMuch { app: name.clone() }.into());
            }
            let current = app.current().map(|current| Arc::clone(&current.environment)).unwrap_or_default();
            let staged = app.record.staged.clone().then(&change).not_in(&current);
            if staged != app.record.staged {
                let record = AppRecord { staged, ..app.record.clone() };
                self.deps.store.save_app(&record).await?;
                tracing::info!(app = %name, variables = record.staged.names().len(), "config staged");
                app.record = record;
            }
        }
        let app = &self.apps[name];
        let source = app.current().map(|current| &current.source);
        let manifest = source.and_then(|source| Manifest::parse(source).ok());
        Ok(ConfigView {
            wanted: app.wanted_environment(),
            staged: app.record.staged.clone(),
            manifest: manifest.map(|(manifest, _)| manifest.env).unwrap_or_default(),
            is_deployed: app.record.current.is_some(),
        })
    }
}
