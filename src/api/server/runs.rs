//! Single runs of a command, and what is done inside of running containers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::lapse::Lapse;
use super::session::{self, Ending, Session};
use super::{Api, app_name};
use crate::api::{ExecRequest, Failure, FilesQuery, Run, RunRequest, Started};
use crate::controller::{Command, OneOffError, Stopping};
use crate::engine::{Control, EngineError, ExecSpec, Signal, WindowSize};
use crate::manifest::Command as CommandLine;
use crate::name::{AppName, ProcessType, ReleaseId, Slot};
use crate::oneoff::{DETACHED_TIME, DETACHED_TIME_MAX, LiveRun, RunError};
use crate::people::Role;
use crate::plan::OneOffSpec;

/// How long a command beside an instance may take to end once its client hung up, before it is killed.
const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// A container that somebody named by its slot.
struct Target {
    container: String,
    started: Started,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let collaborator = Needs::OfApp(Role::Collaborator);
    vec![
        Endpoint::new(Method::POST, "/v1/apps/{app}/runs", collaborator, "Run a command in a release", start),
        Endpoint::new(Method::DELETE, "/v1/apps/{app}/runs/{slot}", collaborator, "Stop a run", stop),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/instances/{slot}/exec",
            collaborator,
            "Run a command beside what runs in an instance",
            exec,
        ),
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/instances/{slot}/files",
            collaborator,
            "Read a file or folder of an instance, as a tar archive",
            read_files,
        ),
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}/instances/{slot}/files",
            collaborator,
            "Unpack a tar archive into a folder of an instance",
            write_files,
        ),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/instances/{slot}/ports/{port}",
            collaborator,
            "Connect to a port of an instance",
            port,
        ),
    ]
}

/// The runs of an app that go on.
pub(super) fn of_app(api: &Api, app: &AppName) -> Vec<Run> {
    let run = |run: LiveRun| Run {
        slot: run.labels.slot.to_string(),
        release: run.labels.release.to_string(),
        kind: run.kind.as_str().to_owned(),
        program: run.program,
        since: run.since,
    };
    api.runs.of_app(app).into_iter().map(run).collect()
}

async fn start(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(lapse): Extension<Lapse>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    if !session::is_upgrade(&request) {
        let Json(run) = Json::<RunRequest>::from_request(request, &())
            .await
            .map_err(|error| Refusal::bad_request(error.body_text()))?;
        return detached(&api, &app, run).await.map(|started| Json(started).into_response());
    }
    // What can be said with a status is said before the connection is upgraded.
    known(&api, &app)?;
    session::upgrade(request, lapse, move |mut session| async move {
        let Some(run) = session.begin::<RunRequest>().await else { return };
        if let Err(refusal) = attached(&api, &app, run, &mut session).await {
            session.fail(*refusal.failure).await;
        }
    })
}

async fn detached(api: &Api, app: &AppName, run: RunRequest) -> Result<Started, Refusal> {
    let limit = run.limit_ms.map_or(DETACHED_TIME, Duration::from_millis);
    if limit.is_zero() || limit > DETACHED_TIME_MAX {
        let days = DETACHED_TIME_MAX.as_secs() / (24 * 60 * 60);
        return Err(Refusal::bad_request(format!("a run may be allowed up to {days} days, and not no time")));
    }
    let spec = spec(api, app, run).await?;
    let labels = api.runs.detached(app, &spec, limit).await?;
    Ok(Started { slot: labels.slot.to_string(), release: labels.release.to_string() })
}

async fn attached(
    api: &Api,
    app: &AppName,
    request: RunRequest,
    session: &mut Session,
) -> Result<(), Refusal> {
    let (tty, has_input) = (request.tty, request.has_input);
    let spec = spec(api, app, request).await?;
    let (run, attached) = api.runs.attached(app, &spec, tty.is_some(), has_input).await?;
    let labels = run.labels();
    tracing::info!(%app, run = %labels.slot, release = %labels.release, "run begins");
    session.started(&Started { slot: labels.slot.to_string(), release: labels.release.to_string() }).await;
    if let Some(size) = tty {
        first_size(attached.control.as_ref(), size).await;
    }
    let closing = api.runs.closing();
    let ending = tokio::select! {
        ending = session.attend(attached) => ending,
        () = closing.cancelled() => {
            session.fail(stopping()).await;
            Ending::HungUp
        }
    };
    tracing::info!(%app, run = %run.labels().slot, ?ending, "run ends");
    run.end().await;
    Ok(())
}

