//! The traffic's numbers: as Prometheus reads them, here and on a port of their own, and as the CLI does.

use axum::extract::{Query, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::endpoint::{Endpoint, Needs};
use super::{Api, Refusal, app_name, seen};
use crate::api::{CallTraffic, Latency, PortTraffic, RouteTraffic, Traffic, TrafficQuery, UpstreamTraffic};
use crate::certs::{Certs, NameView, Signer, State as NameState};
use crate::clock;
use crate::clock::millis;
use crate::metrics::{
    BOUNDS, CONTENT_TYPE as OPEN_METRICS, CallSample, CertificateSample, Distribution, PortSample,
    RouteSample, STATUSES, Snapshot, UpstreamSample,
};
use crate::people::Caller;
use crate::traffic::Routes;

/// Serves `/metrics` and nothing else until `shutdown`.
pub async fn serve(routes: Routes, certs: Certs, listener: TcpListener, shutdown: CancellationToken) {
    let router = Router::new().route("/metrics", get(scrape)).with_state((routes, certs));
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "metrics ended");
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/metrics",
            Needs::Admin,
            "Give all apps' metrics, as Prometheus reads them",
            text,
        ),
        Endpoint::new(
            Method::GET,
            "/v1/traffic",
            Needs::Account,
            "Show how much traffic there was, and how it went",
            traffic,
        ),
    ]
}

async fn text(State(api): State<Api>) -> Response {
    answer(&api.routes, &api.certs)
}

async fn traffic(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<TrafficQuery>,
) -> Result<Json<Traffic>, Refusal> {
    let seen = seen(&api, &caller);
    let is_admin = api.people.read(|state| state.is_admin(&caller));
    let app = query.app.as_deref().map(app_name).transpose()?;
    if let Some(app) = app.as_ref().filter(|app| !seen.contains(app.as_str())) {
        return Err(Refusal::not_found(&format!("there is no app `{app}`")));
    }
    // What is left to count of apps that are gone, and of the box itself, is an administrator's to see.
    let is_wanted = |name: &str| match &app {
        Some(app) => app.as_str() == name,
        None => is_admin || seen.contains(name),
    };
    let Snapshot { routes, upstreams, ports, calls, .. } = api.routes.snapshot();
    Ok(Json(Traffic {
        at: clock::now(),
        routes: routes.iter().filter(|found| is_wanted(&found.app)).map(route).collect(),
        upstreams: upstreams.iter().filter(|found| is_wanted(&found.app)).map(upstream).collect(),
        ports: ports.iter().filter(|found| is_wanted(&found.app)).map(port).collect(),
        calls: calls
            .iter()
            .filter(|found| is_wanted(&found.app) || is_wanted(&found.caller))
            .map(call)
            .collect(),
    }))
}

async fn scrape(State((routes, certs)): State<(Routes, Certs)>) -> Response {
    answer(&routes, &certs)
}

fn answer(routes: &Routes, certs: &Certs) -> Response {
    let certificates = certs.view().iter().filter_map(certificate).collect();
    let snapshot = Snapshot { certificates, ..routes.snapshot() };
    ([(CONTENT_TYPE, OPEN_METRICS)], snapshot.to_text()).into_response()
}

/// `None` for those of the local CA, which never run out.
fn certificate(view: &NameView) -> Option<CertificateSample> {
    (view.signer != Signer::Local && view.state != NameState::Unused).then(|| CertificateSample {
        name: view.name.clone(),
        not_after: view.certificate.as_ref().map(|summary| millis(summary.not_after) / 1000),
        has_problem: view.problem.is_some() || view.state == NameState::Expired,
    })
}

fn route(sample: &RouteSample) -> RouteTraffic {
    RouteTraffic {
        app: sample.app.to_string(),
        route: sample.route.to_string(),
        in_flight: sample.in_flight,
        requests: STATUSES.map(str::to_owned).into_iter().zip(sample.ended).collect(),
        latency: latency(&sample.latency),
        bytes_in: sample.bytes_in,
        bytes_out: sample.bytes_out,
        retries: sample.retries,
        held: sample.held,
    }
}

fn port(sample: &PortSample) -> PortTraffic {
    PortTraffic {
        app: sample.app.to_string(),
        port: sample.listen,
        connections: sample.opened,
        open: sample.open,
        failed: sample.failed,
        duration: latency(&sample.duration),
        bytes_in: sample.bytes_in,
        bytes_out: sample.bytes_out,
    }
}

fn call(sample: &CallSample) -> CallTraffic {
    CallTraffic {
        caller: sample.caller.to_string(),
        app: sample.app.to_string(),
        requests: STATUSES.map(str::to_owned).into_iter().zip(sample.ended).collect(),
    }
}

fn latency(distribution: &Distribution) -> Latency {
    let millis = |bound: &std::time::Duration| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    Latency {
        bounds: BOUNDS.iter().map(millis).collect(),
        counts: distribution.buckets.to_vec(),
        sum_micros: distribution.sum_micros,
    }
}

fn upstream(sample: &UpstreamSample) -> UpstreamTraffic {
    UpstreamTraffic {
        app: sample.app.to_string(),
        slot: sample.slot.to_string(),
        release: sample.release.to_string(),
        id: sample.instance.to_string(),
        requests: sample.requests,
        failures: sample.failures,
        ejections: sample.ejections,
        in_flight: sample.in_flight,
    }
}
