//! The control API's server: axum over a unix socket.
//!
//! Each handler translates: a wire type into a command, a domain value into a wire type. It decides nothing. What takes long
//! is a stream of lines; a client that goes away ends a build, and does not end a deploy.

mod certs;
mod external;
mod failure;
mod metrics;
mod proxy;
mod stream;
mod traffic;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use futures_util::TryStreamExt;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    BuildQuery, DeployRequest, DownQuery, Failure, ImageQuery, LogsQuery, PlanReply, PlanRequest, Progress,
};
use crate::builder::image::{Images, Recipe};
use crate::certs::Certs;
use crate::controller::{Command, Controller, Deploy, DeployUpdate};
use crate::engine::Engine;
use crate::external::Surroundings;
use crate::logs;
use crate::name::{AppName, ReleaseId};
use crate::traffic::Routes;
use failure::Refusal;
use stream::Lines;

pub use metrics::serve as serve_metrics;

/// How long a status waits for the engine's first answer; longer than the engine itself is waited for.
const FIRST_LOOK_TIME_MAX: Duration = Duration::from_secs(3);

/// What the API is served from; clones share everything.
#[derive(Clone)]
pub struct Api {
    /// Owns what is wanted.
    pub controller: Controller,
    /// Makes images.
    pub images: Images,
    /// Holds the logs.
    pub engine: Arc<dyn Engine>,
    /// Owns the certificates.
    pub certs: Certs,
    /// Counts the traffic.
    pub routes: Routes,
    /// Looks up where apps are to lead that are only routes.
    pub surroundings: Surroundings,
    /// What does not change while the daemon runs.
    pub facts: Arc<Facts>,
}

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The box's id.
    pub box_id: String,
    /// Apps are at `<app>.<domain>`.
    pub domain: String,
    /// Where plain http is served.
    pub http: std::net::SocketAddr,
    /// Where https is served.
    pub https: std::net::SocketAddr,
    /// The local CA's certificate.
    pub ca_pem: String,
}

/// Serves until `shutdown`; requests that are under way finish.
pub async fn serve(api: Api, listener: UnixListener, shutdown: CancellationToken) {
    let served = axum::serve(listener, router(api)).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "control API ended");
    }
}

fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/ca.pem", get(ca))
        .route("/v1/metrics", get(metrics::text))
        .route("/v1/traffic", get(metrics::traffic))
        .route("/v1/static-base", post(static_base))
        .route("/v1/certs", get(certs::list).post(certs::add))
        .route("/v1/certs/{which}", delete(certs::remove))
        .route("/v1/certs/{which}/renew", post(certs::renew))
        .route("/v1/apps", get(apps))
        .route("/v1/apps/{app}", get(app).delete(down))
        .route("/v1/apps/{app}/plan", post(plan))
        .route("/v1/apps/{app}/builds/{content}", get(built))
        .route("/v1/apps/{app}/builds", post(build))
        .route("/v1/apps/{app}/images", post(image))
        .route("/v1/apps/{app}/deploys", post(deploy))
        .route("/v1/apps/{app}/deploys/{release}", delete(cancel))
        .route("/v1/apps/{app}/maintenance", put(traffic::maintain).delete(traffic::end_maintenance))
        .route("/v1/apps/{app}/pause", put(traffic::pause).delete(traffic::resume))
        .route("/v1/apps/{app}/proxy", get(proxy::show).patch(proxy::change))
        .route("/v1/apps/{app}/canary", patch(traffic::share_canary).delete(traffic::abort_canary))
        .route("/v1/apps/{app}/canary/promote", post(traffic::promote_canary))
        .route("/v1/apps/{app}/upstreams", put(external::put))
        .route("/v1/apps/{app}/logs", get(app_logs))
        .fallback(|| async { Refusal::not_found("there is no such route in this version of the API") })
        .with_state(api)
}

/// Waits until the engine was asked once, so that a client of a daemon that just started hears an answer, not a delay.
async fn status(State(api): State<Api>) -> Json<super::Status> {
    let mut view = api.controller.watch();
    let asked = view.wait_for(|view| view.engine.is_recovered || view.engine.error.is_some());
    // An engine that hangs is told of as it is.
    let _ = tokio::time::timeout(FIRST_LOOK_TIME_MAX, asked).await;
    let warnings = certs::certificates(&api).into_iter().filter_map(|found| found.warning).collect();
    Json(wire::status(&api.controller.view(), &api.facts, warnings))
}

async fn ca(State(api): State<Api>) -> String {
    api.facts.ca_pem.clone()
}

async fn apps(State(api): State<Api>) -> Json<Vec<super::App>> {
    Json(api.controller.view().apps.iter().map(|app| wire::app(app, &api.facts)).collect())
}

