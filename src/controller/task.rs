//! The controller's loop, and what it does about each thing it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, Hold, Leave};
use super::view::{EngineView, View};
use super::watcher::{self, Observed};
use super::{Command, Deploy, DownError, Downed, Parts};
use crate::engine::{Container, EngineError};
use crate::instance::Retirement;
use crate::manifest::Deploy as Limits;
use crate::name::{AppName, InstanceId, ReleaseId};
use crate::plan::Plan;
use crate::rollout::{self, Deps, Outcome, Request, RolloutRecord};
use crate::route::RouteTable;
use crate::store::Snapshot;

/// A container that belongs to nothing gets so long from SIGTERM to SIGKILL.
const ORPHAN_STOP_GRACE: Duration = Duration::from_secs(10);
/// Farther than any deadline: "never".
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the controller's own child tasks report.
pub(super) enum Event {
    /// A rollout ended.
    RolledOut { app: AppName, release: ReleaseId, outcome: Outcome },
    /// A canary was compared for its time, or fails too often.
    Compared { app: AppName, release: ReleaseId, worse: Option<String> },
    /// Old instances are gone.
    Retired { app: AppName, instances: Vec<InstanceId> },
    /// An app that was taken down is gone, or could not be removed now.
    Cleared { app: AppName, instances: Vec<InstanceId> },
    /// A container that belonged to nothing is gone, or could not be removed now.
    Swept { instance: InstanceId },
}

pub(super) struct Task {
    pub(super) deps: Deps,
    pub(super) domain: String,
    pub(super) apps: BTreeMap<AppName, App>,
    /// The highest release number of apps that were removed.
    pub(super) removed: BTreeMap<AppName, ReleaseId>,
    /// The table that is published.
    pub(super) table: RouteTable,
    pub(super) engine: EngineView,
    pub(super) view: watch::Sender<Arc<View>>,
    /// Rollouts that an earlier process left; taken by the recovery.
    pub(super) interrupted: Vec<RolloutRecord>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// Containers that belong to nothing and are being removed.
    pub(super) sweeping: BTreeMap<InstanceId, AppName>,
    /// Apps that were taken down and of which not everything is gone.
    pub(super) clearing: BTreeSet<AppName>,
    /// Deploys that wait until what an earlier app of their name left is gone.
    pub(super) deferred: BTreeMap<AppName, Vec<Deploy>>,
    inbox: Option<Inbox>,
}

struct Inbox {
    requests: mpsc::UnboundedReceiver<Request>,
    changes: mpsc::UnboundedReceiver<InstanceId>,
    events: mpsc::UnboundedReceiver<Event>,
    observed: mpsc::UnboundedReceiver<Observed>,
}

