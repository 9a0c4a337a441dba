//! The draft of each app: what its services say together.
//!
//! Environment, volumes and links belong to the app, not to a process type. Where two services say different things the
//! first one's word stands, and the other gets its own by `env` in its command, if it has a command.

use std::collections::BTreeMap;

use super::super::draft::{Cron, Draft};
use super::super::findings::{Findings, Place};
use super::super::{Files, label, path, secret};
use super::address;
use super::group::{Group, Groups, Image};
use super::mention;
use super::process;
use super::project::{Held, Project};
use super::service::{Build, Service};
use super::volume::Source;
use crate::environment::SECRETS_DIR;
use crate::manifest::{self, Command};
use crate::name::ProcessType;

/// What every container of the engine's owner would be at the mercy of.
const ENGINE_SOCKET: &str = "docker.sock";

/// Files that an image lacks: what is copied, and where to.
type Copies = Vec<(String, String)>;

/// A draft for each app, in the order of the services.
pub(super) fn drafts(
    project: &Project,
    groups: &Groups<'_>,
    files: &dyn Files,
    findings: &mut Findings,
) -> Vec<Draft> {
    for (name, kind) in &groups.data {
        let Some(service) = project.service(name) else { continue };
        findings.about(Some(name));
        let instead = "minipaas has no data services: run it beside, and set the variables that lead to it by `minipaas config set`";
        findings.lost(&service.at, format!("service `{name}`, which is {kind}"), instead);
        findings.about(None);
    }
    let mut owners = BTreeMap::new();
    groups.apps.iter().map(|group| draft(project, group, groups, files, &mut owners, findings)).collect()
}

fn draft<'p>(
    project: &Project,
    group: &'p Group<'p>,
    groups: &Groups<'_>,
    files: &dyn Files,
    owners: &mut BTreeMap<String, &'p str>,
    findings: &mut Findings,
) -> Draft {
    let mut draft = Draft::new(group.folder.clone(), Some(group.app.clone()));
    draft.parts = group.services().map(|service| service.name.clone()).collect();
    let mut copies = Copies::new();
    for member in &group.members {
        let service = member.service;
        findings.about(Some(&service.name));
        let mut process = process::process(member, &mut draft, findings);
        let differing = environment(service, group, groups, &mut draft, findings);
        own_environment(service, differing, &mut process.command, findings);
        if process.port.is_none() && member.is_web() {
            process.port = member.http_port();
        }
        if let Some(watch) = service.deploy.watch {
            draft.deploy.retain(|(key, _)| *key != "watch_window");
            draft.deploy.push(("watch_window", super::super::write::time(watch)));
        }
        mounts(service, group, files, &mut draft, owners, &mut copies, findings);
        held(service, project, group, files, &mut draft, &mut copies, findings);
        address::doors(member, &mut draft, findings);
        address::dependencies(service, group, groups, &mut draft);
        match (&member.labels.schedule, process.command.clone()) {
            (Some(schedule), Some(command)) => {
                let job = Cron { schedule: schedule.clone(), command };
                draft.cron.insert(member.process.clone(), job);
            }
            (Some(_), None) => {
                let text = format!("the schedule of `{}`, which has no `command`", service.name);
                findings.lost(&service.at, text, "write [cron] with the image's own command");
            }
            (None, _) => {
                draft.processes.insert(member.process.clone(), process);
            }
        }
    }
    if let Some(service) = group.release {
        findings.about(Some(&service.name));
        draft.release = process::command(service, findings);
        draft.remark("release", format!("Service `{}`, which others wait for.", service.name));
        let differing = environment(service, group, groups, &mut draft, findings);
        own_environment(service, differing, &mut draft.release, findings);
    }
    let lead = group.members.first().map(|member| member.service);
    findings.about(lead.map(|service| service.name.as_str()));
    build(group, copies, &mut draft, findings);
    findings.about(None);
    draft
}