async fn app(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<super::App>, Refusal> {
    let name = app_name(&name)?;
    let view = api.controller.view();
    let found = view.apps.iter().find(|app| app.name == name).ok_or_else(|| Refusal::no_app(&name, &view))?;
    Ok(Json(wire::app(found, &api.facts)))
}

async fn plan(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<PlanRequest>,
) -> Result<Json<PlanReply>, Refusal> {
    let app = app_name(&name)?;
    let build = match request.build {
        Some(build) => {
            Some(api.images.by_id(&build.image, &build.reference, build.content.as_deref()).await?)
        }
        None => None,
    };
    let (reply, planned) = oneshot::channel();
    api.controller.send(Command::Plan { app, source: wire::source(request.source), build, reply }).await?;
    let planned = planned.await.map_err(|_| crate::controller::Stopping)??;
    Ok(Json(wire::plan(&planned, &api.facts)))
}

async fn built(
    State(api): State<Api>,
    Path((name, content)): Path<(String, String)>,
) -> Result<Json<super::BuildRef>, Refusal> {
    let found = api.images.built(&app_name(&name)?, &content).await?;
    let build = found.ok_or_else(|| Refusal::not_found("it is not built yet"))?;
    Ok(Json(wire::build(&build)))
}

async fn build(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<BuildQuery>,
    body: Body,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let args = query
        .args()
        .map_err(|error| Refusal::bad_request(format!("`args` is not what it must be: {error}")))?;
    let recipe = Recipe { content: query.content, dockerfile: query.dockerfile, args, target: query.target };
    let archive = Box::pin(body.into_data_stream().map_err(std::io::Error::other));
    Ok(stream::of_work(move |lines: Lines| async move {
        let log = |line| lines.send(&Progress::Log { line });
        match api.images.build(&app, recipe, archive, &log).await {
            Ok(build) => lines.send(&Progress::Built { build: wire::build(&build) }),
            Err(error) => lines.send(&Progress::Failed { failure: error.into() }),
        }
    }))
}

async fn image(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<ImageQuery>,
) -> Result<Response, Refusal> {
    app_name(&name)?;
    Ok(stream::of_work(move |lines: Lines| async move {
        let log = |line| lines.send(&Progress::Log { line });
        match api.images.ready(&query.reference, &log).await {
            Ok(build) => lines.send(&Progress::Built { build: wire::build(&build) }),
            Err(error) => lines.send(&Progress::Failed { failure: error.into() }),
        }
    }))
}

async fn static_base(State(api): State<Api>) -> Result<Json<super::BuildRef>, Refusal> {
    let build = api.images.static_base(&|line| tracing::debug!(line, "static base")).await?;
    Ok(Json(wire::build(&build)))
}

async fn deploy(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<DeployRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let asked = &request.build;
    let build = api.images.by_id(&asked.image, &asked.reference, asked.content.as_deref()).await?;
    let (updates, mut said) = mpsc::unbounded_channel();
    let source = wire::source(request.source);
    let deploy = Deploy {
        app: app.clone(),
        source,
        build,
        origin: request.origin,
        take_over: request.take_over,
        updates,
    };
    api.controller.send(Command::Deploy(deploy)).await?;
    Ok(stream::of_work(move |lines: Lines| async move {
        while let Some(update) = said.recv().await {
            let is_last = matches!(update, DeployUpdate::Ended(_));
            lines.send(&wire::progress(update, &app, &api.controller.view(), &api.facts));
            if is_last {
                return;
            }
        }
        let failure = Failure::new("internal", "the daemon is stopping")
            .hinted("`minipaas status` tells how it went on");
        lines.send(&Progress::Failed { failure });
    }))
}

async fn cancel(
    State(api): State<Api>,
    Path((name, release)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let app = app_name(&name)?;
    let release: ReleaseId = release.parse().map_err(|error| Refusal::bad_request(format!("{error}")))?;
    api.controller.send(Command::Cancel { app, release }).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn down(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<DownQuery>,
) -> Result<Json<super::DownReply>, Refusal> {
    let app = app_name(&name)?;
    let (reply, downed) = oneshot::channel();
    api.controller.send(Command::Down { app, volumes: query.volumes, reply }).await?;
    let downed = downed.await.map_err(|_| crate::controller::Stopping)?;
    let downed = downed.map_err(|error| Refusal::from_down(error, &api.controller.view()))?;
    let crate::controller::Downed { instances, upstreams, volumes } = downed;
    Ok(Json(super::DownReply { instances, upstreams, volumes }))
}

async fn app_logs(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let view = api.controller.view();
    if !view.apps.iter().any(|known| known.name == app) {
        return Err(Refusal::no_app(&app, &view));
    }
    let query = logs::Query { app, process: query.process, tail: query.tail, follow: query.follow };
    let lines = logs::read(query, Arc::clone(&api.engine), api.controller.watch());
    Ok(stream::of_lines(lines))
}

fn app_name(text: &str) -> Result<AppName, Refusal> {
    text.parse().map_err(|error: crate::name::NameError| Refusal::bad_request(error.to_string()))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}
