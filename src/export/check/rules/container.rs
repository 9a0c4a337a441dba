//! Containers: image, ports, variables, mounts, resources.

use super::super::node::Node;
use super::super::report::Report;
use super::super::{quantity, syntax};
use super::{at_least, exactly_one, port, probe, word};
use crate::export::Version;

/// Where a variable's value comes from.
const VARIABLE_SOURCES: &[&str] =
    &["configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"];
/// From this version on a variable may be called anything that can be printed.
const RELAXED_VARIABLES: Version = Version { major: 1, minor: 32 };

/// A container of a pod.
pub(super) fn container(node: &Node<'_>, report: &mut Report<'_>) {
    word(node, "name", syntax::is_dns_label, syntax::DNS_LABEL, report);
    match node.text("image") {
        None => report.server(&node.at("image"), "is missing"),
        Some(image) if image.is_empty() || image.trim() != image => {
            report.server(&node.at("image"), "is empty, or has spaces around it");
        }
        Some(_) => {}
    }
    let ports = node.items("ports");
    let port_names: Vec<_> = ports.iter().filter_map(|port| port.text("name")).collect();
    for (index, item) in ports.iter().enumerate() {
        port(item, "containerPort", report);
        port(item, "hostPort", report);
        word(item, "name", syntax::is_port_name, syntax::PORT_NAME, report);
        let is_second = |name: &&str| ports[..index].iter().any(|other| other.text("name") == Some(name));
        if let Some(name) = item.text("name").filter(is_second) {
            report.server(&item.at("name"), format!("is `{name}`, as that of another port of the container"));
        }
    }
    for source in node.items("envFrom") {
        exactly_one(&source, &["configMapRef", "secretRef"], report);
        for reference in ["configMapRef", "secretRef"].iter().filter_map(|key| source.get(key)) {
            named(&reference, report);
        }
    }
    for mount in node.items("volumeMounts") {
        if mount.text("mountPath").is_some_and(|path| path.is_empty() || path.contains(':')) {
            report.server(&mount.at("mountPath"), "is empty, or has a colon");
        }
        let leaves = |path: &str| path.starts_with('/') || path.split('/').any(|part| part == "..");
        if mount.text("subPath").is_some_and(leaves) {
            report.server(&mount.at("subPath"), "leaves the volume");
        }
    }
    if let Some(resources) = node.get("resources") {
        limits(&resources, report);
    }
    if let Some(security) = node.get("securityContext") {
        security_context(&security, report);
        let is = |key| security.value.get(key).and_then(serde_json::Value::as_bool);
        if is("allowPrivilegeEscalation") == Some(false) && is("privileged") == Some(true) {
            report.server(
                &security.at("allowPrivilegeEscalation"),
                "cannot be `false` where `privileged` is `true`",
            );
        }
    }
    probe::probes(node, &port_names, report);
    probe::lifecycle(node, &port_names, report);
}

/// A variable of a container.
pub(super) fn variable(node: &Node<'_>, version: Version, report: &mut Report<'_>) {
    let (is_right, rule): (fn(&str) -> bool, _) = if version < RELAXED_VARIABLES {
        (syntax::is_variable, "letters, digits, `-`, `_` and `.`, with no digit first")
    } else {
        (syntax::is_relaxed_variable, "characters that can be printed, without `=`")
    };
    word(node, "name", is_right, rule, report);
    let Some(source) = node.get("valueFrom") else { return };
    if node.text("value").is_some_and(|value| !value.is_empty()) {
        report.server(&source.path, "cannot be there beside a `value`");
    }
    exactly_one(&source, VARIABLE_SOURCES, report);
    for reference in ["configMapKeyRef", "secretKeyRef"].iter().filter_map(|key| source.get(key)) {
        named(&reference, report);
        word(&reference, "key", syntax::is_config_key, syntax::CONFIG_KEY, report);
    }
}

/// As whom a container runs.
pub(super) fn security_context(node: &Node<'_>, report: &mut Report<'_>) {
    for key in ["fsGroup", "runAsGroup", "runAsUser"] {
        at_least(node, key, 0, report);
    }
    if let Some(seccomp) = node.get("seccompProfile") {
        let (is_local, has_profile) =
            (seccomp.text("type") == Some("Localhost"), seccomp.has("localhostProfile"));
        if is_local != has_profile {
            report
                .server(&seccomp.at("localhostProfile"), "goes with the type `Localhost`, and with no other");
        }
    }
    let says_root = node.number("runAsUser") == Some(0);
    if says_root && node.value.get("runAsNonRoot").and_then(serde_json::Value::as_bool) == Some(true) {
        report.server(&node.at("runAsUser"), "is 0 where `runAsNonRoot` is `true`; no container would start");
    }
}

/// A reference needs the name of what it is to; the schema does not ask for it.
fn named(reference: &Node<'_>, report: &mut Report<'_>) {
    match reference.text("name") {
        None | Some("") => report.server(&reference.at("name"), "is missing"),
        Some(_) => word(reference, "name", syntax::is_dns_subdomain, syntax::DNS_SUBDOMAIN, report),
    }
}

fn limits(resources: &Node<'_>, report: &mut Report<'_>) {
    let amounts = |key| {
        resources
            .entries(key)
            .into_iter()
            .filter_map(|(name, node)| Some((name, quantity::of(node.value)?, node.path)))
    };
    let limits: Vec<_> = amounts("limits").collect();
    for (name, amount, path) in amounts("requests").chain(limits.iter().cloned()) {
        if amount < 0.0 {
            report.server(&path, "is less than nothing");
        }
        if amount > 0.0 && name == "cpu" && (amount * 1000.0).fract().abs() > 1e-6 {
            report.server(&path, "is finer than a thousandth of a core");
        }
    }
    for (name, wanted, path) in amounts("requests") {
        if limits.iter().any(|(limited, limit, _)| *limited == name && wanted > *limit) {
            report.server(&path, format!("is more than the limit of `{name}`"));
        }
    }
}
