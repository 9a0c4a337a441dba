//! The whole document: its services, what they share, and the rules between them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::findings::{Findings, Place};
use super::super::label;
use super::super::node::{Node, Section, Value};
use super::service::{self, Service};
use super::volume::Source;
use crate::name::ProcessType;

/// A checked project.
#[derive(Debug)]
pub(super) struct Project {
    /// A label, from its `name` or its folder.
    pub(super) name: String,
    /// Those that are selected, in the order of the file.
    pub(super) services: Vec<Service>,
    pub(super) secrets: BTreeMap<String, Held>,
    pub(super) configs: BTreeMap<String, Held>,
    /// The volumes that have a name.
    pub(super) volumes: BTreeSet<String>,
}

/// A secret or a config, and where its value is.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) at: Place,
    pub(super) file: Option<String>,
    pub(super) variable: Option<String>,
    pub(super) content: Option<String>,
}

/// What the document says.
pub(super) fn read(document: &Node, name: Option<&str>, folder: &str, findings: &mut Findings) -> Project {
    let mut section = Section::new("the file", document, findings);
    let said = section.take("name").and_then(Node::scalar);
    let name = label::of(name.or(said.as_deref()).unwrap_or(folder));
    let mut services = Vec::new();
    match section.take("services") {
        Some(node) => {
            if node.map().is_none() {
                findings.problem(&node.at, format!("`services` is {}; it takes a mapping", node.kind()));
            }
            for (key, node) in node.map().unwrap_or_default() {
                findings.about(Some(&key.text));
                services.push(service::read(&key.text, &key.at, node, findings));
            }
            findings.about(None);
        }
        None => findings.problem(&section.at, "the file has no `services`"),
    }
    let secrets = section.take("secrets").map(|node| held(node, "secret", findings)).unwrap_or_default();
    let configs = section.take("configs").map(|node| held(node, "config", findings)).unwrap_or_default();
    let volumes = section.take("volumes").map(|node| volumes(node, findings)).unwrap_or_default();
    for (key, node) in section.take("networks").and_then(Node::map).unwrap_or_default() {
        let is_said =
            |name: &str| node.get(name).is_some_and(|node| !matches!(node.value, Value::Bool(false)));
        if ["driver_opts", "ipam", "enable_ipv6", "internal", "macvlan"].iter().any(|name| is_said(name)) {
            let instead =
                "containers of an app are on a bridge and reach nothing but what [link] names, and the world";
            findings.lost(&key.at, format!("what network `{}` is", key.text), instead);
        }
    }
    section.take("version");
    section.take("include");
    section.finish(findings);
    Project { name, services, secrets, configs, volumes }
}

impl Project {
    pub(super) fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// Leaves out services of profiles that are not active.
    pub(super) fn select(&mut self, profiles: &[String], findings: &mut Findings) {
        let is_active = |service: &Service| {
            service.profiles.is_empty()
                || service
                    .profiles
                    .iter()
                    .any(|own| profiles.iter().any(|active| active == own || active == "*"))
        };
        let all = std::mem::take(&mut self.services);
        let (selected, left): (Vec<_>, Vec<_>) = all.into_iter().partition(is_active);
        for service in &left {
            let needs = selected
                .iter()
                .flat_map(|other| &other.depends)
                .find(|d| d.name == service.name && d.is_required);
            if let Some(depends) = needs {
                let message = format!(
                    "`depends_on` names `{}`, whose profile is not active; add `--profile {}`",
                    service.name, service.profiles[0]
                );
                findings.problem(&depends.at, message);
            }
        }
        let profile_of = |service: &Service| format!("`{}` ({})", service.name, service.profiles.join(", "));
        if selected.is_empty() && !left.is_empty() {
            let names: Vec<_> = left.iter().map(profile_of).collect();
            let message = format!("no service is selected; give a `--profile` of {}", names.join(", "));
            findings.problem(&left[0].at, message);
        }
        // What is left out is not said to be missing.
        findings.notes.retain(|note| !left.iter().any(|service| note.of.as_deref() == Some(&service.name)));
        for service in &left {
            let text = format!("service `{}` is left out: its profile is not active", service.name);
            findings.choice(&service.at, text, &format!("`--profile {}` takes it in", service.profiles[0]));
        }
        let names: BTreeSet<String> = left.iter().map(|service| service.name.clone()).collect();
        self.services = selected;
        for service in &mut self.services {
            service.depends.retain(|depends| !names.contains(&depends.name));
        }
    }

    /// The rules between services.
    pub(super) fn check(&self, findings: &mut Findings) {
        if self.services.is_empty() && findings.problems.is_empty() {
            findings.problem(&Place::file("services"), "there is no service in the project");
        }
        let mut labels: BTreeMap<String, &Service> = BTreeMap::new();
        for service in &self.services {
            if service.image.is_none() && service.build.is_none() {
                let message = format!("service `{}` has neither `image` nor `build`", service.name);
                findings.problem(&service.at, message);
            }
            let label = label::of(&service.name);
            if let Err(error) = label.parse::<ProcessType>() {
                findings.problem(&service.at, format!("service `{}`: {error}", service.name));
            }
            if let Some(other) = labels.insert(label.clone(), service) {
                let message = format!(
                    "services `{}` and `{}` would both be called `{label}`",
                    other.name, service.name
                );
                findings.problem(&service.at, message);
            }
            self.check_references(service, findings);
        }
        self.check_ports(findings);
        self.check_cycles(findings);
    }

