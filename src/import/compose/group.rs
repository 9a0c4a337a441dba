//! Which services are process types of one app.
//!
//! Those of one image are: the same `build`, or the same `image`, or the `image` that another one builds. Of each app the
//! service that publishes HTTP is `web`, or else the one that others call. An app has the folder that it is built from; two
//! apps cannot share one, nor be built from somewhere else, so then the image has to be built by hand.

use std::collections::BTreeMap;

use super::super::findings::Findings;
use super::super::{data, label as labels_of_dns, path};
use super::label::{self, Labels};
use super::mention::{self, Mention};
use super::port;
use super::project::Project;
use super::service::{Build, Service};
use crate::name::{AppName, ProcessType};

/// All apps of a project, and what is none.
#[derive(Debug)]
pub(super) struct Groups<'p> {
    pub(super) apps: Vec<Group<'p>>,
    /// Databases and the like, by service.
    pub(super) data: BTreeMap<&'p str, &'static str>,
}

/// One app.
#[derive(Debug)]
pub(super) struct Group<'p> {
    pub(super) app: String,
    pub(super) folder: String,
    pub(super) image: Image<'p>,
    pub(super) members: Vec<Member<'p>>,
    /// What has to end before the others start.
    pub(super) release: Option<&'p Service>,
}

/// Where an app's image comes from.
#[derive(Debug)]
pub(super) enum Image<'p> {
    Ready(String),
    Build(&'p Build),
}

/// A service as a process type.
#[derive(Debug)]
pub(super) struct Member<'p> {
    pub(super) service: &'p Service,
    pub(super) process: String,
    pub(super) labels: Labels,
}

impl<'p> Groups<'p> {
    /// The app and process type that a service has become; by an alias of the caller's, too.
    pub(super) fn find(&self, name: &str) -> Option<(&Group<'p>, &Member<'p>)> {
        self.apps.iter().find_map(|group| {
            let member = group.members.iter().find(|member| member.service.name == name)?;
            Some((group, member))
        })
    }
}

impl Group<'_> {
    /// The services whose notes belong to it.
    pub(super) fn services(&self) -> impl Iterator<Item = &Service> {
        self.members.iter().map(|member| member.service).chain(self.release)
    }
}

impl Member<'_> {
    pub(super) fn is_web(&self) -> bool {
        self.process == "web"
    }

    /// The port at which it speaks HTTP, if anything tells.
    pub(super) fn http_port(&self) -> Option<u16> {
        let service = self.service;
        let exposed = || service.expose.iter().copied().find(|port| port::is_http(*port));
        let said = || service.env.get("PORT").and_then(|(value, _)| value.as_ref()?.parse().ok());
        self.labels
            .port
            .or_else(|| service.http_port().map(|port| port.target))
            .or_else(exposed)
            .or_else(said)
    }
}

/// Sorts the project's services.
pub(super) fn groups<'p>(project: &'p Project, findings: &mut Findings) -> Groups<'p> {
    let mut data = BTreeMap::new();
    let mut buckets: Vec<Vec<&Service>> = Vec::new();
    for service in &project.services {
        let image = service.image.as_deref().filter(|_| service.build.is_none());
        if let Some(kind) = image.and_then(data::kind) {
            data.insert(service.name.as_str(), kind);
            continue;
        }
        match buckets.iter_mut().find(|bucket| bucket.iter().any(|other| has_same_image(other, service))) {
            Some(bucket) => bucket.push(service),
            None => buckets.push(vec![service]),
        }
    }
    let mut groups: Vec<Group<'_>> =
        buckets.into_iter().filter_map(|bucket| group(project, bucket, findings)).collect();
    name(&mut groups, project, findings);
    Groups { apps: groups, data }
}

/// Whether one image serves both.
fn has_same_image(one: &Service, other: &Service) -> bool {
    match (&one.build, &other.build) {
        (Some(a), Some(b)) => {
            let place =
                |build: &Build| Build { at: None, context: path::join("", &build.context), ..build.clone() };
            let args = |build: &Build| {
                build.args.iter().map(|(k, (v, _))| (k.clone(), v.clone())).collect::<Vec<_>>()
            };
            let (mut x, mut y) = (place(a), place(b));
            let same_args = args(a) == args(b);
            (x.args, y.args) = (BTreeMap::new(), BTreeMap::new());
            same_args && x == y
        }
        // One names what the other builds, or both name the same.
        _ => one.image.is_some() && one.image == other.image,
    }
}

fn group<'p>(project: &'p Project, bucket: Vec<&'p Service>, findings: &mut Findings) -> Option<Group<'p>> {
    let is_awaited = |service: &Service| {
        let mut depends = project.services.iter().flat_map(|other| &other.depends);
        depends.any(|depends| depends.awaits_end && depends.name == service.name)
    };
    let (once, running): (Vec<_>, Vec<_>) =
        bucket.into_iter().partition(|service| is_awaited(service) || service.deploy.is_job);
    let mut release = None;
    for service in once {
        findings.about(Some(&service.name));
        if release.is_none() && !running.is_empty() && service.command.is_some() {
            release = Some(service);
        } else {
            let instead =
                "give its command to `minipaas run`, or to [release] or [cron] of the app that it belongs to";
            findings.lost(&service.at, format!("service `{}`, which ends", service.name), instead);
        }
        findings.about(None);
    }
    let builder = running.iter().copied().chain(release).find(|service| service.build.is_some());
    let first = *running.first()?;
    let image = match builder.and_then(|service| service.build.as_ref()) {
        Some(build) => Image::Build(build),
        None => Image::Ready(first.image.clone().unwrap_or_default()),
    };
    let mut members: Vec<Member<'_>> = Vec::new();
    for service in running {
        findings.about(Some(&service.name));
        let labels = label::read(service, findings);
        members.push(Member { service, process: labels_of_dns::of(&service.name), labels });
    }
    findings.about(None);
    choose_web(&mut members, project, findings);
    Some(Group { app: String::new(), folder: String::new(), image, members, release })
}

