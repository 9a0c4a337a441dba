//! One service, as compose understands it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::findings::{Findings, Place};
use super::super::node::{Node, Section, Value};
use super::super::words;
use super::health::{self, Health};
use super::port::{self, Port};
use super::volume::{self, Mount};
use super::{deploy, merge};
use crate::formation::REPLICAS_MAX;
use crate::manifest::{Bytes, MilliCpu};

/// What a service says, with the lines of what may have to be told about.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) at: Place,
    pub(super) image: Option<String>,
    pub(super) build: Option<Build>,
    pub(super) command: Option<(Vec<String>, Place)>,
    pub(super) entrypoint: Option<(Vec<String>, Place)>,
    /// `environment` over `env_file`; `None` has the value come from whoever runs it.
    pub(super) env: BTreeMap<String, (Option<String>, Place)>,
    pub(super) env_files: Vec<EnvFile>,
    pub(super) ports: Vec<Port>,
    pub(super) expose: Vec<u16>,
    pub(super) health: Option<Health>,
    pub(super) depends: Vec<Depends>,
    pub(super) deploy: deploy::Deploy,
    pub(super) stop_grace: Option<Duration>,
    pub(super) volumes: Vec<Mount>,
    /// Names of secrets and configs, and where they are in the container if that is said.
    pub(super) secrets: Vec<(String, Option<String>, Place)>,
    pub(super) configs: Vec<(String, Option<String>, Place)>,
    pub(super) labels: BTreeMap<String, (String, Place)>,
    pub(super) restart: Option<(String, Place)>,
    pub(super) profiles: Vec<String>,
    /// Other names under which it knows services: `db:database`.
    pub(super) links: Vec<(String, String)>,
}

/// `build`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Build {
    pub(super) at: Option<Place>,
    pub(super) context: String,
    pub(super) dockerfile: Option<String>,
    pub(super) inline: Option<String>,
    pub(super) args: BTreeMap<String, (Option<String>, Place)>,
    pub(super) target: Option<String>,
}

/// A line of `env_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnvFile {
    pub(super) at: Place,
    pub(super) path: String,
    pub(super) is_required: bool,
}

/// A line of `depends_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Depends {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) awaits_end: bool,
    pub(super) is_required: bool,
}

/// Keys that mean nothing here, or what is so anyway.
const SILENT: [&str; 7] =
    ["annotations", "attach", "container_name", "init", "platform", "pull_policy", "version"];
/// Keys that a manifest has no word for, and what to do about each.
const LOST: [(&str, &str); 50] = [
    ("user", "the image's own user runs it: write `USER` in the Dockerfile"),
    ("working_dir", "write `WORKDIR` in the Dockerfile"),
    ("read_only", "the container's files can be written, and are gone with it"),
    ("cap_add", "containers have Docker's own capabilities and get no others"),
    ("cap_drop", "containers have Docker's own capabilities, and gain no privileges"),
    ("privileged", "no container gets the host's rights; run it beside minipaas with `docker run`"),
    ("group_add", "write `USER` in the Dockerfile"),
    ("userns_mode", ""),
    ("devices", "no container gets a device; run it beside minipaas with `docker run`"),
    ("device_cgroup_rules", ""),
    ("gpus", "no container gets a device; run it beside minipaas with `docker run`"),
    ("dns", "containers ask the host's name servers"),
    ("dns_search", "containers ask the host's name servers"),
    ("dns_opt", "containers ask the host's name servers"),
    ("domainname", ""),
    ("hostname", "a container is called by its own id"),
    ("extra_hosts", "give the address in a variable, or make the name known to DNS"),
    ("external_links", "give the address in a variable"),
    ("network_mode", "containers are apart; apps call each other by [link]"),
    ("ipc", ""),
    ("pid", ""),
    ("uts", ""),
    ("cgroup", ""),
    ("cgroup_parent", ""),
    ("isolation", ""),
    ("runtime", ""),
    ("shm_size", "`/dev/shm` has Docker's 64 MiB"),
    ("sysctls", "set it on the host"),
    ("ulimits", "containers have the engine's own limits"),
    ("logging", "`minipaas logs` keeps what is written; `minipaas drains` hands it on"),
    ("storage_opt", ""),
    ("volumes_from", "name the volume in both"),
    ("volume_driver", ""),
    ("credential_spec", ""),
    ("stop_signal", "SIGTERM is what a container gets: have the program end on it"),
    ("stdin_open", "`minipaas run` is how to talk to a container"),
    ("tty", "`minipaas run` gives a command a terminal"),
    ("post_start", "have the command do it"),
    ("pre_stop", "have the command do it when it gets SIGTERM"),
    ("develop", "`minipaas up --watch` deploys again whenever a file changes"),
    ("blkio_config", ""),
    ("cpu_shares", "give `cpus`"),
    ("cpu_quota", "give `cpus`"),
    ("cpu_period", "give `cpus`"),
    ("cpuset", "give `cpus`"),
    ("mem_reservation", "one box reserves nothing; `memory` is the limit"),
    ("memswap_limit", ""),
    ("mem_swappiness", ""),
    ("oom_kill_disable", ""),
    ("oom_score_adj", ""),
];

