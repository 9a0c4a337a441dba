//! `minipaas pause` and `resume`: requests wait, and go on.

use super::Session;
use super::args::{AppArgs, PauseArgs};
use super::failure::Failure;
use super::maintenance::{TrafficResult, sentence};
use super::project;
use crate::api::{PauseRequest, TrafficMode};
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &PauseArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    let wait_ms = u64::try_from(args.wait.as_millis()).unwrap_or(u64::MAX);
    let traffic = session.client().pause(&app, &PauseRequest { wait_ms }).await?;
    print(session, &app, &traffic)
}

pub(crate) async fn resume(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let app = project::app_of(session, args)?;
    let traffic = session.client().resume(&app).await?;
    print(session, &app, &traffic)
}

fn print(session: &Session, app: &AppName, traffic: &TrafficMode) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(&TrafficResult { app: app.as_str(), traffic, cookie: None })?;
        return Ok(());
    }
    out.line(sentence(app.as_str(), traffic).unwrap_or_else(|| format!("`{app}` takes requests")))?;
    Ok(())
}
