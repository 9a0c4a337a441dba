//! What one slot of a release runs, with every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::PlannedPort;
use crate::environment::Value;
use crate::formation::Formation;
use crate::manifest::{Bytes, Check, Manifest, MilliCpu, PortRule, Probe, Process};
use crate::name::{AppName, ProcessType, ReleaseId, Slot};
use crate::release::Build;
use crate::route::internal_host;

/// What one slot runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// The slot.
    pub slot: Slot,
    /// The release.
    pub release: ReleaseId,
    /// The image's id.
    pub image: String,
    /// Replaces the image's command.
    pub argv: Option<Vec<String>>,
    /// The environment, but for what [`Self::environment`] adds.
    pub env: BTreeMap<String, String>,
    /// Files that are put into the container before it starts, by their paths.
    pub secrets: BTreeMap<String, Value>,
    /// The port that it listens on; `None` for a process that takes no requests.
    pub port: Option<u16>,
    /// Further ports that TCP routes lead to.
    pub more_ports: Vec<u16>,
    /// Which other apps it may call, by the variables that say where they are.
    pub links: BTreeMap<String, AppName>,
    /// When it has started: nothing else is asked before.
    pub startup: Option<Probe>,
    /// When it may receive traffic.
    pub ready: Readiness,
    /// When it is to be restarted although it runs.
    pub live: Option<Probe>,
    /// The memory limit.
    pub memory: Option<Bytes>,
    /// The CPU limit.
    pub cpu: Option<MilliCpu>,
    /// Volume name to mount path.
    pub volumes: BTreeMap<String, String>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
}

/// What is asked of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// When it has started.
    pub startup: Option<Probe>,
    /// When it is ready.
    pub ready: Readiness,
    /// While it is alive.
    pub live: Option<Probe>,
}

/// When an instance is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// When the probe passes.
    Probe(Probe),
    /// When it has run for so long.
    Settled(Duration),
}

impl InstanceSpec {
    /// How long it may take until it is ready.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let start = self.startup.as_ref().map_or(Duration::ZERO, |probe| probe.deadline);
        start + self.ready.deadline()
    }

    /// What is asked of it.
    #[must_use]
    pub fn probes(&self) -> Probes {
        Probes { startup: self.startup.clone(), ready: self.ready.clone(), live: self.live.clone() }
    }

    /// The whole environment on a box that serves http on this port: a variable for each link, unless it has another value.
    #[must_use]
    pub fn environment(&self, http_port: u16) -> BTreeMap<String, String> {
        with_links(&self.links, http_port, self.env.clone())
    }
}

impl Readiness {
    /// How long the first success may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match self {
            Self::Probe(probe) => probe.deadline,
            // Only an engine that takes a minute to start a container makes this late.
            Self::Settled(time) => *time + Duration::from_secs(60),
        }
    }
}

/// The specs of every slot, in order.
pub(super) fn instances(
    app: &AppName,
    release: ReleaseId,
    manifest: &Manifest,
    build: &Build,
    formation: &Formation,
) -> Vec<InstanceSpec> {
    let mut specs = Vec::new();
    for (name, process) in &manifest.processes {
        let port = manifest.port_of(name, &build.exposed_ports);
        let rules = manifest.ports.iter().filter(|rule| rule.process == *name);
        let more_ports: BTreeSet<u16> =
            rules.filter_map(|rule| rule.port.filter(|_| rule.port != port)).collect();
        for number in 1..=formation.count(name, process.replicas) {
            let slot = Slot { process: name.clone(), number };
            specs.push(InstanceSpec {
                env: environment(app, release, &slot, port, manifest),
                secrets: manifest.secrets.clone(),
                slot,
                release,
                image: build.image.clone(),
                argv: process.command.as_ref().map(crate::manifest::Command::argv),
                port,
                more_ports: more_ports.iter().copied().collect(),
                links: links(manifest),
                startup: process.startup.clone(),
                ready: readiness(process, name, port, build),
                live: process.live.clone(),
                memory: process.memory,
                cpu: process.cpu,
                volumes: manifest
                    .volumes
                    .iter()
                    .map(|(name, volume)| (name.clone(), volume.path.clone()))
                    .collect(),
                stop_grace: process.stop_grace,
            });
        }
    }
    specs
}

