//! Who may reach an app's pods, and nobody else may: on a cluster every pod reaches every other, on the box none does.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::{Entrance, Object, Subject};
use super::draft::Draft;
use super::rule::is_public;
use super::{nginx, service, traefik};
use crate::name::AppName;

/// What names the app among the labels of its pods.
const APP_LABEL: &str = "app.kubernetes.io/name";
/// The label that every namespace has its own name in.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Lets in what the box lets in: the entrance, linked apps, and clients of `[[port]]`s.
///
/// What leaves the pods is not limited. On the box an app may call the world and no other app; here the others refuse it
/// themselves, each by its own policy, so there is nothing to list, and name servers need no exception.
pub(super) fn add(subjects: &[Subject], subject: &Subject, draft: &mut Draft<'_, '_>) {
    let mut ingress = vec![of_app(draft.app)];
    if is_public(subject) {
        ingress.push(rule(entrance(draft), vec![port(IntOrString::String(service::PORT_NAME.to_owned()))]));
    }
    let calls = |other: &&Subject| other.manifest.links.iter().any(|link| link.app == *draft.app);
    let mut callers: Vec<_> = subjects.iter().filter(calls).map(|other| &other.app).collect();
    callers.sort();
    if !callers.is_empty() {
        let peers = callers.iter().map(|app| pods_of(app)).collect();
        ingress.push(rule(peers, vec![port(IntOrString::String(service::PORT_NAME.to_owned()))]));
        note_paths(subject, &callers, draft);
    }
    for tcp in &subject.manifest.ports {
        // Everybody: a load balancer has no name here.
        ingress.push(NetworkPolicyIngressRule { from: None, ports: Some(vec![port(service::target(tcp))]) });
    }
    let spec = NetworkPolicySpec {
        pod_selector: Some(selector(APP_LABEL, draft.app.as_str())),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(ingress),
        egress: None,
    };
    let metadata = draft.metadata(draft.names().app());
    let policy = NetworkPolicy { metadata, spec: Some(spec) };
    let object = Object::new(draft.app, &policy).comment(
        "/spec/ingress",
        "the app's own pods, the entrance, linked apps, and nobody else; what the app itself calls is not limited",
    );
    draft.add(object);
}

/// The pods of whatever carries requests into the cluster.
fn entrance(draft: &mut Draft<'_, '_>) -> Vec<NetworkPolicyPeer> {
    let what = "NetworkPolicy";
    match draft.options.entrance.clone() {
        Entrance::Ingress(class) if class == nginx::CLASS => vec![namespace("ingress-nginx")],
        Entrance::Ingress(class) if class == traefik::CLASS => {
            // k3s has it beside its own pods.
            let mut of_k3s = namespace("kube-system");
            of_k3s.pod_selector = Some(selector(APP_LABEL, "traefik"));
            vec![namespace("traefik"), of_k3s]
        }
        Entrance::Ingress(class) => {
            draft.changed(
                what,
                format!("pods of every namespace reach the app's http ports, as nobody here knows where class `{class}` runs"),
            );
            vec![anywhere()]
        }
        Entrance::Gateway(gateway) => match gateway.split_once('/') {
            Some((its, _)) => {
                draft.todo(
                    what,
                    format!("the app lets in pods of namespace `{its}`; if the Gateway's pods run elsewhere, name that one"),
                );
                vec![namespace(its)]
            }
            None => {
                draft.changed(
                    what,
                    "pods of every namespace reach the app's http ports, as the Gateway was named without its namespace",
                );
                vec![anywhere()]
            }
        },
    }
}

/// The box gives callers every route of the app's own host; a Service is one process type.
fn note_paths(subject: &Subject, callers: &[&AppName], draft: &mut Draft<'_, '_>) {
    for route in
        subject.manifest.routes.iter().filter(|route| route.host.is_none() && route.path.as_str() != "/")
    {
        let names: Vec<_> = callers.iter().map(|app| format!("`{app}`")).collect();
        draft.changed(
            &format!("[[route]] {}", route.path),
            format!(
                "linked apps ({}) find `web` at `http://{}`, whatever the path; those that call this route call `http://{}`{}",
                names.join(", "),
                draft.app,
                draft.names().process(&route.process),
                if route.strip_prefix { " without the prefix" } else { "" }
            ),
        );
    }
}

fn of_app(app: &AppName) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(vec![pods_of(app)]), ports: None }
}

fn rule(from: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(from), ports: Some(ports) }
}

fn pods_of(app: &AppName) -> NetworkPolicyPeer {
    let pods = selector(APP_LABEL, app.as_str());
    NetworkPolicyPeer { pod_selector: Some(pods), ..NetworkPolicyPeer::default() }
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    let its = selector(NAMESPACE_LABEL, name);
    NetworkPolicyPeer { namespace_selector: Some(its), ..NetworkPolicyPeer::default() }
}

fn anywhere() -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }
}

fn selector(label: &str, value: &str) -> LabelSelector {
    let labels = [(label.to_owned(), value.to_owned())].into();
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

fn port(port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(port), protocol: Some("TCP".to_owned()), end_port: None }
}
