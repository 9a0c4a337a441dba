//! Apps: what they are, and how they go.

use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::{Extension, Json};
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name, runs, seen, wire};
use crate::api::{App, DownQuery, DownReply};
use crate::controller::{AppView, Command, Downed, Stopping};
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
        )
        .action("down"),
    ]
}

async fn apps(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Json<Vec<App>> {
    let seen = seen(&api, &caller);
    let view = api.controller.view();
    let apps = view.apps.iter().filter(|app| seen.contains(app.name.as_str()));
    Json(apps.map(|app| with_runs(&api, app)).collect())
}

async fn app(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<App>, Refusal> {
    let name = app_name(&name)?;
    let view = api.controller.view();
    let found = view.apps.iter().find(|app| app.name == name).ok_or_else(|| Refusal::no_app(&name, &view))?;
    Ok(Json(with_runs(&api, found)))
}

/// The app, with the commands that run in it.
fn with_runs(api: &Api, app: &AppView) -> App {
    App { runs: runs::of_app(api, &app.name), ..wire::app(app, &api.facts) }
}

async fn down(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<DownQuery>,
) -> Result<Json<DownReply>, Refusal> {
    let app = app_name(&name)?;
    let (reply, downed) = oneshot::channel();
    let command = Command::Down { app: app.clone(), volumes: query.volumes, reply };
    api.controller.send(command).await?;
    let downed = downed.await.map_err(|_| Stopping)?;
    // Also where some of it is left on the engine: the app is gone.
    let is_gone = !api.controller.view().apps.iter().any(|known| known.name == app);
    if is_gone {
        api.people.forget_app(&app).await?;
    }
    // Whoever takes the name next has nothing to do with what it said, and to whom.
    if is_gone || downed.is_ok() {
        api.drains.forget(&app).await?;
        api.logs.forget(&app).await;
    }
    let downed = downed.map_err(|error| Refusal::from_down(error, &api.controller.view()))?;
    let Downed { instances, upstreams, volumes } = downed;
    Ok(Json(DownReply { instances, upstreams, volumes }))
}
