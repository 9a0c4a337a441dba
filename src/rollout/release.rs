//! The release's own command: run once, to its end, before any of the release starts.
//!
//! It has a container of its own, with the release's image and environment and no volume. What it writes is told as it comes.
//! Nothing is known to have happened unless it ended with 0 and the next phase is stored: a rollout that was cut short in
//! this phase removes what is left of the command and runs it again from its start.

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{Broken, Cause, Deps, Update};
use crate::engine::{Container, Engine, LogLine, LogQuery};
use crate::instance::last_lines;
use crate::oneoff::{Run, RunError};
use crate::plan::{Plan, PlannedCommand};

/// Runs the command. The run is put into `going` for as long as it goes on, so that whoever ends this early can end it, too.
pub(super) async fn run(
    plan: &Plan,
    command: &PlannedCommand,
    left: Vec<Container>,
    going: &mut Option<Run>,
    deps: &Deps,
    updates: &mpsc::UnboundedSender<Update>,
) -> Result<(), Broken> {
    let engine = deps.machinery.engine.as_ref();
    // Two of them at once would be worse than none.
    for container in left {
        engine
            .remove(&container.id)
            .await
            .map_err(|error| (None, Cause::CommandNotStarted(error.to_string())))?;
    }
    let _ = updates.send(Update::Step { step: "release", detail: format!("`{}`", command.shown) });
    let started = deps.runs.of_release(&plan.app, &command.spec).await;
    let run = going.insert(started.map_err(|error| (None, not_started(&error)))?);
    let ended = async {
        // The log ends with the command.
        follow(engine, run.id(), updates).await;
        run.exit().await
    };
    let ended = tokio::time::timeout(command.deadline, ended).await;
    let slot = Some(run.labels().slot.clone());
    let result = match ended {
        Ok(exit) if exit.code == Some(0) => Ok(()),
        Ok(exit) => Err((slot, Cause::CommandFailed(exit))),
        Err(_) => {
            let log = last_lines(engine, run.id()).await;
            Err((slot, Cause::CommandLate { within: command.deadline, log }))
        }
    };
    if let Some(run) = going.take() {
        run.end().await;
    }
    result
}

/// Tells every line, also a last one without an end, which an engine may leave out of a log that is followed.
async fn follow(engine: &dyn Engine, container: &str, updates: &mpsc::UnboundedSender<Update>) {
    let mut last = None;
    let tell = |line: &LogLine| {
        let _ = updates.send(Update::Log(line.text.clone()));
    };
    if let Ok(mut lines) = engine.logs(container, LogQuery { follow: true, ..LogQuery::default() }).await {
        while let Some(line) = lines.next().await {
            tell(&line);
            last = Some(line);
        }
    }
    if let Ok(mut lines) = engine.logs(container, LogQuery { tail: Some(1), ..LogQuery::default() }).await
        && let Some(line) = lines.next().await
        && last.as_ref() != Some(&line)
    {
        tell(&line);
    }
}

fn not_started(error: &RunError) -> Cause {
    let source = std::error::Error::source(error).map(ToString::to_string);
    Cause::CommandNotStarted(source.unwrap_or_else(|| error.to_string()))
}
