//! From a deploy that is asked for to a release that serves.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::app::{App, Hold, RunningRollout};
use super::task::{Event, Task};
use super::{Deploy, DeployError, DeployUpdate, Deployed, Planned};
use crate::engine::Container;
use crate::instance::Instance;
use crate::manifest::{Manifest, Source};
use crate::name::{AppName, ReleaseId};
use crate::plan::Plan;
use crate::release::{Build, Release, ReleaseState};
use crate::rollout::{self, Abort, Cause, Outcome, Rollout, Update};
use crate::store::{AppRecord, StoreError};

impl Deploy {
    /// Says how it ended; a client that went away does not need to know.
    pub(super) fn end(self, result: Result<Deployed, DeployError>) {
        let _ = self.updates.send(DeployUpdate::Ended(result));
    }
}

fn has_volume(source: &Source) -> bool {
    Manifest::parse(source).is_ok_and(|(manifest, _)| !manifest.volumes.is_empty())
}

impl Task {
    /// Starts the deploy, queues it behind the one that is under way, or refuses it.
    pub(super) async fn deploy(&mut self, deploy: Deploy) {
        if !self.engine.is_recovered {
            let why = self.engine.error.clone().unwrap_or_else(|| "it was not asked yet".to_owned());
            return deploy.end(Err(DeployError::EngineAway(why)));
        }
        if let Some(app) = self.apps.get_mut(&deploy.app)
            && let Some(rollout) = &app.rollout
        {
            let message = format!(
                "another deploy of `{}` ({}) is under way; this one starts when it has ended",
                deploy.app, rollout.release
            );
            let _ = deploy.updates.send(DeployUpdate::Rollout(Update::Notice(message)));
            app.queue.push_back(deploy);
            return;
        }
        // A volume has one writer, and what is being removed may still write to it; and what goes with an app that was taken
        // down must not be what this one has just made.
        let is_in_the_way = self.is_sweeping(&deploy.app) && has_volume(&deploy.source);
        if is_in_the_way || self.clearing.contains(&deploy.app) {
            let message = format!(
                "what was left of `{}` is still being removed; this deploy starts when it is gone",
                deploy.app
            );
            let _ = deploy.updates.send(DeployUpdate::Rollout(Update::Notice(message)));
            self.deferred.entry(deploy.app.clone()).or_default().push(deploy);
            return;
        }
        match self.accept(&deploy).await {
            Ok(None) => {
                let release = self.apps[&deploy.app].record.current.expect("what is unchanged is there");
                deploy.end(Ok(Deployed { release, is_unchanged: true }));
            }
            Ok(Some((release, plan))) => {
                let _ = deploy.updates.send(DeployUpdate::Accepted(release));
                self.roll_out(plan, Vec::new(), Some(deploy.updates));
            }
            Err(error) => deploy.end(Err(error)),
        }
    }

    /// Checks the deploy and stores its release; `None` when it would change nothing.
    async fn accept(&mut self, deploy: &Deploy) -> Result<Option<(ReleaseId, Plan)>, DeployError> {
        let known = self.apps.get(&deploy.app);
        if let Some(app) = known
            && app.record.origin != deploy.origin
            && !deploy.take_over
        {
            return Err(DeployError::NameTaken {
                app: deploy.app.clone(),
                origin: app.record.origin.clone(),
            });
        }
        let planned = self.planned(&deploy.app, deploy.source.clone(), Some(deploy.build.clone()))?;
        if planned.is_unchanged {
            return Ok(None);
        }
        let plan = planned.plan;
        let release = Release {
            app: deploy.app.clone(),
            id: plan.release,
            build: deploy.build.clone(),
            source: deploy.source.clone(),
            created_at: crate::clock::now(),
            state: ReleaseState::Pending,
        };
        let record = AppRecord {
            name: deploy.app.clone(),
            current: known.and_then(|app| app.record.current),
            last: Some(plan.release),
            origin: deploy.origin.clone(),
        };
        self.deps.store.append_release(&record, &release).await?;
        let app = self.apps.entry(deploy.app.clone()).or_insert_with(|| App::new(record.clone()));
        app.record = record;
        app.releases.insert(release.id, release);
        Ok(Some((plan.release, plan)))
    }

    /// What a deploy would do; changes nothing.
    pub(super) fn planned(
        &self,
        name: &AppName,
        source: Source,
        build: Option<Build>,
    ) -> Result<Planned, DeployError> {
        let none;
        let app = match self.apps.get(name) {
            Some(app) => app,
            None => {
                // The numbers of an app that was removed are not given again.
                let last = self.removed.get(name).copied();
                none = App::new(AppRecord { name: name.clone(), current: None, last, origin: String::new() });
                &none
            }
        };
        let unbuilt = || Build {
            image: String::new(),
            reference: String::new(),
            content: None,
            exposed_ports: Vec::new(),
            has_healthcheck: false,
            has_command: true,
        };
        let release = Release {
            app: name.clone(),
            id: app.next_release(),
            build: build.unwrap_or_else(unbuilt),
            source,
            created_at: 0,
            state: ReleaseState::Pending,
        };
        let plan = app.plan(&release, &self.domain)?;
        self.check_conflicts(name, &plan.routes)?;
        self.check_ports(name, &plan.ports)?;
        let is_unchanged = app.is_unchanged(&release);
        Ok(Planned { plan, is_unchanged })
    }

