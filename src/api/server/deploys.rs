//! From a folder's archive to a release that serves.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures_util::TryStreamExt;
use tokio::sync::{mpsc, oneshot};

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::stream::{self, Lines};
use super::{Api, app_name, wire};
use crate::api::{
    BuildQuery, BuildRef, DeployRequest, Failure, ImageQuery, PlanReply, PlanRequest, Progress,
};
use crate::builder::image::Recipe;
use crate::controller::{Command, Deploy, DeployUpdate, Stopping};
use crate::name::ReleaseId;
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (get, post) = (Method::GET, Method::POST);
    let collaborator = Needs::OfApp(Role::Collaborator);
    vec![
        Endpoint::new(
            post.clone(),
            "/v1/static-base",
            Needs::Account,
            "Make sure of the image that static sites are made from",
            static_base,
        ),
        Endpoint::new(post.clone(), "/v1/apps/{app}/plan", collaborator, "Say what a deploy would do", plan)
            .before_creation(),
        Endpoint::new(
            get,
            "/v1/apps/{app}/builds/{content}",
            collaborator,
            "Find the image of this content",
            built,
        )
        .before_creation(),
        Endpoint::new(
            post.clone(),
            "/v1/apps/{app}/builds",
            collaborator,
            "Build an image of an archive",
            build,
        )
        .before_creation(),
        Endpoint::new(
            post.clone(),
            "/v1/apps/{app}/images",
            collaborator,
            "Make sure of a ready image",
            image,
        )
        .before_creation(),
        Endpoint::new(post, "/v1/apps/{app}/deploys", collaborator, "Make a release and roll it out", deploy)
            .creating(),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/deploys/{release}",
            collaborator,
            "End a rollout that has not switched yet",
            cancel,
        ),
    ]
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
    let planned = planned.await.map_err(|_| Stopping)??;
    Ok(Json(wire::plan(&planned, &api.facts)))
}

async fn built(
    State(api): State<Api>,
    Path((name, content)): Path<(String, String)>,
) -> Result<Json<BuildRef>, Refusal> {
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

async fn static_base(State(api): State<Api>) -> Result<Json<BuildRef>, Refusal> {
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
