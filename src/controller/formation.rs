//! Changes of what runs for the release that serves: how many instances there are, and new ones in the place of old ones.
//!
//! Neither is a release. A scale starts instances beside those that there are; once all are ready, the new formation is stored,
//! published, and what is too many is drained and stopped. If one does not become ready, all new ones go, and everything is as
//! it was. A restart does one instance after the other: the new one is ready before the old one is drained, or, with a volume,
//! the old one is gone before the new one starts, and requests wait meanwhile.
//!
//! One app has one rollout or one such change at a time; the others wait in order. After each rollout the formation is compared
//! with what runs ([`Task::converge`]): a canary that takes over was planned before a scale.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::reform::{Reform, ReformError, ReformUpdate, Wanted};
use super::supervise::Backoff;
use super::task::{Event, Task};
use crate::formation::{Formation, FormationError};
use crate::instance::{Instance, Retirement};
use crate::manifest::Deploy as Limits;
use crate::name::{AppName, InstanceId, ProcessType, Slot};
use crate::plan::{InstanceSpec, Plan};
use crate::release::Release;
use crate::rollout::{self, Abort, Beside, Update};
use crate::store::AppRecord;

/// A change that is under way.
pub(super) struct Reforming {
    /// Where whoever asked listens; `None` for one that nobody asked for.
    updates: Option<mpsc::UnboundedSender<ReformUpdate>>,
    cancel: CancellationToken,
    /// The instances that are being started.
    starting: BTreeSet<InstanceId>,
    /// The instance that was stopped before the one that takes its place is started; as long as it is among those that
    /// retire, nothing else fills its slot.
    stopped: Option<InstanceId>,
    kind: Kind,
}

enum Kind {
    /// What holds once all are ready.
    Scale { formation: Formation, plan: Arc<Plan> },
    /// The places that are still to be done; the first is under way.
    Restart(VecDeque<Slot>),
}

/// What became of the instances that a change has started.
pub(super) type Started = Result<Vec<Instance>, Box<Abort>>;

impl App {
    /// Whether a rollout or another change of its instances is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.rollout.is_some() || self.reforming.is_some()
    }

    /// Whether this instance is being started by a change that is under way.
    pub(super) fn is_reforming(&self, id: &InstanceId) -> bool {
        self.reforming.as_ref().is_some_and(|reforming| reforming.starting.contains(id))
    }

    /// Whether no instance of the process type is wanted.
    pub(super) fn is_scaled_to_zero(&self, process: &ProcessType) -> bool {
        let planned = self.serving.as_ref().and_then(|plan| plan.processes.get(process));
        planned.is_some_and(|planned| planned.replicas == 0)
    }

    /// What a release without some of the current one's process types means for those, in sentences.
    pub(super) fn vanishing(&self, next: &Plan) -> Vec<String> {
        let now = self.serving.iter().flat_map(|plan| &plan.processes);
        let gone =
            now.filter(|(process, planned)| planned.replicas > 0 && !next.processes.contains_key(*process));
        gone.map(|(process, _)| format!("{process}: not in this release any more, scaled to 0")).collect()
    }

    /// Where commands have set another number than this plan's manifest says, in sentences.
    pub(super) fn hidden(&self, plan: &Plan) -> Vec<String> {
        let hidden = plan.processes.iter().filter(|(_, planned)| planned.replicas != planned.manifest);
        hidden
            .map(|(process, planned)| {
                format!(
                    "{process}: {} by command, over the manifest's {}; `minipaas scale --reset {process}` takes that",
                    planned.replicas, planned.manifest
                )
            })
            .collect()
    }

    fn counts(&self) -> BTreeMap<ProcessType, u32> {
        let processes = self.serving.iter().flat_map(|plan| &plan.processes);
        processes.map(|(process, planned)| (process.clone(), planned.replicas)).collect()
    }

    fn spec(&self, slot: &Slot) -> Option<InstanceSpec> {
        self.serving.as_ref()?.instances.iter().find(|spec| spec.slot == *slot).cloned()
    }
}

