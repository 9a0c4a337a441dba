//! A canary: a new release that gets a share of the requests until somebody decides about it.
//!
//! It is a rollout that stops half way: its instances are ready, its phase on disk is [`Phase::Canary`], and the table lists
//! them beside those of the release that serves. Promoting it is the switch that comes next in any rollout; aborting it, or
//! deploying something else, takes it away again. With `for` in the manifest it is compared with the release beside it, and one
//! or the other happens by itself; a start of the daemon has the time begin anew, as its counts are gone.
//!
//! [`Phase::Canary`]: crate::rollout::Phase::Canary

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::app::App;
use super::fleet::{Comparison, Fleet};
use super::task::{Event, Task};
use crate::clock;
use crate::events::News;
use crate::instance::Instance;
use crate::name::{AppName, ReleaseId};
use crate::plan::Plan;
use crate::release::{Release, ReleaseState};
use crate::rollout::{self, NoSwitch, Unswitched};
use crate::route::Share;
use crate::store::{AppRecord, StoreError};

/// What is to become of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryChange {
    /// It gets so many of a hundred clients from now on.
    Percent(u8),
    /// It takes over.
    Promote,
    /// It goes.
    Abort,
}

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryChanged {
    /// The canary.
    pub release: ReleaseId,
    /// The release that serves now.
    pub serving: Option<ReleaseId>,
    /// Which requests the canary gets now, while it is one.
    pub share: Option<Share>,
    /// When it takes over by itself, in milliseconds since the Unix epoch.
    pub until: Option<u64>,
}

/// Why a canary is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// There is no app of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// It has no canary.
    #[error("app `{0}` has no canary")]
    None(AppName),
    /// More than all.
    #[error("a canary gets 0 to 100 percent of the clients, not {0}")]
    Percent(u8),
    /// None of it could take over.
    #[error("{release} of `{app}` is not ready, and would take over nothing")]
    NotReady {
        /// The app.
        app: AppName,
        /// The canary.
        release: ReleaseId,
    },
    /// The state could not be written.
    #[error("the state of the canary could not be stored")]
    Store(#[from] StoreError),
}

impl Task {
    /// Lets these instances have a share of the requests: stored first, then published.
    pub(super) async fn begin_canary(
        &mut self,
        name: &AppName,
        plan: Arc<Plan>,
        instances: Vec<Instance>,
    ) -> Result<(), Unswitched> {
        let release = plan.release;
        let app = self.apps.get_mut(name).expect("an app is not taken down before its rollout has ended");
        let record = AppRecord { canary: plan.limits.canary.clone(), ..app.record.clone() };
        if let Err(error) = self.deps.store.begin_canary(&record, release).await {
            return Err((NoSwitch::Store(error), instances));
        }
        tracing::info!(app = %name, %release, "canary begins");
        app.record = record;
        app.canary = Some(Fleet::new(plan, instances));
        self.publish().await;
        self.compare_canary(name);
        Ok(())
    }

