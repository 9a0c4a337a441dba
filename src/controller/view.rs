//! What is, for whoever asks: published after every change, read without waiting for the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::app::App;
use super::fleet::Fleet;
use super::supervise::Backoff;
use super::task::Task;
use crate::engine::ContainerId;
use crate::external::{Address, Health};
use crate::instance::Instance;
use crate::name::{AppName, InstanceId, ProcessType, ReleaseId, Slot};
use crate::plan::{PlannedJob, PlannedPort, PlannedProcess};
use crate::route::{Mode, Share};

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The engine.
    pub engine: EngineView,
    /// The generation of the published route table.
    pub generation: u64,
    /// All apps, by name.
    pub apps: Vec<AppView>,
}

/// The engine, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineView {
    /// Where it is, once it answered.
    pub endpoint: String,
    /// Its version, once it answered.
    pub version: Option<String>,
    /// Why it does not answer now.
    pub error: Option<String>,
    /// Whether what runs on it was taken up; commands that need it work from then on.
    pub is_recovered: bool,
    /// The memory of its host, in bytes; 0 while that is not known.
    pub memory_bytes: u64,
    /// The cores of its host; 0 while that is not known.
    pub cores: u32,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppView {
    /// Its name.
    pub name: AppName,
    /// The release that serves.
    pub release: Option<ReleaseId>,
    /// The folder that it came from.
    pub origin: String,
    /// Host and path of each route.
    pub routes: Vec<(String, String)>,
    /// Its TCP ports.
    pub ports: Vec<PlannedPort>,
    /// Its instances, and old ones that still drain after them.
    pub instances: Vec<InstanceView>,
    /// The deploy that is under way.
    pub deploy: Option<DeployView>,
    /// Whether requests reach it, as an operator wants it.
    pub mode: Mode,
    /// The release that gets a share of the requests.
    pub canary: Option<CanaryView>,
    /// Where it leads, if it is only a route.
    pub external: Option<ExternalView>,
    /// The apps that the current release may call.
    pub links: Vec<AppName>,
    /// The keys of `[proxy]` that were set by command.
    pub proxy_by_command: Vec<String>,
    /// Every process type of the release that serves, and how many of it are wanted.
    pub processes: BTreeMap<ProcessType, PlannedProcess>,
    /// The jobs of the release that serves.
    pub jobs: BTreeMap<String, PlannedJob>,
    /// The process types whose number a command has set.
    pub scaled: BTreeSet<ProcessType>,
    /// The process type that answers at each route, by host and path.
    pub route_processes: BTreeMap<String, ProcessType>,
}

/// Where an app leads that is only a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalView {
    /// Its upstreams, in the order of their numbers.
    pub upstreams: Vec<UpstreamView>,
    /// When one of them is ready.
    pub health: Health,
    /// Whether all of them were asked by now.
    pub is_decided: bool,
}

/// An upstream, which has any number of addresses; those are among the app's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamView {
    /// What its addresses are called.
    pub slot: Slot,
    /// Where it is.
    pub address: Address,
    /// Why its name was not looked up.
    pub problem: Option<String>,
}

/// A canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryView {
    /// Its release.
    pub release: ReleaseId,
    /// Which requests it gets.
    pub share: Share,
    /// When it takes over by itself, in milliseconds since the Unix epoch.
    pub until: Option<u64>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// Its slot.
    pub slot: Slot,
    /// Its release.
    pub release: ReleaseId,
    /// Its id, once the engine was asked.
    pub id: Option<InstanceId>,
    /// Its container, once there is one.
    pub container: Option<ContainerId>,
    /// Where it is, if it runs elsewhere.
    pub addr: Option<SocketAddr>,
    /// One word.
    pub state: &'static str,
    /// Since when, in milliseconds since the Unix epoch; 0 when that is not known.
    pub since: u64,
    /// Why it is not ready.
    pub detail: Option<String>,
    /// How often the slot was replaced since it was last stable.
    pub restarts: u32,
    /// When it is started again, in milliseconds since the Unix epoch, if it ended and that is not at once.
    pub next_start: Option<u64>,
    /// The memory limit, in bytes.
    pub memory: Option<u64>,
    /// The CPU limit, in thousandths of a core.
    pub cpu: Option<u32>,
}

/// A deploy that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployView {
    /// Its release.
    pub release: ReleaseId,
    /// The step that it last began.
    pub step: &'static str,
}

impl Task {
    /// The instances that the store and the last table speak of, as long as nobody has asked the engine for them.
    fn unknown(&self, app: &App) -> impl Iterator<Item = InstanceView> {
        let plan =
            app.serving.as_ref().filter(|_| !self.engine.is_recovered && app.record.external.is_none());
        let specs = plan.into_iter().flat_map(|plan| plan.instances.iter().map(|spec| (plan.release, spec)));
        specs.filter(|(_, spec)| !app.instances.contains_key(&spec.slot)).map(|(release, spec)| {
            InstanceView {
                slot: spec.slot.clone(),
                release,
                id: self.last_known(&app.record.name, release, &spec.slot),
                container: None,
                addr: None,
                state: "unknown",
                since: 0,
                detail: Some("the engine was not asked yet".to_owned()),
                restarts: 0,
                next_start: None,
                memory: spec.memory.map(|bytes| bytes.0),
                cpu: spec.cpu.map(|milli| milli.0),
            }
        })
    }

