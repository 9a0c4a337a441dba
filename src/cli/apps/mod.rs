//! `minipaas apps`: all apps of the box, one a line; and what is done with one of them.

mod create;
mod destroy;
mod info;

use super::args::{AppsAction, AppsArgs};
use super::failure::Failure;
use super::output::{Output, OutputResult, Table};
use super::{Session, access};
use crate::api::{App, AppState, TrafficMode};

pub(crate) async fn run(session: &Session, args: &AppsArgs) -> Result<(), Failure> {
    match &args.action {
        None | Some(AppsAction::List) => list(session).await,
        Some(AppsAction::Create(args)) => create::run(session, args).await,
        Some(AppsAction::Transfer(args)) => access::transfer(session, args).await,
        Some(AppsAction::Info(args)) => info::run(session, args).await,
        Some(AppsAction::Destroy(args)) => destroy::run(session, args).await,
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let apps = session.client().apps().await?;
    if session.out.is_json() {
        session.out.json(&apps)?;
    } else {
        print(session.out, &apps)?;
    }
    Ok(())
}

/// The apps as a table.
pub(crate) fn print(out: Output, apps: &[App]) -> OutputResult {
    let mut table = Table::new(["APP", "STATE", "RELEASE", "URL"]);
    for app in apps {
        let ports: Vec<_> = app.ports.iter().map(|port| format!("tcp {}", port.port)).collect();
        let places: Vec<_> = app.urls.iter().take(1).chain(&ports).cloned().collect();
        let places = if places.is_empty() { "-".to_owned() } else { places.join(", ") };
        table.row([app.name.clone(), state(app), release(app), places]);
    }
    out.table(&table)
}

/// What serves: an app that is only a route has no releases.
fn release(app: &App) -> String {
    match (&app.release, &app.external) {
        (Some(release), _) => release.clone(),
        (None, Some(_)) => "external".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// What the app does, and what an operator has its requests do.
fn state(app: &App) -> String {
    let state = match app.state {
        AppState::Serving => "serving",
        AppState::Degraded => "degraded",
        AppState::Down => "down",
        AppState::New => "new",
    };
    let traffic = match app.traffic {
        TrafficMode::Open => None,
        TrafficMode::Paused { .. } => Some("paused".to_owned()),
        TrafficMode::Maintenance(_) => Some("maintenance".to_owned()),
    };
    let canary = app.canary.as_ref().map(|canary| format!("canary {}", canary.release));
    let beside: Vec<_> = traffic.into_iter().chain(canary).collect();
    if beside.is_empty() { state.to_owned() } else { format!("{state} ({})", beside.join(", ")) }
}
