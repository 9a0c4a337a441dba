//! What an export of an app needs to know: the release that serves, and all that commands have set since.

use std::sync::Arc;

use super::task::Task;
use crate::formation::Formation;
use crate::manifest::Overrides;
use crate::name::{AppName, Host};
use crate::release::Release;

/// One app, as it serves now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The release that serves.
    pub release: Release,
    /// How many instances commands want, and by what rule that changes.
    pub formation: Formation,
    /// Settings of its proxy that were made by command.
    pub proxy: Arc<Overrides>,
    /// Its own host, and those that commands have added.
    pub hosts: Vec<Host>,
}

/// Why an app cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// There is none of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// No release of it ever served.
    #[error("app `{0}` has no release that serves, so there is nothing to export")]
    NoRelease(AppName),
    /// It is only a route.
    #[error("app `{0}` is only a route to servers that run elsewhere, so there is nothing to export")]
    External(AppName),
}

impl Task {
    /// All that an export of the app needs.
    pub(super) fn exported(&self, name: &AppName) -> Result<Exported, ExportError> {
        let app = self.apps.get(name).ok_or_else(|| ExportError::Unknown(name.clone()))?;
        if app.record.external.is_some() {
            return Err(ExportError::External(name.clone()));
        }
        let release = app.current().ok_or_else(|| ExportError::NoRelease(name.clone()))?;
        let own = Host::Exact(format!("{name}.{}", self.domain));
        Ok(Exported {
            release: release.clone(),
            formation: app.record.formation.clone(),
            proxy: Arc::clone(&app.record.proxy),
            hosts: std::iter::once(own).chain(app.record.hosts()).collect(),
        })
    }
}

impl ExportError {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown(_) => vec!["`minipaas apps` lists what there is".to_owned()],
            Self::NoRelease(_) => vec!["`minipaas up` in its folder deploys it".to_owned()],
            Self::External(app) => {
                vec![format!(
                    "`minipaas apps info {app}` shows where it leads: make a Service of that by hand"
                )]
            }
        }
    }
}
