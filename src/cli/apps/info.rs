//! `minipaas apps info`: one app, and what answers for it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{release, state};
use crate::api::{App, Instance, TrafficQuery};
use crate::cli::args::AppArgs;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, OutputResult, Table, age};
use crate::cli::{Session, project};
use crate::clock;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct InfoResult<'a> {
    #[serde(flatten)]
    app: &'a App,
    /// Requests in flight, by the instance's id.
    in_flight: BTreeMap<&'a str, u64>,
}

pub(crate) async fn run(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let name = project::app_of(session, args)?;
    let client = session.client();
    let app = client.app(&name).await?;
    let traffic = client.traffic(&TrafficQuery { app: Some(name.to_string()) }).await?;
    let upstreams = traffic.upstreams.iter();
    let in_flight = upstreams.map(|upstream| (upstream.id.as_str(), upstream.in_flight)).collect();
    let info = InfoResult { app: &app, in_flight };
    if session.out.is_json() {
        session.out.json(&info)?;
    } else {
        print(session.out, &info)?;
    }
    Ok(())
}

fn print(out: Output, info: &InfoResult<'_>) -> OutputResult {
    let app = info.app;
    let mut about = Table::new(["APP", &app.name]);
    let mut row = |name: &str, value: String| about.row([name.to_owned(), value]);
    row("state", state(app));
    match &app.external {
        Some(external) => row("ready", external.health.clone()),
        None => {
            row("release", release(app));
            row("folder", app.origin.clone());
        }
    }
    app.urls.iter().for_each(|url| row("url", url.clone()));
    app.ports.iter().for_each(|port| row("tcp port", port.to_string()));
    out.table(&about)?;
    out.line("")?;
    let upstreams = app.external.iter().flat_map(|external| &external.upstreams);
    let urls: BTreeMap<_, _> = upstreams.clone().map(|upstream| (&upstream.slot, &upstream.url)).collect();
    let mut table = match app.external {
        Some(_) => Table::new(["SLOT", "UPSTREAM", "ADDRESS", "STATE", "SINCE", "IN-FLIGHT", "DETAIL"]),
        None => Table::new(["SLOT", "RELEASE", "STATE", "SINCE", "IN-FLIGHT", "DETAIL"]),
    };
    let now = clock::now();
    for instance in &app.instances {
        let Instance { slot, release, id, addr, state, since, detail, .. } = instance;
        let mut cells = vec![slot.clone()];
        if app.external.is_some() {
            cells.push(urls.get(slot).map_or_else(|| "-".to_owned(), ToString::to_string));
            cells.push(addr.clone().unwrap_or_else(|| "-".to_owned()));
        } else {
            cells.push(release.clone());
        }
        let in_flight = info.in_flight.get(id.as_str()).copied().unwrap_or(0);
        cells.extend([
            state.clone(),
            age(*since, now),
            in_flight.to_string(),
            detail.clone().unwrap_or_default(),
        ]);
        table.row(cells);
    }
    // An upstream without an address has no row otherwise, and one that is not looked up any more says so.
    for upstream in upstreams {
        if let Some(problem) = &upstream.problem {
            let dash = || "-".to_owned();
            let (slot, url) = (upstream.slot.clone(), upstream.url.clone());
            table.row([slot, url, dash(), "unknown".to_owned(), dash(), dash(), problem.clone()]);
        }
    }
    out.table(&table)
}
