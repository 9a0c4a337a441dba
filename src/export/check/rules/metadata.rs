//! Names, labels, annotations, and what selects by them.

use serde_json::Value;

use super::super::node::Node;
use super::super::report::Report;
use super::super::syntax;
use super::word;
use crate::export::{CRON_NAME_LENGTH_MAX, Version};

/// All annotations of an object together, in bytes (apimachinery, `TotalAnnotationSizeLimitB`).
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// The longest name of a StatefulSet: its pods' label for the revision appends 11 characters.
const STATEFUL_SET_NAME_LENGTH_MAX: usize = 52;

/// The metadata of an object whose kind has no schema here.
pub(in super::super) fn metadata(root: &Node<'_>, version: Version, report: &mut Report<'_>) {
    if let Some(node) = root.get("metadata") {
        super::of_type("apis.meta.v1.ObjectMeta", &node, version, report);
    }
}

/// The name of an object, by its kind.
pub(in super::super) fn name(root: &Node<'_>, report: &mut Report<'_>) {
    let kind = root.text("kind").unwrap_or_default();
    let Some(name) = root.find(&["metadata", "name"]).as_ref().and_then(Node::as_text) else {
        report.server("metadata.name", "is missing");
        return;
    };
    let (is_right, rule): (fn(&str) -> bool, _) = match kind {
        "Service" => (syntax::is_service_name, syntax::SERVICE_NAME),
        "Namespace" => (syntax::is_dns_label, syntax::DNS_LABEL),
        // The pods get it as a label.
        "Job" | "StatefulSet" => (syntax::is_dns_label, syntax::DNS_LABEL),
        _ => (syntax::is_dns_subdomain, syntax::DNS_SUBDOMAIN),
    };
    if !is_right(name) {
        report.server("metadata.name", format!("is `{name}`; {rule}"));
    }
    let length_max = match kind {
        "CronJob" => CRON_NAME_LENGTH_MAX,
        "StatefulSet" => STATEFUL_SET_NAME_LENGTH_MAX,
        _ => usize::MAX,
    };
    if name.len() > length_max {
        report.server("metadata.name", format!("has {} characters; at most {length_max}", name.len()));
    }
}

/// The labels and annotations of an object, or of the pods in it.
pub(super) fn labels_and_annotations(node: &Node<'_>, report: &mut Report<'_>) {
    word(node, "namespace", syntax::is_dns_label, syntax::DNS_LABEL, report);
    labels(node, "labels", report);
    let annotations = node.entries("annotations");
    for (key, entry) in &annotations {
        // Unlike those of labels they may have capitals in the domain.
        if !syntax::is_qualified_name(&key.to_ascii_lowercase()) {
            report.server(&entry.path, format!("is no key of an annotation; {}", syntax::QUALIFIED_NAME));
        }
    }
    let length = |(key, entry): &(&str, Node<'_>)| key.len() + entry.as_text().map_or(0, str::len);
    let bytes: usize = annotations.iter().map(length).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        report.server(&node.at("annotations"), format!("has {bytes} bytes; at most {ANNOTATIONS_BYTES_MAX}"));
    }
}

/// A selector of labels.
pub(super) fn selector(node: &Node<'_>, report: &mut Report<'_>) {
    labels(node, "matchLabels", report);
    for requirement in node.items("matchExpressions") {
        word(&requirement, "key", syntax::is_qualified_name, syntax::QUALIFIED_NAME, report);
        let needs_values = matches!(requirement.text("operator"), Some("In" | "NotIn"));
        if needs_values == requirement.items("values").is_empty() {
            let rule =
                if needs_values { "is empty; this operator needs some" } else { "is not for this operator" };
            report.server(&requirement.at("values"), rule);
        }
    }
}

/// Labels, in this field.
pub(super) fn labels(node: &Node<'_>, key: &str, report: &mut Report<'_>) {
    for (name, entry) in node.entries(key) {
        if !syntax::is_qualified_name(name) {
            report.server(&entry.path, format!("is no key of a label; {}", syntax::QUALIFIED_NAME));
        }
        if let Some(value) = entry.as_text().filter(|value| !syntax::is_label_value(value)) {
            report.server(&entry.path, format!("is `{value}`; {}", syntax::LABEL_VALUE));
        }
    }
}

/// What a workload selects has to be what its pods are labelled with.
pub(super) fn selects_its_pods(node: &Node<'_>, report: &mut Report<'_>) {
    let labels = node.find(&["template", "metadata", "labels"]);
    let Some(selector) = node.get("selector") else { return };
    let wanted = selector.entries("matchLabels");
    if wanted.is_empty() && selector.items("matchExpressions").is_empty() {
        report.server(&selector.path, "is empty; it selects by the labels of its pods");
    }
    for (key, entry) in wanted {
        if labels.as_ref().and_then(|labels| labels.value.get(key)) != Some(entry.value) {
            let value = entry.value.as_str().map_or_else(|| entry.value.to_string(), str::to_owned);
            report.server(&entry.path, format!("selects `{key}={value}`, which its pods do not have"));
        }
    }
    for requirement in selector.items("matchExpressions") {
        let key = requirement.text("key").unwrap_or_default();
        let value = labels.as_ref().and_then(|labels| labels.value.get(key));
        let is_among =
            value.is_some_and(|value| requirement.items("values").iter().any(|item| item.value == value));
        let fits = match requirement.text("operator") {
            Some("In") => is_among,
            Some("NotIn") => !is_among,
            Some("Exists") => value.is_some_and(Value::is_string),
            Some("DoesNotExist") => value.is_none(),
            _ => true,
        };
        if !fits {
            report.server(&requirement.path, format!("does not select its own pods, by `{key}`"));
        }
    }
}
