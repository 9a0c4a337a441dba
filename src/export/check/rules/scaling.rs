//! How many pods there are to be, and how many at least.

use super::super::node::Node;
use super::super::report::Report;
use super::super::{quantity, syntax};
use super::{at_least, exactly_one};

/// The longest that an autoscaler looks back, in seconds.
const STABILIZATION_MAX: i64 = 3600;
/// The longest period of a scaling policy, in seconds.
const PERIOD_MAX: i64 = 1800;
/// The types of metrics, with the fields that say them.
const METRICS: &[(&str, &str)] = &[
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];
/// The types of a metric's target, with the fields that say them.
const TARGETS: &[(&str, &str)] =
    &[("AverageValue", "averageValue"), ("Utilization", "averageUtilization"), ("Value", "value")];

/// The `spec` of a HorizontalPodAutoscaler.
pub(super) fn autoscaler(node: &Node<'_>, report: &mut Report<'_>) {
    // 0 is behind a feature gate that clusters do not have on.
    at_least(node, "minReplicas", 1, report);
    at_least(node, "maxReplicas", 1, report);
    if let (Some(min), Some(max)) = (node.number("minReplicas"), node.number("maxReplicas"))
        && max < min
    {
        report.server(&node.at("maxReplicas"), format!("is {max}, less than `minReplicas`, {min}"));
    }
    if let Some(target) = node.get("scaleTargetRef") {
        for key in ["kind", "name"] {
            if target.text(key).is_none_or(str::is_empty) {
                report.server(&target.at(key), "is missing");
            }
        }
    }
    for rules in ["scaleDown", "scaleUp"].iter().filter_map(|key| node.find(&["behavior", key])) {
        between(&rules, "stabilizationWindowSeconds", 0, STABILIZATION_MAX, report);
        if rules.value.get("policies").is_some() && rules.items("policies").is_empty() {
            report.server(&rules.at("policies"), "is empty");
        }
        for policy in rules.items("policies") {
            at_least(&policy, "value", 1, report);
            between(&policy, "periodSeconds", 1, PERIOD_MAX, report);
        }
    }
}

/// What an autoscaler looks at.
pub(super) fn metric(node: &Node<'_>, report: &mut Report<'_>) {
    let Some((_, field)) = METRICS.iter().find(|(kind, _)| node.text("type") == Some(kind)) else { return };
    let fields: Vec<_> = METRICS.iter().map(|(_, field)| *field).collect();
    exactly_one(node, &fields, report);
    let Some(source) = node.get(field) else {
        report.server(&node.at(field), "is missing, which `type` says");
        return;
    };
    let Some(target) = source.get("target") else { return };
    let fields: Vec<_> = TARGETS.iter().map(|(_, field)| *field).collect();
    exactly_one(&target, &fields, report);
    if let Some((_, field)) = TARGETS.iter().find(|(kind, _)| target.text("type") == Some(kind))
        && !target.has(field)
    {
        report.server(&target.at(field), "is missing, which `type` says");
    }
    at_least(&target, "averageUtilization", 1, report);
    for key in ["averageValue", "value"] {
        if target.get(key).and_then(|amount| quantity::of(amount.value)).is_some_and(|amount| amount <= 0.0) {
            report.server(&target.at(key), "has to be more than 0");
        }
    }
}

/// The `spec` of a PodDisruptionBudget.
pub(super) fn budget(node: &Node<'_>, report: &mut Report<'_>) {
    let keys = ["maxUnavailable", "minAvailable"];
    exactly_one(node, &keys, report);
    for key in keys {
        at_least(node, key, 0, report);
        if let Some(text) = node.text(key).filter(|text| !syntax::is_percent(text)) {
            report.server(&node.at(key), format!("is `{text}`; a number, or a percentage such as `25%`"));
        }
    }
}

fn between(node: &Node<'_>, key: &str, least: i64, most: i64, report: &mut Report<'_>) {
    if let Some(number) = node.number(key).filter(|number| !(least..=most).contains(number)) {
        report.server(&node.at(key), format!("is {number}; {least} to {most}"));
    }
}
