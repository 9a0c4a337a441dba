//! `minipaas releases`: the ledger; `rollback`: going back in it. And what a change that makes a release says at its end.

use jiff::Timestamp;
use serde::Serialize;

use super::args::{AppArgs, LogsArgs, ReleasesAction, ReleasesArgs, RollbackArgs};
use super::deploy;
use super::failure::Failure;
use super::interrupt::Interrupts;
use super::output::{Output, OutputResult, Table, age, duration};
use super::progress::ProgressView;
use super::project::app_of;
use super::{Session, logs};
use crate::api::client::{Client, ClientError, ProgressStream};
use crate::api::{Deployed, Release, ReleaseInfo, ReleasesQuery, RollbackRequest};
use crate::clock;
use crate::name::AppName;

/// What the log calls releases, and their release commands with a number behind.
const RELEASE_PROCESS: &str = "release";
/// As many as fit a terminal.
const LINES_DEFAULT: usize = 15;

/// The result of a change with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Changed<'a> {
    app: &'a str,
    release: &'a str,
    summary: &'a str,
    unchanged: bool,
}

pub(crate) async fn run(
    session: &Session,
    args: &ReleasesArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let work = async {
        let app = app_of(session, &AppArgs { name: None })?;
        match &args.action {
            None | Some(ReleasesAction::List) => list(session, &app, args.lines).await,
            Some(ReleasesAction::Info { release }) => {
                let client = session.client();
                let release = match release {
                    Some(release) => *release,
                    None => current(&client, &app).await?,
                };
                let info = client.release(&app, release).await?;
                if session.out.is_json() {
                    session.out.json(&info)?;
                } else {
                    print(session.out, &info)?;
                }
                Ok(())
            }
            Some(ReleasesAction::Output { release }) => {
                let process = Some(RELEASE_PROCESS.to_owned());
                logs::run(session, &LogsArgs { process, release: *release, ..LogsArgs::default() }).await
            }
            Some(ReleasesAction::Rollback(_)) => Ok(()),
        }
    };
    if let Some(ReleasesAction::Rollback(args)) = &args.action {
        return rollback(session, args, interrupts).await;
    }
    interrupts.or(work, Failure::silently_interrupted).await
}

/// `minipaas rollback`.
pub(crate) async fn rollback(
    session: &Session,
    args: &RollbackArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let app = app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    let request = RollbackRequest { release: args.release.map(|release| release.to_string()) };
    let deployed = follow(session, &app, client.rollback(&app, &request), interrupts).await?;
    print_changed(session, &app, &deployed)
}

/// Follows a change that makes a release to its end.
pub(crate) async fn follow(
    session: &Session,
    app: &AppName,
    change: impl Future<Output = Result<ProgressStream, ClientError>>,
    interrupts: &mut Interrupts,
) -> Result<Deployed, Failure> {
    let untouched = || Failure::interrupted(format!("interrupted before `{app}` was changed"));
    let begun = async { Ok(change.await?) };
    let stream = interrupts.or(begun, untouched).await?;
    let mut view = ProgressView::new(session.out);
    let client = session.client();
    let deployed = deploy::follow(stream, app, &client, &mut view, interrupts).await;
    if deployed.is_err() {
        view.abandon();
    }
    deployed
}

/// The release is the result, for scripts.
pub(crate) fn print_changed(session: &Session, app: &AppName, deployed: &Deployed) -> Result<(), Failure> {
    let (out, release) = (session.out, deployed.release.as_str());
    if deployed.is_unchanged {
        out.notice(format_args!("nothing has changed: {release} of `{app}` serves"));
    } else {
        out.notice(format_args!("{release} of `{app}` serves: {}", deployed.summary));
    }
    if out.is_json() {
        let (summary, unchanged) = (deployed.summary.as_str(), deployed.is_unchanged);
        out.json(&Changed { app: app.as_str(), release, summary, unchanged })?;
    } else {
        out.line(release)?;
    }
    Ok(())
}

async fn list(session: &Session, app: &AppName, lines: Option<usize>) -> Result<(), Failure> {
    let limit = Some(lines.unwrap_or(LINES_DEFAULT));
    let releases = session.client().releases(app, &ReleasesQuery { limit, before: None }).await?;
    if session.out.is_json() {
        session.out.json(&releases)?;
        return Ok(());
    }
    let now = clock::now();
    let mut table = Table::new(["RELEASE", "STATE", "WHAT", "BY", "AGE"]);
    for release in &releases {
        let state = if release.is_current { "serves" } else { release.state.as_str() };
        let what = what(release);
        let age = age(release.at, now);
        table.row([release.release.clone(), state.to_owned(), what, release.by.clone(), age]);
    }
    session.out.table(&table)?;
    Ok(())
}

/// What is new, and why it does not serve.
fn what(release: &Release) -> String {
    let subject = release.revision.as_ref().map(|revision| format!(": {}", revision.subject));
    let reason = release.reason.as_ref().map(|reason| format!(" ({reason})"));
    format!("{}{}{}", release.summary, subject.unwrap_or_default(), reason.unwrap_or_default())
}

async fn current(client: &Client, app: &AppName) -> Result<crate::name::ReleaseId, Failure> {
    let current = client.app(app).await?.release;
    current.and_then(|release| release.parse().ok()).ok_or_else(|| {
        Failure::failed(format!("no release of `{app}` serves"))
            .hint(format!("`minipaas releases -a {app}` lists those that there are"))
    })
}

fn print(out: Output, info: &ReleaseInfo) -> OutputResult {
    let ReleaseInfo { release, build, before, is_build_new, config, manifest, limits, probes } = info;
    let state = if release.is_current { "serves".to_owned() } else { release.state.clone() };
    let at = i64::try_from(release.at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let mut table = Table::new(["RELEASE", release.release.as_str()]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("state", release.reason.as_ref().map_or(state.clone(), |reason| format!("{state}: {reason}")));
    row("what", release.summary.clone());
    row("by", release.by.clone());
    if let Some(at) = at {
        row("at", at.to_string());
    }
    if let Some(millis) = release.duration_ms {
        row("took", duration(millis));
    }
    if let Some(revision) = &release.revision {
        let changed = if revision.is_dirty { ", with changes that are in no commit" } else { "" };
        row("commit", format!("{} {}{changed}", revision.commit, revision.subject));
    }
    let image = if *is_build_new { "" } else { " (as before)" };
    row("image", format!("{}{image}", build.reference));
    if let Some(before) = before {
        row("before", before.clone());
    }
    for (name, change) in config {
        row("config", format!("{change} {name}"));
    }
    for (process, limits) in limits {
        let both = [limits.memory.clone(), limits.cpu.as_ref().map(|cpu| format!("{cpu} cores"))];
        row("limits", format!("{process} {}", both.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    }
    for (process, probes) in probes {
        for (kind, probe) in probes {
            row("probe", format!("{process} {kind} = {probe}"));
        }
    }
    for (file, lines) in manifest {
        for line in lines {
            row(file, line.clone());
        }
    }
    out.table(&table)
}
