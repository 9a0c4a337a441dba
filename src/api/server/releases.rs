//! The ledger of releases, going back in it, config and limits: whatever makes a release without new code.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use similar::{ChangeTag, TextDiff};
use tokio::sync::oneshot;

use super::audit::Detail;
use super::deploys::roll_out;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name, wire};
use crate::api::{
    Config, ConfigRequest, ConfigVariable, Failure, Limits, LimitsReply, LimitsRequest, NewVariable,
    Progress, ReleaseInfo, ReleasesQuery, RollbackRequest,
};
use crate::controller::{Change, Command, ConfigView, Ledger, Stopping};
use crate::environment::{EnvironmentChange, Kind, Variable, VariableName};
use crate::manifest::{self, MANIFEST_FILE, PROCFILE, ProbeSettings, Source};
use crate::name::{AppName, ReleaseId};
use crate::people::{Actor, Role};
use crate::release::{ProcessLimits, Release, ReleaseState};

/// Releases of one answer, unless more are asked for.
const RELEASES_DEFAULT: usize = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (viewer, collaborator) = (Needs::OfApp(Role::Viewer), Needs::OfApp(Role::Collaborator));
    vec![
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}",
            Needs::OfApp(Role::Owner),
            "Make an app that nothing is deployed to",
            create,
        )
        .action("app-created")
        .creating(),
        Endpoint::new(Method::GET, "/v1/apps/{app}/releases", viewer, "List an app's releases", list),
        Endpoint::new(Method::GET, "/v1/apps/{app}/releases/{release}", viewer, "Show a release", info),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/rollback",
            collaborator,
            "Go back to what an earlier release was",
            rollback,
        )
        .action("rollback")
        .streaming::<Progress>(),
        Endpoint::new(Method::GET, "/v1/apps/{app}/config", collaborator, "Show an app's variables", config),
        Endpoint::new(
            Method::PATCH,
            "/v1/apps/{app}/config",
            collaborator,
            "Set variables and take them out, with a release",
            change_config,
        )
        .action("config-set")
        .streaming::<Progress>(),
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/limits",
            viewer,
            "Show the limits of an app's processes",
            limits,
        ),
        Endpoint::new(
            Method::PATCH,
            "/v1/apps/{app}/limits",
            collaborator,
            "Change the limits of an app's processes, with a release",
            change_limits,
        )
        .action("limits-set")
        .streaming::<Progress>(),
    ]
}

async fn create(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<crate::api::App>), Refusal> {
    let app = app_name(&name)?;
    let (reply, made) = oneshot::channel();
    api.controller.send(Command::Create { app: app.clone(), reply }).await?;
    made.await.map_err(|_| Stopping)??;
    let view = api.controller.view();
    let found =
        view.apps.iter().find(|found| found.name == app).ok_or_else(|| Refusal::no_app(&app, &view))?;
    Ok((StatusCode::CREATED, Json(wire::app(found, &api.facts))))
}

async fn list(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<ReleasesQuery>,
) -> Result<Json<Vec<crate::api::Release>>, Refusal> {
    let ledger = ledger(&api, &name).await?;
    let before = query.before.as_deref().map(release_id).transpose()?;
    let is_wanted = |release: &&Release| before.is_none_or(|before| release.id < before);
    let newest_first = ledger.releases.iter().rev().filter(is_wanted);
    let limit = query.limit.unwrap_or(RELEASES_DEFAULT);
    Ok(Json(newest_first.take(limit).map(|release| wire::release(release, ledger.current)).collect()))
}

