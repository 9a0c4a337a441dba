//! `deploy`: how many, how much, and how a new one takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::findings::{Findings, Place};
use super::super::node::{Node, Section};
use super::health;
use crate::formation::REPLICAS_MAX;
use crate::manifest::{Bytes, MilliCpu};

/// The least that an engine gives a container.
const MEMORY_MIN: u64 = 6 * 1024 * 1024;

/// What `deploy` says, and what says the same beside it.
#[derive(Debug, Clone, Default)]
pub(super) struct Deploy {
    pub(super) replicas: Option<u32>,
    pub(super) memory: Option<Bytes>,
    pub(super) cpu: Option<MilliCpu>,
    /// For how long a new release is watched, and given up if it fails.
    pub(super) watch: Option<Duration>,
    /// Whether it is a job that ends.
    pub(super) is_job: bool,
    pub(super) labels: BTreeMap<String, (String, Place)>,
}

pub(super) fn read(node: &Node, title: &str, findings: &mut Findings) -> Deploy {
    let title = format!("`deploy` of {title}");
    let mut section = Section::new(title.clone(), node, findings);
    let replicas =
        section.take("replicas").and_then(|node| node.count("`replicas`", (0, REPLICAS_MAX), findings));
    let mut deploy = Deploy { replicas, ..Deploy::default() };
    let mode = section.take("mode").and_then(Node::scalar);
    deploy.is_job = mode.is_some_and(|mode| mode.ends_with("-job"));
    if let Some(node) = section.take("resources") {
        resources(node, &title, &mut deploy, findings);
    }
    if let Some((key, node)) = section.take_key("update_config") {
        deploy.watch = update(node, &key.at, &title, findings);
    }
    for (key, node) in section.take("labels").and_then(Node::map).unwrap_or_default() {
        deploy.labels.insert(key.text.clone(), (node.scalar().unwrap_or_default(), key.at.clone()));
    }
    section.lose("rollback_config", "`minipaas rollback` swaps as a deploy does", findings);
    section.lose("restart_policy", "what ends is started again, ever later", findings);
    section.lose("placement", "a box is one host", findings);
    section.take("endpoint_mode");
    section.finish(findings);
    deploy
}

/// A limit of memory.
pub(super) fn memory(node: &Node, findings: &mut Findings) -> Option<Bytes> {
    let text = node.string("a limit of memory", findings)?;
    match size(&text) {
        // No limit.
        Ok(Bytes(0)) => None,
        Ok(Bytes(bytes)) if bytes < MEMORY_MIN => {
            findings.lost(&node.at, format!("a limit of memory of `{text}`"), "an engine gives at least 6M");
            None
        }
        Ok(bytes) => Some(bytes),
        Err(rule) => {
            findings.problem(&node.at, rule);
            None
        }
    }
}

/// As Docker reads it, with a fraction: `1.5g`.
fn size(text: &str) -> Result<Bytes, String> {
    let text = text.trim().to_ascii_lowercase();
    let Some((whole, rest)) = text.split_once('.') else { return crate::manifest::size(&text) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let unit = crate::manifest::size(&format!("1{}", &rest[digits..]))?.0;
    let number: f64 = format!("{whole}.{}", &rest[..digits]).parse().map_err(|_| {
        format!("`{text}` is not a size; write a number with `K`, `M` or `G`, such as `256M`")
    })?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a size"
    )]
    let bytes = (number * unit as f64) as u64;
    Ok(Bytes(bytes))
}

/// A limit of CPU.
pub(super) fn cpu(node: &Node, findings: &mut Findings) -> Option<MilliCpu> {
    let text = node.string("a limit of CPU", findings)?;
    if text.parse() == Ok(0.0) {
        return None;
    }
    crate::manifest::cpu(&text).map_err(|rule| findings.problem(&node.at, rule)).ok()
}

fn resources(node: &Node, title: &str, deploy: &mut Deploy, findings: &mut Findings) {
    let mut section = Section::new(format!("`resources` in {title}"), node, findings);
    if let Some(node) = section.take("limits") {
        let mut limits = Section::new(format!("`limits` in {title}"), node, findings);
        deploy.memory = limits.take("memory").and_then(|node| memory(node, findings));
        deploy.cpu = limits.take("cpus").and_then(|node| cpu(node, findings));
        limits.lose("pids", "containers have a number of their own", findings);
        limits.lose("devices", "no container gets a device", findings);
        limits.finish(findings);
    }
    section.lose("reservations", "one box reserves nothing; give `limits`", findings);
    section.finish(findings);
}

/// A new version always starts first and the old one goes when it is ready.
fn update(node: &Node, at: &Place, title: &str, findings: &mut Findings) -> Option<Duration> {
    let mut section = Section::new(format!("`update_config` in {title}"), node, findings);
    let order = section.take("order").and_then(Node::scalar);
    let action = section.take("failure_action").and_then(Node::scalar);
    let monitor = section.take("monitor").and_then(|node| health::time(node, "`monitor`", findings));
    for key in ["parallelism", "delay", "max_failure_ratio"] {
        section.take(key);
    }
    section.finish(findings);
    if order.as_deref() == Some("stop-first") {
        let instead = "the new one is ready before the old one is stopped, unless the app has a volume";
        findings.lost(at, format!("`order: stop-first` in {title}"), instead);
    }
    if action.as_deref() == Some("continue") {
        let instead = "a release that is not ready never takes over";
        findings.lost(at, format!("`failure_action: continue` in {title}"), instead);
    }
    monitor.filter(|_| action.as_deref() == Some("rollback"))
}
