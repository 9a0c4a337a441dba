//! A process type, as a Deployment.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    ContainerPort, Lifecycle, LifecycleHandler, PodTemplateSpec, SleepAction, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::autoscale::Scale;
use super::pod::Pod;
use super::probe::{self, PORT_NAME, Probes};
use super::{Draft, unit, volume};
use crate::export::object::{NoteKind, Object, Sheet};
use crate::manifest::Process;
use crate::name::ProcessType;

/// How long the word that a pod ends takes to reach whoever sends it requests: kube-proxies, ingress controllers.
const ENDPOINTS_SETTLE: Duration = Duration::from_secs(5);
/// How long a pod may take to find a node and pull its image, which the box has already done when its deadline begins.
const SCHEDULE_TIME: Duration = Duration::from_secs(5 * 60);
/// How many more pods than wanted a rollout may start: one of up to four.
const SURGE: &str = "25%";
/// How many earlier ReplicaSets `kubectl rollout undo` can go back to.
const REVISIONS: i32 = 10;
/// Why a release is, as `kubectl rollout history` shows it.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// One process type, as it is exported.
struct Part<'a> {
    draft: &'a Draft<'a>,
    name: &'a ProcessType,
    process: &'a Process,
    port: Option<u16>,
    /// Other ports that TCP routes lead to.
    more_ports: Vec<u16>,
    scale: Scale,
}

/// Adds a Deployment for each process type.
pub(super) fn add(draft: &Draft<'_>, sheet: &mut Sheet<'_>) {
    for (name, process) in &draft.subject.manifest.processes {
        let part = Part::of(draft, name, process);
        let probes = probe::probes(draft, name, process, part.port, sheet);
        sheet.add(part.deployment(probes));
        part.note(sheet);
    }
}

impl<'a> Part<'a> {
    fn of(draft: &'a Draft<'a>, name: &'a ProcessType, process: &'a Process) -> Self {
        let manifest = &draft.subject.manifest;
        let port = manifest.port_of(name, &draft.subject.image.exposed_ports);
        let rules = manifest.ports.iter().filter(|rule| rule.process == *name);
        let mut more_ports: Vec<_> =
            rules.filter_map(|rule| rule.port.filter(|_| rule.port != port)).collect();
        more_ports.sort_unstable();
        more_ports.dedup();
        Self { draft, name, process, port, more_ports, scale: Scale::of(process) }
    }

    fn deployment(&self, probes: Probes) -> Object {
        let subject = self.draft.subject;
        let pod = Pod {
            part: self.name.as_str(),
            command: self.process.command.as_ref(),
            memory: self.process.memory,
            cpu: self.process.cpu,
            port: self.port,
            ports: self.port.into_iter().chain(self.more_ports.iter().copied()).collect(),
            volumes: volume::mounts(self.draft),
            runs_once: false,
        };
        let mut metadata = self.draft.metadata(self.draft.names.process(self.name), Some(self.name.as_str()));
        let cause = format!("{}: {}", subject.release, subject.summary);
        metadata.annotations = Some([(CHANGE_CAUSE.to_owned(), cause)].into());
        let (settle, time) = (probes.settle, probes.deadline);
        let deployment = Deployment {
            metadata,
            spec: Some(DeploymentSpec {
                replicas: self.scale.replicas(),
                selector: self.selector(),
                strategy: Some(self.strategy()),
                min_ready_seconds: settle.map(unit::positive),
                progress_deadline_seconds: Some(unit::positive(time + SCHEDULE_TIME)),
                revision_history_limit: Some(REVISIONS),
                template: self.completed(pod.template(self.draft), probes),
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        };
        let object = Object::new(&subject.app, &deployment);
        let object = self.commented(pod.commented(object, "/spec/template", &self.draft.user));
        let text = format!(
            "{} s to become ready, and {} s to find a node and pull the image",
            unit::seconds(time),
            SCHEDULE_TIME.as_secs()
        );
        let object = object.comment("/spec/progressDeadlineSeconds", text);
        match settle {
            Some(_) => object.comment(
                "/spec/minReadySeconds",
                "nothing is asked of it: it counts once it has run so long",
            ),
            None => object,
        }
    }

    /// With what is said of how many there are, and of how they come and go.
    fn commented(&self, mut object: Object) -> Object {
        if self.scale.is_automatic() {
            object = object.comment("/spec", "no `replicas`: the HorizontalPodAutoscaler sets them");
        }
        if self.stops_first() {
            object = object.comment(
                "/spec/strategy",
                "the old pods end before the new ones start: two releases must not write to one volume at a time",
            );
        }
        if self.takes_traffic() {
            object =
                object.comment("/spec/template/spec/containers/0/lifecycle/preStop", self.wait_comment());
        }
        object.comment("/spec/template/spec/terminationGracePeriodSeconds", self.grace_comment())
    }

    fn selector(&self) -> LabelSelector {
        let labels = self.draft.labels.selector(self.name.as_str());
        LabelSelector { match_labels: Some(labels), match_expressions: None }
    }

    /// The pod with what only a process type has.
    fn completed(&self, mut template: PodTemplateSpec, probes: Probes) -> PodTemplateSpec {
        let spec = template.spec.as_mut().expect("a pod was made with its spec");
        spec.termination_grace_period_seconds = Some(self.grace().as_secs().cast_signed());
        spec.topology_spread_constraints = (self.scale.least() > 1).then(|| {
            vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".to_owned(),
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                label_selector: Some(self.selector()),
                ..TopologySpreadConstraint::default()
            }]
        });
        let container = spec.containers.first_mut().expect("a pod was made with its container");
        let named = |name: String, port: u16| ContainerPort {
            name: Some(name),
            container_port: i32::from(port),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        };
        let own = self.port.map(|port| named(PORT_NAME.to_owned(), port));
        let more = self.more_ports.iter().map(|port| named(format!("tcp-{port}"), *port));
        let ports: Vec<_> = own.into_iter().chain(more).collect();
        container.ports = (!ports.is_empty()).then_some(ports);
        container.lifecycle = self.takes_traffic().then(|| {
            let sleep = SleepAction { seconds: self.wait().as_secs().cast_signed() };
            let pre_stop = LifecycleHandler { sleep: Some(sleep), ..LifecycleHandler::default() };
            Lifecycle { pre_stop: Some(pre_stop), ..Lifecycle::default() }
        });
        container.startup_probe = probes.startup;
        container.readiness_probe = probes.readiness;
        container.liveness_probe = probes.liveness;
        template
    }

