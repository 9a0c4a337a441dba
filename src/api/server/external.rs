//! Apps that are only routes.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name, wire};
use crate::api::{App, Failure, UpstreamsRequest};
use crate::controller::{Command, Stopping, View};
use crate::external::{Address, Wanted};
use crate::name::{AppName, PathPrefix};
use crate::people::Role;

/// An answer waits so long for the first word of the upstreams.
const FIRST_PROBES_TIME_MAX: Duration = Duration::from_secs(3);

/// Answers once the upstreams were asked, so that a client hears how they are, and not that nobody knows yet.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}/upstreams",
            Needs::OfApp(Role::Owner),
            "Make an app that is only a route, or have it lead somewhere else",
            put,
        )
        .action("upstreams-set")
        .creating(),
    ]
}

async fn put(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<UpstreamsRequest>,
) -> Result<Json<App>, Refusal> {
    let app = app_name(&name)?;
    let is_forced = request.force;
    let wanted = wanted(request)?;
    if !is_forced {
        check_names(&api, &app, &wanted).await?;
    }
    let (reply, changed) = oneshot::channel();
    api.controller.send(Command::Upstreams { app: app.clone(), wanted, reply }).await?;
    let changed = changed.await.map_err(|_| Stopping)?;
    changed.map_err(Refusal::from_upstreams)?;
    let mut view = api.controller.watch();
    let asked = view.wait_for(|view| is_decided(view, &app));
    // One that hangs is told of as it is.
    let _ = tokio::time::timeout(FIRST_PROBES_TIME_MAX, asked).await;
    let view = api.controller.view();
    let found =
        view.apps.iter().find(|found| found.name == app).ok_or_else(|| Refusal::no_app(&app, &view))?;
    Ok(Json(wire::app(found, &api.facts)))
}

/// Refuses new names without an address while what the app leads to is ready: a name that is mistyped would take it away.
async fn check_names(api: &Api, app: &AppName, wanted: &Wanted) -> Result<(), Refusal> {
    let view = api.controller.view();
    let Some(found) = view.apps.iter().find(|found| found.name == *app) else { return Ok(()) };
    let Some(external) = &found.external else { return Ok(()) };
    if !found.instances.iter().any(|instance| instance.state == "ready") {
        return Ok(());
    }
    let is_new = |address: &&Address| external.upstreams.iter().all(|known| known.address != **address);
    for address in wanted.upstreams.iter().filter(is_new) {
        let Some(name) = address.name() else { continue };
        if let Err(problem) = api.surroundings.look_up(name, address.port()).await {
            let message = format!("`{app}` stays as it is: {problem}");
            let failure = Failure::new("bad-request", message)
                .hinted("`--force` takes it all the same; requests fail until the name has an address");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, failure));
        }
    }
    Ok(())
}

fn is_decided(view: &View, app: &AppName) -> bool {
    let found = view.apps.iter().find(|found| found.name == *app);
    let external = found.and_then(|found| found.external.as_ref());
    external.is_none_or(|external| external.is_decided)
}

fn wanted(request: UpstreamsRequest) -> Result<Wanted, Refusal> {
    fn parsed<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, Refusal> {
        text.parse().map_err(|error: T::Err| Refusal::bad_request(error.to_string()))
    }
    let UpstreamsRequest { upstreams, hosts, path, health, source, force: _ } = request;
    Ok(Wanted {
        upstreams: upstreams.iter().map(|text| parsed(text)).collect::<Result<_, _>>()?,
        hosts: hosts.iter().map(|text| parsed(text)).collect::<Result<_, _>>()?,
        path: path.as_deref().map_or_else(|| Ok(PathPrefix::root()), parsed)?,
        health: health.as_deref().map(parsed).transpose()?.unwrap_or_default(),
        source: source.map(wire::source).unwrap_or_default(),
    })
}
