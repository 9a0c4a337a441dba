//! Services: by which name the instances of a process type are found, by the entrance and by other apps.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::{Entrance, Labels, NAME_LENGTH_MAX, Object, Subject};
use super::draft::{Annotations, Draft};
use super::rule::Rule;
use super::traefik;
use crate::manifest::PortRule;
use crate::name::ProcessType;
use crate::policy::Balance;

/// The port that every Service of a process type has, as the box's entrance has it.
pub(super) const PORT: i32 = 80;
/// What that port, and the one in the pod, is called.
pub(super) const PORT_NAME: &str = "http";
/// HTTP/2 with prior knowledge, as Services say it (KEP-3726).
const H2C: &str = "kubernetes.io/h2c";

/// A Service for each process type that is routed to, public or not, and for `web`, which linked apps find by the app's name.
pub(super) fn add(subject: &Subject, rules: &[Rule], draft: &mut Draft<'_, '_>) {
    let routed: BTreeSet<&ProcessType> = subject.manifest.routes.iter().map(|route| &route.process).collect();
    for process in subject.manifest.processes.keys() {
        if !process.is_web() && !routed.contains(process) {
            continue;
        }
        let name = draft.names().process(process);
        let of_it: Vec<_> = rules.iter().filter(|rule| rule.service == name).collect();
        let annotations = annotations(&name, &of_it, draft);
        let mut port = http_port(&of_it);
        port.target_port = Some(IntOrString::String(PORT_NAME.to_owned()));
        let spec = ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(Labels::of(draft.app).selector(process.as_str())),
            session_affinity: session_affinity(&of_it, draft),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        };
        add_service(process, name, spec, &annotations, draft);
    }
    add_ports(subject, draft);
}

/// What Services of HTTP have in common: `http` at 80.
pub(super) fn http_port(rules: &[&Rule]) -> ServicePort {
    let speaks_http2 = rules.iter().any(|rule| rule.speaks_http2);
    ServicePort {
        name: Some(PORT_NAME.to_owned()),
        port: PORT,
        app_protocol: speaks_http2.then(|| H2C.to_owned()),
        ..ServicePort::default()
    }
}

/// What the entrance reads off the Service.
pub(super) fn annotations(name: &str, rules: &[&Rule], draft: &mut Draft<'_, '_>) -> Annotations {
    match &draft.options.entrance {
        Entrance::Ingress(class) if class == traefik::CLASS => traefik::of_service(name, rules, draft),
        _ => Annotations::default(),
    }
}

/// The container's port that a `[[port]]` leads to.
pub(super) fn target(port: &PortRule) -> IntOrString {
    port.port
        .map_or_else(|| IntOrString::String(PORT_NAME.to_owned()), |port| IntOrString::Int(i32::from(port)))
}

/// The controllers that are known go to the pods themselves, so that this is for callers inside of the cluster alone. Others
/// may come from one address for all of their clients, who would then all have the same instance.
fn session_affinity(rules: &[&Rule], draft: &Draft<'_, '_>) -> Option<String> {
    let goes_to_pods = match &draft.options.entrance {
        Entrance::Ingress(class) => class == super::nginx::CLASS || class == traefik::CLASS,
        Entrance::Gateway(_) => false,
    };
    let is_wanted = rules.iter().any(|rule| rule.policy.balance == Balance::ClientIp);
    (goes_to_pods && is_wanted).then(|| "ClientIP".to_owned())
}

fn add_service(
    process: &ProcessType,
    name: String,
    spec: ServiceSpec,
    annotations: &Annotations,
    draft: &mut Draft<'_, '_>,
) {
    let labels = Labels::of(draft.app).part(process.as_str());
    let metadata = ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() };
    let service = Service { metadata: annotations.on(metadata), spec: Some(spec), ..Service::default() };
    draft.add(annotations.comment(Object::new(draft.app, &service)));
}

// === [[port]] ===

/// A Service of type LoadBalancer for each process type with `[[port]]`s: what else gives a cluster a port of its own. It is
/// not the Service of HTTP, which would be open to the world with it.
fn add_ports(subject: &Subject, draft: &mut Draft<'_, '_>) {
    let mut by_process: BTreeMap<&ProcessType, Vec<&PortRule>> = BTreeMap::new();
    for port in &subject.manifest.ports {
        by_process.entry(&port.process).or_default().push(port);
        note_port(port, draft);
    }
    for (process, rules) in by_process {
        let part = if process.is_web() { "tcp".to_owned() } else { format!("{process}-tcp") };
        let name = draft.names().part(&part, NAME_LENGTH_MAX);
        let ports = rules.iter().map(|rule| ServicePort {
            name: Some(format!("tcp-{}", rule.listen)),
            port: i32::from(rule.listen),
            protocol: Some("TCP".to_owned()),
            target_port: Some(target(rule)),
            ..ServicePort::default()
        });
        let spec = ServiceSpec {
            type_: Some("LoadBalancer".to_owned()),
            selector: Some(Labels::of(draft.app).selector(process.as_str())),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        };
        add_service(process, name, spec, &Annotations::default(), draft);
    }
}

fn note_port(port: &PortRule, draft: &mut Draft<'_, '_>) {
    let what = format!("[[port]] {}", port.listen);
    draft.todo(
        &what,
        "the cluster must have a load balancer for Services of type LoadBalancer; clients connect to its address",
    );
    if let Some(version) = port.send_proxy {
        draft.todo(
            &what,
            format!(
                "no Service sends the PROXY protocol, which the app expects (`{}`): have the load balancer send it, by the \
                 annotation of its maker",
                match version {
                    crate::policy::ProxyVersion::V1 => "v1",
                    crate::policy::ProxyVersion::V2 => "v2",
                }
            ),
        );
    }
    if port.accept_proxy {
        draft.changed(
            &what,
            "a Service passes the PROXY protocol of a proxy in front on to the app, which has to read it itself",
        );
    }
    if port.drain.is_some() {
        draft.changed(
            &what,
            "connections to a replaced pod last as long as its `terminationGracePeriodSeconds`, and not as long as `drain`",
        );
    }
}
