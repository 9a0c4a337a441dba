//! What an export of apps needs: all that says how they run, in one answer.
//!
//! Config is told to collaborators of an app, the values of secrets to its owners alone, by a request of their own that is in
//! the audit log, once for each app. An app that the caller may not see is not there. When all apps are asked for, those that
//! cannot be exported are listed with the reason; one that is named is a reason to refuse.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::oneshot;

use super::audit::OfApps;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::gate::Gate;
use super::releases::wire_probes;
use super::{Api, app_name, seen};
use crate::api::{
    AutoscaleRequest, ExportQuery, ExportReply, ExportRequest, ExportedApp, ExportedExternal,
    ExportedHealthcheck, ExportedImage, ExportedRoute, ExportedSettings, ExportedVariable, Failure, LeftOut,
    Limits, SourceTexts,
};
use crate::autoscale::Autoscale;
use crate::controller::{Command, ExportError, Exported, Runs, Stopping};
use crate::engine::Image;
use crate::environment::{Environment, Kind};
use crate::external::External;
use crate::formation::Formation;
use crate::manifest::{Overrides, Settings, Source};
use crate::name::{AppName, Host};
use crate::people::{Caller, Role};
use crate::release::{Build, Release};

/// An app with a release that serves.
struct Serving {
    release: Box<Release>,
    formation: Formation,
    proxy: Arc<Overrides>,
    hosts: Vec<Host>,
}

/// How many apps one request may name.
const APPS_MAX: usize = 500;
/// How many images the engine is asked for at a time.
const LOOKS_MAX: usize = 8;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/exports";
    vec![
        Endpoint::new(
            Method::GET,
            path,
            Needs::Account,
            "Give what an export of apps needs, without the values of secrets",
            export,
        ),
        Endpoint::new(
            Method::POST,
            path,
            Needs::Account,
            "Give what an export of apps needs, with the values of secrets",
            export_secrets,
        )
        .action("secrets-exported")
        .answering::<ExportReply>()
        .telling_secrets(),
    ]
}

async fn export(
    State(api): State<Api>,
    Extension(gate): Extension<Gate>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ExportQuery>,
) -> Result<Json<ExportReply>, Refusal> {
    let names = query.apps.as_deref().map(|apps| apps.split(',').collect::<Vec<_>>());
    let names = names.map(|names| named(&names)).transpose()?;
    Ok(Json(gather(&api, &gate, &caller, names, Role::Collaborator).await?))
}

async fn export_secrets(
    State(api): State<Api>,
    Extension(gate): Extension<Gate>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<ExportRequest>,
) -> Result<Response, Refusal> {
    let names = request.apps.map(|names| named(&names)).transpose()?;
    let reply = gather(&api, &gate, &caller, names, Role::Owner).await?;
    let names = reply.apps.iter().map(|app| &app.name).chain(reply.external.iter().map(|app| &app.name));
    let apps = names.filter_map(|name| name.parse().ok()).collect();
    Ok((Extension(OfApps(apps)), Json(reply)).into_response())
}

fn named(names: &[impl AsRef<str>]) -> Result<Vec<AppName>, Refusal> {
    if names.is_empty() || names.len() > APPS_MAX {
        return Err(Refusal::bad_request(format!("`apps` names 1 to {APPS_MAX} apps")));
    }
    names.iter().map(|name| app_name(name.as_ref())).collect()
}

