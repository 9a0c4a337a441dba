//! What is in a service's containers besides its image: volumes, files of the project, secrets.
//!
//! Files that are mounted into a ready image are copied into one of the app's own. Folders of the host, and the engine's
//! socket, are out of reach.

use std::collections::BTreeMap;

use super::super::draft::Draft;
use super::super::findings::{Findings, Place};
use super::super::{Files, label, path};
use super::group::{Group, Image};
use super::project::{Held, Project};
use super::service::Service;
use super::volume::Source;
use crate::environment::SECRETS_DIR;
use crate::manifest;
use crate::name::ProcessType;

/// What every container of the engine's owner would be at the mercy of.
const ENGINE_SOCKET: &str = "docker.sock";

/// Files that an image lacks: what is copied, and where to.
pub(super) type Copies = Vec<(String, String)>;

/// Named volumes, and what of the host can be in the image.
pub(super) fn mounts<'p>(
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
                findings.lost(
                    at,
                    format!("memory at `{target}`"),
                    "what is written outside of volumes is gone with the container",
                );
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
            findings.lost(
                at,
                format!("volume at `{}`", mount.target),
                "write [volume] with a name of letters, digits and dashes",
            );
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
                findings.lost(
                    at,
                    format!("volume `{name}`"),
                    &format!("another one is at `{target}` already"),
                );
                continue;
            }
            None => {
                draft.volumes.insert(name.clone(), target.to_owned());
            }
        }
        if mount.is_read_only {
            findings.lost(
                at,
                format!("that volume `{name}` of `{}` is read-only", service.name),
                "every process may write to it",
            );
        }
        if matches!(mount.source, Source::Named(_)) {
            match owners.get(&name) {
                Some(owner) if *owner != group.app => {
                    let text = format!("that volume `{name}` is shared with app `{owner}`");
                    findings.lost(
                        at,
                        text,
                        "a volume belongs to one app; this one has its own, which is empty",
                    );
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
        matches!(other.source, Source::Bind(_))
            && target.strip_prefix(around).is_some_and(|rest| rest.starts_with('/'))
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
    if path::is_outside(&inside) || path::is_outside(source) || source.contains('\\') {
        findings.lost(at, said, "a [volume] keeps data, and `minipaas cp` copies it there");
        return;
    }
    if matches!(group.image, Image::Build(_)) {
        findings.lost(at, said, "`COPY` it in the Dockerfile; `minipaas up --watch` deploys what is edited");
        return;
    }
    match files.read(&inside) {
        Ok(Some(text)) => copy(&inside, Some(text), target, group, draft, copies),
        _ if group.folder.is_empty() && !inside.is_empty() => {
            copy(&inside, None, target, group, draft, copies);
        }
        _ => findings.lost(at, said, "write a Dockerfile that begins `FROM` the image and `COPY`s it"),
    }
}

/// Has a file be in the image; one that is not below the app's folder is written there.
fn copy(
    source: &str,
    text: Option<String>,
    target: &str,
    group: &Group<'_>,
    draft: &mut Draft,
    copies: &mut Copies,
) {
    let below = source
        .strip_prefix(&group.folder)
        .filter(|_| !group.folder.is_empty())
        .and_then(|rest| rest.strip_prefix('/'));
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
pub(super) fn held(
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
            findings.lost(
                at,
                format!("that secret `{name}` is at `{wanted}`"),
                &format!("it is at `{is_at}`"),
            );
        }
        let app = &group.app;
        let command = match held {
            Held { file: Some(file), .. } => {
                format!("`minipaas config set -a {app} --secret {variable}=- < {file}`")
            }
            Held { variable: Some(from), .. } => {
                format!("`printenv {from} | minipaas config set -a {app} --secret {variable}=-`")
            }
            _ => format!("`minipaas config set -a {app} --secret {variable}=- < FILE`"),
        };
        findings.task(&held.at, format!("secret `{name}`"), &command);
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
            _ => {
                findings.lost(
                    at,
                    format!("config `{name}` at `{target}`"),
                    "`COPY` a file in the Dockerfile",
                );
            }
        }
    }
}