async fn info(
    State(api): State<Api>,
    Path((name, release)): Path<(String, String)>,
) -> Result<Json<ReleaseInfo>, Refusal> {
    let ledger = ledger(&api, &name).await?;
    let id = release_id(&release)?;
    let unknown = || Refusal::not_found(&format!("app `{name}` has no release {id}"));
    let found = ledger.releases.iter().find(|release| release.id == id).ok_or_else(unknown)?;
    let has_served = |release: &&Release| {
        release.id < id && matches!(release.state, ReleaseState::Active | ReleaseState::Superseded)
    };
    let before = ledger.releases.iter().rev().find(has_served);
    let none = Source::default();
    let difference = match before {
        Some(before) => found.environment.difference(&before.environment),
        None => found.environment.difference(&crate::environment::Environment::default()),
    };
    let names =
        [("added", difference.added), ("changed", difference.changed), ("removed", difference.removed)];
    let config = names
        .into_iter()
        .flat_map(|(how, names)| names.into_iter().map(move |name| (name.to_string(), how.to_owned())));
    Ok(Json(ReleaseInfo {
        release: wire::release(found, ledger.current),
        build: wire::build(&found.build),
        before: before.map(|before| before.id.to_string()),
        is_build_new: before.is_none_or(|before| before.build.image != found.build.image),
        config: config.collect(),
        manifest: changed_lines(before.map_or(&none, |before| &before.source), &found.source),
        limits: found.limits.iter().map(|(name, limits)| (name.to_string(), wire_limits(limits))).collect(),
        probes: found.probes.iter().map(|(name, probes)| (name.to_string(), wire_probes(probes))).collect(),
    }))
}

async fn rollback(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    Json(request): Json<RollbackRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let to = request.release.as_deref().map(release_id).transpose()?;
    roll_out(api, app, Change::Rollback(to), by).await
}