    fn check_references(&self, service: &Service, findings: &mut Findings) {
        for depends in &service.depends {
            if depends.is_required && self.service(&depends.name).is_none() {
                let known = self.services.iter().map(|service| service.name.as_str());
                let near = crate::manifest::nearest(&depends.name, known)
                    .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let message = format!("`depends_on` names `{}`, which there is none of{near}", depends.name);
                findings.problem(&depends.at, message);
            }
        }
        for mount in &service.volumes {
            if let Source::Named(name) = &mount.source
                && !self.volumes.contains(name)
            {
                findings.problem(&mount.at, format!("volume `{name}` is not in `volumes` of the file"));
            }
        }
        for (what, grants, held) in
            [("secret", &service.secrets, &self.secrets), ("config", &service.configs, &self.configs)]
        {
            for (name, _, at) in grants.iter().filter(|(name, _, _)| !held.contains_key(name)) {
                findings.problem(at, format!("{what} `{name}` is not in `{what}s` of the file"));
            }
        }
    }

    /// Two services cannot listen at one port of the host.
    fn check_ports(&self, findings: &mut Findings) {
        let mut taken: Vec<(&Service, &super::port::Port)> = Vec::new();
        for service in &self.services {
            for port in service.ports.iter().filter(|port| port.published.is_some()) {
                let fights = |(_, other): &&(&Service, &super::port::Port)| {
                    other.published == port.published
                        && other.is_udp == port.is_udp
                        && (other.address == port.address
                            || other.address.is_none()
                            || port.address.is_none())
                };
                let number = port.published.unwrap_or_default();
                match taken.iter().find(fights) {
                    Some((other, before)) if other.name == service.name && before.target == port.target => {}
                    Some((other, before)) => {
                        let message = format!(
                            "port {number} is published by `{}`, and by `{}` at line {}",
                            service.name, other.name, before.at.line
                        );
                        findings.problem(&port.at, message);
                    }
                    None => taken.push((service, port)),
                }
            }
        }
    }

    /// Each of a circle waits for the others, for ever.
    fn check_cycles(&self, findings: &mut Findings) {
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for service in &self.services {
            let mut chain = vec![service.name.as_str()];
            if let Some((at, circle)) = self.circle(service, &mut chain, &mut done) {
                findings.problem(&at, format!("`depends_on` goes in a circle: {circle}"));
                return;
            }
        }
    }

    fn circle<'p>(
        &'p self,
        service: &'p Service,
        chain: &mut Vec<&'p str>,
        done: &mut BTreeSet<&'p str>,
    ) -> Option<(Place, String)> {
        if done.contains(service.name.as_str()) {
            return None;
        }
        for depends in &service.depends {
            if let Some(begin) = chain.iter().position(|name| *name == depends.name) {
                let names: Vec<_> =
                    chain[begin..].iter().chain([&depends.name.as_str()]).map(|n| format!("`{n}`")).collect();
                return Some((depends.at.clone(), names.join(" → ")));
            }
            let Some(next) = self.service(&depends.name) else { continue };
            chain.push(&next.name);
            let found = self.circle(next, chain, done);
            chain.pop();
            if found.is_some() {
                return found;
            }
        }
        done.insert(&service.name);
        None
    }
}

fn held(node: &Node, what: &str, findings: &mut Findings) -> BTreeMap<String, Held> {
    let mut all = BTreeMap::new();
    for (key, node) in node.map().unwrap_or_default() {
        let mut section = Section::new(format!("{what} `{}`", key.text), node, findings);
        let mut text = |name: &'static str| section.take(name).and_then(Node::scalar);
        let held = Held {
            at: key.at.clone(),
            file: text("file"),
            variable: text("environment"),
            content: text("content"),
        };
        for name in ["name", "external", "driver", "driver_opts", "labels", "template_driver"] {
            section.take_key(name);
        }
        section.finish(findings);
        all.insert(key.text.clone(), held);
    }
    all
}

fn volumes(node: &Node, findings: &mut Findings) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (key, node) in node.map().unwrap_or_default() {
        let mut section = Section::new(format!("volume `{}`", key.text), node, findings);
        section.take("name");
        section.take("labels");
        section.lose("driver", "a volume is a folder of the engine's", findings);
        section.lose("driver_opts", "a volume is a folder of the engine's", findings);
        section.lose(
            "external",
            "the app gets an empty volume of its own: `minipaas cp` copies the data",
            findings,
        );
        section.finish(findings);
        all.insert(key.text.clone());
    }
    all
}