impl Task {
    pub(super) fn new(
        parts: Parts,
        snapshot: Snapshot,
        table: RouteTable,
        view: watch::Sender<Arc<View>>,
    ) -> Self {
        let Parts { deps, requests, changes, domain } = parts;
        let (events, events_rx) = mpsc::unbounded_channel();
        let (observed_tx, observed) = mpsc::unbounded_channel();
        tokio::spawn(watcher::watch(Arc::clone(&deps.machinery.engine), observed_tx));
        let inbox = Some(Inbox { requests, changes, events: events_rx, observed });
        let mut task = Self {
            deps,
            domain,
            apps: BTreeMap::new(),
            removed: BTreeMap::new(),
            table,
            engine: EngineView::default(),
            view,
            interrupted: Vec::new(),
            events,
            sweeping: BTreeMap::new(),
            clearing: BTreeSet::new(),
            deferred: BTreeMap::new(),
            inbox,
        };
        task.load(snapshot);
        task.publish_view();
        task
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, shutdown: CancellationToken) {
        let mut inbox = self.inbox.take().expect("set in `new`, taken here alone");
        loop {
            let replacement = self.next_replacement().unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                () = shutdown.cancelled() => return,
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                Some(request) = inbox.requests.recv() => self.request(request).await,
                Some(event) = inbox.events.recv() => self.event(event).await,
                Some(observed) = inbox.observed.recv() => self.observed(observed).await,
                Some(_) = inbox.changes.recv() => {
                    // Several changes at once make one table.
                    while inbox.changes.try_recv().is_ok() {}
                }
                () = tokio::time::sleep_until(replacement) => {}
            }
            if self.engine.is_recovered {
                self.supervise_all();
                self.publish().await;
            } else {
                self.publish_view();
            }
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Deploy(deploy) => self.deploy(deploy).await,
            Command::Cancel { app, release } => {
                // One that has switched is only watched: it serves, and ends by itself.
                if let Some(rollout) = self.apps.get(&app).and_then(|app| app.rollout.as_ref())
                    && rollout.release == release
                    && !rollout.has_switched
                {
                    rollout.cancel.cancel();
                }
            }
            Command::Plan { app, source, build, reply } => {
                // A client that went away does not need the plan.
                let _ = reply.send(self.planned(&app, source, build));
            }
            Command::Traffic { app, change, reply } => {
                let _ = reply.send(self.change_traffic(&app, change).await);
            }
            Command::Proxy { app, change, reply } => {
                let _ = reply.send(self.change_proxy(&app, change).await);
            }
            Command::Canary { app, change, reply } => {
                let _ = reply.send(self.change_canary(&app, change).await);
            }
            Command::Down { app, volumes, reply } => self.down(&app, Leave { volumes, reply }).await,
        }
    }

    async fn request(&mut self, request: Request) {
        match request {
            Request::Hold { app, reply } => {
                let Some(app) = self.apps.get_mut(&app) else { return };
                app.hold = Hold::Swapping;
                let limits = app.serving.as_ref().map_or_else(Limits::default, |plan| plan.limits.clone());
                // Those of a release before that are still finishing may write to the volume, too.
                let retiring = app.retiring.values().cloned();
                let old = app
                    .instances
                    .values()
                    .map(|instance| instance.retirement(&limits))
                    .chain(retiring)
                    .collect();
                // Before the old instances are drained, no table may name them.
                self.publish().await;
                let _ = reply.send(old);
            }
            Request::Switch { app, release, instances, reply } => {
                let plan = self.rolling_plan(&app, release);
                let result = self.switch(&app, plan, instances).await;
                if result.is_ok() {
                    self.note_switched(&app);
                }
                let _ = reply.send(result);
            }
            Request::Canary { app, release, instances, reply } => {
                let plan = self.rolling_plan(&app, release);
                let _ = reply.send(self.begin_canary(&app, plan, instances).await);
            }
            Request::EndWatch { app, release, worse, reply } => {
                let _ = reply.send(self.end_watch(&app, release, worse).await);
            }
        }
    }

    fn rolling_plan(&self, name: &AppName, release: ReleaseId) -> Arc<Plan> {
        let rollout = self.apps.get(name).and_then(|app| app.rollout.as_ref());
        let plan = rollout.filter(|rollout| rollout.release == release).map(|rollout| &rollout.plan);
        Arc::clone(plan.expect("it is the rollout that asks, and its app is not taken down before it ends"))
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::RolledOut { app, release, outcome } => self.rolled_out(&app, release, outcome).await,
            Event::Compared { app, release, worse } => self.end_comparison(&app, release, worse).await,
            Event::Retired { app, instances } => {
                if let Some(app) = self.apps.get_mut(&app) {
                    instances.iter().for_each(|id| drop(app.retiring.remove(id)));
                    app.finishing.retain(|task| !task.is_finished());
                }
            }
            Event::Swept { instance } => {
                if let Some(app) = self.sweeping.remove(&instance) {
                    self.undefer(&app).await;
                }
            }
            Event::Cleared { app, instances } => {
                instances.iter().for_each(|id| drop(self.sweeping.remove(id)));
                self.clearing.remove(&app);
                self.undefer(&app).await;
            }
        }
    }

    async fn observed(&mut self, observed: Observed) {
        match observed {
            Observed::Up(info) => {
                if self.engine.error.take().is_some() || self.engine.version.is_none() {
                    tracing::info!(
                        endpoint = info.endpoint,
                        version = info.version,
                        api = info.api,
                        "engine answers"
                    );
                }
                self.engine.endpoint = info.endpoint;
                self.engine.version = Some(info.version);
            }
            Observed::Down(error) => {
                if self.engine.error.is_none() {
                    tracing::error!(%error, "engine does not answer");
                }
                self.engine.error = Some(error.to_string());
            }
            Observed::Touched(id) => {
                self.apps
                    .values()
                    .flat_map(App::all_instances)
                    .filter(|i| *i.id() == id)
                    .for_each(crate::instance::Instance::look);
            }
            Observed::Listed(containers) => {
                self.engine.error = None;
                if self.engine.is_recovered {
                    self.resync(containers);
                } else {
                    self.recover(containers).await;
                    self.engine.is_recovered = true;
                }
            }
        }
    }

    /// Compares a listing with what is known: instances that are not as believed look again, what belongs to nothing goes.
    fn resync(&mut self, containers: Vec<Container>) {
        let running: BTreeSet<_> =
            containers.iter().filter(|c| c.is_running()).map(|c| c.labels.instance.clone()).collect();
        self.sample();
        for instance in self.apps.values().flat_map(App::all_instances) {
            let observed = instance.observed();
            if !observed.state.is_over() && observed.container.is_some() && !running.contains(instance.id()) {
                instance.look();
            }
        }
        for container in containers {
            let labels = &container.labels;
            let is_ours = self
                .apps
                .get(&labels.app)
                .is_some_and(|app| app.knows(&labels.instance) || app.is_rolling(labels.release));
            if !is_ours {
                self.sweep(container);
            }
        }
    }

    /// Stops and removes a container that belongs to nothing.
    pub(super) fn sweep(&mut self, container: Container) {
        let instance = container.labels.instance.clone();
        if self.sweeping.contains_key(&instance) {
            return;
        }
        self.sweeping.insert(instance.clone(), container.labels.app.clone());
        tracing::info!(
            app = %container.labels.app, instance = %container.labels.slot, release = %container.labels.release,
            "removing a container that nothing wants"
        );
        let serving = self.apps.get(&container.labels.app).and_then(|app| app.serving.as_ref());
        let limits = serving.map_or_else(Limits::default, |plan| plan.limits.clone());
        let retirement = Retirement::of_container(container, limits, ORPHAN_STOP_GRACE);
        let (deps, events) = (self.deps.clone(), self.events.clone());
        tokio::spawn(async move {
            // Requests may still be on it, by the table that the last process left.
            retirement.drain(&deps.routes).await;
            let engine = deps.machinery.engine.as_ref();
            let stopped = match retirement.stop(engine, &deps.routes).await {
                Ok(()) => retirement.remove(engine).await,
                Err(error) => Err(error),
            };
            if let Err(error) = stopped {
                tracing::warn!(instance = %retirement.slot, release = %retirement.release, %error, "cannot remove a container; the next listing tries again");
            }
            let _ = events.send(Event::Swept { instance });
        });
    }

    /// Whether something that an app left is still being removed.
    pub(super) fn is_sweeping(&self, app: &AppName) -> bool {
        self.sweeping.values().any(|owner| owner == app)
    }

    /// Goes on with the deploys that waited for what was left of the app.
    async fn undefer(&mut self, app: &AppName) {
        if !self.is_sweeping(app) && !self.clearing.contains(app) {
            for deploy in self.deferred.remove(app).unwrap_or_default() {
                self.deploy(deploy).await;
            }
        }
    }

    /// Stops and removes one instance that has ended and was replaced.
    pub(super) fn reap(&mut self, name: &AppName, retirement: Retirement) {
        let deps = self.deps.clone();
        let instances = vec![retirement.instance.clone()];
        self.until_gone(name, instances, async move {
            rollout::stop_and_remove(&retirement, &deps).await;
        });
    }

    /// Takes instances out of the table, and drains, stops and removes them.
    pub(super) async fn retire(&mut self, name: &AppName, old: Vec<Retirement>) {
        let Some(app) = self.apps.get_mut(name) else { return };
        app.retiring.extend(old.iter().map(|retirement| (retirement.instance.clone(), retirement.clone())));
        // Before they are drained, no table may name them.
        self.publish().await;
        let deps = self.deps.clone();
        let instances = old.iter().map(|retirement| retirement.instance.clone()).collect();
        self.until_gone(name, instances, async move {
            let each = old.iter().map(|retirement| async {
                retirement.drain(&deps.routes).await;
                rollout::stop_and_remove(retirement, &deps).await;
            });
            futures_util::future::join_all(each).await;
        });
    }

    /// Has the loop hear when these instances are gone.
    fn until_gone(
        &mut self,
        name: &AppName,
        instances: Vec<InstanceId>,
        removal: impl Future<Output = ()> + Send + 'static,
    ) {
        let (events, app) = (self.events.clone(), name.clone());
        let task = tokio::spawn(async move {
            removal.await;
            let _ = events.send(Event::Retired { app, instances });
        });
        if let Some(app) = self.apps.get_mut(name) {
            app.finishing.push(task.abort_handle());
        }
    }

    /// Forgets the app and removes what runs for it; a rollout that is under way ends first.
    pub(super) async fn down(&mut self, name: &AppName, leave: Leave) {
        let Some(app) = self.apps.get_mut(name) else {
            let _ = leave.reply.send(Err(DownError::Unknown(name.clone())));
            return;
        };
        if let Some(rollout) = &app.rollout {
            // Its release must not come back to life in another app of this name.
            rollout.cancel.cancel();
            app.leaving.push(leave);
            return;
        }
        let Leave { volumes, reply } = leave;
        // Forgotten first: a crash from here on leaves containers that belong to nothing, which the next start removes.
        app.finishing.iter().for_each(tokio::task::AbortHandle::abort);
        if let Err(error) = self.deps.store.remove_app(&app.record).await {
            let _ = reply.send(Err(error.into()));
            return;
        }
        let mut app = self.apps.remove(name).expect("it was there above, and nothing in between removes one");
        self.removed.extend(app.record.last.map(|last| (name.clone(), last)));
        app.queue.drain(..).for_each(|deploy| deploy.end(Err(super::DeployError::TakenDown(name.clone()))));
        let limits = app.serving.as_ref().map_or_else(Limits::default, |plan| plan.limits.clone());
        let old: Vec<_> = app
            .all_instances()
            .map(|instance| instance.retirement(&limits))
            .chain(app.retiring.values().cloned())
            .collect();
        // No table names them any more; the next listing must not stop them while they drain.
        self.sweeping.extend(old.iter().map(|retirement| (retirement.instance.clone(), name.clone())));
        self.clearing.insert(name.clone());
        self.publish().await;
        let (deps, events, name) = (self.deps.clone(), self.events.clone(), name.clone());
        tokio::spawn(async move {
            let result = clear(&name, &old, volumes, &deps).await;
            let instances = old.into_iter().map(|gone| gone.instance).collect();
            let _ = events.send(Event::Cleared { app: name, instances });
            let _ = reply.send(result.map_err(DownError::from));
        });
    }
}

/// Removes everything of an app from the engine.
async fn clear(
    name: &AppName,
    old: &[Retirement],
    volumes: bool,
    deps: &Deps,
) -> Result<Downed, EngineError> {
    let engine = deps.machinery.engine.as_ref();
    let stops = old.iter().map(|retirement| async {
        retirement.drain(&deps.routes).await;
        retirement.stop(engine, &deps.routes).await?;
        retirement.remove(engine).await
    });
    futures_util::future::try_join_all(stops).await?;
    // What is left is a crash's.
    for container in engine.containers().await?.into_iter().filter(|container| container.labels.app == *name)
    {
        engine.remove(&container.id).await?;
    }
    engine.remove_images(name).await?;
    let volumes = if volumes { engine.remove_volumes(name).await? } else { Vec::new() };
    Ok(Downed { instances: old.len(), volumes })
}