async fn config(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Config>, Refusal> {
    Ok(Json(wire_config(&stage(&api, app_name(&name)?, None).await?)))
}

/// With a release its rollout is the answer, a stream; without one, the config.
async fn change_config(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    Json(request): Json<ConfigRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let is_staged = request.stage;
    let change = environment_change(request)?;
    if change.is_empty() {
        return Err(Refusal::bad_request("nothing is set or taken out".to_owned()));
    }
    let is_deployed = stage(&api, app.clone(), None).await?.is_deployed;
    if is_staged || !is_deployed {
        let detail = Detail(format!("{change}, for the next release"));
        let config = stage(&api, app, Some(change)).await?;
        return Ok((Extension(detail), Json(wire_config(&config))).into_response());
    }
    roll_out(api, app, Change::Config(change), by).await
}

async fn limits(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<LimitsReply>, Refusal> {
    let ledger = ledger(&api, &name).await?;
    let current = ledger.releases.iter().find(|release| Some(release.id) == ledger.current);
    let Some(current) = current else {
        return Err(crate::controller::ChangeError::NeverDeployed(app_name(&name)?).into());
    };
    let manifest = current.manifest().map_err(crate::controller::DeployError::from)?;
    let limits = manifest.processes.iter().map(|(name, process)| {
        let limits = ProcessLimits { memory: process.memory, cpu: process.cpu };
        (name.to_string(), wire_limits(&limits))
    });
    Ok(Json(LimitsReply {
        limits: limits.collect(),
        by_command: current.limits.keys().map(ToString::to_string).collect(),
    }))
}

async fn change_limits(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    Json(request): Json<LimitsRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let changes = request.limits.into_iter().map(|(process, limits)| {
        let process = process.parse().map_err(|error: crate::name::NameError| bad(&error))?;
        Ok((process, limits.map(process_limits).transpose()?))
    });
    let changes = changes.collect::<Result<BTreeMap<_, _>, Refusal>>()?;
    roll_out(api, app, Change::Limits(changes), by).await
}

pub(super) async fn ledger(api: &Api, name: &str) -> Result<Ledger, Refusal> {
    let (reply, releases) = oneshot::channel();
    api.controller.send(Command::Releases { app: app_name(name)?, reply }).await?;
    Ok(releases.await.map_err(|_| Stopping)??)
}

async fn stage(api: &Api, app: AppName, stage: Option<EnvironmentChange>) -> Result<ConfigView, Refusal> {
    let (reply, config) = oneshot::channel();
    api.controller.send(Command::Config { app, stage, reply }).await?;
    Ok(config.await.map_err(|_| Stopping)??)
}

fn environment_change(request: ConfigRequest) -> Result<EnvironmentChange, Refusal> {
    let set = request.set.into_iter().map(|(name, new)| {
        let name: VariableName = name.parse().map_err(|error| bad(&error))?;
        let NewVariable { value, is_secret, is_exported } = new;
        let kind = match (is_secret, is_exported) {
            (false, _) => Kind::Plain,
            (true, false) => Kind::Secret,
            (true, true) => Kind::ExportedSecret,
        };
        let variable = Variable::new(&name, value, kind).map_err(|error| bad(&error))?;
        Ok((name, variable))
    });
    let unset = request
        .unset
        .iter()
        .map(|name| name.parse().map_err(|error: crate::environment::VariableError| bad(&error)));
    Ok(EnvironmentChange {
        set: set.collect::<Result<_, Refusal>>()?,
        unset: unset.collect::<Result<_, Refusal>>()?,
    })
}

fn wire_config(view: &ConfigView) -> Config {
    let own = view.wanted.iter().map(|(name, variable)| ConfigVariable {
        name: name.to_string(),
        value: (!variable.is_secret()).then(|| variable.value.reveal().to_owned()),
        is_secret: variable.is_secret(),
        is_exported: variable.kind == Kind::ExportedSecret,
        is_manifest: false,
        is_staged: view.staged.set.contains_key(name),
    });
    let is_hidden = |name: &str| view.wanted.iter().any(|(known, _)| known.as_str() == name);
    let manifest =
        view.manifest.iter().filter(|(name, _)| !is_hidden(name)).map(|(name, value)| ConfigVariable {
            name: name.clone(),
            value: Some(value.clone()),
            is_secret: false,
            is_exported: false,
            is_manifest: true,
            is_staged: false,
        });
    let mut variables: Vec<_> = own.chain(manifest).collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    Config {
        variables,
        staged_out: view.staged.unset.iter().map(ToString::to_string).collect(),
        is_deployed: view.is_deployed,
    }
}

fn process_limits(limits: Limits) -> Result<ProcessLimits, Refusal> {
    let memory = limits.memory.map(|text| manifest::memory(&text)).transpose();
    let cpu = limits.cpu.map(|text| manifest::cpu(&text)).transpose();
    Ok(ProcessLimits {
        memory: memory.map_err(Refusal::bad_request)?,
        cpu: cpu.map_err(Refusal::bad_request)?,
    })
}

fn wire_limits(limits: &ProcessLimits) -> Limits {
    Limits {
        memory: limits.memory.map(|memory| memory.to_string()),
        cpu: limits.cpu.map(|cpu| cpu.to_string()),
    }
}

pub(super) fn wire_probes(probes: &ProbeSettings) -> BTreeMap<String, String> {
    probes.iter().map(|(kind, setting)| (kind.to_string(), setting.text().to_owned())).collect()
}

/// Each file that differs, with the lines that do.
fn changed_lines(before: &Source, after: &Source) -> BTreeMap<String, Vec<String>> {
    fn texts(source: &Source) -> BTreeMap<&str, &str> {
        let own = [(MANIFEST_FILE, source.toml.as_deref()), (PROCFILE, source.procfile.as_deref())];
        let own = own.into_iter().filter_map(|(name, text)| Some((name, text?)));
        own.chain(source.files.iter().map(|(name, text)| (name.as_str(), text.as_str()))).collect()
    }
    let (before, after) = (texts(before), texts(after));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    names
        .into_iter()
        .map(|name| {
            let text = |texts: &BTreeMap<&str, &str>| texts.get(name).copied().unwrap_or_default().to_owned();
            let (old, new) = (text(&before), text(&after));
            let diff = TextDiff::from_lines(&old, &new);
            let line = |change: similar::Change<&str>| match change.tag() {
                ChangeTag::Equal => None,
                ChangeTag::Insert => Some(format!("+{}", change.value().trim_end())),
                ChangeTag::Delete => Some(format!("-{}", change.value().trim_end())),
            };
            (name.to_owned(), diff.iter_all_changes().filter_map(line).collect::<Vec<_>>())
        })
        .filter(|(_, lines)| !lines.is_empty())
        .collect()
}

pub(super) fn release_id(text: &str) -> Result<ReleaseId, Refusal> {
    text.parse().map_err(|error: crate::name::NameError| bad(&error))
}

fn bad(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Failure::new("bad-request", error.to_string()))
}
