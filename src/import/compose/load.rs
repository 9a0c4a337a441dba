//! All files of a compose project as one document.
//!
//! Each file is read, its variables get their values, its paths become relative to the project's folder, what it includes
//! and what its services extend is merged in; then it is merged with the files before it.

use std::collections::BTreeMap;

use super::super::findings::{Findings, Place};
use super::super::node::{Key, Node, Section, Tag, Value, read_yaml};
use super::super::{Files, path, secret};
use super::interpolate::interpolate;
use super::{dotenv, merge, volume};

/// How many files may include or extend one another in a chain.
const DEPTH_MAX: usize = 16;

/// Where texts come from, and what their variables mean.
pub(super) struct Loader<'l> {
    pub(super) files: &'l dyn Files,
    /// What the caller's environment says; it goes before `.env`.
    pub(super) environment: &'l BTreeMap<String, String>,
    pub(super) findings: &'l mut Findings,
}

impl Loader<'_> {
    /// The files as one document, the later before the earlier; `None` when none could be read.
    pub(super) fn project(&mut self, paths: &[String], variables: &BTreeMap<String, String>) -> Option<Node> {
        let mut whole: Option<Node> = None;
        for path in paths {
            let Some(document) = self.document(path, "", variables, &mut Vec::new()) else { continue };
            whole = Some(match whole {
                Some(before) => merge::file(before, document),
                None => document,
            });
        }
        if let Some(whole) = &mut whole {
            merge::drop_resets(whole);
        }
        whole
    }

    /// The variables of a `.env` file, below those of the environment; a file that is not there has none.
    pub(super) fn variables(&mut self, path: &str, is_wanted: bool) -> BTreeMap<String, String> {
        let mut variables = self.environment.clone();
        match self.files.read(path) {
            Ok(Some(text)) => {
                for line in dotenv::read(path, &text, self.environment, self.findings) {
                    if let Some(value) = line.value {
                        variables.entry(line.name).or_insert(value);
                    }
                }
            }
            Ok(None) if !is_wanted => {}
            Ok(None) => self.findings.problem(&Place::file(path), "there is no such file"),
            Err(message) => self.findings.problem(&Place::file(path), message),
        }
        variables
    }

    /// One file with what it includes and extends; its relative paths begin in `folder`, or else beside it.
    fn document(
        &mut self,
        path: &str,
        folder: &str,
        variables: &BTreeMap<String, String>,
        chain: &mut Vec<String>,
    ) -> Option<Node> {
        let mut document = self.text(&Place::file(path), path, variables)?;
        rebase_file(&mut document, folder);
        chain.push(path.to_owned());
        self.extend_services(path, &mut document, variables);
        let included = match &mut document.value {
            Value::Map(map) => {
                let at = map.iter().position(|(key, _)| key.text == "include");
                at.map(|at| map.remove(at))
            }
            _ => None,
        };
        if let Some((_, include)) = included {
            document = self.include(&include, folder, document, variables, chain);
        }
        chain.pop();
        Some(document)
    }

    /// The document of a file, with the values of its variables.
    fn text(&mut self, named: &Place, path: &str, variables: &BTreeMap<String, String>) -> Option<Node> {
        let text = match self.files.read(path) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let message = if named.line == 0 {
                    "there is no such file".to_owned()
                } else {
                    format!("there is no file `{path}`")
                };
                self.findings.problem(named, message);
                return None;
            }
            Err(message) => {
                self.findings.problem(named, message);
                return None;
            }
        };
        let mut document = match read_yaml(path, &text) {
            Ok(document) => document,
            Err(problem) => {
                self.findings.problems.push(problem);
                return None;
            }
        };
        if document.map().is_none() {
            let message = format!("the file is {}; it takes a mapping with `services`", document.kind());
            self.findings.problem(&document.at, message);
            return None;
        }
        let lookup = |name: &str| variables.get(name).map(|value| secret::masked(name, value));
        let findings = &mut *self.findings;
        document.visit(&mut |node| {
            let Value::Text(text) = &node.value else { return };
            if !text.contains('$') {
                return;
            }
            let mut unset = Vec::new();
            match interpolate(text, &lookup, &mut unset) {
                Ok(text) => node.value = Value::Text(text),
                Err(error) => findings.problem(&node.at, error.to_string()),
            }
            for name in unset {
                findings.choice(&node.at, format!("variable `{name}` is not set and taken as empty"), "");
            }
        });
        Some(document)
    }

    /// Merges in the files of `include`.
    fn include(
        &mut self,
        include: &Node,
        folder: &str,
        mut document: Node,
        variables: &BTreeMap<String, String>,
        chain: &mut Vec<String>,
    ) -> Node {
        for item in include.list().unwrap_or(std::slice::from_ref(include)) {
            let (paths, project, env_file) = match &item.value {
                Value::Map(_) => {
                    let mut section = Section::new("`include`", item, self.findings);
                    let paths = section.take("path").map(|node| node.strings("`path`", self.findings));
                    let project = section.take("project_directory").and_then(Node::scalar);
                    let env_file =
                        section.take("env_file").map(|node| node.strings("`env_file`", self.findings));
                    section.finish(self.findings);
                    (paths.unwrap_or_default(), project, env_file.unwrap_or_default())
                }
                _ => (item.strings("`include`", self.findings), None, Vec::new()),
            };
            let mut inner = variables.clone();
            for (file, _) in env_file {
                // What includes goes before what is included.
                for (name, value) in self.variables(&path::join(folder, &file), true) {
                    inner.entry(name).or_insert(value);
                }
            }
            let mut whole: Option<Node> = None;
            for (file, at) in &paths {
                let file = path::join(folder, file);
                if chain.contains(&file) || chain.len() >= DEPTH_MAX {
                    let message =
                        format!("`include` goes in a circle: {} includes `{file}`", chain.join(" includes "));
                    self.findings.problem(at, message);
                    continue;
                }
                let beside = project
                    .as_deref()
                    .map_or_else(|| path::folder(&file).to_owned(), |project| path::join(folder, project));
                if let Some(node) = self.included(at, &file, &beside, &inner, chain) {
                    whole = Some(match whole {
                        Some(before) => merge::file(before, node),
                        None => node,
                    });
                }
            }
            if let Some(whole) = whole {
                self.refuse_doubles(&whole, &document);
                // What the file says itself comes first, and what it is called is its own to say.
                let mut whole = whole;
                if let Value::Map(map) = &mut whole.value {
                    map.retain(|(key, _)| !matches!(key.text.as_str(), "name" | "version"));
                }
                document = merge::file(document, whole);
            }
        }
        document
    }

    fn included(
        &mut self,
        at: &Place,
        file: &str,
        folder: &str,
        variables: &BTreeMap<String, String>,
        chain: &mut Vec<String>,
    ) -> Option<Node> {
        // Told where it is included, not as a file that nobody named.
        if let Ok(None) = self.files.read(file) {
            self.findings.problem(at, format!("there is no file `{file}`"));
            return None;
        }
        self.document(file, folder, variables, chain)
    }

    /// What is included is a whole of its own: nothing in it is changed by accident.
    fn refuse_doubles(&mut self, included: &Node, document: &Node) {
        let services =
            |node: &Node| node.get("services").and_then(Node::map).map(<[_]>::to_vec).unwrap_or_default();
        let ours = services(document);
        for (key, _) in services(included) {
            if let Some((other, _)) = ours.iter().find(|(other, _)| other.text == key.text) {
                let message = format!("service `{}` is included from {}, too; rename one", key.text, key.at);
                self.findings.problem(&other.at, message);
            }
        }
    }

    /// Merges each service over the one that it extends.
    fn extend_services(&mut self, file: &str, document: &mut Node, variables: &BTreeMap<String, String>) {
        let Some(services) = document.get("services").and_then(Node::map).map(<[_]>::to_vec) else { return };
        let extended: Vec<(Key, Node)> = services
            .iter()
            .map(|(key, node)| {
                let mut chain = vec![(file.to_owned(), key.text.clone())];
                (key.clone(), self.extended(node.clone(), &services, variables, &mut chain))
            })
            .collect();
        if let Value::Map(map) = &mut document.value
            && let Some((_, node)) = map.iter_mut().find(|(key, _)| key.text == "services")
        {
            node.value = Value::Map(extended);
        }
    }

    /// The service over what it extends; `chain` holds the files and services that led to it.
    fn extended(
        &mut self,
        mut node: Node,
        services: &[(Key, Node)],
        variables: &BTreeMap<String, String>,
        chain: &mut Vec<(String, String)>,
    ) -> Node {
        let Value::Map(map) = &mut node.value else { return node };
        let Some(at) = map.iter().position(|(key, _)| key.text == "extends") else { return node };
        let (key, extends) = map.remove(at);
        let (file, name) = match &extends.value {
            Value::Map(_) => {
                let mut section = Section::new("`extends`", &extends, self.findings);
                let file = section.take("file").and_then(|node| node.string("`file`", self.findings));
                let name = section.take("service").and_then(|node| node.string("`service`", self.findings));
                section.finish(self.findings);
                (file, name)
            }
            _ => (None, extends.string("`extends`", self.findings)),
        };
        let Some(name) = name else {
            if matches!(extends.value, Value::Map(_)) {
                self.findings.problem(&key.at, "`extends` names no `service`");
            }
            return node;
        };
        let here = chain.last().map(|(file, _)| file.clone()).unwrap_or_default();
        let (there, others) = match file {
            None => (here, services.to_vec()),
            Some(file) => {
                let there = path::join(path::folder(&here), &file);
                let Some(mut document) = self.text(&key.at, &there, variables) else { return node };
                rebase_file(&mut document, path::folder(&there));
                (there, document.get("services").and_then(Node::map).map(<[_]>::to_vec).unwrap_or_default())
            }
        };
        let step = (there, name.clone());
        if chain.contains(&step) || chain.len() >= DEPTH_MAX {
            let names: Vec<_> = chain.iter().map(|(_, name)| format!("`{name}`")).collect();
            let message = format!("`extends` goes in a circle: {} extends `{name}`", names.join(" extends "));
            self.findings.problem(&key.at, message);
            return node;
        }
        let Some((_, base)) = others.iter().find(|(key, _)| key.text == name) else {
            self.findings.problem(&key.at, format!("there is no service `{name}` in `{}` to extend", step.0));
            return node;
        };
        chain.push(step);
        let base = self.extended(base.clone(), &others, variables, chain);
        chain.pop();
        merge::service(base, node)
    }
}