    /// Starts the rollout of a release that is stored.
    pub(super) fn roll_out(
        &mut self,
        plan: Plan,
        found: Vec<Container>,
        listener: Option<mpsc::UnboundedSender<DeployUpdate>>,
    ) {
        let (name, release) = (plan.app.clone(), plan.release);
        let cancel = CancellationToken::new();
        let (updates, mut said) = mpsc::unbounded_channel();
        let (step_tx, step) = watch::channel("start");
        let forward = listener.clone();
        tokio::spawn(async move {
            while let Some(update) = said.recv().await {
                if let Update::Step { step, .. } = &update {
                    step_tx.send_replace(step);
                }
                if let Some(listener) = &forward {
                    let _ = listener.send(DeployUpdate::Rollout(update));
                }
            }
        });
        let app = self.apps.get_mut(&name).expect("a release is stored with its app");
        app.rollout = Some(RunningRollout {
            release,
            plan: Arc::new(plan.clone()),
            cancel: cancel.clone(),
            updates: listener,
            step,
        });
        tracing::info!(app = %name, %release, "rollout begins");
        let (deps, events) = (self.deps.clone(), self.events.clone());
        tokio::spawn(async move {
            let outcome = rollout::run(Rollout { plan, found, cancel, updates }, &deps).await;
            let _ = events.send(Event::RolledOut { app: name, release, outcome });
        });
    }

    /// Makes these instances the ones that serve: stored first, then published, and only then are the old ones touched.
    pub(super) async fn switch(
        &mut self,
        name: &AppName,
        release: ReleaseId,
        instances: Vec<Instance>,
    ) -> Result<(), (StoreError, Vec<Instance>)> {
        let app = self.apps.get_mut(name).expect("an app is not taken down before its rollout has ended");
        let plan = app
            .rollout
            .as_ref()
            .map(|rollout| Arc::clone(&rollout.plan))
            .expect("it is the rollout that asks");
        let new = app.releases.get(&release).expect("a rollout's release is stored before it starts").clone();
        let before = app.current().cloned();
        if let Err(error) = self.deps.store.switch(&app.record, &new, before.as_ref()).await {
            return Err((error, instances));
        }
        if let Some(before) = before {
            app.releases.insert(before.id, Release { state: ReleaseState::Superseded, ..before });
        }
        let new = Release { state: ReleaseState::Active, ..new };
        app.releases.insert(release, new.clone());
        app.record.current = Some(release);
        // The old release's own limits: it is its requests that are waited for.
        let limits = app.serving.as_ref().map_or_else(|| plan.limits.clone(), |old| old.limits.clone());
        app.serving = Some(plan);
        app.hold = Hold::Off;
        app.backoff.clear();
        let fresh =
            instances.into_iter().map(|instance| (instance.labels().slot.clone(), instance)).collect();
        let old: Vec<_> = std::mem::replace(&mut app.instances, fresh)
            .values()
            .map(|old| old.retirement(&limits))
            .collect();
        app.retiring.extend(old.iter().map(|retirement| (retirement.instance.clone(), retirement.clone())));
        self.publish().await;

        let (deps, events, app) = (self.deps.clone(), self.events.clone(), name.clone());
        let finishing = tokio::spawn(async move {
            rollout::finish(&new, &old, &deps).await;
            let instances = old.into_iter().map(|retirement| retirement.instance).collect();
            let _ = events.send(Event::Retired { app, instances });
        });
        if let Some(app) = self.apps.get_mut(name) {
            app.finishing.push(finishing.abort_handle());
        }
        Ok(())
    }

    /// Ends a rollout and starts the deploy that waited for it.
    pub(super) async fn rolled_out(&mut self, name: &AppName, release: ReleaseId, outcome: Outcome) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(rollout) = app.rollout.take_if(|rollout| rollout.release == release) else { return };
        let result = match outcome {
            Outcome::Active => {
                tracing::info!(app = %name, %release, "release serves");
                Ok(Deployed { release, is_unchanged: false })
            }
            Outcome::Aborted(abort) => {
                tracing::warn!(app = %name, %release, reason = abort.reason(), "release does not serve");
                self.fail(name, release, &abort).await;
                Err(DeployError::Aborted(abort))
            }
        };
        if let Some(listener) = rollout.updates {
            let _ = listener.send(DeployUpdate::Ended(result));
        }
        let leaving = self.apps.get_mut(name).map(|app| std::mem::take(&mut app.leaving)).unwrap_or_default();
        for leave in leaving {
            self.down(name, leave).await;
        }
        if let Some(next) = self.apps.get_mut(name).and_then(|app| app.queue.pop_front()) {
            Box::pin(self.deploy(next)).await;
        }
    }

    /// Keeps why a release failed, and brings back what was stopped for it.
    async fn fail(&mut self, name: &AppName, release: ReleaseId, abort: &Abort) {
        // The daemon is ending: the next start goes on with the rollout.
        if matches!(abort.cause, Cause::ControllerGone) {
            return;
        }
        let Some(app) = self.apps.get_mut(name) else { return };
        if let Some(failed) = app.releases.get_mut(&release) {
            failed.state = ReleaseState::Failed { reason: abort.reason() };
            if let Err(error) = self.deps.store.fail_release(failed).await {
                tracing::error!(app = %name, %release, %error, "cannot store that the release failed");
            }
        }
        if app.hold != Hold::Swapping {
            return;
        }
        app.hold = Hold::Returning;
        let engine = &self.deps.machinery.engine;
        for (slot, stopped) in std::mem::take(&mut app.instances) {
            let container = match stopped.observed().container {
                Some(id) => engine.container(&id).await.ok().flatten(),
                None => None,
            };
            // Without its container the slot is empty, and supervision fills it.
            if let Some(container) = container {
                let instance =
                    Instance::adopt(container, Arc::clone(stopped.spec()), false, &self.deps.machinery);
                app.instances.insert(slot, instance);
            }
        }
    }
}
