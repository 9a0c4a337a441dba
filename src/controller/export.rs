//! What an export of an app needs to know: the release that serves, and all that commands have set since.

use std::sync::Arc;

use super::task::Task;
use crate::external::External;
use crate::formation::Formation;
use crate::manifest::Overrides;
use crate::name::{AppName, Host};
use crate::release::Release;

/// One app, as it serves now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What serves.
    pub runs: Runs,
    /// Settings of its proxy that were made by command.
    pub proxy: Arc<Overrides>,
    /// Its own host, and those that commands have added.
    pub hosts: Vec<Host>,
}

/// What serves an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// A release.
    Release {
        /// That one.
        release: Box<Release>,
        /// How many instances commands want, and by what rule that changes.
        formation: Formation,
    },
    /// Servers that run elsewhere.
    External(External),
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
}

impl Task {
    /// All that an export of the app needs.
    pub(super) fn exported(&self, name: &AppName) -> Result<Exported, ExportError> {
        let app = self.apps.get(name).ok_or_else(|| ExportError::Unknown(name.clone()))?;
        let runs = match &app.record.external {
            Some(external) => Runs::External(external.clone()),
            None => {
                let release = app.current().ok_or_else(|| ExportError::NoRelease(name.clone()))?;
                Runs::Release { release: Box::new(release.clone()), formation: app.record.formation.clone() }
            }
        };
        let own = Host::Exact(format!("{name}.{}", self.domain));
        Ok(Exported {
            runs,
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
        }
    }
}
