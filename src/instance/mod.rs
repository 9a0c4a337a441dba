//! One container's life, from its making to its end.
//!
//! # Theory of operation
//!
//! [`Instance`] is a handle on a task. The task makes and starts the container (or takes up one that runs), asks its probes,
//! and publishes what it finds as an [`InstanceState`]; whenever that changes it also sends the instance's id to whoever
//! listens ([`Changes`]). It never stops or removes the container: that is decided by who knows whether another instance
//! serves ([`crate::rollout`], [`crate::controller`]), and done by a [`Retirement`].
//!
//! That a container ended is found by asking the engine, which [`Instance::look`] makes happen at once: it is called for
//! every engine event and at every resync, so a lost event only costs time. An engine that does not answer says nothing
//! about its containers: the last state stands.
//!
//! An instance with a volume is not started while a container of another release of its app, or another one of its slot,
//! runs with one, whoever left it: that is asked of the engine right before the start, and waited for.
//!
//! Dropping the handle ends the task and leaves the container as it is.

mod probing;
mod record;
mod retire;
mod task;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use crate::engine::{Container, ContainerId, ContainerSpec, Engine, Labels};
use crate::logs::LogSink;
use crate::manifest::ProbeKind;
use crate::name::{AppName, InstanceId};
use crate::plan::InstanceSpec;
use crate::probe::Prober;
use crate::route;

pub(crate) use probing::Rhythm;
pub use record::ProbeRecord;
use retire::Gate;
pub use retire::Retirement;
pub(crate) use task::last_lines;

/// How many of a container's last lines explain its end.
pub const LOG_TAIL: u32 = 20;

/// Where instances report that their state changed.
pub type Changes = mpsc::UnboundedSender<InstanceId>;

/// What instances are run with.
#[derive(Clone)]
pub struct Machinery {
    /// Runs containers.
    pub engine: Arc<dyn Engine>,
    /// Asks them.
    pub prober: Arc<dyn Prober>,
    /// Hears of changes.
    pub changes: Changes,
    /// Is told, in the app's stream, what becomes of them.
    pub logs: LogSink,
    /// Where the box serves http: a part of the addresses of apps that call each other.
    pub http_port: u16,
}

/// What an instance does, as its task last found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceState {
    /// It was never ready; with what the last probe said.
    Starting {
        /// `None` before the first answer.
        last_probe: Option<String>,
        /// How many probes failed.
        probes: u32,
    },
    /// It may receive traffic.
    Ready,
    /// It was ready, and its probe fails.
    Unready {
        /// What the last probe said.
        why: String,
    },
    /// It runs and its liveness probe failed often enough: it is to be replaced.
    Dead {
        /// What the last probe said.
        why: String,
    },
    /// Its process ended.
    Exited(Exit),
    /// It could not be made or started.
    Failed {
        /// The engine's word.
        why: String,
    },
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; `None` when the container is gone.
    pub code: Option<i64>,
    /// Whether it was killed for its memory.
    pub is_out_of_memory: bool,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}

/// What is known of an instance now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What it does.
    pub state: InstanceState,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The container, once it is made.
    pub container: Option<ContainerId>,
    /// Where it listens.
    pub addr: Option<SocketAddr>,
    /// Where its further ports can be reached.
    pub more_addrs: BTreeMap<u16, SocketAddr>,
    /// What its probes said last.
    pub probes: BTreeMap<ProbeKind, ProbeRecord>,
}

/// Where an instance's container comes from.
enum Origin {
    /// It is to be made.
    New,
    /// It is there.
    Found {
        /// As it was found.
        container: Box<Container>,
        /// Whether it served when it was last seen.
        is_ready: bool,
        /// Whether it is started when it does not run.
        may_start: bool,
    },
}

/// The handle on one instance.
#[derive(Debug)]
pub struct Instance {
    labels: Labels,
    spec: Arc<InstanceSpec>,
    observed: watch::Receiver<Observation>,
    poke: Arc<Notify>,
    gate: Gate,
    task: AbortHandle,
}

impl Instance {
    /// Makes and starts a new container.
    #[must_use]
    pub fn start(app: &AppName, id: InstanceId, spec: Arc<InstanceSpec>, machinery: &Machinery) -> Self {
        Self::spawn(app, id, spec, machinery, Origin::New)
    }

    /// Takes up a container that is there already, starting it when it does not run.
    ///
    /// `is_ready` says that it served when it was last seen: it goes on to serve until a probe says otherwise.
    #[must_use]
    pub fn adopt(
        container: Container,
        spec: Arc<InstanceSpec>,
        is_ready: bool,
        machinery: &Machinery,
    ) -> Self {
        let labels = container.labels.clone();
        Self::spawn(
            &labels.app,
            labels.instance,
            spec,
            machinery,
            Origin::Found { container: Box::new(container), is_ready, may_start: true },
        )
    }

