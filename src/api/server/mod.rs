//! The control API's server: axum over a unix socket, and over TLS behind the box's own proxy.
//!
//! Every route is an `Endpoint` that says what it needs, and stands behind a `gate` that checks it.
//!
//! Each handler translates: a wire type into a command, a domain value into a wire type. It decides nothing. What takes long
//! is a stream of lines; a client that goes away ends a build, and does not end a deploy.

mod access;
mod apps;
mod audit;
mod certs;
mod cron;
mod denials;
mod deploys;
mod describe;
mod domains;
mod door;
mod drains;
mod endpoint;
mod events;
mod exports;
mod external;
mod failure;
mod gate;
mod health;
mod hooks;
mod idempotency;
mod invites;
mod lapse;
mod logs;
mod metrics;
mod openapi;
mod people;
mod processes;
mod proxy;
mod push;
mod recording;
mod releases;
mod runs;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod tokens;
mod traffic;
mod wire;

use std::collections::BTreeSet;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::answers::Answers;
use crate::autoscale::Autoscaler;
use crate::builder::image::Images;
use crate::certs::Certs;
use crate::controller::Controller;
use crate::cron::Jobs;
use crate::engine::Engine;
use crate::events::Journal;
use crate::external::Surroundings;
use crate::hooks::Hooks;
use crate::logs::{Drains, Logs};
use crate::name::AppName;
use crate::oneoff::Runs;
use crate::people::{Caller, People};
use crate::traffic::Routes;
use denials::Denials;
use door::Peer;
use endpoint::{Endpoint, Needs};
use failure::Refusal;
use gate::Gate;

pub use door::{DOOR_HEADER, Door, DoorKey};

pub use metrics::serve as serve_metrics;
pub use openapi::document as openapi_document;
pub use recording::Recordings;

/// How long a status waits for the engine's first answer; longer than the engine itself is waited for.
const FIRST_LOOK_TIME_MAX: Duration = Duration::from_secs(3);

/// What the API is served from; clones share everything.
#[derive(Clone)]
pub struct Api {
    /// Owns what is wanted.
    pub controller: Controller,
    /// Makes images.
    pub images: Images,
    /// What apps write, and what is said of them.
    pub logs: Logs,
    /// Where they go to.
    pub drains: Drains,
    /// Runs containers.
    pub engine: Arc<dyn Engine>,
    /// Owns the runs of single commands.
    pub runs: Runs,
    /// Owns the certificates.
    pub certs: Certs,
    /// Counts the traffic.
    pub routes: Routes,
    /// Looks up where apps are to lead that are only routes.
    pub surroundings: Surroundings,
    /// What was done, and by whom.
    pub journal: Journal,
    /// Tell others of it.
    pub hooks: Hooks,
    /// What was answered to requests that may come again.
    pub answers: Answers,
    /// What the last deploys have said.
    pub recordings: Recordings,
    /// Who may use the box.
    pub people: People,
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
    /// Where the API is served over TLS: `https://box.example.com`.
    pub url: String,
    /// The SHA-256 of the local CA's certificate, where the API's own is of that CA.
    pub ca_pin: Option<String>,
}

/// Serves on the socket and behind the door until `shutdown`; requests that are under way finish.
pub async fn serve(api: Api, listener: UnixListener, door: Door, shutdown: CancellationToken) {
    let controller = api.controller.clone();
    let apps = move || controller.view().apps.iter().map(|app| app.name.clone()).collect();
    let gate = Gate::new(api.people.clone(), door.key, apps);
    let kept = Arc::new(idempotency::Kept::new(api.answers.clone()));
    let denials = Arc::new(Denials::new(api.journal.reporter()));
    let record = endpoint::Record { journal: api.journal.clone(), kept, denials };
    let router = endpoint::router(endpoints(), &gate, Some(&record)).layer(Extension(gate)).with_state(api);
    let local = axum::serve(listener, router.clone().into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let remote = axum::serve(door.listener, router.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(shutdown.cancelled_owned());
    let (local, remote) = tokio::join!(local.into_future(), remote.into_future());
    for error in [local, remote].into_iter().filter_map(Result::err) {
        tracing::error!(%error, "control API ended");
    }
}

/// Every route that there is.
fn endpoints() -> Vec<Endpoint> {
    [
        own_endpoints(),
        apps::endpoints(),
        deploys::endpoints(),
        releases::endpoints(),
        push::endpoints(),
        logs::endpoints(),
        drains::endpoints(),
        runs::endpoints(),
        processes::endpoints(),
        cron::endpoints(),
        traffic::endpoints(),
        proxy::endpoints(),
        domains::endpoints(),
        exports::endpoints(),
        external::endpoints(),
        health::endpoints(),
        certs::endpoints(),
        metrics::endpoints(),
        events::endpoints(),
        hooks::endpoints(),
        openapi::own_endpoints(),
        people::endpoints(),
        access::endpoints(),
        tokens::endpoints(),
        invites::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn own_endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/v1/health", Needs::Nothing, "Say that the daemon answers", health),
        Endpoint::new(Method::GET, "/v1/status", Needs::Account, "Show what the box is and does", status),
        Endpoint::new(Method::GET, "/v1/ca.pem", Needs::Nothing, "Give the local CA's certificate", ca),
    ]
}

/// Waits until the engine was asked once, so that a client of a daemon that just started hears an answer, not a delay.
async fn status(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Json<super::Status> {
    let mut view = api.controller.watch();
    let asked = view.wait_for(|view| view.engine.is_recovered || view.engine.error.is_some());
    // An engine that hangs is told of as it is.
    let _ = tokio::time::timeout(FIRST_LOOK_TIME_MAX, asked).await;
    let is_admin = api.people.read(|state| state.is_admin(&caller));
    // They name hosts of any app.
    let certificates = if is_admin { certs::certificates(&api) } else { Vec::new() };
    let warnings = certificates.into_iter().filter_map(|found| found.warning).collect();
    let mut status = wire::status(&api.controller.view(), &api.facts, warnings);
    let seen = seen(&api, &caller);
    status.apps.retain(|app| seen.contains(&app.name));
    Json(status)
}

async fn health() -> Json<super::BoxHealth> {
    Json(super::BoxHealth { status: "pass".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// The names of the apps that a caller may see.
fn seen(api: &Api, caller: &Caller) -> BTreeSet<String> {
    let view = api.controller.view();
    let apps = view.apps.iter().map(|app| &app.name);
    api.people
        .read(|state| apps.filter(|app| state.role(caller, app).is_some()).map(ToString::to_string).collect())
}

async fn ca(State(api): State<Api>) -> String {
    api.facts.ca_pem.clone()
}

fn app_name(text: &str) -> Result<AppName, Refusal> {
    text.parse().map_err(|error: crate::name::NameError| Refusal::bad_request(error.to_string()))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let is_unknown = self.status == StatusCode::UNAUTHORIZED;
        let code = audit::FailureCode(self.failure.code.clone());
        let mut res = (self.status, Json(self.failure)).into_response();
        res.extensions_mut().insert(code);
        if is_unknown {
            res.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        res
    }
}
