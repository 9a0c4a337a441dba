//! Fly's `fly.toml`, version 2 (machines).
//!
//! Fly gives a service `auto_stop_machines` and regions; a box is one host whose instances run. What it calls a process group
//! is a process type, and a mount is a volume.

mod services;

use std::time::Duration;

use super::caprover::{app, text};
use super::draft::{Draft, Process};
use super::findings::Findings;
use super::node::{Key, Node, Section, Value, read_toml};
use super::{Files, Options, label, path, secret, words, write};
use crate::manifest::{Bytes, Command, MilliCpu};
use crate::name::ProcessType;

/// The process group of an app that names none.
const GROUP: &str = "app";

pub(super) fn read(
    file: &str,
    files: &dyn Files,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Draft> {
    let Some(text) = text(file, files, findings) else { return Vec::new() };
    let document = match read_toml(file, &text) {
        Ok(document) => document,
        Err(problem) => {
            findings.problems.push(problem);
            return Vec::new();
        }
    };
    let mut section = Section::new("the file", &document, findings);
    let said = section.take("app").and_then(Node::scalar).map(|name| label::of(&name));
    let said = said.filter(|name| options.app.is_none() && name.parse::<crate::name::AppName>().is_ok());
    let name = said.unwrap_or_else(|| app(options));
    let mut draft = Draft::new("", Some(name.clone()));
    if let Some(node) = section.take("build") {
        build(node, &mut draft, findings);
    }
    if let Some(node) = section.take("env") {
        env(node, &name, &mut draft, findings);
    }
    let groups = section.take("processes").map(|node| processes(node, findings)).unwrap_or_default();
    let names = Names::new(groups.iter().map(|(name, _)| name.clone()).collect(), &document);
    for (group, command) in groups {
        draft.process(&names.of(&group)).command = command;
    }
    services::read(&mut section, &names, &mut draft, findings);
    for (key, node) in tables(&mut section, "mounts") {
        mount(&node, key, &mut draft, findings);
    }
    if let Some(node) = section.take("deploy") {
        deploy(node, &mut draft, findings);
    }
    for (_, node) in tables(&mut section, "vm") {
        machine(&node, &names, &mut draft, findings);
    }
    let grace = section.take("kill_timeout").and_then(|node| seconds(node, "`kill_timeout`", findings));
    if let Some((key, node)) = section.take_key("kill_signal")
        && node.scalar().as_deref() != Some("SIGTERM")
    {
        findings.lost(&key.at, format!("`kill_signal` {}", node.shown()), "SIGTERM is what a container gets");
    }
    for (_, node) in tables(&mut section, "statics") {
        let instead = "the app serves them, or a static site of its own with [build] `static`";
        findings.lost(&node.at, "a folder of [[statics]]", instead);
    }
    section.lose("primary_region", "a box is one host", findings);
    section.lose("console_command", "`minipaas run` takes any command", findings);
    section.lose("metrics", "`minipaas metrics` counts requests; an app's own metrics are its own", findings);
    for (_, node) in tables(&mut section, "files") {
        findings.lost(
            &node.at,
            "a file of [[files]]",
            "`COPY` it in the Dockerfile, or give it by `minipaas config set --secret`",
        );
    }
    section.lose("experimental", "", findings);
    section.lose("restart", "what ends is started again, ever later", findings);
    section.lose("swap_size_mb", "", findings);
    section.finish(findings);
    if draft.processes.is_empty() {
        draft.process("web");
    }
    for process in draft.processes.values_mut() {
        process.stop_grace = grace;
    }
    vec![draft]
}

/// What process groups are called here.
struct Names {
    groups: Vec<String>,
    /// The group of the first service of http.
    web: String,
}

impl Names {
    fn new(groups: Vec<String>, document: &Node) -> Self {
        let first = |key: &str| {
            let node = document.get(key)?;
            let node = node.list().map_or(Some(node), <[_]>::first)?;
            node.get("processes")?.list()?.first()?.scalar()
        };
        let web = first("http_service").or_else(|| first("services"));
        let web = web.or_else(|| groups.iter().find(|name| *name == "web" || *name == GROUP).cloned());
        let web = web.unwrap_or_else(|| groups.first().cloned().unwrap_or_else(|| GROUP.to_owned()));
        Self { groups, web }
    }

    fn of(&self, group: &str) -> String {
        if group == self.web || self.groups.is_empty() { "web".to_owned() } else { label::of(group) }
    }

    /// The groups that a table is about; all of them when it names none.
    fn about(&self, node: Option<&Node>, findings: &mut Findings) -> Vec<String> {
        let said = node.map(|node| node.strings("`processes`", findings)).unwrap_or_default();
        if said.is_empty() {
            let all = self.groups.iter().map(|group| self.of(group)).collect::<Vec<_>>();
            return if all.is_empty() { vec!["web".to_owned()] } else { all };
        }
        let mut names = Vec::new();
        for (group, at) in said {
            if self.groups.contains(&group) || self.groups.is_empty() && group == GROUP {
                names.push(self.of(&group));
            } else {
                findings.problem(&at, format!("process group `{group}` is not in [processes]"));
            }
        }
        names
    }
}

/// A table that may stand once or many times.
fn tables<'n>(section: &mut Section<'n>, key: &'static str) -> Vec<(&'n Key, Node)> {
    let Some((key, node)) = section.take_key(key) else { return Vec::new() };
    match &node.value {
        Value::List(list) => list.iter().map(|node| (key, node.clone())).collect(),
        _ => vec![(key, Node { at: key.at.clone(), ..node.clone() })],
    }
}

