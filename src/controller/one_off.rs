//! What a run of a command in one of an app's releases is made of.

use super::task::Task;
use crate::manifest::ManifestError;
use crate::name::{AppName, ProcessType, ReleaseId};
use crate::plan::OneOffSpec;

/// Why there can be no run.
#[derive(Debug, thiserror::Error)]
pub enum OneOffError {
    /// There is no such app.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// Nothing of the app ever served.
    #[error("app `{0}` has no release that serves, so there is nothing to run a command in")]
    NoRelease(AppName),
    /// It is only a route.
    #[error("app `{0}` is only a route to upstreams, so there is nothing to run a command in")]
    External(AppName),
    /// There is no release of this number.
    #[error("app `{app}` has no release {release}")]
    NoSuchRelease {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseId,
    },
    /// The release has no such process type, or no instance of it.
    #[error("{release} of app `{app}` has no process type `{process}`")]
    NoSuchProcess {
        /// The app.
        app: AppName,
        /// The release.
        release: ReleaseId,
        /// The type.
        process: ProcessType,
    },
    /// The release's manifest cannot be read any more.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Task {
    pub(super) fn one_off(
        &self,
        name: &AppName,
        release: Option<ReleaseId>,
        process: Option<&ProcessType>,
    ) -> Result<OneOffSpec, OneOffError> {
        let app = self.apps.get(name).ok_or_else(|| OneOffError::Unknown(name.clone()))?;
        if app.record.external.is_some() {
            return Err(OneOffError::External(name.clone()));
        }
        let id = release.or(app.record.current).ok_or_else(|| OneOffError::NoRelease(name.clone()))?;
        let found = app.releases.get(&id);
        let release = found.ok_or_else(|| OneOffError::NoSuchRelease { app: name.clone(), release: id })?;
        let plan = app.plan(release, &self.domain)?;
        plan.one_off(process).ok_or_else(|| OneOffError::NoSuchProcess {
            app: name.clone(),
            release: id,
            process: process.cloned().unwrap_or_else(ProcessType::run),
        })
    }
}