/// What a service says.
pub(super) fn read(name: &str, at: &Place, node: &Node, findings: &mut Findings) -> Service {
    let title = format!("service `{name}`");
    let mut section = Section::new(title.clone(), node, findings);
    let mut service = Service::new(name, at);
    service.image = section
        .take("image")
        .and_then(|node| node.string("`image`", findings))
        .filter(|image| !image.is_empty());
    service.build = section.take_key("build").and_then(|(key, node)| build(node, &key.at, &title, findings));
    service.command = section.take("command").and_then(|node| command(node, "`command`", findings));
    service.entrypoint = section.take("entrypoint").and_then(|node| command(node, "`entrypoint`", findings));
    service.env =
        section.take("environment").map(|node| pairs(node, "`environment`", findings)).unwrap_or_default();
    service.env_files = section.take("env_file").map(|node| env_files(node, findings)).unwrap_or_default();
    let items = |node: &Node| node.list().map_or_else(|| vec![node.clone()], <[_]>::to_vec);
    if let Some(node) = section.take("ports") {
        service.ports = items(node).iter().flat_map(|item| port::read(item, findings)).collect();
    }
    if let Some(node) = section.take("expose") {
        service.expose = items(node).iter().flat_map(|item| expose(item, findings)).collect();
    }
    if let Some((key, node)) = section.take_key("healthcheck") {
        let node = Node { at: key.at.clone(), ..node.clone() };
        service.health = health::read(&node, &title, findings);
    }
    service.depends = section.take("depends_on").map(|node| depends(node, findings)).unwrap_or_default();
    if let Some(node) = section.take("deploy") {
        service.deploy = deploy::read(node, &title, findings);
    }
    let limits = &mut service.deploy;
    if let Some(node) = section.take("scale") {
        limits.replicas = node.count("`scale`", (0, REPLICAS_MAX), findings).or(limits.replicas);
    }
    if let Some(memory) = section.take("mem_limit").and_then(|node| deploy::memory(node, findings)) {
        limits.memory = Some(memory);
    }
    if let Some(cpu) = section.take("cpus").and_then(|node| deploy::cpu(node, findings)) {
        limits.cpu = Some(cpu);
    }
    service.stop_grace = section
        .take("stop_grace_period")
        .and_then(|node| health::time(node, "`stop_grace_period`", findings));
    if let Some(node) = section.take("volumes") {
        service.volumes = items(node).iter().filter_map(|item| volume::read(item, findings)).collect();
    }
    section.lose("tmpfs", "what a container writes outside of volumes is gone with it anyway", findings);
    service.secrets =
        section.take("secrets").map(|node| grants(node, "`secrets`", findings)).unwrap_or_default();
    service.configs =
        section.take("configs").map(|node| grants(node, "`configs`", findings)).unwrap_or_default();
    for (name, (value, at)) in
        section.take("labels").map(|node| pairs(node, "`labels`", findings)).unwrap_or_default()
    {
        service.labels.insert(name, (value.unwrap_or_default(), at));
    }
    if let Some(node) = section.take("restart") {
        service.restart = node.string("`restart`", findings).map(|policy| (policy, node.at.clone()));
    }
    if let Some(node) = section.take("profiles") {
        service.profiles =
            node.strings("`profiles`", findings).into_iter().map(|(profile, _)| profile).collect();
    }
    if let Some(node) = section.take("links") {
        let links = node.strings("`links`", findings).into_iter();
        let pair = |text: &str| text.split_once(':').map(|(name, alias)| (alias.to_owned(), name.to_owned()));
        service.links = links.filter_map(|(text, _)| pair(&text)).collect();
    }
    if let Some(node) = section.take("networks") {
        networks(node, &title, findings);
    }
    if let Some((key, node)) = section.take_key("security_opt") {
        let options = node.strings("`security_opt`", findings);
        // Every container is run so.
        if options.iter().any(|(option, _)| option.trim_end_matches(":true") != "no-new-privileges") {
            findings.lost(
                &key.at,
                format!("`security_opt` of {title}"),
                "containers run with Docker's own profiles",
            );
        }
    }
    for key in SILENT {
        section.take_key(key);
    }
    for (key, instead) in LOST {
        section.lose(key, instead, findings);
    }
    section.finish(findings);
    service
}

