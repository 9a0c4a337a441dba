//! Operations on an app's traffic: maintenance, pausing, canaries.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name, wire};
use crate::api::{CanaryReply, CanaryRequest, Failure, MaintenanceRequest, PauseRequest, TrafficMode};
use crate::controller::{CanaryChange, Command, Stopping, TrafficChange};
use crate::hex;
use crate::people::Role;
use crate::route::Maintenance;

/// A page of this size is an app of its own.
const PAGE_BYTES_MAX: usize = 1 << 20;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}/maintenance",
            Needs::OfApp(Role::Collaborator),
            "Answer an app's requests with a page that says it is being worked on",
            maintain,
        )
        .action("maintenance-on"),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/maintenance",
            Needs::OfApp(Role::Collaborator),
            "End an app's maintenance",
            end_maintenance,
        )
        .action("maintenance-off"),
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}/pause",
            Needs::OfApp(Role::Collaborator),
            "Have an app's requests wait",
            pause,
        )
        .action("pause"),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/pause",
            Needs::OfApp(Role::Collaborator),
            "Let the requests of a paused app go on",
            resume,
        )
        .action("resume"),
        Endpoint::new(
            Method::PATCH,
            "/v1/apps/{app}/canary",
            Needs::OfApp(Role::Collaborator),
            "Change a canary's share of the requests",
            share_canary,
        )
        .action("canary-share"),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/canary",
            Needs::OfApp(Role::Collaborator),
            "Take a canary back",
            abort_canary,
        )
        .action("canary-abort"),
        Endpoint::new(
            Method::POST,
            "/v1/apps/{app}/canary/promote",
            Needs::OfApp(Role::Collaborator),
            "Give a canary all requests",
            promote_canary,
        )
        .action("canary-promote"),
    ]
}

async fn maintain(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<MaintenanceRequest>,
) -> Result<Json<TrafficMode>, Refusal> {
    let maintenance = maintenance(request)?;
    change(&api, &name, TrafficChange::Maintain(Arc::new(maintenance))).await
}

async fn end_maintenance(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<TrafficMode>, Refusal> {
    change(&api, &name, TrafficChange::EndMaintenance).await
}

async fn pause(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<PauseRequest>,
) -> Result<Json<TrafficMode>, Refusal> {
    change(&api, &name, TrafficChange::Pause { wait: Duration::from_millis(request.wait_ms) }).await
}

async fn resume(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<TrafficMode>, Refusal> {
    change(&api, &name, TrafficChange::Resume).await
}

async fn share_canary(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<CanaryRequest>,
) -> Result<Json<CanaryReply>, Refusal> {
    change_canary(&api, &name, CanaryChange::Percent(request.percent)).await
}

async fn promote_canary(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<CanaryReply>, Refusal> {
    change_canary(&api, &name, CanaryChange::Promote).await
}

async fn abort_canary(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<CanaryReply>, Refusal> {
    change_canary(&api, &name, CanaryChange::Abort).await
}

async fn change(api: &Api, name: &str, change: TrafficChange) -> Result<Json<TrafficMode>, Refusal> {
    let app = app_name(name)?;
    let (reply, changed) = oneshot::channel();
    api.controller.send(Command::Traffic { app, change, reply }).await?;
    let mode = changed.await.map_err(|_| Stopping)?;
    let mode = mode.map_err(|error| Refusal::from_traffic(error, &api.controller.view()))?;
    Ok(Json(wire::traffic(&mode)))
}

async fn change_canary(api: &Api, name: &str, change: CanaryChange) -> Result<Json<CanaryReply>, Refusal> {
    let app = app_name(name)?;
    let (reply, changed) = oneshot::channel();
    api.controller.send(Command::Canary { app, change, reply }).await?;
    let changed = changed.await.map_err(|_| Stopping)?;
    let changed = changed.map_err(|error| Refusal::from_canary(error, &api.controller.view()))?;
    Ok(Json(wire::canary_changed(&changed)))
}

fn maintenance(request: MaintenanceRequest) -> Result<Maintenance, Refusal> {
    let MaintenanceRequest { allow, cookie_sha256, page, retry_after_ms, health_path } = request;
    let refused = |message: String| {
        Refusal::new(axum::http::StatusCode::BAD_REQUEST, Failure::new("bad-request", message))
    };
    let network = |text: &String| {
        let address = text.parse::<std::net::IpAddr>().map(Into::into);
        address.or_else(|_| text.parse()).map_err(|_| {
            refused(format!("`{text}` is no network; write one such as `10.0.0.0/8`, or an address"))
        })
    };
    if page.as_ref().is_some_and(|page| page.len() > PAGE_BYTES_MAX) {
        return Err(refused(format!("a page has {} KiB at most", PAGE_BYTES_MAX >> 10)));
    }
    if let Some(path) = health_path.as_ref().filter(|path| !path.starts_with('/')) {
        return Err(refused(format!("health path `{path}` is no path; it begins with `/`")));
    }
    let cookie = cookie_sha256.map(|text| {
        hex::decode(&text).ok_or_else(|| refused(format!("`{text}` is no SHA-256 in hexadecimal")))
    });
    Ok(Maintenance {
        allow: allow.iter().map(network).collect::<Result<_, _>>()?,
        cookie: cookie.transpose()?,
        page: page.map(Arc::from),
        retry_after: retry_after_ms.map(Duration::from_millis),
        health_path,
    })
}