    /// Takes up a container as it is: one that does not run has ended, and is not started.
    #[must_use]
    pub fn watch_over(container: Container, spec: Arc<InstanceSpec>, machinery: &Machinery) -> Self {
        let labels = container.labels.clone();
        let container = Box::new(container);
        let origin = Origin::Found { container, is_ready: false, may_start: false };
        Self::spawn(&labels.app, labels.instance, spec, machinery, origin)
    }

    fn spawn(
        app: &AppName,
        id: InstanceId,
        spec: Arc<InstanceSpec>,
        machinery: &Machinery,
        origin: Origin,
    ) -> Self {
        let labels =
            Labels { app: app.clone(), release: spec.release, slot: spec.slot.clone(), instance: id };
        let state = match &origin {
            Origin::Found { container, is_ready: true, .. } if container.is_running() => InstanceState::Ready,
            _ => InstanceState::Starting { last_probe: None, probes: 0 },
        };
        let container = match &origin {
            Origin::New => None,
            Origin::Found { container, .. } => Some(container),
        };
        let (tx, observed) = watch::channel(Observation {
            state,
            since: crate::clock::now(),
            container: container.map(|found| found.id.clone()),
            addr: container.and_then(|found| found.addr),
            more_addrs: container.map(|found| found.more_addrs.clone()).unwrap_or_default(),
            probes: BTreeMap::new(),
        });
        let poke = Arc::new(Notify::new());
        let gate = Gate::new(observed.clone());
        let task = task::Task {
            host: labels.app.to_string(),
            labels: labels.clone(),
            spec: Arc::clone(&spec),
            machinery: machinery.clone(),
            observed: tx,
            poke: Arc::clone(&poke),
            gate: gate.clone(),
        };
        let task = tokio::spawn(task.run(origin)).abort_handle();
        Self { labels, spec, observed, poke, gate, task }
    }

    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        &self.labels.instance
    }

    /// Whose it is.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What it runs.
    #[must_use]
    pub fn spec(&self) -> &Arc<InstanceSpec> {
        &self.spec
    }

    /// What is known now.
    #[must_use]
    pub fn observed(&self) -> Observation {
        self.observed.borrow().clone()
    }

    /// A receiver that wakes at every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Observation> {
        self.observed.clone()
    }

    /// Whether it may receive traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.observed.borrow().state == InstanceState::Ready
    }

    /// Its entry in a route table; `None` unless it is ready and has an address.
    #[must_use]
    pub fn upstream(&self) -> Option<route::Upstream> {
        self.upstream_at(self.spec.port?)
    }

    /// Its entry for a TCP route to one of its ports; `None` unless it is ready and the port has an address.
    #[must_use]
    pub fn upstream_at(&self, port: u16) -> Option<route::Upstream> {
        let observed = self.observed.borrow();
        let addr = if self.spec.port == Some(port) {
            observed.addr
        } else {
            observed.more_addrs.get(&port).copied()
        };
        Some(route::Upstream {
            instance: self.labels.instance.clone(),
            slot: self.labels.slot.clone(),
            release: self.labels.release,
            addr: addr.filter(|_| observed.state == InstanceState::Ready)?,
        })
    }

    /// What is needed to take it out of service.
    #[must_use]
    pub fn retirement(&self, limits: &crate::manifest::Deploy) -> Retirement {
        Retirement {
            instance: self.labels.instance.clone(),
            slot: self.labels.slot.clone(),
            release: self.labels.release,
            container: self.observed.borrow().container.clone(),
            gate: Some(self.gate.clone()),
            limits: limits.clone(),
            stop_grace: self.spec.stop_grace,
            since: crate::clock::now(),
        }
    }

    /// Makes the task ask the engine about the container now.
    pub fn look(&self) {
        self.poke.notify_one();
    }

    /// What the engine is asked to make for it.
    fn container_spec(
        labels: &Labels,
        spec: &InstanceSpec,
        volumes: BTreeMap<String, String>,
        http_port: u16,
    ) -> ContainerSpec {
        ContainerSpec {
            labels: labels.clone(),
            image: spec.image.clone(),
            argv: spec.argv.clone(),
            env: spec.environment(http_port),
            files: spec.secrets.clone(),
            port: spec.port,
            more_ports: spec.more_ports.clone(),
            memory: spec.memory.map(|bytes| bytes.0),
            cpu: spec.cpu.map(|milli| milli.0),
            volumes,
            links: spec.links.values().cloned().collect(),
            stop_grace: spec.stop_grace,
            one_off: None,
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl InstanceState {
    /// Whether nothing more will come of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Dead { .. } | Self::Exited(_) | Self::Failed { .. })
    }
}