impl Service {
    fn new(name: &str, at: &Place) -> Self {
        Self {
            name: name.to_owned(),
            at: at.clone(),
            image: None,
            build: None,
            command: None,
            entrypoint: None,
            env: BTreeMap::new(),
            env_files: Vec::new(),
            ports: Vec::new(),
            expose: Vec::new(),
            health: None,
            depends: Vec::new(),
            deploy: deploy::Deploy::default(),
            stop_grace: None,
            volumes: Vec::new(),
            secrets: Vec::new(),
            configs: Vec::new(),
            labels: BTreeMap::new(),
            restart: None,
            profiles: Vec::new(),
            links: Vec::new(),
        }
    }

    /// The published port at which it most likely speaks HTTP.
    pub(super) fn http_port(&self) -> Option<&Port> {
        let said =
            self.ports.iter().find(|port| port.protocol.as_deref().is_some_and(|p| p.starts_with("http")));
        said.or_else(|| self.ports.iter().find(|port| port.is_http()))
    }

    /// The limits as a manifest has them.
    pub(super) fn limits(&self) -> (Option<Bytes>, Option<MilliCpu>) {
        (self.deploy.memory, self.deploy.cpu)
    }
}

/// `NAME=value` lines, or a mapping.
fn pairs(node: &Node, what: &str, findings: &mut Findings) -> BTreeMap<String, (Option<String>, Place)> {
    let map = merge::as_map(node.clone());
    let Some(entries) = map.map() else {
        findings.problem(&node.at, format!("{what} is {}; it takes a list or a mapping", node.kind()));
        return BTreeMap::new();
    };
    let entries = entries.iter().filter_map(|(key, value)| {
        let text =
            if value.is_null() { None } else { Some(value.string(&format!("`{}`", key.text), findings)?) };
        Some((key.text.clone(), (text, key.at.clone())))
    });
    entries.collect()
}

fn build(node: &Node, at: &Place, title: &str, findings: &mut Findings) -> Option<Build> {
    if node.is_null() {
        return None;
    }
    if !matches!(node.value, Value::Map(_)) {
        let context = node.string("`build`", findings)?;
        return Some(Build { at: Some(at.clone()), context, ..Build::default() });
    }
    let title = format!("`build` of {title}");
    let mut section = Section::new(title, node, findings);
    let mut text = |key: &'static str, findings: &mut Findings| {
        section.take(key).and_then(|node| node.string(&format!("`{key}` of `build`"), findings))
    };
    let mut build = Build {
        at: Some(at.clone()),
        context: text("context", findings).unwrap_or_else(|| ".".to_owned()),
        dockerfile: text("dockerfile", findings),
        inline: text("dockerfile_inline", findings),
        target: text("target", findings),
        args: BTreeMap::new(),
    };
    build.args = section.take("args").map(|node| pairs(node, "`args`", findings)).unwrap_or_default();
    for key in
        ["cache_from", "cache_to", "labels", "no_cache", "pull", "tags", "platforms", "provenance", "sbom"]
    {
        section.take_key(key);
    }
    for key in [
        "additional_contexts",
        "extra_hosts",
        "isolation",
        "network",
        "privileged",
        "secrets",
        "shm_size",
        "ssh",
    ] {
        section.lose(key, "build the image elsewhere and name it in [build] `image`", findings);
    }
    section.lose("ulimits", "", findings);
    section.lose("entitlements", "", findings);
    section.finish(findings);
    Some(build)
}

