//! Kamal 2's `config/deploy.yml`.
//!
//! A role is a process type, and the role that has the proxy is `web`. Hosts mean nothing, as a box is one; accessories are
//! data services or apps of their own. ERB is Ruby, and is not run.

mod proxy;

use super::caprover::{app, text};
use super::draft::Draft;
use super::findings::{Findings, Place};
use super::node::{Node, Section, Value, read_yaml};
use super::{Files, Options, data, label, path, secret, words};
use crate::manifest::Command;
use crate::name::ProcessType;

/// What an ERB value leaves behind: a word that no project has, so that it is found again.
const ERB: &str = "__erb__";
/// The file that Kamal builds unless it is told.
const DOCKERFILE: &str = "Dockerfile";

pub(super) fn read(
    file: &str,
    files: &dyn Files,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Draft> {
    let Some(text) = text(file, files, findings) else { return Vec::new() };
    let text = without_erb(file, &text, findings);
    let mut document = match read_yaml(file, &text) {
        Ok(document) => document,
        Err(problem) => {
            findings.problems.push(problem);
            return Vec::new();
        }
    };
    drop_erb(&mut document);
    let mut section = Section::new("the file", &document, findings);
    let said = section.take("service").and_then(|node| node.string("`service`", findings));
    // What Ruby says is named as not run.
    if said.is_none() && !text.contains(ERB) {
        findings.problem(&section.at, "the file has no `service`");
    }
    let said = said
        .map(|name| label::of(&name))
        .filter(|name| options.app.is_none() && name.parse::<crate::name::AppName>().is_ok());
    let name = said.unwrap_or_else(|| app(options));
    let mut draft = Draft::new("", Some(name.clone()));
    // Where a built image would be pushed to.
    section.take("image");
    if let Some(node) = section.take("servers") {
        servers(node, &name, &mut draft, findings);
    } else {
        draft.process("web");
    }
    proxy::read(section.take_key("proxy").map(|(_, node)| node), &mut draft, findings);
    if let Some(node) = section.take("env") {
        env(node, &name, &mut draft, findings);
    }
    for (at, volume) in section.take("volumes").and_then(Node::list).unwrap_or_default().iter().enumerate() {
        mount(volume, at, &mut draft, findings);
    }
    if let Some(node) = section.take("builder") {
        builder(node, &name, &mut draft, findings);
    }
    for (key, node) in section.take("accessories").and_then(Node::map).unwrap_or_default() {
        let image = node.get("image").and_then(Node::scalar).unwrap_or_default();
        let kind = data::kind(&image).unwrap_or("not part of the app's image");
        let instead = "run it beside, and set the variables that lead to it by `minipaas config set`";
        findings.lost(&key.at, format!("accessory `{}`, which is {kind}", key.text), instead);
    }
    if let Some(node) = section.take("aliases") {
        for (alias, node) in node.map().unwrap_or_default() {
            let line = node.scalar().unwrap_or_default();
            let instead = format!("`minipaas run` takes any command; it was `{line}`");
            findings.lost(&alias.at, format!("alias `{}`", alias.text), &instead);
        }
    }
    section.lose(
        "asset_path",
        "old and new assets are not mixed: put them on a volume or a CDN, or keep their names",
        findings,
    );
    section.lose("boot", "one instance after the other is swapped", findings);
    section.lose("require_destination", "`--app` deploys the folder under another name", findings);
    section.lose(
        "hooks_path",
        "`[release]` runs before a swap; `minipaas hooks` tells others of it",
        findings,
    );
    section.lose("logging", "`minipaas logs` keeps what is written; `minipaas drains` hands it on", findings);
    section.lose("secrets_path", "secrets are set by `minipaas config set --secret`", findings);
    section.lose("labels", "containers get minipaas's own", findings);
    for key in [
        "registry",
        "ssh",
        "sshkit",
        "primary_role",
        "allow_empty_roles",
        "minimum_version",
        "deploy_timeout",
        "run_directory",
        "retain_containers",
        "readiness_delay",
    ] {
        section.take_key(key);
    }
    let drain =
        section.take("drain_timeout").and_then(|node| node.count("`drain_timeout`", (1, 86_400), findings));
    if let Some(drain) = drain {
        draft.deploy.push(("drain", super::write::time(std::time::Duration::from_secs(drain.into()))));
    }
    section.finish(findings);
    vec![draft]
}

/// The text with its ERB as values that are found again, each named.
fn without_erb(file: &str, text: &str, findings: &mut Findings) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("<%") {
        let Some(end) = rest[at..].find("%>") else { break };
        let before = text.len() - rest.len() + at;
        let place = Place { line: text[..before].matches('\n').count() + 1, ..Place::file(file) };
        let code = &rest[at..at + end + 2];
        let shown =
            if code.len() > 80 { "some Ruby".to_owned() } else { format!("`{}`", code.replace('\n', " ")) };
        findings.lost(&place, format!("{shown}, which is not run"), "write what it comes to");
        out.push_str(&rest[..at]);
        // A line of nothing but code leaves nothing.
        let is_value = code.starts_with("<%=");
        if is_value {
            out.push_str(ERB);
        }
        out.extend(std::iter::repeat_n('\n', code.matches('\n').count()));
        rest = &rest[at + end + 2..];
    }
    out.push_str(rest);
    out
}

