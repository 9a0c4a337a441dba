//! Probes, and what is done around the end of a container.

use super::super::node::Node;
use super::super::report::Report;
use super::super::syntax;
use super::{at_least, exactly_one, port, port_or_name};

/// What a probe does.
const CHECKS: &[&str] = &["exec", "grpc", "httpGet", "tcpSocket"];
/// What is done at the start and the end.
const HANDLERS: &[&str] = &["exec", "httpGet", "sleep", "tcpSocket"];

/// The probes of a container, with the names of its ports.
pub(super) fn probes(container: &Node<'_>, port_names: &[&str], report: &mut Report<'_>) {
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(key) else { continue };
        exactly_one(&probe, CHECKS, report);
        action(&probe, port_names, report);
        at_least(&probe, "initialDelaySeconds", 0, report);
        // The server takes 0 for these, and makes the default of it, which nobody has meant.
        for number in [
            "failureThreshold",
            "periodSeconds",
            "successThreshold",
            "timeoutSeconds",
            "terminationGracePeriodSeconds",
        ] {
            at_least(&probe, number, 1, report);
        }
        if key == "readinessProbe" {
            if probe.has("terminationGracePeriodSeconds") {
                report.server(&probe.at("terminationGracePeriodSeconds"), "is not for a readiness probe");
            }
        } else if let Some(successes) = probe.number("successThreshold").filter(|successes| *successes > 1) {
            report.server(
                &probe.at("successThreshold"),
                format!("is {successes}; 1 is all that this probe takes"),
            );
        }
    }
}

/// What is done at the start and the end of a container.
pub(super) fn lifecycle(container: &Node<'_>, port_names: &[&str], report: &mut Report<'_>) {
    for key in ["postStart", "preStop"] {
        let Some(handler) = container.find(&["lifecycle", key]) else { continue };
        exactly_one(&handler, HANDLERS, report);
        action(&handler, port_names, report);
    }
}

/// A sleep at the end that is longer than there is time for.
pub(super) fn sleeps(container: &Node<'_>, grace: i64, report: &mut Report<'_>) {
    let Some(sleep) = container.find(&["lifecycle", "preStop", "sleep"]) else { return };
    if let Some(seconds) = sleep.number("seconds").filter(|seconds| !(1..=grace).contains(seconds)) {
        let rule = format!("is {seconds}; 1 to {grace}, which is `terminationGracePeriodSeconds`");
        report.server(&sleep.at("seconds"), rule);
    }
}

fn action(node: &Node<'_>, port_names: &[&str], report: &mut Report<'_>) {
    if let Some(exec) = node.get("exec").filter(|exec| exec.items("command").is_empty()) {
        report.server(&exec.at("command"), "is empty");
    }
    if let Some(grpc) = node.get("grpc") {
        port(&grpc, "port", report);
    }
    for target in ["httpGet", "tcpSocket"].iter().filter_map(|key| node.get(key)) {
        port_or_name(&target, "port", report);
        if let Some(name) =
            target.text("port").filter(|name| syntax::is_port_name(name) && !port_names.contains(name))
        {
            report.server(&target.at("port"), format!("is `{name}`, which is no port of the container"));
        }
    }
    if let Some(http) = node.get("httpGet") {
        for header in http.items("httpHeaders") {
            let name = header.text("name").unwrap_or_default();
            if http::HeaderName::try_from(name).is_err() {
                report.server(&header.at("name"), format!("is `{name}`, which is no name of a header"));
            }
        }
    }
}