/// A line is split as compose does it; a list is the words.
fn command(node: &Node, what: &str, findings: &mut Findings) -> Option<(Vec<String>, Place)> {
    let words = match &node.value {
        Value::List(_) => node.strings(what, findings).into_iter().map(|(word, _)| word).collect(),
        _ => {
            let line = node.string(what, findings)?;
            let Some(words) = words::split(&line) else {
                findings.problem(&node.at, format!("a quote in {what} is never closed"));
                return None;
            };
            words
        }
    };
    Some((words, node.at.clone()))
}

fn env_files(node: &Node, findings: &mut Findings) -> Vec<EnvFile> {
    let items = node.list().map_or_else(|| vec![node.clone()], <[_]>::to_vec);
    let file = |item: &Node| {
        if item.map().is_none() {
            let path = item.string("an item of `env_file`", findings)?;
            return Some(EnvFile { at: item.at.clone(), path, is_required: true });
        }
        let mut section = Section::new("an item of `env_file`", item, findings);
        let path = section.take("path").and_then(|node| node.string("`path`", findings));
        let is_required = section.take("required").and_then(|node| node.boolean("`required`", findings));
        section.lose("format", "it is read as compose reads it", findings);
        section.finish(findings);
        Some(EnvFile { at: item.at.clone(), path: path?, is_required: is_required.unwrap_or(true) })
    };
    items.iter().filter_map(file).collect()
}

fn expose(node: &Node, findings: &mut Findings) -> Vec<u16> {
    let text = node.string("an item of `expose`", findings).unwrap_or_default();
    match port::range(text.split('/').next().unwrap_or_default()) {
        // Of a long range the first will do: it says where to ask.
        Some((first, last)) => (first..=last).take(16).collect(),
        None => {
            findings.problem(&node.at, format!("port `{text}` of `expose` is no number from 1 to 65535"));
            Vec::new()
        }
    }
}

fn depends(node: &Node, findings: &mut Findings) -> Vec<Depends> {
    let map = merge::as_map(node.clone());
    let Some(entries) = map.map() else {
        findings.problem(&node.at, format!("`depends_on` is {}; it takes a list or a mapping", node.kind()));
        return Vec::new();
    };
    let mut all = Vec::new();
    for (key, node) in entries {
        let mut section = Section::new(format!("`depends_on` of `{}`", key.text), node, findings);
        let condition = section.take("condition");
        let required = section.take("required").and_then(|node| node.boolean("`required`", findings));
        section.take("restart");
        section.finish(findings);
        let said = condition.and_then(Node::scalar);
        if let Some(said) = &said
            && !["service_started", "service_healthy", "service_completed_successfully"]
                .contains(&said.as_str())
        {
            let rule = format!(
                "condition `{said}` is none; use `service_started`, `service_healthy` or `service_completed_successfully`"
            );
            findings.problem(condition.map_or(&key.at, |node| &node.at), rule);
        }
        all.push(Depends {
            at: key.at.clone(),
            name: key.text.clone(),
            awaits_end: said.as_deref() == Some("service_completed_successfully"),
            is_required: required.unwrap_or(true),
        });
    }
    all
}

/// `secrets` and `configs`: a name, or `source` and `target`.
fn grants(node: &Node, what: &str, findings: &mut Findings) -> Vec<(String, Option<String>, Place)> {
    let items = node.list().map_or_else(|| vec![node.clone()], <[_]>::to_vec);
    let grant = |item: &Node| {
        if item.map().is_none() {
            return Some((item.string(&format!("an item of {what}"), findings)?, None, item.at.clone()));
        }
        let mut section = Section::new(format!("an item of {what}"), item, findings);
        let source = section.take("source").and_then(|node| node.string("`source`", findings));
        let target = section.take("target").and_then(|node| node.string("`target`", findings));
        // The container's own user reads them.
        for key in ["uid", "gid", "mode"] {
            section.take(key);
        }
        section.finish(findings);
        if source.is_none() {
            findings.problem(&item.at, format!("an item of {what} has no `source`"));
        }
        Some((source?, target, item.at.clone()))
    };
    items.iter().filter_map(grant).collect()
}

/// Which networks it is in means nothing; what else is said of one is lost.
fn networks(node: &Node, title: &str, findings: &mut Findings) {
    for (key, node) in node.map().unwrap_or_default() {
        if node.map().is_some_and(|map| !map.is_empty()) {
            let text = format!("what network `{}` says of {title}", key.text);
            findings.lost(&key.at, text, "apps call each other at `http://<app>.internal`, by [link]");
        }
    }
}
