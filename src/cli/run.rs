//! `minipaas run`: a command in a container of its own, of a release's image and environment.

use serde::Serialize;

use super::args::{AppArgs, RunArgs};
use super::failure::Failure;
use super::interrupt::Interrupts;
use super::{Session, attach, project, terminal};
use crate::api::RunRequest;

/// The result of a detached run with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DetachedResult<'a> {
    app: &'a str,
    run: &'a str,
    release: &'a str,
}

pub(crate) async fn run(
    session: &Session,
    args: &RunArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let has_tty = !args.detach && !args.no_tty && terminal::is_there();
    let request = RunRequest {
        command: args.command.clone(),
        env: args.env.iter().map(|one| (one.key.clone(), one.value.clone())).collect(),
        process: args.process.as_ref().map(ToString::to_string),
        release: args.release.map(|release| release.to_string()),
        tty: has_tty.then(terminal::window),
        has_input: !args.detach,
        limit_ms: args.limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
    };
    let (client, out) = (session.client(), session.out);
    if !args.detach {
        let connected = attach::connected(client.run(&app, &request), interrupts).await?;
        return attach::talk(session.out, connected, has_tty, interrupts).await;
    }
    let starting = async { client.run_detached(&app, &request).await.map_err(Failure::from) };
    let started = interrupts.or(starting, Failure::silently_interrupted).await?;
    if out.is_json() {
        out.json(&DetachedResult { app: app.as_str(), run: &started.slot, release: &started.release })?;
    } else {
        out.line(&started.slot)?;
        out.notice(format_args!(
            "{} of `{app}` runs; `minipaas logs {app} -p {0}` shows what it writes",
            started.slot
        ));
    }
    Ok(())
}
