//! Runs jobs as single runs of a command in the release that serves.

use std::time::Duration;

use async_trait::async_trait;

use super::{Ended, Ran, Runner};
use crate::controller::Controller;
use crate::manifest::Command;
use crate::name::{AppName, ReleaseId};
use crate::oneoff::Runs;
use crate::plan::PlannedJob;

/// Runs jobs in containers of their own, as the plan of the release that serves says.
///
/// A job whose run is dropped, or whose daemon ends, ends with it: nobody would know how it went.
pub struct OneOffRunner {
    controller: Controller,
    runs: Runs,
}

impl OneOffRunner {
    /// Among these runs.
    #[must_use]
    pub fn new(controller: Controller, runs: Runs) -> Self {
        Self { controller, runs }
    }

    /// What the release runs for the job; `None` when it does not serve any more.
    fn planned(&self, app: &AppName, release: ReleaseId, name: &str) -> Option<PlannedJob> {
        let view = self.controller.view();
        let app = view.apps.iter().find(|known| known.name == *app && known.release == Some(release))?;
        app.jobs.get(name).cloned()
    }
}

#[async_trait]
impl Runner for OneOffRunner {
    async fn run(
        &self,
        app: &AppName,
        release: ReleaseId,
        name: &str,
        command: &Command,
        deadline: Duration,
    ) -> Ran {
        let failed = |why: String| Ran { end: Ended::Failed(why), log: Vec::new() };
        let Some(planned) = self.planned(app, release, name) else {
            return failed(format!("{release} does not serve any more"));
        };
        let mut spec = planned.spec;
        spec.argv = Some(command.argv());
        let run = match self.runs.of_job(app, &planned.job.process, &spec).await {
            Ok(run) => run,
            Err(error) => return failed(error.to_string()),
        };
        let ran = match tokio::time::timeout(deadline, run.exit()).await {
            Ok(exit) => Ran {
                end: match exit.code {
                    Some(code) => Ended::Exited(code),
                    None => Ended::Failed("its container was removed".to_owned()),
                },
                log: exit.log,
            },
            Err(_) => Ran { end: Ended::TimedOut, log: run.log().await },
        };
        run.end().await;
        ran
    }
}
