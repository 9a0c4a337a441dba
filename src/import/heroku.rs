//! Heroku's `app.json`, beside a `Procfile`, which minipaas reads as it is.

use super::caprover::{app, document, text};
use super::draft::Draft;
use super::findings::Findings;
use super::node::{Node, Section, Value};
use super::{Files, Options, label, secret};
use crate::formation::REPLICAS_MAX;
use crate::manifest::PROCFILE;
use crate::name::ProcessType;

/// Where Heroku's images of one app would come from; here it is the Dockerfile.
const BUILT: &str = "a Dockerfile says how the image is made: `web` is run by its `CMD`, or by the Procfile";

pub(super) fn read(
    file: &str,
    files: &dyn Files,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Draft> {
    let Some(document) = document(file, files, findings) else { return Vec::new() };
    let mut section = Section::new("the file", &document, findings);
    let name = section.take("name").and_then(Node::scalar).map(|name| label::of(&name));
    let name = name.filter(|name| options.app.is_none() && name.parse::<crate::name::AppName>().is_ok());
    let name = name.unwrap_or_else(|| app(options));
    let mut draft = Draft::new("", Some(name.clone()));
    let procfile = files.read(PROCFILE).ok().flatten();
    let known = procfile.as_deref().map(process_names).unwrap_or_default();
    if procfile.is_some() {
        draft.remark("app", "The commands are in the Procfile, which is read as well.");
    }
    if let Some(node) = section.take("env") {
        env(node, &name, &mut draft, findings);
    }
    if let Some(node) = section.take("formation") {
        formation(node, &known, &mut draft, findings);
    }
    if let Some(node) = section.take("scripts") {
        scripts(node, findings);
    }
    if let Some((key, node)) = section.take_key("addons") {
        for item in node.list().unwrap_or_default() {
            let plan = item.scalar().or_else(|| item.get("plan").and_then(Node::scalar)).unwrap_or_default();
            let instead =
                format!("run it beside, and `minipaas config set -a {name}` the variables that it gave");
            findings.lost(&item.at, format!("add-on `{plan}`"), &instead);
        }
        if node.list().is_none() && !node.is_null() {
            findings.problem(&key.at, format!("`addons` is {}; it takes a list", node.kind()));
        }
    }
    for key in ["buildpacks", "stack", "image"] {
        section.lose(key, BUILT, findings);
    }
    section.lose("environments", "deploy the folder under another `--app` for a test or a review", findings);
    for key in ["$schema", "description", "keywords", "website", "repository", "logo", "success_url"] {
        section.take_key(key);
    }
    section.finish(findings);
    vec![draft]
}

/// A Procfile alone needs no manifest but for a place to say more.
pub(super) fn read_procfile(
    file: &str,
    files: &dyn Files,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Draft> {
    if text(file, files, findings).is_none() {
        return Vec::new();
    }
    let mut draft = Draft::new("", Some(app(options)));
    draft.remark("app", "The commands are in the Procfile, which is read as well.");
    findings.choice(&super::Place::file(file), "how the image is made is not in a Procfile", BUILT);
    vec![draft]
}

fn env(node: &Node, app: &str, draft: &mut Draft, findings: &mut Findings) {
    let Some(entries) = node.map() else {
        findings.problem(&node.at, format!("`env` is {}; it takes a mapping", node.kind()));
        return;
    };
    for (key, node) in entries {
        let name = &key.text;
        let set = |is_secret: bool| {
            let (how, value) = if is_secret { (" --secret --export", "- < FILE") } else { ("", "…") };
            format!("`minipaas config set -a {app}{how} {name}={value}`")
        };
        if !label::is_variable(name) {
            findings.lost(&key.at, format!("variable `{name}`"), "names are of letters, digits and `_`");
            continue;
        }
        if name == "PORT" {
            continue;
        }
        let mut value = node.scalar();
        let (mut is_required, mut generator) = (true, None);
        if node.map().is_some() {
            let mut section = Section::new(format!("variable `{name}`"), node, findings);
            section.take("description");
            value = section.take("value").and_then(Node::scalar);
            generator = section.take("generator").and_then(Node::scalar);
            is_required =
                section.take("required").and_then(|node| node.boolean("`required`", findings)) != Some(false);
            section.finish(findings);
        }
        match (value, generator) {
            (_, Some(generator)) => {
                let instead = format!(
                    "`openssl rand -hex 32 | minipaas config set -a {app} --secret --export {name}=-`"
                );
                findings.task(&key.at, format!("`{name}` is generated ({generator})"), &instead);
            }
            (Some(value), None) if secret::is_secret(name, &value) => {
                findings.task(
                    &key.at,
                    format!("`{name}` looks like a secret and is not written here"),
                    &set(true),
                );
            }
            (Some(value), None) => {
                draft.env.insert(name.clone(), value);
            }
            (None, None) if is_required => {
                findings.task(&key.at, format!("`{name}` has to be set"), &set(secret::is_secret_name(name)));
            }
            (None, None) => {}
        }
    }
}

fn formation(node: &Node, known: &[String], draft: &mut Draft, findings: &mut Findings) {
    for (key, node) in node.map().unwrap_or_default() {
        let name = &key.text;
        if let Err(error) = name.parse::<ProcessType>() {
            findings.problem(&key.at, error.to_string());
            continue;
        }
        let mut section = Section::new(format!("formation of `{name}`"), node, findings);
        let quantity =
            section.take("quantity").and_then(|node| node.count("`quantity`", (0, REPLICAS_MAX), findings));
        section.lose("size", "there are no dyno types: `memory` and `cpu` limit an instance", findings);
        section.finish(findings);
        if name != "web" && !known.contains(name) {
            findings.lost(&key.at, format!("formation of `{name}`"), "the Procfile has no such line");
            continue;
        }
        draft.process(name).replicas = quantity.filter(|quantity| *quantity != 1);
    }
}

fn scripts(node: &Node, findings: &mut Findings) {
    let mut section = Section::new("`scripts`", node, findings);
    if let Some(node) = section.take("postdeploy") {
        let line = match &node.value {
            Value::Map(_) => node.get("command").and_then(Node::scalar),
            _ => node.string("`postdeploy`", findings),
        };
        // Heroku runs it for a new app alone, so it is nothing for [release], which runs for each release.
        let line = line.unwrap_or_default();
        let instead = format!("type it once, after the first `minipaas up`: `minipaas run {line}`");
        findings.task(&node.at, "`postdeploy` ran once for each new app", &instead);
    }
    section.lose("pr-predestroy", "there are no review apps", findings);
    section.lose("test", "run tests before `minipaas up`", findings);
    section.lose("test-setup", "run tests before `minipaas up`", findings);
    section.finish(findings);
}

/// The process types of a Procfile.
fn process_names(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}
