//! Pods: what holds between their containers and volumes.

use std::collections::BTreeSet;

use super::super::node::Node;
use super::super::report::Report;
use super::super::syntax;
use super::{at_least, container, metadata, probe, word};

/// `terminationGracePeriodSeconds`, where nobody says otherwise.
const GRACE_DEFAULT: i64 = 30;

/// A pod, of whatever workload.
pub(super) fn pod(node: &Node<'_>, report: &mut Report<'_>) {
    let (inits, containers) = (node.items("initContainers"), node.items("containers"));
    if containers.is_empty() {
        report.server(&node.at("containers"), "is empty");
    }
    let mut names = BTreeSet::new();
    for container in inits.iter().chain(&containers) {
        // Among the containers alone the schema has told it.
        let name = container.text("name").unwrap_or_default();
        let is_init_too = || inits.iter().any(|init| init.text("name") == Some(name));
        if !names.insert(name) && is_init_too() {
            report.server(&container.at("name"), format!("is `{name}`, as that of another container"));
        }
        probe::sleeps(
            container,
            node.number("terminationGracePeriodSeconds").unwrap_or(GRACE_DEFAULT),
            report,
        );
    }
    at_least(node, "terminationGracePeriodSeconds", 0, report);
    at_least(node, "activeDeadlineSeconds", 1, report);
    word(node, "serviceAccountName", syntax::is_dns_subdomain, syntax::DNS_SUBDOMAIN, report);
    word(node, "hostname", syntax::is_dns_label, syntax::DNS_LABEL, report);
    metadata::labels(node, "nodeSelector", report);
    for secret in node.items("imagePullSecrets") {
        word(&secret, "name", syntax::is_dns_subdomain, syntax::DNS_SUBDOMAIN, report);
    }
    if let Some(security) = node.get("securityContext") {
        container::security_context(&security, report);
    }
}

/// A volume: a name, and one thing that it is.
pub(super) fn volume(node: &Node<'_>, report: &mut Report<'_>) {
    word(node, "name", syntax::is_dns_label, syntax::DNS_LABEL, report);
    let fields: Vec<_> = node.value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let sources: Vec<_> = fields.into_iter().filter(|key| *key != "name").collect();
    if sources.len() > 1 {
        report.server(&node.path, format!("is {}; it is one of them", syntax::listed(&sources)));
    }
    for (source, key) in
        [("configMap", "name"), ("secret", "secretName"), ("persistentVolumeClaim", "claimName")]
    {
        let Some(source) = node.get(source) else { continue };
        if source.text(key).is_none_or(str::is_empty) {
            report.server(&source.at(key), "is missing");
        }
        if let Some(mode) = source.number("defaultMode").filter(|mode| !(0..=0o777).contains(mode)) {
            report.server(&source.at("defaultMode"), format!("is {mode}; 0 to 511, which is octal 777"));
        }
        for item in source.items("items") {
            let path = item.text("path").unwrap_or_default();
            if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
                report.server(&item.at("path"), format!("is `{path}`, which leaves the volume"));
            }
        }
    }
}

/// What its containers mount has to be there. `claims` are volumes that the workload makes beside those of the pod.
pub(super) fn mounts(template: &Node<'_>, claims: &[&str], report: &mut Report<'_>) {
    let Some(pod) = template.get("spec") else { return };
    let volumes = pod.items("volumes");
    let is_there =
        |name: &str| claims.contains(&name) || volumes.iter().any(|volume| volume.text("name") == Some(name));
    for container in pod.items("initContainers").iter().chain(&pod.items("containers")) {
        for mount in container.items("volumeMounts") {
            if let Some(name) = mount.text("name").filter(|name| !is_there(name)) {
                report.server(&mount.at("name"), format!("is `{name}`, which is no volume of the pod"));
            }
        }
    }
}

/// How pods are spread.
pub(super) fn spread(node: &Node<'_>, report: &mut Report<'_>) {
    at_least(node, "maxSkew", 1, report);
    at_least(node, "minDomains", 1, report);
    word(node, "topologyKey", syntax::is_qualified_name, syntax::QUALIFIED_NAME, report);
    if node.has("minDomains") && node.text("whenUnsatisfiable") != Some("DoNotSchedule") {
        report.server(&node.at("minDomains"), "goes with `whenUnsatisfiable: DoNotSchedule` alone");
    }
}
