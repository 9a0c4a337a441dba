//! `minipaas maintenance`: an app's own 503, for everybody but those who may pass.
//!
//! The value of the bypass cookie is made here, printed once, and sent as its SHA-256: nobody can be told it again.

use anyhow::Context as _;
use serde::Serialize;

use super::Session;
use super::args::{AppArgs, MaintenanceAction, MaintenanceArgs, MaintenanceOnArgs};
use super::failure::{Failure, Kind};
use super::output::duration;
use super::project;
use crate::api::{Maintenance, MaintenanceRequest, TrafficMode};
use crate::hex;
use crate::name::AppName;
use crate::route;

/// 128 bits: more than can be guessed at any rate.
const COOKIE_BYTES: usize = 16;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TrafficResult<'a> {
    pub(crate) app: &'a str,
    pub(crate) traffic: &'a TrafficMode,
    /// The value of the cookie that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cookie: Option<&'a str>,
}

pub(crate) async fn run(session: &Session, args: &MaintenanceArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    match &args.action {
        None => print(session, &app, &client.app(&app).await?.traffic, None),
        Some(MaintenanceAction::Off) => print(session, &app, &client.end_maintenance(&app).await?, None),
        Some(MaintenanceAction::On(args)) => {
            let cookie = args.cookie.then(|| hex::encode(crate::random::bytes::<COOKIE_BYTES>()));
            let request = request(args, cookie.as_deref())?;
            let traffic = client.maintain(&app, &request).await?;
            print(session, &app, &traffic, cookie.as_deref())
        }
    }
}

/// What an operator wants of an app's traffic, in a sentence; `None` when that is nothing.
pub(crate) fn sentence(app: &str, traffic: &TrafficMode) -> Option<String> {
    match traffic {
        TrafficMode::Open => None,
        TrafficMode::Paused { wait_ms } => Some(format!(
            "`{app}` is paused: requests wait up to {}; `minipaas resume {app}` ends it",
            duration(*wait_ms)
        )),
        TrafficMode::Maintenance(maintenance) => Some(format!(
            "`{app}` is in maintenance{}; `minipaas maintenance off -a {app}` ends it",
            passes(maintenance)
        )),
    }
}

fn request(args: &MaintenanceOnArgs, cookie: Option<&str>) -> Result<MaintenanceRequest, Failure> {
    let page = args.page.as_ref().map(|path| {
        std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the page `{}`", path.display()))
            .map_err(|error| Failure::new(Kind::Usage, error))
    });
    Ok(MaintenanceRequest {
        allow: args.allow.iter().map(ToString::to_string).collect(),
        cookie_sha256: cookie.map(|value| hex::encode(route::Maintenance::digest(value.as_bytes()))),
        page: page.transpose()?,
        retry_after_ms: args
            .retry_after
            .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        health_path: args.health_path.clone(),
    })
}

fn print(
    session: &Session,
    app: &AppName,
    traffic: &TrafficMode,
    cookie: Option<&str>,
) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(&TrafficResult { app: app.as_str(), traffic, cookie })?;
        return Ok(());
    }
    let said = sentence(app.as_str(), traffic).unwrap_or_else(|| format!("`{app}` takes requests"));
    match cookie {
        None => out.line(said)?,
        // The value alone is the result, for scripts.
        Some(value) => {
            out.notice(said);
            let name = route::Maintenance::COOKIE;
            out.notice(format_args!(
                "who sends this value as the cookie `{name}` passes; it is not shown again"
            ));
            out.line(value)?;
            out.notice(format_args!(
                "in a browser's console, on the app's page: document.cookie = \"{name}={value}; path=/; secure\""
            ));
        }
    }
    Ok(())
}

fn passes(maintenance: &Maintenance) -> String {
    let networks = maintenance.allow.iter().map(|network| format!("`{network}`"));
    let cookie = maintenance.has_cookie.then(|| "who has the cookie".to_owned());
    let passing: Vec<_> = networks.chain(cookie).collect();
    if passing.is_empty() { String::new() } else { format!(" for all but {}", passing.join(", ")) }
}