/// What the run is made of: the release's, and what the request says.
async fn spec(api: &Api, app: &AppName, request: RunRequest) -> Result<OneOffSpec, Refusal> {
    let bad = |error: crate::name::NameError| Refusal::bad_request(error.to_string());
    let release = request.release.as_deref().map(str::parse::<ReleaseId>).transpose().map_err(bad)?;
    let process = request.process.as_deref().map(str::parse::<ProcessType>).transpose().map_err(bad)?;
    let argv = argv(request.command);
    if argv.is_none() && process.is_none() {
        return Err(Refusal::bad_request("there is no command to run".to_owned()));
    }
    let (reply, found) = oneshot::channel();
    api.controller.send(Command::OneOff { app: app.clone(), release, process, reply }).await?;
    let found = found.await.map_err(|_| Stopping)?;
    let mut spec = found.map_err(|error| of_one_off(error, api))?;
    spec.argv = argv.or(spec.argv);
    spec.env.extend(request.env);
    Ok(spec)
}

async fn stop(
    State(api): State<Api>,
    Path((name, slot)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let app = app_name(&name)?;
    known(&api, &app)?;
    let found = api.runs.of_app(&app).into_iter().find(|run| run.labels.slot.to_string() == slot);
    let container = found.and_then(|run| run.container).ok_or_else(|| no_instance(&app, &slot))?;
    // Whoever watches over it removes it.
    api.engine.stop(&container, HANG_UP_GRACE).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn exec(
    State(api): State<Api>,
    Path((name, slot)): Path<(String, String)>,
    Extension(lapse): Extension<Lapse>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let target = target(&api, &app, &slot)?;
    session::upgrade(request, lapse, move |mut session| async move {
        let Some(request) = session.begin::<ExecRequest>().await else { return };
        let Some(argv) = argv(request.command) else {
            return session.fail(Failure::new("bad-request", "there is no command to run")).await;
        };
        let spec = ExecSpec { argv, has_tty: request.tty.is_some(), has_stdin: request.has_input };
        let attached = match api.engine.exec_attached(&target.container, &spec).await {
            Ok(attached) => attached,
            Err(error) => return session.fail(error.into()).await,
        };
        tracing::info!(%app, instance = target.started.slot, "command begins in an instance");
        session.started(&target.started).await;
        if let Some(size) = request.tty {
            first_size(attached.control.as_ref(), size).await;
        }
        let control = Arc::clone(&attached.control);
        if session.attend(attached).await == Ending::HungUp {
            hang_up(control.as_ref()).await;
        }
    })
}

async fn read_files(
    State(api): State<Api>,
    Path((name, slot)): Path<(String, String)>,
    Query(query): Query<FilesQuery>,
) -> Result<Response, Refusal> {
    let target = target(&api, &app_name(&name)?, &slot)?;
    let archive = api.engine.read_files(&target.container, &absolute(&query)?).await;
    let archive = archive.map_err(|error| no_file(error, &target, &query))?;
    Ok(([(CONTENT_TYPE, "application/x-tar")], Body::from_stream(archive)).into_response())
}

async fn write_files(
    State(api): State<Api>,
    Path((name, slot)): Path<(String, String)>,
    Query(query): Query<FilesQuery>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let target = target(&api, &app_name(&name)?, &slot)?;
    let archive = body.into_data_stream().map_err(std::io::Error::other).boxed();
    let written = api.engine.write_files(&target.container, &absolute(&query)?, archive).await;
    written.map_err(|error| no_file(error, &target, &query))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn port(
    State(api): State<Api>,
    Path((name, slot, port)): Path<(String, String, u16)>,
    Extension(lapse): Extension<Lapse>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let target = target(&api, &app_name(&name)?, &slot)?;
    let connection = api.engine.dial(&target.container, port).await?;
    session::upgrade(request, lapse, move |mut session| async move {
        session.started(&target.started).await;
        session.forward(connection).await;
    })
}

/// The words as they are; a single one is a line, as in the manifest. `None` without any.
fn argv(command: Vec<String>) -> Option<Vec<String>> {
    let argv = match <[String; 1]>::try_from(command) {
        Ok([line]) => CommandLine::Line(line).argv(),
        Err(words) => words,
    };
    (!argv.is_empty()).then_some(argv)
}

async fn first_size(control: &dyn Control, size: crate::api::Window) {
    let size = WindowSize { columns: size.columns, rows: size.rows };
    if let Err(error) = control.resize(size).await {
        tracing::debug!(%error, "cannot set the first size of a terminal");
    }
}

/// What a terminal's end does to its processes; then nothing is left of it.
async fn hang_up(control: &dyn Control) {
    for signal in [Signal::Hup, Signal::Term, Signal::Kill] {
        if let Err(error) = control.signal(signal).await {
            tracing::warn!(%error, "a command whose client hung up goes on");
            return;
        }
        if tokio::time::timeout(HANG_UP_GRACE / 2, control.exit_code()).await.is_ok() {
            return;
        }
    }
}

fn known(api: &Api, app: &AppName) -> Result<(), Refusal> {
    let view = api.controller.view();
    match view.apps.iter().any(|known| known.name == *app) {
        true => Ok(()),
        false => Err(Refusal::no_app(app, &view)),
    }
}

/// The container in this slot: the newest release's, when an old one still drains.
fn target(api: &Api, app: &AppName, slot: &str) -> Result<Target, Refusal> {
    known(api, app)?;
    let wanted: Slot =
        slot.parse().map_err(|error: crate::name::NameError| Refusal::bad_request(error.to_string()))?;
    let view = api.controller.view();
    let instances = view.apps.iter().filter(|known| known.name == *app).flat_map(|known| &known.instances);
    let instance = instances
        .filter(|instance| instance.slot == wanted && instance.container.is_some())
        .max_by_key(|instance| (instance.state != "draining", instance.release))
        .and_then(|instance| Some((instance.container.clone()?, instance.release)));
    let run = || {
        let run = api.runs.of_app(app).into_iter().find(|run| run.labels.slot == wanted)?;
        Some((run.container?, run.labels.release))
    };
    let (container, release) = instance.or_else(run).ok_or_else(|| no_instance(app, slot))?;
    Ok(Target { container, started: Started { slot: slot.to_owned(), release: release.to_string() } })
}

fn no_instance(app: &AppName, slot: &str) -> Refusal {
    let failure = Failure::new("no-instance", format!("app `{app}` has no running `{slot}`"));
    Refusal::new(StatusCode::NOT_FOUND, failure.hinted(format!("`minipaas ps {app}` lists what runs")))
}

fn no_file(error: EngineError, target: &Target, query: &FilesQuery) -> Refusal {
    match error {
        EngineError::NotFound { .. } => {
            let message = format!("there is no `{}` in `{}`", query.path, target.started.slot);
            Refusal::new(StatusCode::NOT_FOUND, Failure::new("no-file", message))
        }
        error => error.into(),
    }
}

fn absolute(query: &FilesQuery) -> Result<String, Refusal> {
    if query.path.starts_with('/') && !query.path.contains('\0') {
        return Ok(query.path.clone());
    }
    Err(Refusal::bad_request(format!("`{}` is not an absolute path, such as `/app/log`", query.path)))
}

fn stopping() -> Failure {
    Failure::new("stopping", Stopping.to_string()).hinted("run it again once the daemon is back")
}

fn of_one_off(error: OneOffError, api: &Api) -> Refusal {
    let message = error.to_string();
    match error {
        OneOffError::Unknown(app) => Refusal::no_app(&app, &api.controller.view()),
        OneOffError::NoRelease(_) => {
            let failure = Failure::new("no-release", message).hinted("`minipaas up` makes one");
            Refusal::new(StatusCode::CONFLICT, failure)
        }
        OneOffError::External(_) => Refusal::new(StatusCode::CONFLICT, Failure::new("external", message)),
        OneOffError::NoSuchRelease { .. } => {
            Refusal::new(StatusCode::NOT_FOUND, Failure::new("no-release", message))
        }
        OneOffError::NoSuchProcess { .. } => {
            let failure = Failure::new("no-process", message)
                .hinted("`--type` takes a process type of the release that has instances");
            Refusal::new(StatusCode::NOT_FOUND, failure)
        }
        OneOffError::Manifest(_) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Failure::new("manifest", message))
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error)
    }
}

impl From<RunError> for Refusal {
    fn from(error: RunError) -> Self {
        let message = error.to_string();
        match error {
            RunError::TooMany { .. } => {
                let failure = Failure::new("too-many", message).hinted("`minipaas ps` lists them");
                Self::new(StatusCode::TOO_MANY_REQUESTS, failure)
            }
            RunError::Closing => Self::new(StatusCode::SERVICE_UNAVAILABLE, stopping()),
            RunError::Engine { source, .. } => {
                let cause = source.to_string();
                let failure = Failure { message, ..Failure::from(source) }.caused_by(cause);
                Self::new(StatusCode::BAD_GATEWAY, failure)
            }
        }
    }
}
