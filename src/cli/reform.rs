//! `minipaas scale` and `restart`: how many instances run, and new ones in the place of old ones.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde::Serialize;

use super::Session;
use super::args::{AppArgs, RestartArgs, ScaleArgs, StopArgs};
use super::failure::Failure;
use super::progress::ProgressView;
use super::{image, project};
use crate::api::client::ProgressStream;
use crate::api::{ProcessCount, Progress, RestartRequest, ScaleRequest};
use crate::name::AppName;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FormationResult<'a> {
    app: &'a str,
    formation: BTreeMap<&'a str, u32>,
    processes: &'a [ProcessCount],
}

pub(crate) async fn scale(session: &Session, args: &ScaleArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    if args.changes.is_empty() && args.reset.is_none() {
        let found = client.app(&app).await?;
        return print(session, &app, &found.processes);
    }
    let reset = args.reset.as_ref().map(|types| types.iter().map(ToString::to_string).collect());
    let request = ScaleRequest { changes: args.changes.iter().map(ToString::to_string).collect(), reset };
    let processes = follow(session, client.scale(&app, &request).await?).await?;
    print(session, &app, &processes)
}

pub(crate) async fn restart(session: &Session, args: &RestartArgs) -> Result<(), Failure> {
    let RestartArgs { target, process_type, dyno_name } = args;
    let target = target.clone().or_else(|| process_type.as_ref().map(ToString::to_string));
    let target = target.or_else(|| dyno_name.as_ref().map(ToString::to_string));
    restart_what(session, target).await
}

pub(crate) async fn stop(session: &Session, args: &StopArgs) -> Result<(), Failure> {
    restart_what(session, Some(args.instance.to_string())).await
}

async fn restart_what(session: &Session, target: Option<String>) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    let request = RestartRequest { target: target.clone() };
    let processes = follow(session, client.restart(&app, &request).await?).await?;
    if session.out.is_json() {
        return print(session, &app, &processes);
    }
    let what = target.map_or_else(|| format!("`{app}`"), |target| format!("{target} of `{app}`"));
    session.out.line(format_args!("{what} was restarted"))?;
    Ok(())
}

/// Follows a change to its end.
async fn follow(session: &Session, mut stream: ProgressStream) -> Result<Vec<ProcessCount>, Failure> {
    let mut view = ProgressView::new(session.out);
    while let Some(event) = stream.next().await {
        match event? {
            Progress::Step { step, detail } => view.step(&step, &detail),
            Progress::Notice { message } => view.notice(&message),
            Progress::Reformed { processes } => {
                view.finish();
                return Ok(processes);
            }
            Progress::Failed { failure } => return Err(image::failed(failure, &mut view)),
            Progress::Log { .. }
            | Progress::Accepted { .. }
            | Progress::Built { .. }
            | Progress::Ran { .. }
            | Progress::Pushed { .. }
            | Progress::Deployed(_) => {}
        }
    }
    Err(Failure::failed("the daemon ended the change without a result"))
}

/// What `minipaas scale` takes again.
fn print(session: &Session, app: &AppName, processes: &[ProcessCount]) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        let formation = processes.iter().map(|found| (found.process.as_str(), found.replicas)).collect();
        out.json(&FormationResult { app: app.as_str(), formation, processes })?;
        return Ok(());
    }
    if processes.is_empty() {
        return Err(Failure::failed(format!("app `{app}` has no release that serves"))
            .hint("`minipaas up` in its folder makes one"));
    }
    let each = processes.iter().map(|found| format!("{}={}", found.process, found.replicas));
    out.line(each.collect::<Vec<_>>().join(" "))?;
    for found in processes.iter().filter(|found| found.by_command && found.replicas != found.manifest) {
        let ProcessCount { process, manifest, .. } = found;
        out.notice(format_args!(
            "{process}: the manifest says {manifest}; `minipaas scale --reset {process}` takes that"
        ));
    }
    Ok(())
}
