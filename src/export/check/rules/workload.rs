//! What makes pods: Deployments, StatefulSets, Jobs, CronJobs.

use super::super::node::Node;
use super::super::report::Report;
use super::super::{cron, syntax};
use super::{at_least, metadata, pod};

/// `progressDeadlineSeconds`, where nobody says otherwise.
const PROGRESS_DEFAULT: i64 = 600;

/// The `spec` of a Deployment.
pub(super) fn deployment(node: &Node<'_>, report: &mut Report<'_>) {
    for key in ["minReadySeconds", "replicas", "revisionHistoryLimit"] {
        at_least(node, key, 0, report);
    }
    let (deadline, ready) =
        (node.number("progressDeadlineSeconds"), node.number("minReadySeconds").unwrap_or(0));
    if deadline.unwrap_or(PROGRESS_DEFAULT) <= ready {
        report.server(
            &node.at("progressDeadlineSeconds"),
            format!("is not more than `minReadySeconds`, {ready}"),
        );
    }
    if let Some(strategy) = node.get("strategy") {
        rolling_update(&strategy, report);
    }
    metadata::selects_its_pods(node, report);
    for_ever(node, report);
    if let Some(template) = node.get("template") {
        pod::mounts(&template, &[], report);
    }
}

/// The `spec` of a StatefulSet.
pub(super) fn stateful_set(node: &Node<'_>, report: &mut Report<'_>) {
    for key in ["minReadySeconds", "replicas", "revisionHistoryLimit"] {
        at_least(node, key, 0, report);
    }
    metadata::selects_its_pods(node, report);
    for_ever(node, report);
    let claims = node.items("volumeClaimTemplates");
    for (index, claim) in claims.iter().enumerate() {
        let name_of = |claim: &Node<'_>| {
            claim.find(&["metadata", "name"]).and_then(|name| name.as_text().map(str::to_owned))
        };
        let name = name_of(claim);
        if !name.as_deref().is_some_and(syntax::is_dns_label) {
            report.server(&claim.at("metadata.name"), format!("is missing, or not {}", syntax::DNS_LABEL));
        }
        if claims[..index].iter().any(|other| name_of(other) == name) {
            report.server(&claim.at("metadata.name"), "is that of another claim");
        }
    }
    let names: Vec<_> =
        claims.iter().filter_map(|claim| claim.value.pointer("/metadata/name")?.as_str()).collect();
    if let Some(template) = node.get("template") {
        pod::mounts(&template, &names, report);
    }
}

/// The `spec` of a Job.
pub(super) fn job(node: &Node<'_>, report: &mut Report<'_>) {
    for key in
        ["activeDeadlineSeconds", "backoffLimit", "completions", "parallelism", "ttlSecondsAfterFinished"]
    {
        at_least(node, key, 0, report);
    }
    let Some(template) = node.get("template") else { return };
    let restart = template.find(&["spec", "restartPolicy"]);
    match restart.as_ref().and_then(Node::as_text) {
        Some("Never" | "OnFailure") => {}
        _ => report.server(&template.at("spec.restartPolicy"), "has to be `Never` or `OnFailure` in a job"),
    }
    if node.has("selector")
        && node.value.get("manualSelector").and_then(serde_json::Value::as_bool) != Some(true)
    {
        report.server(&node.at("selector"), "is made by the server");
    }
    pod::mounts(&template, &[], report);
}

/// The `spec` of a CronJob.
pub(super) fn cron_job(node: &Node<'_>, report: &mut Report<'_>) {
    for key in ["failedJobsHistoryLimit", "startingDeadlineSeconds", "successfulJobsHistoryLimit"] {
        at_least(node, key, 0, report);
    }
    if let Some(problem) = node.text("schedule").and_then(cron::problem) {
        report.server(&node.at("schedule"), problem);
    }
    if let Some(zone) = node.text("timeZone") {
        // What it is on the server's machine is nobody's business.
        let is_known = !zone.eq_ignore_ascii_case("local") && jiff::tz::TimeZone::get(zone).is_ok();
        if !is_known {
            report.server(
                &node.at("timeZone"),
                format!("is `{zone}`, which is no time zone such as `Europe/Berlin`"),
            );
        }
    }
}

/// Pods that are kept running are restarted, always.
fn for_ever(node: &Node<'_>, report: &mut Report<'_>) {
    let Some(pod) = node.find(&["template", "spec"]) else { return };
    if let Some(policy) = pod.text("restartPolicy").filter(|policy| *policy != "Always") {
        report.server(&pod.at("restartPolicy"), format!("is `{policy}`; `Always` is all that it takes here"));
    }
    if pod.has("activeDeadlineSeconds") {
        report.server(&pod.at("activeDeadlineSeconds"), "is not for what runs for ever");
    }
}

fn rolling_update(strategy: &Node<'_>, report: &mut Report<'_>) {
    let Some(update) = strategy.get("rollingUpdate") else { return };
    if strategy.text("type") == Some("Recreate") {
        report.server(&update.path, "is not for the type `Recreate`");
    }
    let keys = ["maxSurge", "maxUnavailable"];
    for key in keys {
        at_least(&update, key, 0, report);
        if let Some(text) = update.text(key).filter(|text| !syntax::is_percent(text)) {
            report.server(&update.at(key), format!("is `{text}`; a number, or a percentage such as `25%`"));
        }
    }
    let is_none = |key| update.number(key) == Some(0) || update.text(key) == Some("0%");
    if keys.into_iter().all(is_none) {
        report.server(
            &update.path,
            "lets no pod go and none come: one of `maxSurge`, `maxUnavailable` has to be more than 0",
        );
    }
}