impl Task {
    /// Starts the change, queues it behind what is under way, or refuses it.
    pub(super) async fn reform(&mut self, reform: Reform) {
        if !self.engine.is_recovered {
            let why = self.engine.error.clone().unwrap_or_else(|| "it was not asked yet".to_owned());
            return reform.end(Err(ReformError::EngineAway(why)));
        }
        let Some(app) = self.apps.get_mut(&reform.app) else {
            let unknown = ReformError::Unknown(reform.app.clone());
            return reform.end(Err(unknown));
        };
        if app.is_busy() {
            let message =
                format!("another change of `{}` is under way; this one starts when it has ended", reform.app);
            reform.say(Update::Notice(message));
            app.reforms.push_back(reform);
            return;
        }
        let Reform { app: name, wanted, updates } = reform;
        if let Err(error) = self.begin_reform(&name, wanted, Some(updates.clone())).await {
            Reform { app: name, wanted: Wanted::RestartAll, updates }.end(Err(error));
        }
    }

    async fn begin_reform(
        &mut self,
        name: &AppName,
        wanted: Wanted,
        updates: Option<mpsc::UnboundedSender<ReformUpdate>>,
    ) -> Result<(), ReformError> {
        let app = self.apps.get(name).ok_or_else(|| ReformError::Unknown(name.clone()))?;
        if app.record.external.is_some() {
            return Err(ReformError::External(name.clone()));
        }
        let (Some(serving), Some(current)) = (&app.serving, app.current()) else {
            return Err(ReformError::NoRelease(name.clone()));
        };
        let slots: VecDeque<Slot> = serving.instances.iter().map(|spec| spec.slot.clone()).collect();
        let restarted = match wanted {
            Wanted::Scale(changes) => {
                let formation = app.record.formation.changed(&changes, &app.counts())?;
                let current = current.clone();
                return self.scale(name, &current, formation, updates).await;
            }
            Wanted::Reset(processes) => {
                let formation = app.record.formation.reset(&processes, &app.counts())?;
                let current = current.clone();
                return self.scale(name, &current, formation, updates).await;
            }
            Wanted::RestartAll => slots,
            Wanted::RestartType(process) if !serving.processes.contains_key(&process) => {
                let known = serving.processes.keys().cloned().collect();
                return Err(FormationError::Unknown { process, known }.into());
            }
            Wanted::RestartType(process) => {
                slots.into_iter().filter(|slot| slot.process == process).collect()
            }
            Wanted::Restart(slot) if !slots.contains(&slot) => {
                return Err(ReformError::NoInstance { app: name.clone(), slot });
            }
            Wanted::Restart(slot) => VecDeque::from([slot]),
        };
        tracing::info!(app = %name, instances = restarted.len(), "restart begins");
        self.note_reform(name, updates, Kind::Restart(restarted));
        self.restart_next(name).await;
        Ok(())
    }

    /// Has the release run as this formation says.
    async fn scale(
        &mut self,
        name: &AppName,
        current: &Release,
        formation: Formation,
        updates: Option<mpsc::UnboundedSender<ReformUpdate>>,
    ) -> Result<(), ReformError> {
        let app = self.apps.get(name).ok_or_else(|| ReformError::Unknown(name.clone()))?;
        let serving = app.serving.clone().ok_or_else(|| ReformError::NoRelease(name.clone()))?;
        let plan = Arc::new(app.plan_as(current, &self.domain, &formation)?);
        self.check_room(name, &serving, &plan, updates.as_ref())?;
        let is_new = |spec: &&InstanceSpec| serving.instances.iter().all(|other| other.slot != spec.slot);
        let added: Vec<_> = plan.instances.iter().filter(is_new).cloned().map(Arc::new).collect();
        tracing::info!(app = %name, was = %numbers(&serving), now = %numbers(&plan), "scale begins");
        self.note_reform(name, updates, Kind::Scale { formation, plan: Arc::clone(&plan) });
        if added.is_empty() {
            self.started(name, Ok(Vec::new())).await;
        } else {
            self.start_beside(name, plan, added, None);
        }
        Ok(())
    }

