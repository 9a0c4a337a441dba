//! The first look at the engine after a start.
//!
//! The store says what is wanted, the labels say what is there. An instance of a release that serves is taken up; if the
//! last route table named it, it is believed ready until a probe says otherwise, so that a restart takes nobody out of
//! rotation. A detached run goes on; whoever was connected with another is gone, and so is it. A rollout that was cut short before its switch runs again with the instances it had; after its switch, all
//! that is left to do is to remove what belongs to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::app::{App, Hold};
use super::task::Task;
use crate::engine::{Container, OneOffKind};
use crate::instance::Instance;
use crate::name::{AppName, InstanceId, ReleaseId};
use crate::plan::UpdateOrder;
use crate::release::ReleaseState;
use crate::rollout::{Phase, RolloutRecord};
use crate::store::Snapshot;

impl Task {
    /// Fills the apps from the store.
    pub(super) fn load(&mut self, snapshot: Snapshot) {
        for record in snapshot.apps {
            self.apps.insert(record.name.clone(), App::new(record));
        }
        for release in snapshot.releases {
            if let Some(app) = self.apps.get_mut(&release.app) {
                app.releases.insert(release.id, release);
            }
        }
        let names: Vec<_> = self.apps.keys().cloned().collect();
        names.iter().for_each(|name| self.take_up_upstreams(name));
        for app in self.apps.values_mut() {
            let Some(current) = app.current() else { continue };
            match app.plan(current, &self.domain) {
                Ok(plan) => app.serving = Some(Arc::new(plan)),
                Err(error) => {
                    tracing::error!(app = %app.record.name, %error, "cannot read the current release's manifest");
                }
            }
        }
        for rollout in snapshot.rollouts.iter().filter(|rollout| rollout.phase == Phase::Canary) {
            self.recover_canary(&rollout.app, rollout.release);
        }
        self.interrupted = snapshot.rollouts;
        self.removed = snapshot.removed;
    }

    /// Takes up what runs, removes what belongs to nothing, and goes on with what was cut short.
    pub(super) async fn recover(&mut self, containers: Vec<Container>) {
        let served: BTreeSet<InstanceId> = self
            .table
            .routes()
            .iter()
            .flat_map(|route| &route.upstreams)
            .chain(self.table.ports().iter().flat_map(|port| &port.upstreams))
            .map(|upstream| upstream.instance.clone())
            .collect();
        let resumed: BTreeMap<AppName, ReleaseId> = self
            .interrupted
            .iter()
            .filter(|rollout| is_resumed(rollout.phase))
            .map(|rollout| (rollout.app.clone(), rollout.release))
            .collect();
        // While a release's own command runs, nothing of the old one has been stopped yet.
        let releasing: BTreeSet<AppName> = self
            .interrupted
            .iter()
            .filter(|rollout| rollout.phase == Phase::Releasing)
            .map(|rollout| rollout.app.clone())
            .collect();
        // The old instances of a stop-first swap must not write beside the new ones: they are not started again.
        for (name, release) in resumed.iter().filter(|(name, _)| !releasing.contains(*name)) {
            let Some(app) = self.apps.get_mut(name) else { continue };
            let plan = app.releases.get(release).and_then(|release| app.plan(release, &self.domain).ok());
            if plan.is_some_and(|plan| plan.order == UpdateOrder::StopFirst) {
                app.hold = Hold::Swapping;
            }
        }
        // Every instance of a release was ready when its switch was stored, whether or not its table was still published.
        let switched: BTreeSet<(AppName, ReleaseId)> = self
            .interrupted
            .iter()
            .filter(|rollout| matches!(rollout.phase, Phase::Switching | Phase::Draining | Phase::Stopping))
            .map(|rollout| (rollout.app.clone(), rollout.release))
            .collect();
        let mut found: BTreeMap<AppName, Vec<Container>> = BTreeMap::new();
        let mut unwanted = Vec::new();
        for container in in_order_of_trust(containers, &served) {
            let labels = container.labels.clone();
            if matches!(container.one_off, Some(OneOffKind::Attached | OneOffKind::Detached { .. })) {
                // Nobody can be connected with it any more, or it goes on by itself.
                unwanted.extend(self.adopt_run(container));
            } else if container.one_off == Some(OneOffKind::Job) {
                unwanted.push(container);
            } else if resumed.get(&labels.app) == Some(&labels.release) {
                found.entry(labels.app).or_default().push(container);
            } else if !container.is_instance() {
                unwanted.push(container);
            } else {
                let is_ready =
                    served.contains(&labels.instance) || switched.contains(&(labels.app, labels.release));
                unwanted.extend(self.adopt(container, is_ready));
            }
        }
        // What is about to be stopped may be in the table that the last process left: first a table without it.
        self.publish_found().await;
        unwanted.into_iter().for_each(|container| self.sweep(container));
        for rollout in std::mem::take(&mut self.interrupted) {
            match rollout.phase {
                Phase::Releasing | Phase::Starting | Phase::AwaitingReadiness => {
                    let found = found.remove(&rollout.app).unwrap_or_default();
                    self.resume(&rollout, found).await;
                }
                // Its instances are taken up, and it waits on for somebody to decide.
                Phase::Canary if self.has_canary(&rollout.app) => self.compare_canary(&rollout.app),
                Phase::Aborted | Phase::Canary => self.note_interrupted(&rollout.app, rollout.release).await,
                Phase::Switching | Phase::Draining | Phase::Stopping => {
                    if let Err(error) = self.deps.store.finish_rollout(&rollout.app, rollout.release).await {
                        tracing::error!(app = %rollout.app, %error, "cannot store that a rollout ended");
                    }
                }
            }
        }
    }

