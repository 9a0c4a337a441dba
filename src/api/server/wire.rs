//! Domain values as the wire says them.

use std::time::Duration;

use super::Facts;
use crate::api::{
    App, AppState, BuildRef, Canary, CanaryReply, DeployStatus, Deployed, EngineStatus, External,
    ExternalUpstream, Instance, Maintenance, PlanReply, Port, Progress, SourceTexts, Status, TrafficMode,
};
use crate::controller::{
    AppView, CanaryChanged, DeployUpdate, ExternalView, InstanceView, Planned, UpstreamView, View,
};
use crate::manifest::Source;
use crate::name::{AppName, ReleaseId};
use crate::plan::PlannedPort;
use crate::release::{Build, Release, ReleaseState, Revision};
use crate::rollout::Update;
use crate::route::{Mode, Share};

pub(super) fn status(view: &View, facts: &Facts, warnings: Vec<String>) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        box_id: facts.box_id.clone(),
        domain: facts.domain.clone(),
        http: facts.http.to_string(),
        https: facts.https.to_string(),
        engine: EngineStatus {
            endpoint: view.engine.endpoint.clone(),
            // Until what runs was taken up, nothing that needs the engine works: for a client it was not asked yet.
            version: view.engine.version.clone().filter(|_| view.engine.is_recovered),
            error: view.engine.error.clone(),
        },
        generation: view.generation,
        apps: view.apps.iter().map(|app| self::app(app, facts)).collect(),
        warnings,
    }
}

pub(super) fn app(app: &AppView, facts: &Facts) -> App {
    let is_external = app.external.is_some();
    let serves = |instance: &&InstanceView| match app.external {
        Some(_) => instance.state != "draining",
        // What is unknown is as it was in the last table.
        None => Some(instance.release) == app.release && instance.state != "unknown",
    };
    let serving: Vec<_> = app.instances.iter().filter(serves).collect();
    let ready = serving.iter().filter(|instance| instance.state == "ready").count();
    App {
        name: app.name.to_string(),
        release: app.release.map(|release| release.to_string()),
        state: match ready {
            _ if app.release.is_none() && !is_external => AppState::New,
            // An upstream whose name was never looked up has no address that could be ready.
            0 if is_external => AppState::Down,
            n if n == serving.len() => AppState::Serving,
            0 => AppState::Down,
            _ => AppState::Degraded,
        },
        urls: urls(&app.routes, facts),
        ports: ports(app),
        origin: app.origin.clone(),
        instances: app
            .instances
            .iter()
            .map(|instance| Instance {
                slot: instance.slot.to_string(),
                // What runs elsewhere has no releases.
                release: if is_external { "-".to_owned() } else { instance.release.to_string() },
                addr: instance.addr.map(|addr| addr.to_string()),
                id: instance.id.as_ref().map(ToString::to_string).unwrap_or_default(),
                state: instance.state.to_owned(),
                since: instance.since,
                detail: instance.detail.clone(),
                restarts: instance.restarts,
                next_start: instance.next_start,
                memory_bytes: instance.memory,
                cpu_millis: instance.cpu,
            })
            .collect(),
        runs: Vec::new(),
        deploy: app.deploy.as_ref().map(|deploy| DeployStatus {
            release: deploy.release.to_string(),
            phase: deploy.step.to_owned(),
        }),
        traffic: traffic(&app.mode),
        canary: app.canary.as_ref().map(|found| canary(found.release, &found.share, found.until)),
        external: app.external.as_ref().map(external),
        links: app.links.iter().map(ToString::to_string).collect(),
        proxy_by_command: app.proxy_by_command.clone(),
        processes: super::processes::counts(app),
    }
}

fn ports(app: &AppView) -> Vec<Port> {
    let port =
        |port: &PlannedPort| Port { port: port.listen, process: port.process.to_string(), target: port.port };
    app.ports.iter().map(port).collect()
}

fn external(external: &ExternalView) -> External {
    let upstream = |upstream: &UpstreamView| ExternalUpstream {
        slot: upstream.slot.to_string(),
        url: upstream.address.to_string(),
        problem: upstream.problem.clone(),
    };
    External {
        health: external.health.to_string(),
        upstreams: external.upstreams.iter().map(upstream).collect(),
    }
}

pub(super) fn traffic(mode: &Mode) -> TrafficMode {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match mode {
        Mode::Open => TrafficMode::Open,
        Mode::Paused { wait } => TrafficMode::Paused { wait_ms: millis(*wait) },
        Mode::Maintenance(maintenance) => TrafficMode::Maintenance(Maintenance {
            allow: maintenance.allow.iter().map(ToString::to_string).collect(),
            has_cookie: maintenance.cookie.is_some(),
            has_page: maintenance.page.is_some(),
            retry_after_ms: maintenance.retry_after.map(millis),
            health_path: maintenance.health_path.clone(),
        }),
    }
}

