//! What the probes of an app's instances say, and which they are.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::{Extension, Json};
use tokio::sync::oneshot;

use super::deploys::roll_out;
use super::endpoint::{Endpoint, Needs};
use super::releases::ledger;
use super::{Api, Refusal, app_name};
use crate::api::{Health, HealthRequest, InstanceHealth, ProbeResult, ProcessHealth, Progress};
use crate::controller::{self, Change, Command, Stopping};
use crate::manifest::{NoSuchProbe, ProbeKind, ProbeSetting, ProbeSettings};
use crate::name::{NameError, ProcessType};
use crate::people::{Actor, Role};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/health",
            Needs::OfApp(Role::Viewer),
            "Show an app's probes, and what they say",
            health,
        ),
        Endpoint::new(
            Method::PATCH,
            "/v1/apps/{app}/health",
            Needs::OfApp(Role::Collaborator),
            "Change an app's probes, with a release",
            change,
        )
        .action("health-set")
        .streaming::<Progress>(),
    ]
}

async fn health(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Health>, Refusal> {
    let app = app_name(&name)?;
    let (reply, told) = oneshot::channel();
    api.controller.send(Command::Health { app: app.clone(), reply }).await?;
    let told = told.await.map_err(|_| Stopping)?;
    let told = told.ok_or_else(|| Refusal::no_app(&app, &api.controller.view()))?;
    // Apps that are only a route have no releases.
    let ledger = ledger(&api, &name).await.ok();
    let current =
        ledger.and_then(|ledger| ledger.releases.into_iter().find(|found| Some(found.id) == ledger.current));
    let by_command = current.map(|release| release.probes).unwrap_or_default();
    let processes = told.iter().map(|health| process(health, by_command.get(&health.process))).collect();
    Ok(Json(Health { app: app.to_string(), processes }))
}

async fn change(
    State(api): State<Api>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    Json(request): Json<HealthRequest>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let mut changes = BTreeMap::<ProcessType, BTreeMap<_, _>>::new();
    for (process, probes) in request.probes {
        let process = process.parse().map_err(|error: NameError| Refusal::bad_request(error.to_string()))?;
        changes.insert(process, probes.iter().map(setting).collect::<Result<_, _>>()?);
    }
    if changes.values().all(BTreeMap::is_empty) {
        return Err(Refusal::bad_request("no probe is changed".to_owned()));
    }
    roll_out(api, app, Change::Probes(changes), by).await
}

fn setting((kind, text): (&String, &Option<String>)) -> Result<(ProbeKind, Option<ProbeSetting>), Refusal> {
    let kind: ProbeKind =
        kind.parse().map_err(|error: NoSuchProbe| Refusal::bad_request(error.to_string()))?;
    let setting = text.as_deref().map(|text| ProbeSetting::parse(kind, text)).transpose();
    Ok((kind, setting.map_err(Refusal::bad_request)?))
}

fn process(health: &controller::ProcessHealth, by_command: Option<&ProbeSettings>) -> ProcessHealth {
    let probes = &health.probes;
    ProcessHealth {
        process: health.process.to_string(),
        startup: probes.startup.as_ref().map(|probe| format!("{} within {:?}", probe.check, probe.deadline)),
        ready: probes.ready.to_string(),
        live: probes.live.as_ref().map(|probe| probe.check.to_string()),
        by_command: by_command.into_iter().flat_map(BTreeMap::keys).map(ToString::to_string).collect(),
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