/// The process type that requests lead to, if any.
fn choose_web(members: &mut [Member<'_>], project: &Project, findings: &mut Findings) {
    let is_routed = |member: &Member<'_>| {
        member.labels.is_exposed || member.labels.port.is_some() || !member.labels.routes.is_empty()
    };
    let web = members
        .iter()
        .position(is_routed)
        .or_else(|| members.iter().position(|member| member.service.http_port().is_some()))
        .or_else(|| members.iter().position(|member| is_called(member.service, project)));
    if let Some(web) = web {
        members[web].process = "web".to_owned();
    }
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for member in members.iter() {
        let (name, service) = (&member.process, member.service);
        if name == ProcessType::release().as_str() {
            let message = format!(
                "service `{}` would be process type `release`, which is kept; rename it",
                service.name
            );
            findings.problem(&service.at, message);
        }
        if let Some(other) = taken.insert(name.clone(), &service.name) {
            let message = format!(
                "services `{other}` and `{}` would both be process type `{name}`; rename one",
                service.name
            );
            findings.problem(&service.at, message);
        }
    }
}

/// Whether another service calls it over HTTP.
fn is_called(service: &Service, project: &Project) -> bool {
    project.services.iter().filter(|other| other.name != service.name).any(|other| {
        let names =
            other.links.iter().filter(|(_, name)| *name == service.name).map(|(alias, _)| alias.as_str());
        let mut names = names.chain([service.name.as_str()]);
        let has_http =
            service.expose.iter().any(|port| port::is_http(*port)) || service.http_port().is_some();
        let by_variable = names.any(|name| {
            other.env.iter().any(|(variable, (value, _))| {
                match value.as_deref().and_then(|value| mention::find(variable, value, name)) {
                    Some(Mention::Url { scheme, .. }) => {
                        matches!(scheme.as_str(), "http" | "https" | "ws" | "wss")
                    }
                    Some(_) => has_http,
                    None => false,
                }
            })
        });
        by_variable
            || has_http
                && other.depends.iter().any(|d| d.name == service.name)
                && !has_same_image(service, other)
    })
}

/// Gives each its name and folder.
fn name(groups: &mut [Group<'_>], project: &Project, findings: &mut Findings) {
    let is_published =
        |group: &Group<'_>| group.members.iter().any(|m| m.is_web() && m.service.http_port().is_some());
    let main = groups.iter().position(is_published).unwrap_or(0);
    // Folders that are built come first: they cannot be chosen.
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let count = groups.len();
    for at in (main..count.min(main + 1)).chain((0..count).filter(|at| *at != main)) {
        let group = &mut groups[at];
        let lead = group.members.iter().find(|member| member.is_web()).unwrap_or(&group.members[0]).service;
        let suffix = labels_of_dns::of(&lead.name);
        group.app = if at == main {
            project.name.clone()
        } else {
            labels_of_dns::of(&format!("{}-{suffix}", project.name))
        };
        if let Err(error) = group.app.parse::<AppName>() {
            findings.problem(&lead.at, format!("{error}; give another by `--app`"));
        }
        let Image::Build(build) = group.image else { continue };
        let context = path::join("", &build.context);
        let is_elsewhere =
            build.context.contains("://") || build.context.starts_with("git@") || path::is_outside(&context);
        let dockerfile = build.dockerfile.as_deref().is_some_and(path::is_outside);
        let place = build.at.clone().unwrap_or_else(|| lead.at.clone());
        let reason = match taken.get(&context) {
            _ if is_elsewhere => format!("`{}` is no folder of this project", build.context),
            _ if dockerfile => "its Dockerfile is outside of the folder that is built".to_owned(),
            Some(other) => format!("app `{other}` is built from that folder, and a folder has one manifest"),
            None => {
                taken.insert(context.clone(), group.app.clone());
                group.folder = context;
                continue;
            }
        };
        findings.about(Some(&lead.name));
        let instead = format!("before `minipaas up`: `{}`", docker_build(&group.app, build));
        findings.lost(&place, format!("the build of service `{}`: {reason}", lead.name), &instead);
        findings.about(None);
        group.image = Image::Ready(group.app.clone());
    }
    for (at, group) in groups.iter_mut().enumerate() {
        if !matches!(group.image, Image::Ready(_)) {
            continue;
        }
        let lead = group.members.iter().find(|member| member.is_web()).unwrap_or(&group.members[0]).service;
        let own = labels_of_dns::of(&lead.name);
        let choices =
            [if at == main { String::new() } else { own.clone() }, own.clone(), format!("{own}-app")];
        let free = choices.into_iter().find(|folder| !taken.contains_key(folder));
        let folder = free.unwrap_or_else(|| format!("{own}-{at}"));
        taken.insert(folder.clone(), group.app.clone());
        group.folder = folder;
    }
}

/// What makes an image that minipaas cannot.
fn docker_build(tag: &str, build: &Build) -> String {
    let mut line = format!("docker build -t {tag}");
    if let Some(dockerfile) = &build.dockerfile {
        let is_remote = build.context.contains("://");
        let path = if is_remote { dockerfile.clone() } else { path::join(&build.context, dockerfile) };
        line.push_str(&format!(" -f {path}"));
    }
    if let Some(target) = &build.target {
        line.push_str(&format!(" --target {target}"));
    }
    for name in build.args.keys() {
        line.push_str(&format!(" --build-arg {name}=…"));
    }
    format!("{line} {}", build.context)
}
