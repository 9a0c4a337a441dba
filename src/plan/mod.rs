//! What a deploy would do, as data.
//!
//! [`plan`] is pure and deterministic: the same manifest, build and running release give the same [`Plan`], byte for byte.
//! `up --plan` prints it, a rollout carries it out, and tests compare it as text. It decides the two things that are policy:
//!
//! - **What runs**: each slot's [`InstanceSpec`], with every default filled in from the manifest and the image.
//! - **In which order**: start-first, so that the old release serves until the new one is ready; stop-first when the app has
//!   a volume, because two releases must not write to it at once. Then the proxy holds requests instead of failing them.

mod canonical;
mod domains;
mod external;
mod one_off;
mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::autoscale::Autoscale;
use crate::environment::Value;
use crate::formation::Formation;
use crate::manifest::{CronJob, Deploy, Link, Manifest, RouteRule};
use crate::name::{AppName, Host, PathPrefix, ProcessType, ReleaseId, Slot};
use crate::policy::{Policy, ProxyVersion};
use crate::release::Build;
use crate::route::Share;

pub use canonical::{NoSuchHost, check_canonical_hosts};
pub use external::external;
pub use one_off::{OneOffSpec, PlannedCommand};
pub use spec::{InstanceSpec, Probes, Readiness};

/// What is known of the app before the deploy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The release that serves, with the slots that run for it.
    pub current: Option<(ReleaseId, Vec<Slot>)>,
    /// The hosts that were given to it by command.
    pub domains: Vec<Host>,
}

/// Which side of a swap goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOrder {
    /// New instances are ready before an old one is touched.
    StartFirst,
    /// Old instances stop before new ones start; requests are held meanwhile.
    StopFirst,
}

/// A route of the app, with its host resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRoute {
    /// The host.
    pub host: Host,
    /// The path prefix.
    pub path: PathPrefix,
    /// The process type that answers.
    pub process: ProcessType,
    /// Whether the prefix is taken off.
    pub strip_prefix: bool,
    /// How the proxy treats its requests.
    pub policy: Arc<Policy>,
    /// Whether a command gave its host, and not the manifest.
    pub is_added: bool,
}

/// A TCP port of the app, with its place in the container resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPort {
    /// The port of the box, on every interface.
    pub listen: u16,
    /// The process type that answers.
    pub process: ProcessType,
    /// The port in the container.
    pub port: u16,
    /// Whether and how the process is told who is connected.
    pub send_proxy: Option<ProxyVersion>,
    /// Whether trusted proxies in front say who is connected.
    pub accept_proxy: bool,
    /// How long connections to a replaced instance may last.
    pub drain: Duration,
}

/// One step of a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The release's own command is run to its end.
    Release {
        /// The command.
        command: String,
        /// How long it may take.
        deadline: Duration,
    },
    /// Requests wait from here to [`Step::Switch`].
    Hold,
    /// A new instance is made and started.
    Start(Slot),
    /// All new instances are ready at the same moment.
    AwaitReady {
        /// How that is asked, for each process type.
        checks: Vec<(ProcessType, Probes)>,
    },
    /// The new instances get a share of the requests, until it is decided about them.
    Canary {
        /// Which.
        share: Share,
        /// After how long they get all by themselves; `None`: when somebody says so.
        time: Option<Duration>,
    },
    /// One new route table is published: no request starts on an old instance after it.
    Switch {
        /// What is routed afterwards.
        routes: Vec<PlannedRoute>,
        /// Which ports lead to it afterwards.
        ports: Vec<PlannedPort>,
    },
    /// The new release is compared with the old one, whose instances are kept for so long.
    Watch(Duration),
    /// Requests on the old instances finish.
    Drain {
        /// The limits.
        limits: Deploy,
    },
    /// Old instances get SIGTERM, time, and SIGKILL.
    Stop {
        /// The release that they belong to.
        release: ReleaseId,
        /// The old instances.
        slots: Vec<Slot>,
    },
}

/// A process type of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedProcess {
    /// How many instances of it run; those are in [`Plan::instances`].
    pub replicas: u32,
    /// How many the manifest says.
    pub manifest: u32,
    /// By what rule the number changes.
    pub autoscale: Option<Autoscale>,
}

/// A job of the app that runs at times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedJob {
    /// What it is and when it runs.
    pub job: CronJob,
    /// What runs: the job's own command in the release's image and environment, without a port and without volumes.
    pub spec: OneOffSpec,
}