/// The apps of these names, or all that the caller may see; with the values of secrets for owners.
async fn gather(
    api: &Api,
    gate: &Gate,
    caller: &Caller,
    names: Option<Vec<AppName>>,
    role: Role,
) -> Result<ExportReply, Refusal> {
    let is_all = names.is_none();
    let names =
        names.unwrap_or_else(|| seen(api, caller).iter().filter_map(|name| name.parse().ok()).collect());
    let mut reply = ExportReply::default();
    let mut leave_out = |app: &AppName, refusal: Refusal| {
        if !is_all {
            return Err(refusal);
        }
        reply.left_out.push(LeftOut { app: app.to_string(), failure: *refusal.failure });
        Ok(())
    };
    let mut allowed = Vec::new();
    for name in names {
        match gate.allow(caller, &name, role) {
            Ok(()) => allowed.push(name),
            Err(refusal) => leave_out(&name, refusal)?,
        }
    }
    let (tell, told) = oneshot::channel();
    api.controller.send(Command::Export { apps: allowed.clone(), reply: tell }).await?;
    let mut found = Vec::new();
    for (name, exported) in allowed.into_iter().zip(told.await.map_err(|_| Stopping)?) {
        match exported {
            Ok(Exported { runs: Runs::External(external), proxy, hosts }) => {
                reply.external.push(wire_external(&name, &external, &proxy, &hosts));
            }
            Ok(Exported { runs: Runs::Release { release, formation }, proxy, hosts }) => {
                found.push((name, Serving { release, formation, proxy, hosts }));
            }
            Err(error) => leave_out(&name, refusal(&error))?,
        }
    }
    let looks = found.into_iter().map(|(name, serving)| async move {
        let image = api.engine.image(&serving.release.build.image).await;
        (name, serving, image)
    });
    let mut looks = stream::iter(looks).buffered(LOOKS_MAX);
    while let Some((name, serving, image)) = looks.next().await {
        let found = image.map_err(|error| Refusal::new(StatusCode::BAD_GATEWAY, error))?;
        match found {
            Some(image) => reply.apps.push(app(api, &name, &serving, &image, role == Role::Owner)),
            None => {
                let refusal = no_image(&name, &serving.release.build);
                if !is_all {
                    return Err(refusal);
                }
                reply.left_out.push(LeftOut { app: name.to_string(), failure: *refusal.failure });
            }
        }
    }
    Ok(reply)
}

fn app(api: &Api, name: &AppName, serving: &Serving, image: &Image, with_secrets: bool) -> ExportedApp {
    let Serving { release, formation, proxy, hosts } = serving;
    let limits = release.limits.iter().map(|(process, limits)| {
        let (memory, cpu) =
            (limits.memory.map(|bytes| bytes.to_string()), limits.cpu.map(|cpu| cpu.to_string()));
        (process.to_string(), Limits { memory, cpu })
    });
    let rule =
        |rule: &Autoscale| AutoscaleRequest { min: rule.min, max: rule.max, target: rule.target.to_string() };
    let jobs = api.jobs.list(name).unwrap_or_default().into_iter();
    ExportedApp {
        name: name.to_string(),
        release: release.id.to_string(),
        summary: release.summary.clone(),
        source: texts(&release.source),
        variables: variables(&release.environment, with_secrets),
        limits: limits.collect(),
        probes: release.probes.iter().map(|(name, set)| (name.to_string(), wire_probes(set))).collect(),
        counts: formation.counts.iter().map(|(process, count)| (process.to_string(), *count)).collect(),
        autoscale: formation
            .autoscale
            .iter()
            .map(|(process, set)| (process.to_string(), set.as_ref().map(rule)))
            .collect::<BTreeMap<_, _>>(),
        proxy: settings(&proxy.app),
        routes: routes(proxy),
        hosts: hosts.iter().map(ToString::to_string).collect(),
        suspended: jobs.filter(|job| job.is_suspended).map(|job| job.name).collect(),
        image: wire_image(&release.build, image),
    }
}

fn wire_external(name: &AppName, external: &External, proxy: &Overrides, hosts: &[Host]) -> ExportedExternal {
    let all = hosts.iter().chain(&external.hosts).map(ToString::to_string);
    ExportedExternal {
        name: name.to_string(),
        upstreams: external.upstreams.values().map(ToString::to_string).collect(),
        path: external.path.to_string(),
        source: texts(&external.source),
        proxy: settings(&proxy.app),
        routes: routes(proxy),
        hosts: all.collect(),
    }
}

fn texts(source: &Source) -> SourceTexts {
    let Source { toml, procfile, files } = source.clone();
    SourceTexts { toml, procfile, files }
}

fn routes(proxy: &Overrides) -> Vec<ExportedRoute> {
    let each = proxy.routes.iter().map(|((host, path), set)| ExportedRoute {
        host: host.to_string(),
        path: path.to_string(),
        settings: settings(set),
    });
    each.collect()
}

fn variables(environment: &Environment, with_secrets: bool) -> Vec<ExportedVariable> {
    let each = environment.iter().map(|(name, variable)| ExportedVariable {
        name: name.to_string(),
        value: (with_secrets || !variable.is_secret()).then(|| variable.value.reveal().to_owned()),
        is_secret: variable.is_secret(),
        is_exported: variable.kind == Kind::ExportedSecret,
    });
    each.collect()
}