/// A number of seconds, or a duration such as `5m`.
fn seconds(node: &Node, what: &str, findings: &mut Findings) -> Option<Duration> {
    let text = node.string(what, findings)?;
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    crate::manifest::duration(&text)
        .map_err(|rule| findings.problem(&node.at, format!("{what}: {rule}")))
        .ok()
}

fn build(node: &Node, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("[build]", node, findings);
    draft.build.image = section.take("image").and_then(Node::scalar);
    let dockerfile = section.take("dockerfile").and_then(Node::scalar).map(|file| path::join("", &file));
    draft.build.dockerfile = dockerfile.filter(|file| file != "Dockerfile" && draft.build.image.is_none());
    draft.build.target = section.take("build-target").and_then(Node::scalar);
    for (key, node) in section.take("args").and_then(Node::map).unwrap_or_default() {
        let value = node.scalar().unwrap_or_default();
        if secret::is_secret(&key.text, &value) {
            let instead = "an image keeps its arguments for everybody to read";
            findings.lost(
                &key.at,
                format!("build argument `{}`, which looks like a secret", key.text),
                instead,
            );
        } else {
            draft.build.args.insert(key.text.clone(), value);
        }
    }
    section.lose("builder", "write a Dockerfile: minipaas guesses no language", findings);
    section.lose("buildpacks", "write a Dockerfile: minipaas guesses no language", findings);
    section.lose("builtin", "write a Dockerfile: minipaas guesses no language", findings);
    section.lose("settings", "", findings);
    section.lose("ignorefile", "`.dockerignore` is what is read", findings);
    section.lose("compression", "", findings);
    section.finish(findings);
}

fn env(node: &Node, app: &str, draft: &mut Draft, findings: &mut Findings) {
    for (key, node) in node.map().unwrap_or_default() {
        let (name, Some(value)) = (&key.text, node.string(&format!("`{}`", key.text), findings)) else {
            continue;
        };
        if name == "PORT" {
            draft.process("web").port = value.parse().ok();
        } else if !label::is_variable(name) {
            findings.lost(&key.at, format!("variable `{name}`"), "names are of letters, digits and `_`");
        } else if secret::is_secret(name, &value) {
            let instead = format!("`minipaas config set -a {app} --secret --export {name}=- < FILE`");
            findings.task(&key.at, format!("`{name}` looks like a secret and is not written here"), &instead);
        } else {
            draft.env.insert(name.clone(), value);
        }
    }
    let instead = format!("set each by `minipaas config set -a {app} --secret --export NAME=- < FILE`");
    findings.task(&node.at, "secrets that `fly secrets` keeps are not in this file", &instead);
}

fn processes(node: &Node, findings: &mut Findings) -> Vec<(String, Option<Command>)> {
    let mut all = Vec::new();
    for (key, node) in node.map().unwrap_or_default() {
        let Some(line) = node.string(&format!("process `{}`", key.text), findings) else { continue };
        if let Err(error) = label::of(&key.text).parse::<ProcessType>() {
            findings.problem(&key.at, error.to_string());
            continue;
        }
        all.push((key.text.clone(), command(&line)));
    }
    all
}

/// Split into words, as Fly does it.
fn command(line: &str) -> Option<Command> {
    let words = words::split(line)?;
    let plain = Command::Line(words.join(" "));
    match words.is_empty() {
        true => None,
        false if plain.argv() == words => Some(plain),
        false => Some(Command::Args(words)),
    }
}