pub(super) fn canary_changed(changed: &CanaryChanged) -> CanaryReply {
    CanaryReply {
        release: changed.release.to_string(),
        serving: changed.serving.map(|serving| serving.to_string()),
        canary: changed.share.as_ref().map(|share| canary(changed.release, share, changed.until)),
    }
}

fn canary(release: ReleaseId, share: &Share, until: Option<u64>) -> Canary {
    Canary {
        release: release.to_string(),
        percent: share.percent,
        cookie: share.cookie.clone(),
        header: share.header.as_ref().map(|(name, _)| name.to_string()),
        header_value: share
            .header
            .as_ref()
            .and_then(|(_, value)| Some(value.as_ref()?.to_str().ok()?.to_owned())),
        until,
    }
}

pub(super) fn source(texts: SourceTexts) -> Source {
    Source { toml: texts.toml, procfile: texts.procfile, files: texts.files }
}

pub(super) fn build(build: &Build) -> BuildRef {
    BuildRef {
        image: build.image.clone(),
        reference: build.reference.clone(),
        content: build.content.clone(),
    }
}

pub(super) fn release(release: &Release, current: Option<ReleaseId>) -> crate::api::Release {
    let reason = match &release.state {
        ReleaseState::Failed { reason } => Some(reason.clone()),
        ReleaseState::Pending | ReleaseState::Active | ReleaseState::Superseded => None,
    };
    crate::api::Release {
        release: release.id.to_string(),
        state: release.state.to_string(),
        is_current: current == Some(release.id),
        reason,
        by: release.by.to_string(),
        summary: release.summary.clone(),
        at: release.created_at,
        duration_ms: release.settled_at.map(|at| at.saturating_sub(release.created_at)),
        revision: release.revision.as_ref().map(|revision| crate::api::Revision {
            commit: revision.commit.clone(),
            subject: revision.subject.clone(),
            is_dirty: revision.is_dirty,
        }),
    }
}

pub(super) fn revision(revision: crate::api::Revision) -> Revision {
    let crate::api::Revision { commit, subject, is_dirty } = revision;
    Revision { commit, subject, is_dirty }
}

pub(super) fn plan(planned: &Planned, facts: &Facts) -> PlanReply {
    let routes: Vec<_> =
        planned.plan.routes.iter().map(|route| (route.host.to_string(), route.path.to_string())).collect();
    PlanReply {
        text: planned.plan.to_string(),
        release: (!planned.is_unchanged).then(|| planned.plan.release.to_string()),
        urls: urls(&routes, facts),
    }
}

pub(super) fn progress(update: DeployUpdate, app: &AppName, view: &View, facts: &Facts) -> Progress {
    match update {
        DeployUpdate::Accepted(release) => Progress::Accepted { release: release.to_string() },
        DeployUpdate::Rollout(Update::Step { step, detail }) => {
            Progress::Step { step: step.to_owned(), detail }
        }
        DeployUpdate::Rollout(Update::Log(line)) => Progress::Log { line },
        DeployUpdate::Rollout(Update::Notice(message)) => Progress::Notice { message },
        DeployUpdate::Ended(Ok(deployed)) => {
            let known = view.apps.iter().find(|known| known.name == *app);
            let beside = known.and_then(|known| known.canary.as_ref());
            let beside = beside.filter(|beside| beside.release == deployed.release);
            Progress::Deployed(Deployed {
                release: deployed.release.to_string(),
                urls: urls(known.map(|known| known.routes.as_slice()).unwrap_or_default(), facts),
                ports: known.map(ports).unwrap_or_default(),
                is_unchanged: deployed.is_unchanged,
                summary: deployed.summary,
                traffic: known.map(|known| traffic(&known.mode)).unwrap_or_default(),
                canary: beside.map(|beside| canary(beside.release, &beside.share, beside.until)),
                proxy_by_command: known.map(|known| known.proxy_by_command.clone()).unwrap_or_default(),
            })
        }
        DeployUpdate::Ended(Err(error)) => Progress::Failed { failure: error.into() },
    }
}

/// What a person types into a browser; a fallback route has no name to type.
fn urls(routes: &[(String, String)], facts: &Facts) -> Vec<String> {
    let port = match facts.https.port() {
        443 => String::new(),
        port => format!(":{port}"),
    };
    routes
        .iter()
        .filter(|(host, _)| host != "*")
        .map(|(host, path)| format!("https://{host}{port}{path}"))
        .collect()
}
