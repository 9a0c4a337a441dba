//! What the probes of an app's instances say.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::{Api, Refusal, app_name};
use crate::api::{Health, InstanceHealth, ProbeResult, ProcessHealth};
use crate::controller::{self, Command, Stopping};
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let viewer = Needs::OfApp(Role::Viewer);
    vec![Endpoint::new(
        Method::GET,
        "/v1/apps/{app}/health",
        viewer,
        "Show an app's probes, and what they say",
        health,
    )]
}

async fn health(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Health>, Refusal> {
    let app = app_name(&name)?;
    let (reply, told) = oneshot::channel();
    api.controller.send(Command::Health { app: app.clone(), reply }).await?;
    let told = told.await.map_err(|_| Stopping)?;
    let told = told.ok_or_else(|| Refusal::no_app(&app, &api.controller.view()))?;
    Ok(Json(Health { app: app.to_string(), processes: told.iter().map(process).collect() }))
}

fn process(health: &controller::ProcessHealth) -> ProcessHealth {
    let probes = &health.probes;
    ProcessHealth {
        process: health.process.to_string(),
        startup: probes.startup.as_ref().map(|probe| format!("{} within {:?}", probe.check, probe.deadline)),
        ready: probes.ready.to_string(),
        live: probes.live.as_ref().map(|probe| probe.check.to_string()),
        instances: health.instances.iter().map(instance).collect(),
    }
}

fn instance(health: &controller::InstanceHealth) -> InstanceHealth {
    let probes = health.probes.iter().map(|(kind, record)| ProbeResult {
        kind: kind.to_string(),
        passes: record.is_passing,
        said: record.said.clone(),
        failures: record.failures,
        since: record.since,
    });
    InstanceHealth {
        slot: health.slot.to_string(),
        release: health.release.to_string(),
        state: health.state.to_owned(),
        since: health.since,
        probes: probes.collect(),
    }
}