/// Has the paths of a file in another folder begin in the project's.
fn rebase_file(document: &mut Node, folder: &str) {
    if folder.is_empty() {
        return;
    }
    let Value::Map(map) = &mut document.value else { return };
    for (key, node) in map {
        let Value::Map(entries) = &mut node.value else { continue };
        for (_, entry) in entries {
            match key.text.as_str() {
                "services" => rebase_service(entry, folder),
                "secrets" | "configs" => change_at(entry, "file", &mut |node| rebase(node, folder)),
                _ => {}
            }
        }
    }
}

fn rebase_service(service: &mut Node, folder: &str) {
    let mut change = |node: &mut Node| rebase(node, folder);
    change_at(service, "build", &mut |node| match node.value {
        Value::Map(_) => change_at(node, "context", &mut |node| rebase(node, folder)),
        _ => rebase(node, folder),
    });
    change_at(service, "env_file", &mut |node| {
        each(node, &mut |item| match item.value {
            Value::Map(_) => change_at(item, "path", &mut change),
            _ => change(item),
        });
    });
    change_at(service, "volumes", &mut |node| each(node, &mut |item| volume::rebase(item, folder)));
}

/// A relative path; not a URL, and not one that begins elsewhere.
fn rebase(node: &mut Node, folder: &str) {
    if let Value::Text(text) = &node.value
        && !text.contains("://")
        && !text.starts_with(['/', '~'])
        && node.tag != Some(Tag::Reset)
    {
        let joined = path::join(folder, text);
        node.value = Value::Text(if joined.is_empty() { ".".to_owned() } else { joined });
    }
}

fn change_at(node: &mut Node, key: &str, change: &mut dyn FnMut(&mut Node)) {
    if let Value::Map(map) = &mut node.value
        && let Some((_, node)) = map.iter_mut().find(|(known, _)| known.text == key)
    {
        change(node);
    }
}

fn each(node: &mut Node, change: &mut dyn FnMut(&mut Node)) {
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(change),
        _ => change(node),
    }
}