    /// The instance that the last table had for the slot.
    fn last_known(&self, app: &AppName, release: ReleaseId, slot: &Slot) -> Option<InstanceId> {
        let of_routes = self.table.routes().iter().map(|route| (&route.app, &route.upstreams));
        let of_ports = self.table.ports().iter().map(|port| (&port.app, &port.upstreams));
        let all = of_routes.chain(of_ports).filter(|(owner, _)| *owner == app);
        let mut all = all.flat_map(|(_, upstreams)| upstreams);
        let found = all.find(|upstream| upstream.release == release && upstream.slot == *slot)?;
        Some(found.instance.clone())
    }

    /// Publishes the view, when it differs.
    pub(super) fn publish_view(&self) {
        let apps = self.apps.values().map(|app| {
            let current = app.instances.values().map(|instance| of_instance(instance, &app.backoff, None));
            let beside = |fleet: &Option<Fleet>, role: &'static str| {
                let all =
                    fleet.iter().flat_map(|fleet| fleet.instances.values().map(|one| (one, &fleet.backoff)));
                all.map(|(one, backoff)| of_instance(one, backoff, Some(role))).collect::<Vec<_>>()
            };
            let canary = beside(&app.canary, "canary");
            let watched = beside(&app.watched, "kept while the new release is watched");
            let retiring = app.retiring.values().map(|retirement| InstanceView {
                slot: retirement.slot.clone(),
                release: retirement.release,
                id: Some(retirement.instance.clone()),
                container: retirement.container.clone(),
                addr: None,
                state: "draining",
                since: retirement.since,
                detail: None,
                restarts: 0,
                next_start: None,
                memory: None,
                cpu: None,
            });
            AppView {
                name: app.record.name.clone(),
                release: app.record.current,
                origin: app.record.origin.clone(),
                routes: app.urls(),
                ports: app.serving.iter().flat_map(|plan| plan.ports.iter().cloned()).collect(),
                instances: self
                    .unknown(app)
                    .chain(current)
                    .chain(canary)
                    .chain(watched)
                    .chain(app.remote_views())
                    .chain(retiring)
                    .collect(),
                deploy: app
                    .rollout
                    .as_ref()
                    .map(|rollout| DeployView { release: rollout.release, step: *rollout.step.borrow() }),
                mode: app.record.mode.clone(),
                canary: app.canary.as_ref().zip(app.record.canary.clone()).map(|(canary, share)| {
                    CanaryView { release: canary.release(), share, until: canary.until() }
                }),
                external: app.external_view(),
                links: app.links(),
                proxy_by_command: app.record.proxy.keys().into_iter().map(str::to_owned).collect(),
                processes: app.serving.iter().flat_map(|plan| plan.processes.clone()).collect(),
                jobs: app.serving.iter().flat_map(|plan| plan.jobs.clone()).collect(),
                scaled: app.record.formation.counts.keys().cloned().collect(),
                route_processes: app
                    .serving
                    .iter()
                    .flat_map(|plan| plan.routes.iter())
                    .map(|route| (format!("{}{}", route.host, route.path), route.process.clone()))
                    .collect(),
            }
        });
        let view =
            View { engine: self.engine.clone(), generation: self.table.generation(), apps: apps.collect() };
        self.view.send_if_modified(|published| {
            let has_changed = **published != view;
            if has_changed {
                *published = Arc::new(view);
            }
            has_changed
        });
    }
}

fn of_instance(instance: &Instance, backoff: &BTreeMap<Slot, Backoff>, role: Option<&str>) -> InstanceView {
    let observed = instance.observed();
    let slot = instance.labels().slot.clone();
    InstanceView {
        release: instance.labels().release,
        id: Some(instance.id().clone()),
        container: observed.container,
        addr: None,
        state: observed.state.word(),
        since: observed.since,
        detail: Task::detail(&observed.state).or_else(|| role.map(str::to_owned)),
        restarts: backoff.get(&slot).map_or(0, |backoff| backoff.restarts),
        next_start: backoff.get(&slot).and_then(|backoff| backoff.due).map(millis),
        memory: instance.spec().memory.map(|bytes| bytes.0),
        cpu: instance.spec().cpu.map(|milli| milli.0),
        slot,
    }
}

/// A moment of the clock that can be told to others; whole seconds, so that it does not change with every look.
fn millis(at: Instant) -> u64 {
    let ahead = at.saturating_duration_since(Instant::now()).as_secs_f64().round();
    (crate::clock::now() / 1_000 + ahead as u64) * 1_000
}
