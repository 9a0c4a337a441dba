//! `minipaas apps`: all apps of the box, one a line.

use super::Session;
use super::failure::Failure;
use super::output::{Output, OutputResult, Table};
use crate::api::{App, AppState, TrafficMode};

pub(crate) async fn run(session: &Session) -> Result<(), Failure> {
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
        let release = app.release.clone().unwrap_or_else(|| "-".to_owned());
        let url = app.urls.first().cloned().unwrap_or_else(|| "-".to_owned());
        table.row([app.name.clone(), state(app), release, url]);
    }
    out.table(&table)
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
