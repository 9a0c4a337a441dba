//! `minipaas status`: the box, its engine, its addresses and its apps.

use super::Session;
use super::args::StatusArgs;
use super::failure::Failure;
use super::{apps, graph, output::Table};
use crate::api::EngineStatus;

pub(crate) async fn run(session: &Session, args: &StatusArgs) -> Result<(), Failure> {
    if args.graph {
        return graph::run(session).await;
    }
    let out = session.out;
    let status = session.client().status().await?;
    if out.is_json() {
        out.json(&status)?;
        return Ok(());
    }
    let mut table = Table::new(["BOX", &status.box_id]);
    // Where a box elsewhere has its own is nothing that this machine knows.
    let home = session.remote.is_none().then(|| ("home", session.home.display().to_string()));
    let rows = [
        ("daemon", format!("{}, pid {}", status.version, status.pid)),
        ("engine", engine(&status.engine)),
        ("domain", status.domain),
        ("http", status.http),
        ("https", status.https),
    ];
    for (name, value) in rows.into_iter().chain(home) {
        table.row([name.to_owned(), value]);
    }
    out.table(&table)?;
    if !status.apps.is_empty() {
        out.line("")?;
        apps::print(out, &status.apps)?;
    }
    for warning in &status.warnings {
        out.warning(warning);
    }
    Ok(())
}

fn engine(engine: &EngineStatus) -> String {
    match (&engine.error, &engine.version) {
        // It never answered; the error names the place that was tried.
        (Some(error), _) if engine.endpoint.is_empty() => format!("none answers: {error}"),
        (Some(error), _) => format!("{}, does not answer: {error}", engine.endpoint),
        (None, Some(version)) => format!("{}, {version}", engine.endpoint),
        (None, None) => format!("{}, not asked yet", engine.endpoint),
    }
}