    fn strategy(&self) -> DeploymentStrategy {
        if self.stops_first() {
            return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
        }
        DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::String(SURGE.to_owned())),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        }
    }

    fn stops_first(&self) -> bool {
        !self.draft.subject.manifest.volumes.is_empty()
    }

    fn takes_traffic(&self) -> bool {
        self.port.is_some() || !self.more_ports.is_empty()
    }

    /// From the word that a pod ends until it gets SIGTERM.
    ///
    /// On the box requests finish before that, so an app need not know how to end them; here, too. Only where nothing serves until
    /// the pod is gone is its end not put off.
    fn wait(&self) -> Duration {
        if self.stops_first() { ENDPOINTS_SETTLE } else { ENDPOINTS_SETTLE + self.drain() }
    }

    fn drain(&self) -> Duration {
        whole(self.draft.subject.manifest.deploy.drain)
    }

    /// From the word that a pod ends until it gets SIGKILL.
    fn grace(&self) -> Duration {
        let stop = whole(self.process.stop_grace);
        // 0 would be SIGKILL at once, by force.
        if self.takes_traffic() {
            ENDPOINTS_SETTLE + self.drain() + stop
        } else {
            stop.max(Duration::from_secs(1))
        }
    }

    fn wait_comment(&self) -> String {
        let settle = ENDPOINTS_SETTLE.as_secs();
        if self.stops_first() {
            return format!(
                "{settle} s until nobody sends requests; no longer, as none is served until this pod is gone"
            );
        }
        format!(
            "{settle} s until nobody sends requests, and {} s (`drain`) for those that go on, before SIGTERM",
            self.drain().as_secs()
        )
    }

    fn grace_comment(&self) -> String {
        let stop = whole(self.process.stop_grace).as_secs();
        if self.takes_traffic() {
            let (settle, drain) = (ENDPOINTS_SETTLE.as_secs(), self.drain().as_secs());
            format!("{settle} s for endpoints, {drain} s `drain`, {stop} s `stop_grace`")
        } else {
            format!("{stop} s `stop_grace`; nobody sends it requests that would have to finish")
        }
    }

    fn note(&self, sheet: &mut Sheet<'_>) {
        let deploy = &self.draft.subject.manifest.deploy;
        if self.takes_traffic() && deploy.websocket_drain > self.wait() {
            let text = format!(
                "WebSockets and TCP connections have {} s, as other requests, and end with the pod: have clients connect again, \
                 or raise the `preStop` sleep and `terminationGracePeriodSeconds`",
                self.wait().as_secs()
            );
            sheet.note(NoteKind::Changed, "[deploy] websocket_drain", text);
        }
        if self.stops_first() {
            sheet.note(
                NoteKind::Dropped,
                "[volume] deploys",
                "the box holds requests while a release with a volume takes over; a cluster answers them with 503 until the new pod is \
                 ready: deploy when few look, or move what is kept into a database",
            );
        }
    }
}

fn whole(duration: Duration) -> Duration {
    Duration::from_secs(unit::seconds(duration).into())
}
