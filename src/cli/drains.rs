//! `minipaas drains`: where an app's stream is handed on to.

use std::io::BufRead as _;

use anyhow::Context as _;

use super::Session;
use super::args::{DrainsAction, DrainsArgs};
use super::failure::{Failure, Kind};
use super::output::{Table, age, count};
use super::project;
use crate::api::{Drain, DrainRequest};
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &DrainsArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    match &args.action {
        None => list(session, &app).await,
        Some(DrainsAction::Add { url }) => add(session, &app, url).await,
        Some(DrainsAction::Remove { drain }) => {
            session.client().remove_drain(&app, drain).await?;
            session.out.notice(format_args!("the stream of `{app}` is handed on there no more"));
            Ok(())
        }
    }
}

async fn list(session: &Session, app: &AppName) -> Result<(), Failure> {
    let out = session.out;
    let drains = session.client().drains(app).await?;
    if out.is_json() {
        out.json(&drains)?;
        return Ok(());
    }
    if drains.is_empty() {
        out.notice(format_args!("`{app}` has no drains; `minipaas drains add URL` makes one"));
        return Ok(());
    }
    let mut table = Table::new(["ID", "URL", "SENT", "DROPPED", "STATE"]);
    for drain in drains {
        let state = state(&drain);
        table.row([drain.id, drain.url, drain.sent.to_string(), drain.dropped.to_string(), state]);
    }
    out.table(&table)?;
    Ok(())
}

async fn add(session: &Session, app: &AppName, url: &str) -> Result<(), Failure> {
    let url = match url {
        "-" => {
            let mut line = String::new();
            let read = std::io::stdin()
                .lock()
                .read_line(&mut line)
                .context("cannot read the URL from standard input");
            read.map_err(|error| Failure::new(Kind::Failed, error))?;
            line.trim().to_owned()
        }
        url => url.to_owned(),
    };
    let drain = session.client().add_drain(app, &DrainRequest { url }).await?;
    if session.out.is_json() {
        session.out.json(&drain)?;
    } else {
        session.out.line(format_args!("`{app}` drains to {} ({})", drain.url, drain.id))?;
    }
    Ok(())
}

fn state(drain: &Drain) -> String {
    match (&drain.error, drain.failing_since) {
        (Some(error), Some(since)) => format!("failing for {}: {error}", age(since, crate::clock::now())),
        (Some(error), None) => error.clone(),
        (None, _) if drain.dropped > 0 => {
            format!("ok, dropped {}", count(usize::try_from(drain.dropped).unwrap_or(usize::MAX), "line"))
        }
        (None, _) => "ok".to_owned(),
    }
}
