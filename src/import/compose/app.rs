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
use super::mount::{self, Copies};
use super::process;
use super::project::Project;
use super::service::{Build, Service};
use crate::manifest::Command;

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
        let begun = copies.len();
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
        mount::mounts(service, group, files, &mut draft, owners, &mut copies, findings);
        mount::held(service, project, group, files, &mut draft, &mut copies, findings);
        for (source, _) in &copies[begun..] {
            unreachable_names(service, source, group, groups, &draft, files, findings);
        }
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
    partial_environment(group, &mut draft);
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
    draft.build.dockerfile =
        from.dockerfile.as_deref().map(|file| path::join("", file)).filter(|file| file != "Dockerfile");
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
            None => findings.lost(
                at,
                format!("build argument `{name}`, which has no value"),
                "write one in [build.args]",
            ),
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
            findings.task(at, text, &set(&group.app, name, is_secret || value.contains("://")));
            continue;
        }
        if is_secret {
            let text = format!("`{name}` looks like a secret and is not written here");
            findings.task(at, text, &set(&group.app, name, true));
            continue;
        }
        if value.contains('\0') {
            findings.lost(at, format!("variable `{name}`, which has a NUL character"), "");
            continue;
        }
        let Some(value) = address::value(name, value, service, group, groups, draft, findings) else {
            continue;
        };
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

/// Says which variables only some of the services had: here every process has them.
fn partial_environment(group: &Group<'_>, draft: &mut Draft) {
    let names: Vec<String> = draft.env.keys().cloned().collect();
    for name in names {
        let owners: Vec<_> = group.services().filter(|service| service.env.contains_key(&name)).collect();
        if owners.len() < group.services().count() {
            let owners: Vec<_> = owners.iter().map(|service| format!("`{}`", service.name)).collect();
            draft.remark(format!("env.{name}"), format!("Was for {} alone.", owners.join(", ")));
        }
    }
}

/// Names what a file that is copied calls by a name that is none here.
fn unreachable_names(
    service: &Service,
    source: &str,
    group: &Group<'_>,
    groups: &Groups<'_>,
    draft: &Draft,
    files: &dyn Files,
    findings: &mut Findings,
) {
    let text = draft
        .files
        .get(source)
        .cloned()
        .or_else(|| files.read(&path::join(&group.folder, source)).ok().flatten());
    let Some(text) = text else { return };
    for (name, other) in address::names(service, groups) {
        let calls = |line: &str| matches!(mention::find("", line, name), Some(mention::Mention::Url { .. }));
        let Some((called, _)) = groups.find(other).filter(|(called, _)| called.app != group.app) else {
            continue;
        };
        if text.lines().any(calls) {
            let instead = format!("it is at `http://{}.internal`, on the box's port of http", called.app);
            findings.lost(&service.at, format!("that `{source}` calls `{name}`"), &instead);
        }
    }
}

/// A variable that leads to a database, and what that is.
fn data_service<'g>(
    name: &str,
    value: &str,
    caller: &'g Service,
    groups: &'g Groups<'_>,
) -> Option<(&'g str, &'static str)> {
    let own = groups.data.iter().map(|(service, kind)| (*service, *service, *kind));
    let aliases = caller.links.iter().filter_map(|(alias, service)| {
        Some((alias.as_str(), service.as_str(), *groups.data.get(service.as_str())?))
    });
    let mut all = own.chain(aliases);
    all.find(|(known, _, _)| mention::find(name, value, known).is_some())
        .map(|(_, service, kind)| (service, kind))
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
            let text = format!("`{}` says otherwise than the app's [env]: {names}", service.name);
            findings.choice(at, text, "its command begins with `env`");
            let own = differing.into_iter().map(|(name, value, _)| format!("{name}={value}"));
            let words: Vec<_> = ["env".to_owned()].into_iter().chain(own).chain(line.argv()).collect();
            *line = process::line(&words);
        }
        None => {
            let instead =
                "an app has one environment; give the process a `command` that begins with `env NAME=value`";
            findings.lost(
                at,
                format!("{names} of `{}`, which another service says otherwise", service.name),
                instead,
            );
        }
    }
}