    /// Takes the container up for its slot; gives it back when its release does not serve, or the slot is taken.
    fn adopt(&mut self, container: Container, is_ready: bool) -> Option<Container> {
        let labels = container.labels.clone();
        let Some(app) = self.apps.get_mut(&labels.app) else { return Some(container) };
        if let Some(canary) = app.canary.as_mut().filter(|canary| canary.release() == labels.release) {
            let spec = canary.plan.instances.iter().find(|spec| spec.slot == labels.slot);
            let Some(spec) = spec.filter(|_| !canary.instances.contains_key(&labels.slot)) else {
                return Some(container);
            };
            let spec = Arc::new(spec.clone());
            let instance = Instance::adopt(container, spec, is_ready, &self.deps.machinery);
            tracing::info!(app = %labels.app, instance = %labels.slot, release = %labels.release, "canary taken up");
            canary.instances.insert(labels.slot, instance);
            return None;
        }
        if app.record.current != Some(labels.release) || app.instances.contains_key(&labels.slot) {
            return Some(container);
        }
        let spec =
            app.serving.as_ref().and_then(|plan| plan.instances.iter().find(|spec| spec.slot == labels.slot));
        let Some(spec) = spec else { return Some(container) };
        let spec = Arc::new(spec.clone());
        let instance = match app.hold {
            Hold::Swapping => Instance::watch_over(container, spec, &self.deps.machinery),
            Hold::Off | Hold::Returning => Instance::adopt(container, spec, is_ready, &self.deps.machinery),
        };
        tracing::info!(app = %labels.app, instance = %labels.slot, release = %labels.release, "taken up");
        app.instances.insert(labels.slot, instance);
        None
    }

    /// Goes on to watch over a run of an app that there is; gives back what nobody is connected with any more.
    fn adopt_run(&mut self, container: Container) -> Option<Container> {
        match self.apps.contains_key(&container.labels.app) {
            true => self.deps.runs.adopt(container),
            false => Some(container),
        }
    }

    async fn resume(&mut self, rollout: &RolloutRecord, found: Vec<Container>) {
        let (name, release) = (&rollout.app, rollout.release);
        let plan =
            self.apps.get(name).and_then(|app| app.plan(app.releases.get(&release)?, &self.domain).ok());
        match plan {
            Some(plan) => self.roll_out(plan, rollout.phase, found, None),
            None => {
                found.into_iter().for_each(|container| self.sweep(container));
                self.note_interrupted(name, release).await;
            }
        }
    }

    /// A release whose rollout ended with the daemon, before it could say why.
    async fn note_interrupted(&mut self, name: &AppName, release: ReleaseId) {
        let known = self.apps.get_mut(name).and_then(|app| app.releases.get_mut(&release));
        let stored = match known {
            Some(release) => {
                release.state =
                    ReleaseState::Failed { reason: "the daemon was stopped during its rollout".to_owned() };
                self.deps.store.fail_release(release).await
            }
            None => self.deps.store.finish_rollout(name, release).await,
        };
        if let Err(error) = stored {
            tracing::error!(app = %name, %release, %error, "cannot store that a rollout ended");
        }
    }
}

/// Whether a rollout that was cut short in this phase is gone on with: it has not switched.
fn is_resumed(phase: Phase) -> bool {
    matches!(phase, Phase::Releasing | Phase::Starting | Phase::AwaitingReadiness)
}

/// Those that served first, then those that run: of two for one slot the first is taken up.
fn in_order_of_trust(mut containers: Vec<Container>, served: &BTreeSet<InstanceId>) -> Vec<Container> {
    containers
        .sort_by_key(|container| (!served.contains(&container.labels.instance), !container.is_running()));
    containers
}