/// A deploy, ready to be carried out or printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The app.
    pub app: AppName,
    /// The release that is to serve.
    pub release: ReleaseId,
    /// The release that serves now.
    pub replaces: Option<ReleaseId>,
    /// Which side goes first.
    pub order: UpdateOrder,
    /// The image's id.
    pub image: String,
    /// The environment that all of the release's processes share.
    pub env: BTreeMap<String, String>,
    /// The files that all of its containers have, by their paths.
    pub secrets: BTreeMap<String, Value>,
    /// What is run to its end before anything else.
    pub command: Option<PlannedCommand>,
    /// What runs afterwards, in the order of the slots.
    pub instances: Vec<InstanceSpec>,
    /// Every process type, those without an instance, too.
    pub processes: BTreeMap<ProcessType, PlannedProcess>,
    /// The jobs that run at times, by name.
    pub jobs: BTreeMap<String, PlannedJob>,
    /// What is routed afterwards.
    pub routes: Vec<PlannedRoute>,
    /// What a host that a command gives is routed like; `None` where nothing takes its requests.
    pub domain_route: Option<PlannedRoute>,
    /// Which TCP ports lead to it afterwards.
    pub ports: Vec<PlannedPort>,
    /// Which other apps it may call, and how it is told where they are.
    pub links: Vec<Link>,
    /// How long old instances may take to finish.
    pub limits: Deploy,
    /// Everything, in order.
    pub steps: Vec<Step>,
}

/// The plan that makes `release` of `app` serve under `domain`, with as many instances as `formation` says, else the manifest.
#[must_use]
pub fn plan(
    app: &AppName,
    release: ReleaseId,
    manifest: &Manifest,
    build: &Build,
    domain: &str,
    formation: &Formation,
    observed: &Observed,
) -> Plan {
    let mut routes = routes(app, manifest, domain);
    let domain_route = default_route(app, manifest, domain);
    domains::add(&mut routes, domain_route.as_ref(), &observed.domains);
    let instances = spec::instances(app, release, manifest, build, formation);
    let ports = spec::ports(manifest, build);
    // An instance is stopped once both its WebSockets and its ports' connections have had their time.
    let longest = ports.iter().map(|port| port.drain).chain([manifest.deploy.websocket_drain]).max();
    let websocket_drain = longest.unwrap_or(manifest.deploy.websocket_drain);
    let limits = Deploy { websocket_drain, ..manifest.deploy.clone() };
    // Two instances of different releases must not write to one volume at once; without a volume there is nothing to share.
    let is_swap = observed.current.is_some();
    let order = if is_swap && !manifest.volumes.is_empty() {
        UpdateOrder::StopFirst
    } else {
        UpdateOrder::StartFirst
    };

    let starts = instances.iter().map(|spec| Step::Start(spec.slot.clone()));
    let mut checks: Vec<_> =
        instances.iter().map(|spec| (spec.slot.process.clone(), spec.probes())).collect();
    checks.dedup();
    let ready = Step::AwaitReady { checks };
    let switch = Step::Switch { routes: routes.clone(), ports: ports.clone() };
    let old = observed.current.iter().filter(|(_, slots)| !slots.is_empty());
    let drain_and_stop = old.flat_map(|(release, slots)| {
        [Step::Drain { limits: limits.clone() }, Step::Stop { release: *release, slots: slots.clone() }]
    });
    let release_step = manifest
        .release
        .as_ref()
        .map(|release| Step::Release { command: release.command.to_string(), deadline: release.deadline });
    let mut steps: Vec<_> = release_step.into_iter().collect();
    match order {
        UpdateOrder::StartFirst => {
            steps.extend(starts);
            steps.push(ready);
            let canary = manifest.deploy.canary.clone().filter(|_| is_swap);
            steps.extend(canary.map(|share| Step::Canary { share, time: manifest.deploy.canary_for }));
            steps.push(switch);
            steps.extend(manifest.deploy.watch_window.filter(|_| is_swap).map(Step::Watch));
            steps.extend(drain_and_stop);
        }
        UpdateOrder::StopFirst => {
            steps.push(Step::Hold);
            steps.extend(drain_and_stop);
            steps.extend(starts);
            steps.push(ready);
            steps.push(switch);
        }
    }
    let plan = Plan {
        app: app.clone(),
        release,
        replaces: observed.current.as_ref().map(|(release, _)| *release),
        order,
        image: build.image.clone(),
        env: spec::of_release(app, release, manifest),
        secrets: manifest.secrets.clone(),
        command: None,
        instances,
        processes: processes(manifest, formation),
        jobs: BTreeMap::new(),
        routes,
        domain_route,
        ports,
        links: manifest.links.clone(),
        limits,
        steps,
    };
    let jobs =
        manifest.cron.iter().filter_map(|(name, job)| Some((name.clone(), plan.planned_job(job)?))).collect();
    Plan {
        command: manifest.release.as_ref().and_then(|release| plan.planned_command(release)),
        jobs,
        ..plan
    }
}