/// The image, or what makes it.
fn build(group: &Group<'_>, copies: Copies, draft: &mut Draft, findings: &mut Findings) {
    match group.image {
        Image::Ready(ref image) if copies.is_empty() => draft.build.image = Some(image.clone()),
        Image::Ready(ref image) => {
            let mut text = format!("FROM {image}\n");
            for (source, target) in copies {
                text.push_str(&format!("COPY {} {}\n", copied(&source), copied(&target)));
            }
            let name = format!("Dockerfile.{}", group.app);
            draft.remark("build", "The image with the files that compose mounted into it.");
            draft.files.insert(name.clone(), text);
            draft.build.dockerfile = Some(name);
        }
        Image::Build(from) => own_build(from, group, draft, findings),
    }
}

fn own_build(from: &Build, group: &Group<'_>, draft: &mut Draft, findings: &mut Findings) {
    draft.build.dockerfile = from.dockerfile.as_deref().map(|file| path::join("", file)).filter(|file| file != "Dockerfile");
    if let Some(inline) = &from.inline {
        let name = format!("Dockerfile.{}", group.app);
        draft.files.insert(name.clone(), inline.clone());
        draft.build.dockerfile = Some(name);
    }
    draft.build.target.clone_from(&from.target);
    for (name, (value, at)) in &from.args {
        match value {
            Some(value) if secret::is_secret(name, value) => {
                let instead = "an image keeps its arguments for everybody to read; have the app read a secret when it runs";
                findings.lost(at, format!("build argument `{name}`, which looks like a secret"), instead);
            }
            Some(value) => {
                draft.build.args.insert(name.clone(), value.clone());
            }
            None => findings.lost(at, format!("build argument `{name}`, which has no value"), "write one in [build.args]"),
        }
    }
}

/// A word of a Dockerfile's `COPY`, in the form of a list's item where it has spaces.
fn copied(text: &str) -> String {
    text.replace(' ', "\\ ")
}

/// Adds the service's variables to the app's; returns those that another service says otherwise.
fn environment(
    service: &Service,
    group: &Group<'_>,
    groups: &Groups<'_>,
    draft: &mut Draft,
    findings: &mut Findings,
) -> Vec<(String, String, Place)> {
    let mut differing = Vec::new();
    for (name, (value, at)) in &service.env {
        // A port is said by its process.
        let Some(value) = value.as_ref().filter(|_| name != "PORT") else { continue };
        if !label::is_variable(name) {
            findings.lost(at, format!("variable `{name}`"), "names are of letters, digits and `_`");
            continue;
        }
        let is_secret = secret::is_secret(name, value);
        if let Some((service, kind)) = data_service(name, value, service, groups) {
            let text = format!("`{name}` leads to `{service}`, which is {kind}");
            findings.to_do(at, text, &set(&group.app, name, is_secret || value.contains("://")));
            continue;
        }
        if is_secret {
            let text = format!("`{name}` looks like a secret and is not written here");
            findings.to_do(at, text, &set(&group.app, name, true));
            continue;
        }
        if value.contains('\0') {
            findings.lost(at, format!("variable `{name}`, which has a NUL character"), "");
            continue;
        }
        let Some(value) = address::value(name, value, service, group, groups, draft, findings) else { continue };
        match draft.env.get(name) {
            Some(other) if *other != value => differing.push((name.clone(), value, at.clone())),
            Some(_) => {}
            None => {
                draft.env.insert(name.clone(), value);
            }
        }
    }
    differing
}

/// A variable that leads to a database, and what that is.
fn data_service<'g>(name: &str, value: &str, caller: &'g Service, groups: &'g Groups<'_>) -> Option<(&'g str, &'static str)> {
    let own = groups.data.iter().map(|(service, kind)| (*service, *service, *kind));
    let aliases = caller.links.iter().filter_map(|(alias, service)| {
        Some((alias.as_str(), service.as_str(), *groups.data.get(service.as_str())?))
    });
    let mut all = own.chain(aliases);
    all.find(|(known, _, _)| mention::find(name, value, known).is_some()).map(|(_, service, kind)| (service, kind))
}

/// What somebody types to set it.
fn set(app: &str, name: &str, is_secret: bool) -> String {
    if is_secret {
        format!("`minipaas config set -a {app} --secret --export {name}=- < FILE`")
    } else {
        format!("`minipaas config set -a {app} {name}=…`")
    }
}