/// Has values of ERB say nothing.
fn drop_erb(document: &mut Node) {
    let is_erb = |node: &Node| matches!(&node.value, Value::Text(text) if text.contains(ERB));
    document.visit(&mut |node| match &mut node.value {
        Value::List(list) => list.retain(|node| !is_erb(node)),
        Value::Map(map) => map.retain(|(key, node)| !is_erb(node) && !key.text.contains(ERB)),
        _ => {}
    });
}

fn servers(node: &Node, app: &str, draft: &mut Draft, findings: &mut Findings) {
    let Some(roles) = node.map() else {
        // Hosts of the one role.
        draft.process("web");
        hosts(node, "web", findings);
        return;
    };
    for (key, node) in roles {
        let name = label::of(&key.text);
        if let Err(error) = name.parse::<ProcessType>() {
            findings.problem(&key.at, error.to_string());
            continue;
        }
        draft.process(&name);
        if node.map().is_none() {
            hosts(node, &key.text, findings);
            continue;
        }
        let mut section = Section::new(format!("role `{}`", key.text), node, findings);
        if let Some(node) = section.take("hosts") {
            hosts(node, &key.text, findings);
        }
        if let Some(line) = section.take("cmd").and_then(|node| node.string("`cmd`", findings)) {
            draft.process(&name).command = command(&line);
        }
        if let Some(node) = section.take("env") {
            env(node, app, draft, findings);
        }
        if let Some(node) = section.take("options") {
            options(node, &name, draft, findings);
        }
        if section.take("proxy").is_some_and(|node| node.scalar().as_deref() != Some("false"))
            && name != "web"
        {
            let instead = "a [[route]] with its `process` leads there";
            findings.lost(&key.at, format!("that role `{}` has the proxy", key.text), instead);
        }
        section.lose("asset_path", "old and new assets are not mixed", findings);
        section.lose("logging", "`minipaas logs` keeps what is written", findings);
        section.lose("labels", "containers get minipaas's own", findings);
        section.lose("tags", "a box is one host", findings);
        section.finish(findings);
    }
    draft.process("web");
}

/// A box is one of them.
fn hosts(node: &Node, role: &str, findings: &mut Findings) {
    if node.list().is_some_and(|hosts| hosts.len() > 1) {
        let count = node.list().map_or(0, <[_]>::len);
        let instead = "a box is one host: `replicas` is how many run there";
        findings.lost(&node.at, format!("that role `{role}` is on {count} hosts"), instead);
    }
}

/// Options of `docker run`.
fn options(node: &Node, process: &str, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new(format!("`options` of role `{process}`"), node, findings);
    if let Some(memory) =
        section.take("memory").and_then(|node| Some((node.string("`memory`", findings)?, &node.at)))
    {
        match crate::manifest::memory(&memory.0.to_ascii_lowercase()) {
            Ok(bytes) => draft.process(process).memory = Some(bytes),
            Err(rule) => findings.problem(memory.1, rule),
        }
    }
    if let Some(cpus) =
        section.take("cpus").and_then(|node| Some((node.string("`cpus`", findings)?, &node.at)))
    {
        match crate::manifest::cpu(&cpus.0) {
            Ok(cpu) => draft.process(process).cpu = Some(cpu),
            Err(rule) => findings.problem(cpus.1, rule),
        }
    }
    section.finish(findings);
}

/// Kamal hands it to a shell on the host, and so to the container as words.
fn command(line: &str) -> Option<Command> {
    let words = words::split(line)?;
    let plain = Command::Line(words.join(" "));
    match words.is_empty() {
        true => None,
        false if plain.argv() == words => Some(plain),
        false => Some(Command::Args(words)),
    }
}

