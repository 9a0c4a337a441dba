//! From a deploy that is asked for to a release that serves.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, Hold, RunningRollout};
use super::fleet::Fleet;
use super::task::{Event, Task};
use super::{Change, ChangeError, Code, Deploy, DeployError, DeployUpdate, Deployed, Planned};
use crate::engine::Container;
use crate::instance::Instance;
use crate::logs::Voice;
use crate::manifest::{Manifest, Source};
use crate::name::{AppName, ReleaseId};
use crate::people::Actor;
use crate::plan::{Plan, UpdateOrder};
use crate::release::{Build, Release, ReleaseState};
use crate::rollout::{self, Abort, Cause, NoSwitch, Outcome, Phase, Rollout, Unswitched, Update, Watched};
use crate::route::internal_host;
use crate::store::AppRecord;

/// What a deploy that breaks no rule comes to.
enum Accepted {
    /// This release has its content already.
    Unchanged(ReleaseId),
    /// This release is to be rolled out.
    Release(Box<Plan>),
}

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
        if let Some(app) = self.apps.get_mut(&deploy.app).filter(|app| app.is_busy()) {
            let other = match &app.rollout {
                Some(rollout) => format!("another deploy of `{}` ({})", deploy.app, rollout.release),
                None => format!("a change of the instances of `{}`", deploy.app),
            };
            let message = format!("{other} is under way; this one starts when it has ended");
            let _ = deploy.updates.send(DeployUpdate::Rollout(Update::Notice(message)));
            app.queue.push_back(deploy);
            return;
        }
        // A volume has one writer, and what is being removed may still write to it; and what goes with an app that was taken
        // down must not be what this one has just made.
        let code = deploy.change.code();
        let is_in_the_way =
            self.is_sweeping(&deploy.app) && code.is_some_and(|code| has_volume(&code.source));
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
            Ok(Accepted::Unchanged(release)) => {
                let summary = String::new();
                deploy.end(Ok(Deployed { release, is_unchanged: true, summary }));
            }
            Ok(Accepted::Release(plan)) => {
                let _ = deploy.updates.send(DeployUpdate::Accepted(plan.release));
                for message in self
                    .apps
                    .get(&deploy.app)
                    .iter()
                    .flat_map(|app| [app.vanishing(&plan), app.hidden(&plan)].concat())
                {
                    let _ = deploy.updates.send(DeployUpdate::Rollout(Update::Notice(message)));
                }
                let phase = Phase::first(&plan);
                self.roll_out(*plan, phase, Vec::new(), Some(deploy.updates));
            }
            Err(error) => deploy.end(Err(error)),
        }
    }

    /// Checks the deploy and stores its release, in the place of a canary that there is.
    async fn accept(&mut self, deploy: &Deploy) -> Result<Accepted, DeployError> {
        if let Some(app) = self.apps.get(&deploy.app)
            && let Some(code) = deploy.change.code()
            && app.record.external.is_none()
            // One that `apps create` made is nobody's yet.
            && !app.record.origin.is_empty()
            && app.record.origin != code.origin
            && !code.take_over
        {
            return Err(DeployError::NameTaken {
                app: deploy.app.clone(),
                origin: app.record.origin.clone(),
            });
        }
        let planned = self.planned(&deploy.app, &deploy.change, &deploy.by)?;
        if let Some(canary) = self.apps.get(&deploy.app).and_then(|app| app.canary.as_ref()) {
            let canary = canary.release();
            if planned.is_canary {
                return Ok(Accepted::Unchanged(canary));
            }
            let message = format!("{canary} is a canary no longer: this deploy replaces it");
            let _ = deploy.updates.send(DeployUpdate::Rollout(Update::Notice(message)));
            self.abort_canary(&deploy.app, "another release was deployed while it was a canary").await?;
        }
        let known = self.apps.get(&deploy.app);
        if let Some(current) = known.and_then(|app| app.record.current).filter(|_| planned.is_unchanged) {
            return Ok(Accepted::Unchanged(current));
        }
        let Planned { plan, release, .. } = planned;
        self.warn_of_links(&plan, deploy);
        let before = known.map_or_else(|| AppRecord::new(deploy.app.clone()), |app| app.record.clone());
        let record = AppRecord {
            last: Some(plan.release),
            origin: deploy.change.code().map_or_else(|| before.origin.clone(), |code| code.origin.clone()),
            canary: None,
            ..before
        };
        self.deps.store.append_release(&record, &release, Phase::first(&plan)).await?;
        let app = self.apps.entry(deploy.app.clone()).or_insert_with(|| App::new(record.clone()));
        app.record = record;
        app.releases.insert(release.id, release);
        Ok(Accepted::Release(Box::new(plan)))
    }

    /// Says which apps are linked to that are not there. They may come later.
    fn warn_of_links(&self, plan: &Plan, deploy: &Deploy) {
        for link in plan.links.iter().filter(|link| !self.apps.contains_key(&link.app)) {
            let message = format!(
                "there is no app `{}` yet: until there is, calls to http://{} get 404",
                link.app,
                internal_host(&link.app)
            );
            let _ = deploy.updates.send(DeployUpdate::Rollout(Update::Notice(message)));
        }
    }

    /// What a deploy of this manifest would do; changes nothing.
    pub(super) fn plan_code(
        &self,
        name: &AppName,
        source: Source,
        build: Option<Build>,
    ) -> Result<Planned, DeployError> {
        let unbuilt = || Build {
            image: String::new(),
            reference: String::new(),
            content: None,
            exposed_ports: Vec::new(),
            has_healthcheck: false,
            has_command: true,
        };
        let build = build.unwrap_or_else(unbuilt);
        let code = Code { source, build, origin: String::new(), take_over: false, revision: None };
        self.planned(name, &Change::Code(Box::new(code)), &Actor::unknown())
    }

    /// What a change would do; changes nothing.
    fn planned(&self, name: &AppName, change: &Change, by: &Actor) -> Result<Planned, DeployError> {
        let none;
        let app = match self.apps.get(name) {
            Some(app) => app,
            None if change.code().is_none() => return Err(ChangeError::NoApp(name.clone()).into()),
            None => {
                // The numbers of an app that was removed are not given again.
                let last = self.removed.get(name).copied();
                none = App::new(AppRecord { last, ..AppRecord::new(name.clone()) });
                &none
            }
        };
        let release = app.release_of(change, by, crate::clock::now())?;
        let plan = app.plan(&release, &self.domain)?;
        plan.check_canonical_hosts()?;
        if plan.links.iter().any(|link| link.app == *name) {
            return Err(DeployError::OwnLink(name.clone()));
        }
        self.check_conflicts(name, &plan.routes)?;
        self.check_ports(name, &plan.ports)?;
        if plan.limits.canary.is_some() && plan.instances.iter().any(|spec| !spec.volumes.is_empty()) {
            return Err(DeployError::CanaryWithVolume(name.clone()));
        }
        let (is_unchanged, is_canary) = (app.is_unchanged(&release), app.is_canary(&release));
        Ok(Planned { plan, is_unchanged, is_canary, release })
    }

    /// Starts the rollout of a release that is stored, in this phase.
    pub(super) fn roll_out(
        &mut self,
        plan: Plan,
        phase: Phase,
        found: Vec<Container>,
        listener: Option<mpsc::UnboundedSender<DeployUpdate>>,
    ) {
        let (name, release) = (plan.app.clone(), plan.release);
        let (cancel, updates) = self.begin(Arc::new(plan.clone()), listener);
        tracing::info!(app = %name, %release, "rollout begins");
        let text = format!("{release} is being rolled out");
        self.deps.machinery.logs.say(&name, Voice::Release(release), &text);
        let deps = self.deps.clone();
        self.end_with(name, release, async move {
            rollout::run(Rollout { plan, phase, found, cancel, updates }, &deps).await
        });
    }

    /// Notes a rollout that is under way from now on; returns what ends it, and what it speaks through.
    pub(super) fn begin(
        &mut self,
        plan: Arc<Plan>,
        listener: Option<mpsc::UnboundedSender<DeployUpdate>>,
    ) -> (CancellationToken, mpsc::UnboundedSender<Update>) {
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
        let app = self.apps.get_mut(&plan.app).expect("a release is stored with its app");
        app.rollout = Some(RunningRollout {
            release: plan.release,
            plan,
            cancel: cancel.clone(),
            has_switched: false,
            updates: listener,
            step,
        });
        (cancel, updates)
    }

    /// Works on the rollout, and has the loop hear how it ended.
    pub(super) fn end_with(
        &self,
        app: AppName,
        release: ReleaseId,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            let _ = events.send(Event::RolledOut { app, release, outcome });
        });
    }

    /// Notes that the rollout can no longer be cancelled.
    pub(super) fn note_switched(&mut self, name: &AppName) {
        if let Some(rollout) = self.apps.get_mut(name).and_then(|app| app.rollout.as_mut()) {
            rollout.has_switched = true;
        }
    }

    /// Makes these instances the ones that serve: stored first, then published, and only then are the old ones touched. If the
    /// release is to be watched, they are not yet.
    pub(super) async fn switch(
        &mut self,
        name: &AppName,
        plan: Arc<Plan>,
        instances: Vec<Instance>,
    ) -> Result<Option<Watched>, Unswitched> {
        let release = plan.release;
        let app = self.apps.get_mut(name).expect("an app is not taken down before its rollout has ended");
        let new = app.releases.get(&release).expect("a rollout's release is stored before it starts").clone();
        let before = app.current().cloned();
        let new = new.settled(ReleaseState::Active, crate::clock::now());
        let staged = app.record.staged.clone().not_in(&new.environment);
        let record = AppRecord { staged, ..app.record.clone() };
        if let Err(error) = self.deps.store.switch(&record, &new, before.as_ref()).await {
            return Err((NoSwitch::Store(error), instances));
        }
        // They were ready before the write. If none is any more, a table without the old ones would serve nobody.
        let takes_requests = |instance: &Instance| instance.upstream().is_some();
        if let Some(before) = &before
            && !instances.iter().any(takes_requests)
            && app.instances.values().any(takes_requests)
        {
            let reason = format!("no instance of {release} was ready any more when it was to take over");
            let failed = Release { state: ReleaseState::Failed { reason }, ..new.clone() };
            match self.deps.store.flip_back(&app.record, before, &failed).await {
                Ok(()) => {
                    app.releases.insert(release, failed);
                    return Err((NoSwitch::Unready, instances));
                }
                // What is stored holds: the new one takes over, and what ended of it is replaced.
                Err(error) => {
                    tracing::error!(app = %name, %release, %error, "cannot store that a switch was taken back");
                }
            }
        }
        if let Some(before) = before {
            app.releases.insert(before.id, Release { state: ReleaseState::Superseded, ..before });
        }
        app.releases.insert(release, new);
        app.record = AppRecord { current: Some(release), ..record };
        let window = plan.limits.watch_window.filter(|_| plan.order == UpdateOrder::StartFirst);
        let old_plan = app.serving.replace(Arc::clone(&plan));
        let fleet = Fleet::new(plan, instances);
        let old = Fleet {
            plan: old_plan.unwrap_or_else(|| Arc::clone(&fleet.plan)),
            instances: std::mem::replace(&mut app.instances, fleet.instances),
            backoff: std::mem::take(&mut app.backoff),
            comparison: None,
        };
        app.hold = Hold::Off;
        let samples = std::mem::take(&mut app.samples);
        if let Some(window) = window.filter(|_| old.is_ready()) {
            let ids = old.instances.values().map(|instance| instance.id().clone());
            let baseline = samples.since(Instant::now(), window, ids, &self.deps.routes);
            let before = old.release();
            app.watched = Some(old);
            self.publish().await;
            return Ok(Some(Watched { app: name.clone(), release, before, window, baseline }));
        }
        // Before the old instances are drained, no table may name them.
        self.publish().await;
        self.finish(name, release, &old);
        Ok(None)
    }

    /// Drains, stops and removes the instances that a release has replaced.
    pub(super) fn finish(&mut self, name: &AppName, release: ReleaseId, old: &Fleet) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(new) = app.releases.get(&release).cloned() else { return };
        // The old release's own limits: it is its requests that are waited for.
        let old = old.retirements(&old.plan.limits);
        app.retiring.extend(old.iter().map(|retirement| (retirement.instance.clone(), retirement.clone())));
        let (deps, events, name) = (self.deps.clone(), self.events.clone(), name.clone());
        let finishing = tokio::spawn(async move {
            rollout::finish(&new, &old, &deps).await;
            let instances = old.into_iter().map(|retirement| retirement.instance).collect();
            let _ = events.send(Event::Retired { app: name, instances });
        });
        app.finishing.push(finishing.abort_handle());
    }

    /// Ends a rollout and starts the deploy that waited for it.
    pub(super) async fn rolled_out(&mut self, name: &AppName, release: ReleaseId, outcome: Outcome) {
        let Some(app) = self.apps.get(name) else { return };
        if app.rollout.as_ref().is_none_or(|rollout| rollout.release != release) {
            return;
        }
        self.report_rollout(name, release, &outcome);
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(rollout) = app.rollout.take() else { return };
        let summary = app.releases.get(&release).map(|release| release.summary.clone()).unwrap_or_default();
        let logs = self.deps.machinery.logs.clone();
        let by = app.releases.get(&release).map(|release| release.by.to_string()).unwrap_or_default();
        let say = |text: String| logs.say(name, Voice::Release(release), &text);
        let result = match outcome {
            Outcome::Active => {
                say(format!("{release} serves: {by} {summary}"));
                tracing::info!(app = %name, %release, "release serves");
                Ok(Deployed { release, is_unchanged: false, summary })
            }
            Outcome::Canary => {
                say(format!("{release} is a canary"));
                Ok(Deployed { release, is_unchanged: false, summary })
            }
            Outcome::Aborted(abort) => {
                say(format!("{release} failed: {}", abort.reason()));
                tracing::warn!(app = %name, %release, reason = abort.reason(), "release does not serve");
                self.fail(name, release, &abort).await;
                Err(DeployError::Aborted(abort))
            }
        };
        if let Some(listener) = rollout.updates {
            let _ = listener.send(DeployUpdate::Ended(result));
        }
        self.go_on(name).await;
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
            failed.settled_at = Some(crate::clock::now());
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