    /// Has a canary that is to take over by itself be compared from now on with the release that serves.
    pub(super) fn compare_canary(&mut self, name: &AppName) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some((canary, serving)) = app.canary.as_mut().zip(app.record.current) else { return };
        let Some(time) = canary.plan.limits.canary_for else { return };
        let (app, release) = (name.clone(), canary.release());
        let (events, routes) = (self.events.clone(), self.deps.routes.clone());
        let comparison = tokio::spawn(async move {
            let worse = rollout::watch_canary(&app, release, serving, time, &routes).await;
            let _ = events.send(Event::Compared { app, release, worse });
        });
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        canary.comparison = Some(Comparison {
            until: clock::now().saturating_add(millis),
            _task: AbortOnDropHandle::new(comparison),
        });
        self.publish_view();
    }

    /// Lets the canary take over, or takes it away when it is worse; does nothing when it was decided about meanwhile.
    pub(super) async fn end_comparison(&mut self, name: &AppName, release: ReleaseId, worse: Option<String>) {
        let Some(app) = self.apps.get(name) else { return };
        let Some(canary) = app.canary.as_ref().filter(|canary| canary.release() == release) else { return };
        let reason = match worse {
            None if canary.is_ready() => None,
            None => Some("it was not ready when it was to take over".to_owned()),
            worse => worse,
        };
        let ended = match reason {
            None => self.promote(name).await,
            Some(reason) => {
                tracing::warn!(app = %name, %release, reason, "canary is taken away");
                self.abort_canary(name, &reason).await.map_err(CanaryError::from)
            }
        };
        if let Err(error) = ended {
            tracing::error!(app = %name, %release, %error, "canary could not be ended by itself");
        }
    }

    /// Does what is asked of the canary.
    pub(super) async fn change_canary(
        &mut self,
        name: &AppName,
        change: CanaryChange,
    ) -> Result<CanaryChanged, CanaryError> {
        let app = self.apps.get_mut(name).ok_or_else(|| CanaryError::Unknown(name.clone()))?;
        let canary = app.canary.as_ref().ok_or_else(|| CanaryError::None(name.clone()))?;
        let release = canary.release();
        match change {
            CanaryChange::Percent(percent) if percent > 100 => return Err(CanaryError::Percent(percent)),
            CanaryChange::Percent(percent) => {
                let share = Share { percent, ..app.record.canary.clone().unwrap_or_default() };
                let record = AppRecord { canary: Some(share), ..app.record.clone() };
                self.deps.store.save_app(&record).await?;
                app.record = record;
                self.publish().await;
            }
            CanaryChange::Promote if !canary.is_ready() => {
                return Err(CanaryError::NotReady { app: name.clone(), release });
            }
            CanaryChange::Promote => self.promote(name).await?,
            CanaryChange::Abort => {
                self.abort_canary(name, "it was aborted while it was a canary").await?;
            }
        }
        let app = &self.apps[name];
        let share = app.canary.as_ref().and(app.record.canary.clone());
        let until = app.canary.as_ref().and_then(Fleet::until);
        Ok(CanaryChanged { release, serving: app.record.current, share, until })
    }

    /// Makes the canary the release that serves.
    async fn promote(&mut self, name: &AppName) -> Result<(), CanaryError> {
        let app = self.apps.get_mut(name).expect("the caller has found it");
        let Some(Fleet { plan, instances, backoff, .. }) = app.canary.take() else { return Ok(()) };
        let release = plan.release;
        let instances = instances.into_values().collect();
        match self.switch(name, Arc::clone(&plan), instances).await {
            Ok(None) => {
                self.report_rollout(name, release, &rollout::Outcome::Active);
                Ok(())
            }
            Ok(Some(watched)) => {
                let (cancel, updates) = self.begin(Arc::clone(&plan), None);
                self.note_switched(name);
                let deps = self.deps.clone();
                self.end_with(name.clone(), release, async move {
                    rollout::watch(watched, cancel, updates, &deps).await
                });
                Ok(())
            }
            Err((NoSwitch::Store(error), instances)) => {
                if let Some(app) = self.apps.get_mut(name) {
                    app.canary = Some(Fleet { backoff, ..Fleet::new(plan, instances) });
                }
                Err(error.into())
            }
            // That was stored as the end of it.
            Err((NoSwitch::Unready, instances)) => {
                let gone = Fleet::new(plan, instances);
                self.retire(name, gone.retirements(&gone.plan.limits)).await;
                Err(CanaryError::NotReady { app: name.clone(), release })
            }
        }
    }

    /// Takes the canary away, if there is one; its release has failed, and everybody is served by the other one again.
    pub(super) async fn abort_canary(&mut self, name: &AppName, reason: &str) -> Result<(), StoreError> {
        let Some(app) = self.apps.get_mut(name) else { return Ok(()) };
        let Some(release) = app.canary.as_ref().map(Fleet::release) else { return Ok(()) };
        // Stored first: a crash from here on leaves containers that belong to nothing, which the next start removes.
        if let Some(known) = app.releases.get(&release) {
            let state = ReleaseState::Failed { reason: reason.to_owned() };
            let failed = Release { state, ..known.clone() };
            self.deps.store.fail_release(&failed).await?;
            app.releases.insert(release, failed);
        }
        tracing::info!(app = %name, %release, reason, "canary ends");
        let detail = format!("{release} gets no share of the requests any more: {reason}");
        self.deps.reporter.tell(News::of_app(name, "canary-ended", detail));
        if let Some(canary) = app.canary.take() {
            let old = canary.retirements(&canary.plan.limits);
            self.retire(name, old).await;
        }
        Ok(())
    }

    /// Takes up the canaries that an earlier process left, still without instances.
    pub(super) fn recover_canary(&mut self, name: &AppName, release: ReleaseId) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let plan = app.releases.get(&release).and_then(|known| app.plan(known, &self.domain).ok());
        app.canary = plan.map(|plan| Fleet::new(Arc::new(plan), Vec::new()));
    }

    pub(super) fn has_canary(&self, name: &AppName) -> bool {
        self.apps.get(name).is_some_and(|app| app.canary.is_some())
    }
}

impl App {
    /// Whether this release's content is what the canary runs.
    pub(super) fn is_canary(&self, release: &Release) -> bool {
        let canary = self.canary.as_ref().and_then(|canary| self.releases.get(&canary.release()));
        canary.is_some_and(|canary| canary.is_like(release))
    }
}
