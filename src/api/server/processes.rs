//! How many instances run, by what rule that changes, and new instances in the place of old ones.

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use tokio::sync::{mpsc, oneshot};

use super::audit::Detail;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::stream::{self, Lines};
use super::{Api, app_name};
use crate::api::{
    Autoscale, AutoscaleChange, AutoscaleQuery, AutoscaleRequest, Failure, ProcessCount, Progress,
    RestartRequest, ScaleRequest,
};
use crate::autoscale::{self, Target};
use crate::controller::{AppView, Command, Reform, ReformError, ReformUpdate, ReformWanted, Stopping, View};
use crate::formation::{Change, FormationError};
use crate::name::ProcessType;
use crate::people::Role;
use crate::rollout::Update;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let collaborator = Needs::OfApp(Role::Collaborator);
    vec![
        Endpoint::new(
            Method::PATCH,
            "/v1/apps/{app}/formation",
            collaborator,
            "Change how many instances an app has",
            scale,
        )
        .action("scale")
        .streaming::<Progress>(),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/restart",
            collaborator,
            "Put new instances in the place of old ones, one after the other",
            restart,
        )
        .action("restart")
        .streaming::<Progress>(),
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/autoscale",
            Needs::OfApp(Role::Viewer),
            "List the rules by which numbers of instances change",
            rules,
        ),
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}/autoscale/{process}",
            collaborator,
            "Set the rule by which the number of instances changes",
            set_rule,
        ),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/autoscale/{process}",
            collaborator,
            "Remove the rule by which the number of instances changes",
            unset_rule,
        ),
    ]
}

/// Every process type of the app, with its number.
pub(super) fn counts(app: &AppView) -> Vec<ProcessCount> {
    let count = |(process, planned): (&ProcessType, &crate::plan::PlannedProcess)| ProcessCount {
        process: process.to_string(),
        replicas: planned.replicas,
        manifest: planned.manifest,
        by_command: app.scaled.contains(process),
    };
    app.processes.iter().map(count).collect()
}

async fn scale(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<ScaleRequest>,
) -> Result<Response, Refusal> {
    let wanted = match request.reset {
        Some(types) => ReformWanted::Reset(types.iter().map(|text| process(text)).collect::<Result<_, _>>()?),
        None => {
            let changes: Result<Vec<Change>, _> = request.changes.iter().map(|text| text.parse()).collect();
            ReformWanted::Scale(
                changes.map_err(|error: FormationError| Refusal::bad_request(error.to_string()))?,
            )
        }
    };
    reform(&api, &name, wanted).await
}

async fn restart(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<RestartRequest>,
) -> Result<Response, Refusal> {
    let wanted = match request.target.as_deref() {
        None => ReformWanted::RestartAll,
        Some(text) if text.contains('.') => {
            let slot = text.parse();
            ReformWanted::Restart(
                slot.map_err(|error: crate::name::NameError| Refusal::bad_request(error.to_string()))?,
            )
        }
        Some(text) => ReformWanted::RestartType(process(text)?),
    };
    reform(&api, &name, wanted).await
}

async fn reform(api: &Api, name: &str, wanted: ReformWanted) -> Result<Response, Refusal> {
    let app = app_name(name)?;
    let view = api.controller.view();
    if !view.apps.iter().any(|known| known.name == app) {
        return Err(Refusal::no_app(&app, &view));
    }
    let (updates, mut said) = mpsc::unbounded_channel();
    let detail = Detail(wanted.to_string());
    api.controller.send(Command::Reform(Reform { app: app.clone(), wanted, updates })).await?;
    let controller = api.controller.clone();
    let work = move |lines: Lines| async move {
        while let Some(update) = said.recv().await {
            let result = match update {
                ReformUpdate::Said(Update::Step { step, detail }) => {
                    lines.send(&Progress::Step { step: step.to_owned(), detail });
                    continue;
                }
                ReformUpdate::Said(Update::Log(line)) => {
                    lines.send(&Progress::Log { line });
                    continue;
                }
                ReformUpdate::Said(Update::Notice(message)) => {
                    lines.send(&Progress::Notice { message });
                    continue;
                }
                ReformUpdate::Ended(result) => result,
            };
            let view = controller.view();
            let found = view.apps.iter().find(|known| known.name == app);
            return lines.send(&match result {
                Ok(()) => Progress::Reformed { processes: found.map(counts).unwrap_or_default() },
                Err(error) => Progress::Failed { failure: refusal(error, &view).1 },
            });
        }
        let failure = Failure::new("internal", "the daemon is stopping");
        lines.send(&Progress::Failed { failure });
    };
    Ok((Extension(detail), stream::of_work(work)).into_response())
}