    fn note_reform(
        &mut self,
        name: &AppName,
        updates: Option<mpsc::UnboundedSender<ReformUpdate>>,
        kind: Kind,
    ) {
        if let Some(app) = self.apps.get_mut(name) {
            let cancel = CancellationToken::new();
            app.reforming =
                Some(Reforming { updates, cancel, starting: BTreeSet::new(), stopped: None, kind });
        }
    }

    /// Whether what is added may share a volume, and the host has the memory for it.
    fn check_room(
        &self,
        name: &AppName,
        now: &Plan,
        next: &Plan,
        updates: Option<&mpsc::UnboundedSender<ReformUpdate>>,
    ) -> Result<(), ReformError> {
        let has_volume = next.instances.iter().any(|spec| !spec.volumes.is_empty());
        let shares = |(process, planned): &(&ProcessType, &crate::plan::PlannedProcess)| {
            let before = now.processes.get(*process).map_or(0, |before| before.replicas);
            planned.replicas > before && planned.replicas > 1 && planned.manifest <= 1
        };
        if let Some((process, _)) = next.processes.iter().find(shares).filter(|_| has_volume) {
            return Err(ReformError::OneWriter { process: process.clone() });
        }
        let others: Vec<_> = self.apps.iter().filter(|(other, _)| *other != name).collect();
        let others = || others.iter().filter_map(|(_, app)| app.serving.as_deref());
        let memory = |plan: &Plan| {
            plan.instances.iter().filter_map(|spec| spec.memory).map(|bytes| bytes.0).sum::<u64>()
        };
        let cpu = |plan: &Plan| {
            plan.instances.iter().filter_map(|spec| spec.cpu).map(|milli| u64::from(milli.0)).sum::<u64>()
        };
        let (wanted, host) = (memory(next) + others().map(memory).sum::<u64>(), self.engine.memory_bytes);
        if memory(next) > memory(now) && host > 0 && wanted > host {
            return Err(ReformError::Memory { wanted, host });
        }
        let (cores, host) =
            (cpu(next) + others().map(cpu).sum::<u64>(), u64::from(self.engine.cores) * 1_000);
        if cpu(next) > cpu(now) && host > 0 && cores > host {
            let message = format!(
                "the CPU limits of all instances are {} cores, and the host has {}: under load they get less",
                cores as f64 / 1_000.0,
                self.engine.cores
            );
            say(updates, Update::Notice(message));
        }
        Ok(())
    }

    /// Starts these instances in a task that reports back, once `first` is gone, if there is one.
    fn start_beside(
        &mut self,
        name: &AppName,
        plan: Arc<Plan>,
        specs: Vec<Arc<InstanceSpec>>,
        first: Option<Retirement>,
    ) {
        let Some(reforming) = self.apps.get_mut(name).and_then(|app| app.reforming.as_mut()) else { return };
        let slots: Vec<_> = specs.iter().map(|spec| spec.slot.to_string()).collect();
        let wanted: Vec<_> = specs.into_iter().map(|spec| ((self.deps.ids)(), spec)).collect();
        reforming.starting = wanted.iter().map(|(id, _)| id.clone()).collect();
        let (updates, mut said) = mpsc::unbounded_channel();
        let (listener, cancel) = (reforming.updates.clone(), reforming.cancel.clone());
        tokio::spawn(async move {
            while let Some(update) = said.recv().await {
                say(listener.as_ref(), update);
            }
        });
        let (deps, events, app) = (self.deps.clone(), self.events.clone(), name.clone());
        tokio::spawn(async move {
            let tell = |step, detail| {
                let _ = updates.send(Update::Step { step, detail });
            };
            if let Some(old) = first {
                tell("stop", format!("{} first: its volume has one writer", old.slot));
                old.drain(&deps.routes).await;
                rollout::stop_and_remove(&old, &deps).await;
            }
            tell("start", slots.join(", "));
            tell("wait for", slots.join(", "));
            let started = rollout::start_beside(Beside { plan, wanted, cancel, updates }, &deps).await;
            let _ = events.send(Event::Started { app, started });
        });
    }