fn mount(node: &Node, key: &Key, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("[mounts]", node, findings);
    let source = section.take("source").and_then(Node::scalar);
    let target = section.take("destination").and_then(Node::scalar);
    section.take("processes");
    for name in
        ["initial_size", "auto_extend_size_threshold", "auto_extend_size_increment", "auto_extend_size_limit"]
    {
        section.lose(name, "a volume is as large as the disk", findings);
    }
    section.lose("snapshot_retention", "take backups of the box's volumes", findings);
    section.lose("scheduled_snapshots", "take backups of the box's volumes", findings);
    section.finish(findings);
    match (source.map(|source| label::of(&source)), target) {
        (Some(name), Some(target)) if name.parse::<ProcessType>().is_ok() => {
            draft.volumes.insert(name, target);
        }
        _ => findings.problem(&key.at, "[mounts] needs a `source` and a `destination`"),
    }
}

fn deploy(node: &Node, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("[deploy]", node, findings);
    if let Some(node) = section.take("release_command") {
        draft.release = node.string("`release_command`", findings).as_deref().and_then(command);
    }
    let strategy = section.take("strategy").map(|node| (node, node.scalar().unwrap_or_default()));
    match strategy.as_ref().map(|(node, strategy)| (node, strategy.as_str())) {
        // What every swap is.
        None | Some((_, "rolling" | "bluegreen")) => {}
        Some((_, "canary")) => {
            draft.remark(
                "deploy.canary",
                "Fly's canary is one machine, for a moment; here it is a share of the requests.",
            );
            draft.deploy.push(("canary", format!("{{ percent = 10, for = {} }}", write::string("2m"))));
        }
        Some((node, strategy)) => {
            let instead = "a new release is ready before the old one goes";
            findings.lost(&node.at, format!("the strategy `{strategy}`"), instead);
        }
    }
    section.lose("wait_timeout", "`deadline` of a process's `ready` is how long it may take", findings);
    section.take("max_unavailable");
    if let Some(node) = section.take("release_command_timeout") {
        findings.lost(&node.at, "`release_command_timeout`", "`deadline` in [release] says it");
    }
    section.lose("release_command_vm", "it has no limits here", findings);
    section.lose("seed_command", "type it once: `minipaas run`", findings);
    section.finish(findings);
}

fn machine(node: &Node, names: &Names, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("[[vm]]", node, findings);
    let size = section.take("size").and_then(Node::scalar);
    let memory = section.take("memory").or_else(|| section.take("memory_mb"));
    let cpus = section.take("cpus").and_then(|node| node.count("`cpus`", (1, 64), findings));
    let groups = section.take("processes");
    let about = names.about(groups, findings);
    section.take("cpu_kind");
    section.lose("gpus", "no container gets a device", findings);
    section.lose("gpu_kind", "no container gets a device", findings);
    section.lose("host_dedication_id", "", findings);
    section.lose("kernel_args", "", findings);
    section.finish(findings);
    let of_size = size.as_deref().and_then(of_size);
    let memory = memory.and_then(|node| of_memory(node, findings)).or(of_size.map(|(memory, _)| memory));
    let cpu = cpus.map(|cpus| MilliCpu(cpus * 1000)).or(of_size.map(|(_, cpu)| cpu));
    for name in about {
        let process: &mut Process = draft.process(&name);
        (process.memory, process.cpu) = (memory.or(process.memory), cpu.or(process.cpu));
    }
}

/// What Fly's named sizes have: `shared-cpu-1x` has 256 MB, `performance-1x` 2 GB.
fn of_size(size: &str) -> Option<(Bytes, MilliCpu)> {
    let (kind, count) = size.strip_suffix('x')?.rsplit_once('-')?;
    let count: u32 = count.parse().ok().filter(|count| (1..=64).contains(count))?;
    let memory: u64 = match kind {
        "shared-cpu" => 256 << 20,
        "performance" => 2 << 30,
        _ => return None,
    };
    Some((Bytes(memory * u64::from(count)), MilliCpu(count * 1000)))
}

/// `512mb`, or megabytes as a number.
fn of_memory(node: &Node, findings: &mut Findings) -> Option<Bytes> {
    let text = node.string("`memory`", findings)?;
    let text = if text.parse::<u64>().is_ok() { format!("{text}M") } else { text };
    crate::manifest::memory(&text.to_ascii_lowercase()).map_err(|rule| findings.problem(&node.at, rule)).ok()
}
