//! What no schema says and a server still refuses, by the type of the part that it is about.
//!
//! A rule looks at one part and what is below it, and says what is wrong with which field. It trusts nothing to be of the right
//! type: the schema has told that already.

mod container;
mod custom;
mod data;
mod metadata;
mod network;
mod pod;
mod probe;
mod scaling;
mod workload;

use super::node::Node;
use super::report::Report;
use crate::export::Version;

pub(super) use custom::rule as custom;
pub(super) use metadata::{metadata, name};

/// A rule for the parts of one type.
type Rule = fn(&Node<'_>, &mut Report<'_>);

/// The rules that no version differs in.
const RULES: &[(&str, Rule)] = &[
    ("apis.meta.v1.LabelSelector", metadata::selector),
    ("apps.v1.DeploymentSpec", workload::deployment),
    ("apps.v1.StatefulSetSpec", workload::stateful_set),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", scaling::autoscaler),
    ("autoscaling.v2.MetricSpec", scaling::metric),
    ("batch.v1.CronJobSpec", workload::cron_job),
    ("batch.v1.JobSpec", workload::job),
    ("core.v1.Container", container::container),
    ("core.v1.PersistentVolumeClaimSpec", data::claim),
    ("core.v1.PodSpec", pod::pod),
    ("core.v1.ServiceSpec", network::service),
    ("core.v1.TopologySpreadConstraint", pod::spread),
    ("core.v1.Volume", pod::volume),
    ("discovery.k8s.io/v1/EndpointSlice", network::endpoints),
    ("networking.v1.IngressSpec", network::ingress),
    ("networking.v1.IngressBackend", network::ingress_backend),
    ("networking.v1.IPBlock", network::ip_block),
    ("networking.v1.NetworkPolicyPeer", network::peer),
    ("networking.v1.NetworkPolicyPort", network::policy_port),
    ("networking.v1.NetworkPolicySpec", network::policy),
    ("policy.v1.PodDisruptionBudgetSpec", scaling::budget),
    ("v1/ConfigMap", data::config_map),
    ("v1/Secret", data::secret),
];

/// Asks the rules for parts of this type.
pub(super) fn of_type(name: &str, node: &Node<'_>, version: Version, report: &mut Report<'_>) {
    match name {
        "apis.meta.v1.ObjectMeta" => metadata::labels_and_annotations(node, report),
        "core.v1.EnvVar" => container::variable(node, version, report),
        _ => {
            if let Some((_, rule)) = RULES.iter().find(|(known, _)| *known == name) {
                rule(node, report);
            }
        }
    }
}

/// A number that is less than this.
fn at_least(node: &Node<'_>, key: &str, least: i64, report: &mut Report<'_>) {
    if let Some(number) = node.number(key).filter(|number| *number < least) {
        report.server(&node.at(key), format!("is {number}; at least {least}"));
    }
}

/// A number that is no port.
fn port(node: &Node<'_>, key: &str, report: &mut Report<'_>) {
    if let Some(number) = node.number(key).filter(|number| !is_port(*number)) {
        report.server(&node.at(key), format!("is {number}, which is no port; 1 to 65535"));
    }
}

/// A port by its number or by its name.
fn port_or_name(node: &Node<'_>, key: &str, report: &mut Report<'_>) {
    port(node, key, report);
    if let Some(name) = node.text(key).filter(|name| !super::syntax::is_port_name(name)) {
        report.server(
            &node.at(key),
            format!("is `{name}`, which is no name of a port; {}", super::syntax::PORT_NAME),
        );
    }
}

/// Of these fields exactly one is to be there.
fn exactly_one(node: &Node<'_>, keys: &[&str], report: &mut Report<'_>) {
    match node.among(keys).as_slice() {
        [_] => {}
        [] => report.server(&node.path, format!("has none of {}; it takes one", super::syntax::listed(keys))),
        found => {
            report.server(&node.path, format!("has {}; it takes one of them", super::syntax::listed(found)));
        }
    }
}

/// A text that is not as it has to be.
fn word(node: &Node<'_>, key: &str, is_right: fn(&str) -> bool, rule: &str, report: &mut Report<'_>) {
    if let Some(text) = node.text(key).filter(|text| !is_right(text)) {
        report.server(&node.at(key), format!("is `{text}`; {rule}"));
    }
}

fn is_port(number: i64) -> bool {
    (1..=i64::from(u16::MAX)).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::super::schema::Schemas;
    use super::*;

    /// A name that is mistyped in the table would never be asked.
    #[test]
    fn each_rule_is_about_a_type_that_there_is() {
        let schemas = Schemas::embedded();
        let newest = schemas.versions().into_inner().1;
        for (name, _) in RULES {
            assert!(!schemas.fields(name, newest).is_empty(), "{name}");
        }
    }
}