    /// Goes on with a change whose instances are ready, or ends it.
    pub(super) async fn started(&mut self, name: &AppName, started: Started) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(reforming) = app.reforming.as_mut() else { return };
        reforming.starting.clear();
        // Whatever became of its successor, its slot is anybody's again.
        if let Some(stopped) = reforming.stopped.take() {
            app.retiring.remove(&stopped);
        }
        let instances = match started {
            Ok(instances) => instances,
            Err(abort) => {
                tracing::warn!(app = %name, reason = abort.reason(), "instances did not become ready");
                return self.end_reform(name, Err(ReformError::NotReady(abort))).await;
            }
        };
        match &reforming.kind {
            Kind::Scale { formation, plan } => {
                let (formation, plan) = (formation.clone(), Arc::clone(plan));
                let result = self.take_scale(name, formation, plan, instances).await;
                self.end_reform(name, result).await;
            }
            Kind::Restart(_) => {
                for instance in instances {
                    self.replace(name, instance).await;
                }
                self.restart_next(name).await;
            }
        }
    }

    /// Makes the formation the one that holds: stored first, then published, and only then is what is too many drained.
    async fn take_scale(
        &mut self,
        name: &AppName,
        formation: Formation,
        plan: Arc<Plan>,
        added: Vec<Instance>,
    ) -> Result<(), ReformError> {
        let Some(app) = self.apps.get_mut(name) else { return Err(ReformError::TakenDown(name.clone())) };
        let record = AppRecord { formation, ..app.record.clone() };
        if record != app.record
            && let Err(error) = self.deps.store.save_app(&record).await
        {
            let limits = plan.limits.clone();
            let unwanted = added.iter().map(|instance| instance.retirement(&limits)).collect();
            self.retire(name, unwanted).await;
            return Err(error.into());
        }
        app.record = record;
        let is_wanted = |slot: &Slot| plan.instances.iter().any(|spec| spec.slot == *slot);
        let gone: Vec<Slot> = app.instances.keys().filter(|slot| !is_wanted(slot)).cloned().collect();
        let old: Vec<_> = gone.iter().filter_map(|slot| app.instances.remove(slot)).collect();
        app.backoff.retain(|slot, _| is_wanted(slot));
        let listener = app.reforming.as_ref().and_then(|reforming| reforming.updates.clone());
        if !added.is_empty() {
            say(listener.as_ref(), Update::Step { step: "switch", detail: String::new() });
        }
        let now = Instant::now();
        for instance in added {
            let slot = instance.labels().slot.clone();
            app.backoff.insert(slot.clone(), Backoff::new(now));
            app.instances.insert(slot, instance);
        }
        let limits = plan.limits.clone();
        app.serving = Some(plan);
        app.policies = None;
        if !gone.is_empty() {
            let slots: Vec<_> = gone.iter().map(ToString::to_string).collect();
            say(listener.as_ref(), Update::Step { step: "stop", detail: slots.join(", ") });
        }
        let old = old.iter().map(|instance| instance.retirement(&limits)).collect();
        // Publishes, too.
        self.retire(name, old).await;
        tracing::info!(app = %name, "scaled");
        Ok(())
    }

    /// Begins with the next place of a restart, or ends it.
    async fn restart_next(&mut self, name: &AppName) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(Reforming { kind: Kind::Restart(slots), .. }) = &mut app.reforming else { return };
        let Some(slot) = slots.pop_front() else {
            return self.end_reform(name, Ok(())).await;
        };
        let Some((spec, plan)) = app.spec(&slot).zip(app.serving.clone()) else {
            return self.end_reform(name, Err(ReformError::NoInstance { app: name.clone(), slot })).await;
        };
        let mut first = None;
        if !spec.volumes.is_empty()
            && let Some(old) = app.instances.remove(&slot)
        {
            let retirement = old.retirement(&plan.limits);
            // As long as it is known here, nothing else fills the slot; and requests wait for what is to come.
            app.retiring.insert(retirement.instance.clone(), retirement.clone());
            app.backoff.insert(slot, Backoff::new(Instant::now()));
            if let Some(reforming) = app.reforming.as_mut() {
                reforming.stopped = Some(retirement.instance.clone());
            }
            first = Some(retirement);
            self.publish().await;
        }
        self.start_beside(name, plan, vec![Arc::new(spec)], first);
    }

    /// Puts the new instance into its place, and drains and stops the old one.
    async fn replace(&mut self, name: &AppName, instance: Instance) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let slot = instance.labels().slot.clone();
        let limits = app.serving.as_ref().map_or_else(Limits::default, |plan| plan.limits.clone());
        app.backoff.insert(slot.clone(), Backoff::new(Instant::now()));
        let old = app.instances.insert(slot, instance);
        let listener = app.reforming.as_ref().and_then(|reforming| reforming.updates.clone());
        if let Some(old) = &old {
            let detail = format!("the old {}", old.labels().slot);
            say(listener.as_ref(), Update::Step { step: "stop", detail });
        }
        // Publishes, too.
        self.retire(name, old.iter().map(|old| old.retirement(&limits)).collect()).await;
    }

    async fn end_reform(&mut self, name: &AppName, result: Result<(), ReformError>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let Some(reforming) = app.reforming.take() else { return };
        match (&reforming.updates, result) {
            (Some(updates), result) => {
                let _ = updates.send(ReformUpdate::Ended(result));
            }
            // Nobody asked for it, and it would be tried for ever: what runs is what is wanted from now on.
            (None, Err(error)) => {
                tracing::warn!(app = %name, %error, "what runs is not what the formation says; it is given up");
                self.give_up(name).await;
            }
            (None, Ok(())) => {}
        }
        self.go_on(name).await;
    }

    async fn give_up(&mut self, name: &AppName) {
        let Some(app) = self.apps.get_mut(name) else { return };
        let counts = app.counts();
        let mut record = app.record.clone();
        for (process, count) in &mut record.formation.counts {
            *count = counts.get(process).copied().unwrap_or(*count);
        }
        if let Err(error) = self.deps.store.save_app(&record).await {
            tracing::error!(app = %name, %error, "cannot store the formation");
        }
        app.record = record;
    }

    /// Does what waited for the end of a rollout or of a change.
    pub(super) async fn go_on(&mut self, name: &AppName) {
        let Some(app) = self.apps.get_mut(name).filter(|app| !app.is_busy()) else { return };
        for leave in std::mem::take(&mut app.leaving) {
            self.down(name, leave).await;
        }
        while let Some(app) = self.apps.get_mut(name).filter(|app| !app.is_busy()) {
            if let Some(next) = app.reforms.pop_front() {
                Box::pin(self.reform(next)).await;
            } else if let Some(next) = app.queue.pop_front() {
                Box::pin(self.deploy(next)).await;
            } else {
                return;
            }
        }
    }

    /// Has every app run what its formation says, where it does not: after a canary that was planned before a scale.
    pub(super) async fn converge(&mut self) {
        let differs = |app: &App| {
            let planned = app.serving.iter().flat_map(|plan| &plan.processes);
            let counts = &app.record.formation.counts;
            planned
                .into_iter()
                .any(|(process, planned)| counts.get(process).is_some_and(|count| *count != planned.replicas))
        };
        let idle = self.apps.iter().filter(|(_, app)| !app.is_busy() && app.canary.is_none() && differs(app));
        let names: Vec<_> = idle.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Err(error) = Box::pin(self.begin_reform(&name, Wanted::Scale(Vec::new()), None)).await {
                tracing::warn!(app = %name, %error, "what runs is not what the formation says; it is given up");
                self.give_up(&name).await;
            }
        }
    }

    /// Ends a change that is under way, because the app goes.
    pub(super) fn cancel_reform(app: &App) {
        if let Some(reforming) = &app.reforming {
            reforming.cancel.cancel();
        }
    }
}

fn say(updates: Option<&mpsc::UnboundedSender<ReformUpdate>>, update: Update) {
    if let Some(updates) = updates {
        // A client that went away does not need to know.
        let _ = updates.send(ReformUpdate::Said(update));
    }
}

/// `web=3 worker=1`.
fn numbers(plan: &Plan) -> String {
    let each = plan.processes.iter().map(|(process, planned)| format!("{process}={}", planned.replicas));
    each.collect::<Vec<_>>().join(" ")
}
