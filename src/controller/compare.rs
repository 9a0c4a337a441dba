//! The old release while the new one is watched: kept running, out of the table, to be gone back to.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::fleet::Fleet;
use super::task::Task;
use crate::manifest::Deploy as Limits;
use crate::name::{AppName, InstanceId, ReleaseId};
use crate::release::{Release, ReleaseState};
use crate::rollout::Worse;
use crate::traffic::{Routes, Tally};

/// Between two samples of what instances have answered: a little less than the pause between two listings of the engine,
/// which is when they are taken, so that no timer wakes an idle machine for them.
const SAMPLE_PAUSE: Duration = Duration::from_secs(25);
/// Samples of an app that are kept: the last ten minutes, which is longer than anybody watches a release.
const SAMPLES_MAX: usize = 24;

/// What each instance of an app had answered at some moment, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<(Instant, Vec<(InstanceId, Tally)>)>);

impl Samples {
    /// Takes one, unless the last is fresh.
    fn take(&mut self, now: Instant, instances: impl Iterator<Item = InstanceId>, routes: &Routes) {
        if self.0.back().is_some_and(|(at, _)| now.duration_since(*at) < SAMPLE_PAUSE) {
            return;
        }
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        let tally = |id: InstanceId| routes.upstream(&id).map(|upstream| (id, upstream.tally()));
        self.0.push_back((now, instances.filter_map(tally).collect()));
    }

    /// What these instances answered since the last sample that is at least `window` old; all that they ever did if there is
    /// none.
    pub(super) fn since(
        &self,
        now: Instant,
        window: Duration,
        instances: impl Iterator<Item = InstanceId>,
        routes: &Routes,
    ) -> Tally {
        let base = self.0.iter().rev().find(|(at, _)| now.duration_since(*at) >= window);
        instances.fold(Tally::default(), |sum, id| {
            let Some(upstream) = routes.upstream(&id) else { return sum };
            let before = base.and_then(|(_, tallies)| tallies.iter().find(|(known, _)| *known == id));
            sum.plus(upstream.tally().since(before.map_or_else(Tally::default, |(_, tally)| *tally)))
        })
    }
}

impl Task {
    /// Samples what every app that is watched at its deploys has answered.
    pub(super) fn sample(&mut self) {
        let now = Instant::now();
        for app in self.apps.values_mut() {
            let instances = app.instances.values().map(|instance| instance.id().clone());
            app.samples.take(now, instances, &self.deps.routes);
        }
    }

    /// Ends a watch: the old release comes back if the new one is worse, and goes for good if not. True when it came back.
    pub(super) async fn end_watch(
        &mut self,
        name: &AppName,
        release: ReleaseId,
        worse: Option<Worse>,
    ) -> bool {
        let Some(app) = self.apps.get_mut(name) else { return false };
        let Some(before) = app.watched.take() else { return false };
        if let Some(worse) = worse {
            // Going back to nothing that is ready would be worse still.
            if before.is_ready() {
                match self.flip_back(name, release, before, worse).await {
                    Ok(()) => return true,
                    Err(before) => self.finish(name, release, &before),
                }
                return false;
            }
            tracing::warn!(app = %name, %release, %worse, "the release before is not ready any more, and cannot come back");
        }
        self.finish(name, release, &before);
        false
    }

    /// Makes the old release serve again: stored first, then published, and then the new one is removed.
    async fn flip_back(
        &mut self,
        name: &AppName,
        release: ReleaseId,
        before: Fleet,
        worse: Worse,
    ) -> Result<(), Fleet> {
        let Some(app) = self.apps.get_mut(name) else { return Err(before) };
        let known = app.releases.get(&before.release()).zip(app.releases.get(&release));
        let Some((old, new)) = known.map(|(old, new)| (old.clone(), new.clone())) else { return Err(before) };
        let failed = Release { state: ReleaseState::Failed { reason: reason(name, release, &worse) }, ..new };
        if let Err(error) = self.deps.store.flip_back(&app.record, &old, &failed).await {
            tracing::error!(app = %name, %release, %error, "cannot store that the release before comes back");
            return Err(before);
        }
        tracing::warn!(app = %name, %release, back = %old.id, %worse, "release before comes back");
        app.record.current = Some(old.id);
        app.releases.insert(old.id, Release { state: ReleaseState::Active, ..old });
        app.releases.insert(release, failed);
        let plan = app.serving.replace(before.plan);
        let limits = plan.map_or_else(Limits::default, |plan| plan.limits.clone());
        app.backoff = before.backoff;
        let gone = std::mem::replace(&mut app.instances, before.instances);
        let old = gone.values().map(|instance| instance.retirement(&limits)).collect();
        self.retire(name, old).await;
        Ok(())
    }
}

/// As the outcome of the rollout says it, which is stored once more when it comes.
fn reason(name: &AppName, release: ReleaseId, worse: &Worse) -> String {
    format!("release {release} of `{name}` failed clearly more often than the one before it: {worse}")
}