/// Puts what a service says otherwise in front of its command.
fn own_environment(
    service: &Service,
    differing: Vec<(String, String, Place)>,
    command: &mut Option<Command>,
    findings: &mut Findings,
) {
    let Some((_, _, at)) = differing.first() else { return };
    let names: Vec<_> = differing.iter().map(|(name, _, _)| format!("`{name}`")).collect();
    let names = names.join(", ");
    match command {
        Some(line) => {
            let text = format!("{names} of `{}` is not what the app's [env] says", service.name);
            findings.choice(at, text, "its command begins with `env`");
            let own = differing.into_iter().map(|(name, value, _)| format!("{name}={value}"));
            let words: Vec<_> = ["env".to_owned()].into_iter().chain(own).chain(line.argv()).collect();
            *line = process::line(&words);
        }
        None => {
            let instead = "an app has one environment; give the process a `command` that begins with `env NAME=value`";
            findings.lost(at, format!("{names} of `{}`, which another service says otherwise", service.name), instead);
        }
    }
}

fn mounts<'p>(
    service: &Service,
    group: &'p Group<'p>,
    files: &dyn Files,
    draft: &mut Draft,
    owners: &mut BTreeMap<String, &'p str>,
    copies: &mut Copies,
    findings: &mut Findings,
) {
    for mount in &service.volumes {
        let (at, target) = (&mount.at, mount.target.trim_end_matches('/'));
        let name = match &mount.source {
            Source::Tmpfs => {
                findings.lost(at, format!("memory at `{target}`"), "what is written outside of volumes is gone with the container");
                continue;
            }
            Source::Other(kind) => {
                findings.lost(at, format!("what is mounted at `{target}`, of type `{kind}`"), "");
                continue;
            }
            Source::Bind(source) => {
                bind(source, target, at, group, files, draft, copies, findings);
                continue;
            }
            // Masks a folder of what is mounted around it, which is not here either.
            Source::Anonymous if is_below_bind(service, target) => continue,
            Source::Anonymous => label::of(target.rsplit('/').next().unwrap_or_default()),
            Source::Named(name) => label::of(name),
        };
        if name.parse::<ProcessType>().is_err() || target.is_empty() {
            findings.lost(at, format!("volume at `{}`", mount.target), "write [volume] with a name of letters, digits and dashes");
            continue;
        }
        match draft.volumes.get(&name) {
            Some(other) if other != target => {
                let text = format!("volume `{name}` at `{target}`, which is at `{other}` already");
                findings.lost(at, text, "an app has a volume at one place");
                continue;
            }
            Some(_) => {}
            None if draft.volumes.values().any(|other| other == target) => {
                findings.lost(at, format!("volume `{name}`"), &format!("another one is at `{target}` already"));
                continue;
            }
            None => {
                draft.volumes.insert(name.clone(), target.to_owned());
            }
        }
        if mount.is_read_only {
            findings.lost(at, format!("that volume `{name}` of `{}` is read-only", service.name), "every process may write to it");
        }
        if matches!(mount.source, Source::Named(_)) {
            match owners.get(&name) {
                Some(owner) if *owner != group.app => {
                    let text = format!("that volume `{name}` is shared with app `{owner}`");
                    findings.lost(at, text, "a volume belongs to one app; this one has its own, which is empty");
                }
                _ => {
                    owners.insert(name, &group.app);
                }
            }
        }
    }
}

fn is_below_bind(service: &Service, target: &str) -> bool {
    service.volumes.iter().any(|other| {
        let around = other.target.trim_end_matches('/');
        matches!(other.source, Source::Bind(_)) && target.strip_prefix(around).is_some_and(|rest| rest.starts_with('/'))
    })
}

