//! Apps: what they are, what they write, and how they go.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::Response;
use axum::{Extension, Json};
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name, seen, stream, wire};
use crate::api::{App, DownQuery, DownReply, LogsQuery};
use crate::controller::{Command, Downed, Stopping};
use crate::logs;
use crate::people::{Caller, Role};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let viewer = Needs::OfApp(Role::Viewer);
    vec![
        Endpoint::new(Method::GET, "/v1/apps", Needs::Account, "List the apps that one may see", apps),
        Endpoint::new(Method::GET, "/v1/apps/{app}", viewer, "Show an app", app),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}",
            Needs::OfApp(Role::Owner),
            "Stop an app and forget it",
            down,
        ),
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/logs",
            viewer,
            "Read what an app's instances write",
            app_logs,
        ),
    ]
}

async fn apps(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Json<Vec<App>> {
    let seen = seen(&api, &caller);
    let view = api.controller.view();
    let apps = view.apps.iter().filter(|app| seen.contains(app.name.as_str()));
    Json(apps.map(|app| wire::app(app, &api.facts)).collect())
}

async fn app(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<App>, Refusal> {
    let name = app_name(&name)?;
    let view = api.controller.view();
    let found = view.apps.iter().find(|app| app.name == name).ok_or_else(|| Refusal::no_app(&name, &view))?;
    Ok(Json(wire::app(found, &api.facts)))
}

async fn down(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<DownQuery>,
) -> Result<Json<DownReply>, Refusal> {
    let app = app_name(&name)?;
    let (reply, downed) = oneshot::channel();
    api.controller.send(Command::Down { app: app.clone(), volumes: query.volumes, reply }).await?;
    let downed = downed.await.map_err(|_| Stopping)?;
    // Also where some of it is left on the engine: the app is gone.
    if !api.controller.view().apps.iter().any(|known| known.name == app) {
        api.people.forget_app(&app).await?;
    }
    let downed = downed.map_err(|error| Refusal::from_down(error, &api.controller.view()))?;
    let Downed { instances, upstreams, volumes } = downed;
    Ok(Json(DownReply { instances, upstreams, volumes }))
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