fn processes(manifest: &Manifest, formation: &Formation) -> BTreeMap<ProcessType, PlannedProcess> {
    let planned = manifest.processes.iter().map(|(name, process)| {
        let planned = PlannedProcess {
            replicas: formation.count(name, process.replicas),
            manifest: process.replicas,
            autoscale: formation.rule(name, process.autoscale.as_ref()),
        };
        (name.clone(), planned)
    });
    planned.collect()
}

impl Plan {
    /// Whether every canonical host is one that the app has.
    ///
    /// # Errors
    ///
    /// [`NoSuchHost`].
    pub fn check_canonical_hosts(&self) -> Result<(), NoSuchHost> {
        let hosts: Vec<_> = self.routes.iter().map(|route| &route.host).collect();
        check_canonical_hosts(&hosts, self.routes.iter().map(|route| &*route.policy))
    }

    /// Which requests the release gets at first, if not all; without one that serves, it gets all.
    #[must_use]
    pub fn canary(&self) -> Option<&Share> {
        self.limits.canary.as_ref().filter(|_| self.replaces.is_some())
    }
}

/// The app's routes: `<app>.<domain>` to `web` when there is one and no rule says otherwise, then the rules.
fn routes(app: &AppName, manifest: &Manifest, domain: &str) -> Vec<PlannedRoute> {
    let own = Host::Exact(format!("{app}.{domain}"));
    let planned = |rule: &RouteRule| planned_route(rule, &own);
    let mut routes: Vec<_> = manifest.routes.iter().map(planned).collect();
    let is_taken = routes.iter().any(|route| route.host == own && route.path == PathPrefix::root());
    routes.splice(0..0, default_route(app, manifest, domain).filter(|_| !is_taken));
    routes
}

/// `<app>.<domain>` to `web`, when there is one.
fn default_route(app: &AppName, manifest: &Manifest, domain: &str) -> Option<PlannedRoute> {
    let rule = RouteRule {
        host: None,
        path: PathPrefix::root(),
        process: ProcessType::web(),
        strip_prefix: false,
        policy: Arc::clone(&manifest.proxy),
    };
    let own = Host::Exact(format!("{app}.{domain}"));
    manifest.processes.contains_key(&ProcessType::web()).then(|| planned_route(&rule, &own))
}

fn planned_route(rule: &RouteRule, own: &Host) -> PlannedRoute {
    PlannedRoute {
        host: rule.host.clone().unwrap_or_else(|| own.clone()),
        path: rule.path.clone(),
        process: rule.process.clone(),
        strip_prefix: rule.strip_prefix,
        policy: Arc::clone(&rule.policy),
        is_added: false,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replaces {
            Some(old) => writeln!(f, "{} {old} -> {}", self.app, self.release)?,
            None => writeln!(f, "{} {} (first release)", self.app, self.release)?,
        }
        if !self.links.is_empty() {
            let links = self.links.iter().map(|link| format!("{} as {}", link.app, link.variable));
            writeln!(f, "  link    {}", links.collect::<Vec<_>>().join(", "))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |slots: &[Slot]| slots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Release { command, deadline } => write!(f, "release `{command}` within {deadline:?}"),
            Self::Hold => write!(f, "hold    requests wait, because a volume has one writer"),
            Self::Start(slot) => write!(f, "start   {slot}"),
            Self::AwaitReady { checks } => {
                let checks: Vec<_> =
                    checks.iter().map(|(process, ready)| format!("{process}: {ready}")).collect();
                write!(f, "ready   {}", checks.join("; "))
            }
            Self::Canary { share, time: None } => {
                write!(f, "canary  {share} until `minipaas canary promote`")
            }
            Self::Canary { share, time: Some(time) } => {
                write!(f, "canary  {share} for {time:?}, and away if it fails clearly more often")
            }
            Self::Watch(window) => write!(f, "watch   {window:?}, and back if it fails clearly more often"),
            Self::Switch { routes, ports } if routes.is_empty() && ports.is_empty() => {
                write!(f, "switch  no routes")
            }
            Self::Switch { routes, ports } => {
                let routes =
                    routes.iter().map(|route| format!("{}{} -> {}", route.host, route.path, route.process));
                let ports = ports
                    .iter()
                    .map(|port| format!("tcp :{} -> {}:{}", port.listen, port.process, port.port));
                write!(f, "switch  {}", routes.chain(ports).collect::<Vec<_>>().join(", "))
            }
            Self::Drain { limits } => {
                write!(
                    f,
                    "drain   requests up to {:?}, websockets up to {:?}",
                    limits.drain, limits.websocket_drain
                )
            }
            Self::Stop { release, slots } => write!(f, "stop    {release} {}", list(slots)),
        }
    }
}

#[cfg(test)]
mod tests;
