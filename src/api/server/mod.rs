//! The control API's server: axum over a unix socket.
//!
//! Each handler translates: a wire type into a command, a domain value into a wire type. It decides nothing. What takes long
//! is a stream of lines; a client that goes away ends a build, and does not end a deploy.

mod apps;
mod certs;
mod cron;
mod deploys;
mod endpoint;
mod external;
mod failure;
mod metrics;
mod processes;
mod proxy;
mod stream;
mod traffic;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::autoscale::Autoscaler;
use crate::builder::image::Images;
use crate::certs::Certs;
use crate::controller::Controller;
use crate::cron::Jobs;
use crate::engine::Engine;
use crate::external::Surroundings;
use crate::name::AppName;
use crate::traffic::Routes;
use endpoint::{Endpoint, Needs};
use failure::Refusal;

pub use metrics::serve as serve_metrics;

/// How long a status waits for the engine's first answer; longer than the engine itself is waited for.
const FIRST_LOOK_TIME_MAX: Duration = Duration::from_secs(3);

/// What the API is served from; clones share everything.
#[derive(Clone)]
pub struct Api {
    /// Owns what is wanted.
    pub controller: Controller,
    /// Makes images.
    pub images: Images,
    /// Holds the logs.
    pub engine: Arc<dyn Engine>,
    /// Owns the certificates.
    pub certs: Certs,
    /// Counts the traffic.
    pub routes: Routes,
    /// Looks up where apps are to lead that are only routes.
    pub surroundings: Surroundings,
    /// Knows what autoscaling does.
    pub autoscaler: Autoscaler,
    /// Owns the jobs that run at times.
    pub jobs: Jobs,
    /// What does not change while the daemon runs.
    pub facts: Arc<Facts>,
}

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The box's id.
    pub box_id: String,
    /// Apps are at `<app>.<domain>`.
    pub domain: String,
    /// Where plain http is served.
    pub http: std::net::SocketAddr,
    /// Where https is served.
    pub https: std::net::SocketAddr,
    /// The local CA's certificate.
    pub ca_pem: String,
}

/// Serves until `shutdown`; requests that are under way finish.
pub async fn serve(api: Api, listener: UnixListener, shutdown: CancellationToken) {
    let served = axum::serve(listener, endpoint::router(endpoints(), api))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "control API ended");
    }
}

/// Every route that there is.
fn endpoints() -> Vec<Endpoint> {
    [
        own_endpoints(),
        apps::endpoints(),
        deploys::endpoints(),
        processes::endpoints(),
        cron::endpoints(),
        traffic::endpoints(),
        proxy::endpoints(),
        external::endpoints(),
        certs::endpoints(),
        metrics::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn own_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/v1/status", Needs::Account, "Show what the box is and does", status),
        Endpoint::new(Method::GET, "/v1/ca.pem", Needs::Nothing, "Give the local CA's certificate", ca),
    ]
}

/// Waits until the engine was asked once, so that a client of a daemon that just started hears an answer, not a delay.
async fn status(State(api): State<Api>) -> Json<super::Status> {
    let mut view = api.controller.watch();
    let asked = view.wait_for(|view| view.engine.is_recovered || view.engine.error.is_some());
    // An engine that hangs is told of as it is.
    let _ = tokio::time::timeout(FIRST_LOOK_TIME_MAX, asked).await;
    let warnings = certs::certificates(&api).into_iter().filter_map(|found| found.warning).collect();
    Json(wire::status(&api.controller.view(), &api.facts, warnings))
}

async fn ca(State(api): State<Api>) -> String {
    api.facts.ca_pem.clone()
}

fn app_name(text: &str) -> Result<AppName, Refusal> {
    text.parse().map_err(|error: crate::name::NameError| Refusal::bad_request(error.to_string()))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}
