//! The controller's loop, and what it does about each thing it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, Hold, Leave};
use super::callers::Containers;
use super::formation::Started;
use super::view::{EngineView, View};
use super::watcher::{self, Observed};
use super::{Command, Deploy, Parts};
use crate::engine::Container;
use crate::external::Surroundings;
use crate::manifest::Deploy as Limits;
use crate::name::{AppName, InstanceId, ReleaseId};
use crate::plan::Plan;
use crate::rollout::{Deps, Outcome, Request, RolloutRecord};
use crate::route::RouteTable;
use crate::store::Snapshot;

/// Farther than any deadline: "never".
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the controller's own child tasks report.
pub(super) enum Event {
    /// A rollout ended.
    RolledOut { app: AppName, release: ReleaseId, outcome: Outcome },
    /// Instances that a change has started are ready, or gone.
    Started { app: AppName, started: Started },
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
    pub(super) surroundings: Surroundings,
    pub(super) apps: BTreeMap<AppName, App>,
    /// The highest release number of apps that were removed.
    pub(super) removed: BTreeMap<AppName, ReleaseId>,
    /// The table that is published.
    pub(super) table: RouteTable,
    pub(super) engine: EngineView,
    pub(super) containers: Containers,
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
        let Parts { deps, requests, changes, domain, surroundings } = parts;
        let (events, events_rx) = mpsc::unbounded_channel();
        let (observed_tx, observed) = mpsc::unbounded_channel();
        tokio::spawn(watcher::watch(Arc::clone(&deps.machinery.engine), observed_tx));
        let inbox = Some(Inbox { requests, changes, events: events_rx, observed });
        let mut task = Self {
            deps,
            domain,
            surroundings,
            apps: BTreeMap::new(),
            removed: BTreeMap::new(),
            table,
            engine: EngineView::default(),
            containers: Containers::default(),
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
        // Nothing need happen before these are served.
        self.tend_all().await;
        self.publish().await;
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
                self.converge().await;
                self.supervise_all();
            }
            self.tend_all().await;
            self.publish().await;
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
            // A client that went away does not need the answer.
            Command::Plan { app, source, build, reply } => {
                let _ = reply.send(self.plan_code(&app, source, build));
            }
            Command::Create { app, reply } => {
                let _ = reply.send(self.create_app(&app).await);
            }
            Command::Releases { app, reply } => {
                let _ = reply.send(self.ledger(&app));
            }
            Command::Config { app, stage, reply } => {
                let _ = reply.send(self.stage_config(&app, stage).await);
            }
            Command::Traffic { app, change, reply } => {
                let _ = reply.send(self.change_traffic(&app, change).await);
            }
            Command::Domains { app, change, reply } => {
                let _ = reply.send(self.change_domains(&app, change).await);
            }
            Command::Proxy { app, change, reply } => {
                let _ = reply.send(self.change_proxy(&app, change).await);
            }
            Command::Health { app, reply } => {
                let _ = reply.send(self.health(&app));
            }
            Command::Export { apps, reply } => {
                let _ = reply.send(apps.iter().map(|app| self.exported(app)).collect());
            }
            Command::Canary { app, change, reply } => {
                let _ = reply.send(self.change_canary(&app, change).await);
            }
            Command::OneOff { app, release, process, reply } => {
                let _ = reply.send(self.one_off(&app, release, process.as_ref()));
            }
            Command::Upstreams { app, wanted, reply } => {
                let _ = reply.send(self.change_upstreams(&app, wanted).await);
            }
            Command::Reform(reform) => self.reform(reform).await,
            Command::Autoscale { app, process, rule, reply } => {
                let _ = reply.send(self.change_rule(&app, process, rule).await);
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
            Event::Started { app, started } => self.started(&app, started).await,
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
                self.engine.memory_bytes = info.memory_bytes;
                self.engine.cores = info.cores;
                self.engine.endpoint = info.endpoint;
                self.engine.version = Some(info.version);
            }
            Observed::Down(error) => {
                if self.engine.error.is_none() {
                    tracing::error!(%error, "engine does not answer");
                }
                self.engine.error = Some(error.to_string());
            }
            Observed::Bridge(bridge) => self.containers.note_bridge(bridge),
            Observed::Touched(id) => {
                self.containers.forget(&id);
                self.apps
                    .values()
                    .flat_map(App::all_instances)
                    .filter(|i| *i.id() == id)
                    .for_each(crate::instance::Instance::look);
            }
            Observed::Listed(containers) => {
                self.engine.error = None;
                self.containers.note(&containers);
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
            let app = self.apps.get(&labels.app);
            let is_ours = match container.one_off {
                Some(_) => self.deps.runs.knows(&labels.instance),
                None => app.is_some_and(|app| app.knows(&labels.instance) || app.is_rolling(labels.release)),
            };
            if !is_ours {
                self.sweep(container);
            }
        }
    }
}