/// Variables by name, or under `clear` beside `secret`.
fn env(node: &Node, app: &str, draft: &mut Draft, findings: &mut Findings) {
    let secrets = node.get("secret");
    let is_split = secrets.is_some() || node.get("clear").is_some();
    let clear = if is_split { node.get("clear").cloned() } else { Some(node.clone()) };
    let set = |name: &str| format!("`minipaas config set -a {app} --secret --export {name}=- < FILE`");
    for (key, node) in clear.as_ref().and_then(Node::map).unwrap_or_default() {
        let (name, Some(value)) = (&key.text, node.string(&format!("`{}`", key.text), findings)) else {
            continue;
        };
        if name == "PORT" {
            continue;
        }
        if !label::is_variable(name) {
            findings.lost(&key.at, format!("variable `{name}`"), "names are of letters, digits and `_`");
        } else if secret::is_secret(name, &value) {
            findings.task(
                &key.at,
                format!("`{name}` looks like a secret and is not written here"),
                &set(name),
            );
        } else if draft.env.get(name).is_some_and(|other| *other != value) {
            findings.lost(
                &key.at,
                format!("another value of `{name}`"),
                "an app has one environment for all processes",
            );
        } else {
            draft.env.insert(name.clone(), value);
        }
    }
    for (name, at) in secrets.map(|node| node.strings("`secret`", findings)).unwrap_or_default() {
        // `DB_PASSWORD:MAIN_DB_PASSWORD` takes the value from under another name.
        let name = name.split(':').next().unwrap_or_default();
        findings.task(&at, format!("secret `{name}`"), &set(name));
    }
    if let Some(tags) = node.get("tags") {
        findings.lost(&tags.at, "variables of `tags`", "a box is one host");
    }
}

/// `NAME:/path`, or a path of the host.
fn mount(node: &Node, at: usize, draft: &mut Draft, findings: &mut Findings) {
    let Some(text) = node.string("a volume", findings) else { return };
    let (source, target) = text.split_once(':').unwrap_or(("", &text));
    let target = target.split(':').next().unwrap_or_default();
    if source.starts_with(['/', '.', '~']) {
        let instead = "a [volume] keeps data, and `minipaas cp` copies it there";
        findings.lost(&node.at, format!("`{source}` of the host at `{target}`"), instead);
        return;
    }
    let name = label::of(if source.is_empty() { "data" } else { source });
    let name = if name.parse::<ProcessType>().is_ok() { name } else { format!("data-{at}") };
    if target.starts_with('/') && target.len() > 1 {
        draft.volumes.insert(name, target.to_owned());
    } else {
        findings.problem(&node.at, format!("volume `{text}` is mounted at no absolute path"));
    }
}

fn builder(node: &Node, app: &str, draft: &mut Draft, findings: &mut Findings) {
    let mut section = Section::new("`builder`", node, findings);
    let dockerfile = section.take("dockerfile").and_then(Node::scalar).map(|file| path::join("", &file));
    draft.build.target = section.take("target").and_then(Node::scalar);
    let context = section
        .take_key("context")
        .map(|(key, node)| (key.at.clone(), path::join("", &node.scalar().unwrap_or_default())));
    if let Some((at, context)) = context.filter(|(_, context)| !context.is_empty()) {
        if path::is_outside(&context) {
            findings.lost(
                &at,
                format!("the folder `{context}` that is built"),
                "`minipaas up FOLDER` builds another folder",
            );
        } else {
            draft.folder = context;
        }
    }
    draft.build.dockerfile = dockerfile.filter(|file| file != DOCKERFILE);
    for (key, node) in section.take("args").and_then(Node::map).unwrap_or_default() {
        let value = node.scalar().unwrap_or_default();
        if secret::is_secret(&key.text, &value) {
            let instead = "an image keeps its arguments for everybody to read";
            findings.lost(
                &key.at,
                format!("build argument `{}` of `{app}`, which looks like a secret", key.text),
                instead,
            );
        } else {
            draft.build.args.insert(key.text.clone(), value);
        }
    }
    section.lose("secrets", "build the image elsewhere and name it in [build] `image`", findings);
    section.lose("ssh", "build the image elsewhere and name it in [build] `image`", findings);
    section.lose("pack", "write a Dockerfile: minipaas guesses no language", findings);
    for key in ["arch", "remote", "local", "driver", "cache", "provenance", "sbom"] {
        section.take_key(key);
    }
    section.finish(findings);
}