/// A file or folder of the host: a file of the project can be in the image.
#[expect(clippy::too_many_arguments, reason = "what is mounted, and where all of it may go")]
fn bind(
    source: &str,
    target: &str,
    at: &Place,
    group: &Group<'_>,
    files: &dyn Files,
    draft: &mut Draft,
    copies: &mut Copies,
    findings: &mut Findings,
) {
    let said = format!("`{source}` of the host at `{target}`");
    if source.ends_with(ENGINE_SOCKET) {
        findings.lost(at, said, "no container gets the engine: whoever has it has the host");
        return;
    }
    let inside = path::join("", source);
    if path::is_outside(&inside) || path::is_outside(source) {
        findings.lost(at, said, "a [volume] keeps data, and `minipaas cp` copies it there");
        return;
    }
    if matches!(group.image, Image::Build(_)) {
        findings.lost(at, said, "`COPY` it in the Dockerfile; `minipaas up --watch` deploys what is edited");
        return;
    }
    match files.read(&inside) {
        Ok(Some(text)) => copy(&inside, Some(text), target, group, draft, copies),
        _ if group.folder.is_empty() && !inside.is_empty() => copy(&inside, None, target, group, draft, copies),
        _ => findings.lost(at, said, "write a Dockerfile that begins `FROM` the image and `COPY`s it"),
    }
}

/// Has a file be in the image; one that is not below the app's folder is written there.
fn copy(source: &str, text: Option<String>, target: &str, group: &Group<'_>, draft: &mut Draft, copies: &mut Copies) {
    let below = source.strip_prefix(&group.folder).filter(|_| !group.folder.is_empty()).and_then(|rest| rest.strip_prefix('/'));
    let name = match (below, text) {
        (Some(below), _) => below.to_owned(),
        (None, Some(text)) if !group.folder.is_empty() => {
            let name = source.rsplit('/').next().unwrap_or(source).to_owned();
            draft.files.insert(name.clone(), text);
            name
        }
        (None, _) => source.to_owned(),
    };
    let pair = (name, target.to_owned());
    if !copies.contains(&pair) {
        copies.push(pair);
    }
}

/// `secrets` and `configs`.
fn held(
    service: &Service,
    project: &Project,
    group: &Group<'_>,
    files: &dyn Files,
    draft: &mut Draft,
    copies: &mut Copies,
    findings: &mut Findings,
) {
    for (name, target, at) in &service.secrets {
        let Some(held) = project.secrets.get(name) else { continue };
        let variable = label::variable(name);
        let is_at = format!("{SECRETS_DIR}/{variable}");
        let wanted = match target.as_deref() {
            None => format!("{SECRETS_DIR}/{name}"),
            Some(target) if target.starts_with('/') => target.to_owned(),
            Some(target) => format!("{SECRETS_DIR}/{target}"),
        };
        if wanted != is_at {
            findings.lost(at, format!("that secret `{name}` is at `{wanted}`"), &format!("it is at `{is_at}`"));
        }
        let app = &group.app;
        let command = match held {
            Held { file: Some(file), .. } => format!("`minipaas config set -a {app} --secret {variable}=- < {file}`"),
            Held { variable: Some(from), .. } => {
                format!("`printenv {from} | minipaas config set -a {app} --secret {variable}=-`")
            }
            _ => format!("`minipaas config set -a {app} --secret {variable}=- < FILE`"),
        };
        findings.to_do(&held.at, format!("secret `{name}`"), &command);
    }
    for (name, target, at) in &service.configs {
        let Some(held) = project.configs.get(name) else { continue };
        let target = target.clone().unwrap_or_else(|| format!("/{name}"));
        let file = held.file.as_ref().map(|file| path::join("", file));
        let text = match (&held.content, &file) {
            (Some(content), _) => Some(content.clone()),
            (None, Some(file)) => files.read(file).ok().flatten(),
            (None, None) => None,
        };
        let is_copied = matches!(group.image, Image::Ready(_));
        match (text.filter(|text| is_copied && text.len() <= manifest::FILE_BYTES_MAX), file) {
            (Some(text), Some(file)) => copy(&file, Some(text), &target, group, draft, copies),
            (Some(text), None) => {
                draft.files.insert(label::of(name), text);
                copies.push((label::of(name), target));
            }
            _ => findings.lost(at, format!("config `{name}` at `{target}`"), "`COPY` a file in the Dockerfile"),
        }
    }
}
