//! `minipaas apps`: all apps of the box, one a line.

use super::Session;
use super::failure::Failure;
use super::output::{Output, OutputResult, Table};
use crate::api::{App, AppState};

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
        table.row([app.name.clone(), state(app.state).to_owned(), release, url]);
    }
    out.table(&table)
}

fn state(state: AppState) -> &'static str {
    match state {
        AppState::Serving => "serving",
        AppState::Degraded => "degraded",
        AppState::Down => "down",
        AppState::New => "new",
    }
}
