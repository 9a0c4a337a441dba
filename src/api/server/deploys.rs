//! From a folder's archive to a release that serves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::audit::Detail;
use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::stream::{self, Lines};
use super::{Api, app_name, wire};
use crate::api::{
    AfterQuery, BuildQuery, BuildRef, DeployRequest, Failure, ImageQuery, PlanReply, PlanRequest, Progress,
};
use crate::builder::image::Recipe;
use crate::controller::{Change, Code, Command, Deploy, DeployUpdate, Deployed, Stopping, View};
use crate::logs::Voice;
use crate::name::{AppName, NameError, ReleaseId};
use crate::people::{Actor, Role};

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
        )
        .reading(),
        Endpoint::new(post.clone(), "/v1/apps/{app}/plan", collaborator, "Say what a deploy would do", plan)
            .before_creation()
            .reading(),
        Endpoint::new(
            get.clone(),
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
        .action("build")
        .streaming::<Progress>()
        .before_creation(),
        Endpoint::new(
            post.clone(),
            "/v1/apps/{app}/images",
            collaborator,
            "Make sure of a ready image",
            image,
        )
        .action("image")
        .streaming::<Progress>()
        .before_creation(),
        Endpoint::new(post, "/v1/apps/{app}/deploys", collaborator, "Make a release and roll it out", deploy)
            .action("deploy")
            .creating()
            .streaming::<Progress>(),
        Endpoint::new(
            get,
            "/v1/apps/{app}/deploys/{release}",
            Needs::OfApp(Role::Viewer),
            "Follow a deploy, from its beginning or from where one was",
            follow,
        )
        .streaming::<Progress>(),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/deploys/{release}",
            collaborator,
            "End a rollout that has not switched yet",
            cancel,
        )
        .action("deploy-cancelled"),
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
        let log = |line: String| {
            api.logs.sink().say(&app, Voice::Build, &line);
            lines.send(&Progress::Log { line });
        };
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
    let app = app_name(&name)?;
    Ok(stream::of_work(move |lines: Lines| async move {
        let log = |line: String| {
            api.logs.sink().say(&app, Voice::Build, &line);
            lines.send(&Progress::Log { line });
        };
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
    Extension(by): Extension<Actor>,
    Json(request): Json<DeployRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let asked = &request.build;
    let build = api.images.by_id(&asked.image, &asked.reference, asked.content.as_deref()).await?;
    let (origin, take_over) = (request.origin, request.take_over);
    let (source, revision) = (wire::source(request.source), request.revision.map(wire::revision));
    let change = Change::Code(Box::new(Code { source, build, origin, take_over, revision }));
    roll_out(api, app, change, by).await
}

/// Asks for the change, and answers with how its rollout goes.
pub(super) async fn roll_out(api: Api, app: AppName, change: Change, by: Actor) -> Result<Response, Refusal> {
    let (updates, mut said) = mpsc::unbounded_channel();
    let detail = Detail(change.to_string());
    let deploy = Deploy { app: app.clone(), change, by, updates };
    api.controller.send(Command::Deploy(deploy)).await?;
    let recording = api.recordings.begin(app.clone());
    let heard = Arc::clone(&recording);
    // It goes on whoever listens: a client that comes back hears the rest.
    tokio::spawn(async move {
        while let Some(update) = said.recv().await {
            heard.push(&wire::progress(update, &app, &api.controller.view(), &api.facts));
        }
        if !heard.is_over() {
            let failure = Failure::new("stopping", "the daemon is stopping")
                .hinted("`minipaas status` tells how it went on");
            heard.push(&Progress::Failed { failure });
        }
    });
    Ok((Extension(detail), stream::of_recording(&recording, 0)).into_response())
}

/// Of a deploy that nobody remembers, the answer is what became of its release.
async fn follow(
    State(api): State<Api>,
    Path((name, release)): Path<(String, String)>,
    Query(query): Query<AfterQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (app, release) = (app_name(&name)?, release_id(&release)?);
    let after = stream::after(query.after, &headers).unwrap_or(0);
    if let Some(recording) = api.recordings.find(&app, release) {
        return Ok(stream::of_recording(&recording, usize::try_from(after).unwrap_or(usize::MAX)));
    }
    let view = api.controller.view();
    if !view.apps.iter().any(|known| known.name == app) {
        return Err(Refusal::no_app(&app, &view));
    }
    let ended = futures_util::stream::once(async move { ended(&api, &app, release).await });
    Ok(stream::of_values(ended.boxed()))
}

/// How the rollout of this release ended, once it has: one that a restart has interrupted goes on.
async fn ended(api: &Api, app: &AppName, release: ReleaseId) -> Progress {
    let mut views = api.controller.watch();
    let is_over = |view: &Arc<View>| {
        let found = view.apps.iter().find(|found| found.name == *app);
        let deploy = found.and_then(|found| found.deploy.as_ref());
        view.engine.is_recovered && deploy.is_none_or(|deploy| deploy.release != release)
    };
    let view = views.wait_for(is_over).await.map(|view| Arc::clone(&view));
    let Ok(view) = view else {
        return Progress::Failed { failure: Failure::new("stopping", "the daemon is stopping") };
    };
    let found = view.apps.iter().find(|found| found.name == *app);
    let serving = found.and_then(|found| found.release);
    let canary = found.and_then(|found| found.canary.as_ref()).map(|canary| canary.release);
    if serving == Some(release) || canary == Some(release) {
        let deployed = Deployed { release, is_unchanged: false, summary: String::new() };
        return wire::progress(DeployUpdate::Ended(Ok(deployed)), app, &view, &api.facts);
    }
    let message =
        format!("release {release} of `{app}` does not serve, and what its deploy said is forgotten");
    let failure = Failure::new("forgotten", message);
    let hint = match serving {
        Some(serving) => format!("{serving} serves; `minipaas events -a {app}` tells what happened"),
        None => format!("`minipaas events -a {app}` tells what happened"),
    };
    Progress::Failed { failure: failure.hinted(hint) }
}

fn release_id(text: &str) -> Result<ReleaseId, Refusal> {
    text.parse().map_err(|error: NameError| Refusal::bad_request(error.to_string()))
}

async fn cancel(
    State(api): State<Api>,
    Path((name, release)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let app = app_name(&name)?;
    let release = release_id(&release)?;
    api.controller.send(Command::Cancel { app, release }).await?;
    Ok(StatusCode::ACCEPTED)
}