/// The TCP ports, each with its place in the container.
pub(super) fn ports(manifest: &Manifest, build: &Build) -> Vec<PlannedPort> {
    let planned = |rule: &PortRule| {
        Some(PlannedPort {
            listen: rule.listen,
            process: rule.process.clone(),
            port: rule.port.or_else(|| manifest.port_of(&rule.process, &build.exposed_ports))?,
            send_proxy: rule.send_proxy,
            accept_proxy: rule.accept_proxy,
            drain: rule.drain.unwrap_or(manifest.deploy.websocket_drain),
        })
    };
    manifest.ports.iter().filter_map(planned).collect()
}

/// The environment with a variable for each link, unless it has another value.
pub(super) fn with_links(
    links: &BTreeMap<String, AppName>,
    http_port: u16,
    env: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let port = if http_port == 80 { String::new() } else { format!(":{http_port}") };
    let address = |app: &AppName| format!("http://{}{port}", internal_host(app));
    let mut all: BTreeMap<_, _> =
        links.iter().map(|(variable, app)| (variable.clone(), address(app))).collect();
    all.extend(env);
    all
}

pub(super) fn links(manifest: &Manifest) -> BTreeMap<String, AppName> {
    manifest.links.iter().map(|link| (link.variable.clone(), link.app.clone())).collect()
}

fn readiness(process: &Process, name: &ProcessType, port: Option<u16>, build: &Build) -> Readiness {
    let probe = process.ready_probe(name, port, build.has_healthcheck);
    probe.map_or(Readiness::Settled(Process::SETTLE_TIME), Readiness::Probe)
}

fn environment(
    app: &AppName,
    release: ReleaseId,
    slot: &Slot,
    port: Option<u16>,
    manifest: &Manifest,
) -> BTreeMap<String, String> {
    let port = port.map(|port| ("PORT".to_owned(), port.to_string()));
    of_slot(slot).into_iter().chain(of_release(app, release, manifest)).chain(port).collect()
}

/// What every process of a release has in its environment; the manifest's goes before ours.
pub(super) fn of_release(app: &AppName, release: ReleaseId, manifest: &Manifest) -> BTreeMap<String, String> {
    let ours = [("MINIPAAS_APP", app.to_string()), ("MINIPAAS_RELEASE", release.to_string())];
    ours.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(manifest.env.clone()).collect()
}

/// What only the process in this slot has.
pub(super) fn of_slot(slot: &Slot) -> [(String, String); 2] {
    [("MINIPAAS_PROCESS", slot.process.to_string()), ("MINIPAAS_INSTANCE", slot.to_string())]
        .map(|(key, value)| (key.to_owned(), value))
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled(time) => write!(f, "runs for {time:?}"),
            Self::Probe(probe) => write!(f, "{} within {:?}", probe.check, probe.deadline),
        }
    }
}

impl fmt::Display for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(startup) = &self.startup {
            write!(f, "started once {} within {:?}, then ", startup.check, startup.deadline)?;
        }
        write!(f, "{}", self.ready)?;
        match &self.live {
            Some(live) => write!(f, ", alive while {}", live.check),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { path, port: None } => write!(f, "GET {path}"),
            Self::Http { path, port: Some(port) } => write!(f, "GET :{port}{path}"),
            Self::Tcp { port: None } => write!(f, "accepts connections"),
            Self::Tcp { port: Some(port) } => write!(f, "accepts connections on {port}"),
            Self::Command(command) => write!(f, "`{command}` exits with 0"),
            Self::Docker => write!(f, "the image's HEALTHCHECK passes"),
            Self::Grpc { service, port } => {
                write!(f, "gRPC health")?;
                service.iter().try_for_each(|service| write!(f, " of {service}"))?;
                port.iter().try_for_each(|port| write!(f, " on {port}"))
            }
            Self::Hootsuite { path, port } => {
                write!(f, "health checks at ")?;
                port.iter().try_for_each(|port| write!(f, ":{port}"))?;
                f.write_str(path)
            }
        }
    }
}