async fn rules(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Vec<Autoscale>>, Refusal> {
    let app = app_name(&name)?;
    let view = api.controller.view();
    let found =
        view.apps.iter().find(|known| known.name == app).ok_or_else(|| Refusal::no_app(&app, &view))?;
    let rules = found.processes.iter().filter_map(|(process, planned)| {
        let rule = planned.autoscale.as_ref()?;
        let status = api.autoscaler.status(&app, process);
        Some(Autoscale {
            process: process.to_string(),
            min: rule.min,
            max: rule.max,
            target: rule.target.to_string(),
            replicas: planned.replicas,
            metric: status.as_ref().and_then(|status| status.metric).map(|value| rule.target.shown(value)),
            reason: status.as_ref().map(|status| status.reason.clone()),
            last_change: status.and_then(|status| status.changed).map(|changed| AutoscaleChange {
                at: changed.at,
                from: changed.from,
                to: changed.to,
                reason: changed.reason,
            }),
        })
    });
    Ok(Json(rules.collect()))
}

async fn set_rule(
    State(api): State<Api>,
    Path((name, process)): Path<(String, String)>,
    Json(request): Json<AutoscaleRequest>,
) -> Result<(Extension<Detail>, StatusCode), Refusal> {
    let bad = |error: autoscale::AutoscaleError| Refusal::bad_request(error.to_string());
    let target: Target = request.target.parse().map_err(bad)?;
    let rule =
        autoscale::Autoscale { min: request.min, max: request.max, target }.validated().map_err(bad)?;
    let detail = Detail(format!("{process}: {} to {}, {}", rule.min, rule.max, rule.target));
    let status = change_rule(&api, &name, &process, Some(Some(rule))).await?;
    Ok((Extension(detail), status))
}

async fn unset_rule(
    State(api): State<Api>,
    Path((name, process)): Path<(String, String)>,
    Query(query): Query<AutoscaleQuery>,
) -> Result<StatusCode, Refusal> {
    change_rule(&api, &name, &process, (!query.reset).then_some(None)).await
}

async fn change_rule(
    api: &Api,
    name: &str,
    process: &str,
    rule: Option<Option<autoscale::Autoscale>>,
) -> Result<StatusCode, Refusal> {
    let (app, process) = (app_name(name)?, self::process(process)?);
    let (reply, changed) = oneshot::channel();
    api.controller.send(Command::Autoscale { app, process, rule, reply }).await?;
    let changed = changed.await.map_err(|_| Stopping)?;
    changed.map_err(|error| {
        let (status, failure) = refusal(error, &api.controller.view());
        Refusal::new(status, failure)
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn process(text: &str) -> Result<ProcessType, Refusal> {
    text.parse().map_err(|error: crate::name::NameError| Refusal::bad_request(error.to_string()))
}

fn refusal(error: ReformError, view: &View) -> (StatusCode, Failure) {
    let (message, hints) = (error.to_string(), error.hints());
    let (status, failure) = match error {
        ReformError::Unknown(app) => {
            let refusal = Refusal::no_app(&app, view);
            return (refusal.status, *refusal.failure);
        }
        ReformError::Formation(_) | ReformError::NoInstance { .. } | ReformError::Manifest(_) => {
            (StatusCode::BAD_REQUEST, Failure::new("formation", message))
        }
        ReformError::External(_)
        | ReformError::NoRelease(_)
        | ReformError::OneWriter { .. }
        | ReformError::Memory { .. } => (StatusCode::CONFLICT, Failure::new("formation", message)),
        ReformError::NotReady(abort) => {
            let causes = abort.detail().into_iter().collect();
            let failure = Failure { log: abort.log, causes, ..Failure::new("not-ready", message) };
            (StatusCode::INTERNAL_SERVER_ERROR, failure)
        }
        ReformError::EngineAway(_) => (StatusCode::BAD_GATEWAY, Failure::new("engine-unreachable", message)),
        ReformError::TakenDown(_) | ReformError::Store(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, Failure::new("internal", message))
        }
    };
    (status, hints.into_iter().fold(failure, Failure::hinted))
}