fn settings(settings: &Settings) -> ExportedSettings {
    ExportedSettings { values: settings.values.clone(), files: settings.files.clone() }
}

fn wire_image(build: &Build, image: &Image) -> ExportedImage {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    ExportedImage {
        id: build.image.clone(),
        reference: build.reference.clone(),
        pinned: pinned(build, image),
        exposed_ports: image.exposed_ports.clone(),
        user: image.user.clone(),
        entrypoint: image.entrypoint.clone(),
        command: image.command.clone(),
        healthcheck: image.healthcheck.as_ref().map(|check| ExportedHealthcheck {
            test: check.test.clone(),
            interval_ms: millis(check.interval),
            timeout_ms: millis(check.timeout),
            start_period_ms: millis(check.start_period),
            retries: check.retries,
        }),
    }
}

/// Where a registry has the image. An engine that keeps images by digest names one for what it built itself, too, which no
/// registry has: only what was ready counts, at the name that it came by.
fn pinned(build: &Build, image: &Image) -> Option<String> {
    let repository = repository(&build.reference);
    let mut digests = image.repo_digests.iter();
    digests.find(|digest| build.content.is_none() && self::repository(digest) == repository).cloned()
}

/// The name without tag and digest, as Docker shortens it: `docker.io/library/nginx:1` is `nginx`.
fn repository(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

fn refusal(error: &ExportError) -> Refusal {
    let (status, code) = match error {
        ExportError::Unknown(_) => (StatusCode::NOT_FOUND, "not-found"),
        ExportError::NoRelease(_) => (StatusCode::CONFLICT, "never-deployed"),
    };
    let failure = Failure::new(code, error.to_string());
    Refusal::new(status, error.hints().into_iter().fold(failure, Failure::hinted))
}

fn no_image(app: &AppName, build: &Build) -> Refusal {
    let message = format!("the engine has no image `{}` of app `{app}` any more", build.reference);
    let hint = if build.content.is_some() {
        "`minipaas up` in its folder builds it anew".to_owned()
    } else {
        format!("`docker pull {}` on the box fetches it again", build.reference)
    };
    Refusal::new(StatusCode::CONFLICT, Failure::new("image-missing", message).hinted(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(reference: &str, content: Option<&str>) -> Build {
        Build {
            image: "sha256:1".to_owned(),
            reference: reference.to_owned(),
            content: content.map(str::to_owned),
            exposed_ports: Vec::new(),
            has_healthcheck: false,
            has_command: true,
        }
    }

    #[test]
    fn an_image_is_pinned_where_it_came_from() {
        let digests = ["other@sha256:aa", "nginx@sha256:bb", "localhost:5000/a@sha256:cc"];
        let image = Image { repo_digests: digests.map(str::to_owned).to_vec(), ..Image::default() };
        for (reference, expected) in [
            ("nginx", Some("nginx@sha256:bb")),
            ("docker.io/library/nginx:1.27", Some("nginx@sha256:bb")),
            ("localhost:5000/a", Some("localhost:5000/a@sha256:cc")),
            ("localhost:5000/b:1", None),
        ] {
            assert_eq!(pinned(&build(reference, None), &image).as_deref(), expected, "{reference}");
        }
        assert_eq!(pinned(&build("nginx", Some("1f2e")), &image), None, "it was built here");
    }

    #[test]
    fn values_of_secrets_are_told_if_they_were_asked_for() {
        let variable = |name: &str, kind| {
            let name = name.parse().unwrap();
            let variable = crate::environment::Variable::new(&name, "hunter2".to_owned(), kind).unwrap();
            (name, variable)
        };
        let environment = Environment::new([
            variable("PLAIN", Kind::Plain),
            variable("KEY", Kind::Secret),
            variable("URL", Kind::ExportedSecret),
        ]);
        let told = |with_secrets| {
            let told = variables(&environment, with_secrets);
            told.into_iter().filter(|one| one.value.is_some()).map(|one| one.name).collect::<Vec<_>>()
        };
        assert_eq!(told(false), ["PLAIN"]);
        assert_eq!(told(true), ["KEY", "PLAIN", "URL"]);
    }
}
