//! Jobs that run at times: what they are, how they went, and running one now.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::stream::{self, Lines};
use super::{Api, app_name};
use crate::api::{Failure, Job, JobRun, Progress};
use crate::controller::View;
use crate::cron::{CronError, Ended, JobView, Run};
use crate::manifest::CronJob;
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (viewer, collaborator) = (Needs::OfApp(Role::Viewer), Needs::OfApp(Role::Collaborator));
    vec![
        Endpoint::new(Method::GET, "/v1/apps/{app}/cron", viewer, "List an app's jobs", jobs),
        Endpoint::new(Method::GET, "/v1/apps/{app}/cron/{job}/runs", viewer, "List a job's last runs", runs),
        Endpoint::new(Method::POST, "/v1/apps/{app}/cron/{job}/runs", collaborator, "Run a job now", run),
        Endpoint::new(
            Method::PUT,
            "/v1/apps/{app}/cron/{job}/suspended",
            collaborator,
            "Have a job run at its times no more",
            suspend,
        ),
        Endpoint::new(
            Method::DELETE,
            "/v1/apps/{app}/cron/{job}/suspended",
            collaborator,
            "Have a job run at its times again",
            resume,
        ),
    ]
}

async fn jobs(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Vec<Job>>, Refusal> {
    let app = app_name(&name)?;
    let found = api.jobs.list(&app).map_err(|error| refusal(error, &api.controller.view()))?;
    Ok(Json(found.iter().map(job).collect()))
}

async fn runs(
    State(api): State<Api>,
    Path((name, job)): Path<(String, String)>,
) -> Result<Json<Vec<JobRun>>, Refusal> {
    let app = app_name(&name)?;
    let found = api.jobs.history(&app, &job).map_err(|error| refusal(error, &api.controller.view()))?;
    let (job, runs) = found;
    Ok(Json(runs.iter().map(|run| self::of_run(&job, run)).collect()))
}

async fn run(State(api): State<Api>, Path((name, job)): Path<(String, String)>) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let found = api.jobs.history(&app, &job).map_err(|error| refusal(error, &api.controller.view()))?;
    let planned = found.0;
    Ok(stream::of_work(move |lines: Lines| async move {
        lines.send(&Progress::Step { step: "run".to_owned(), detail: planned.command.to_string() });
        match api.jobs.run(&app, &job).await {
            Ok(run) => lines.send(&Progress::Ran { run: of_run(&planned, &run) }),
            Err(error) => {
                let refusal = refusal(error, &api.controller.view());
                lines.send(&Progress::Failed { failure: *refusal.failure });
            }
        }
    }))
}

async fn suspend(
    State(api): State<Api>,
    Path((name, job)): Path<(String, String)>,
) -> Result<Json<Job>, Refusal> {
    change(&api, &name, &job, true).await
}

async fn resume(
    State(api): State<Api>,
    Path((name, job)): Path<(String, String)>,
) -> Result<Json<Job>, Refusal> {
    change(&api, &name, &job, false).await
}

async fn change(api: &Api, name: &str, job: &str, is_suspended: bool) -> Result<Json<Job>, Refusal> {
    let app = app_name(name)?;
    let changed = api.jobs.suspend(&app, job, is_suspended).await;
    let changed = changed.map_err(|error| refusal(error, &api.controller.view()))?;
    Ok(Json(self::job(&changed)))
}

fn job(view: &JobView) -> Job {
    let schedule = &view.job.schedule;
    Job {
        name: view.name.clone(),
        schedule: schedule.pattern().to_owned(),
        timezone: schedule.zone().to_owned(),
        command: view.job.command.to_string(),
        overlap: view.job.overlap,
        deadline_ms: millis(view.job.deadline),
        next: view.next,
        next_local: view.next.map(|next| schedule.shown(next)),
        suspended: view.is_suspended,
        running: view.running,
        last: view.last.as_ref().map(|run| of_run(&view.job, run)),
    }
}

fn of_run(job: &CronJob, run: &Run) -> JobRun {
    let (state, code, detail) = match &run.end {
        None => ("running", None, None),
        Some(Ended::Exited(0)) => ("done", Some(0), None),
        Some(Ended::Exited(code)) => ("failed", Some(*code), None),
        Some(Ended::TimedOut) => ("timed-out", None, Some(format!("it took longer than {:?}", job.deadline))),
        Some(Ended::Failed(why)) => ("not-started", None, Some(why.clone())),
        Some(Ended::Skipped) => ("skipped", None, Some("the run before went on".to_owned())),
        Some(Ended::Missed(count)) => ("missed", None, Some(format!("{count} while the daemon did not run"))),
        Some(Ended::Lost) => ("lost", None, Some("the daemon ended while it went on".to_owned())),
    };
    JobRun {
        number: run.number,
        planned: run.planned,
        planned_local: job.schedule.shown(run.planned),
        by_hand: run.by_hand,
        started: run.started,
        ended: run.ended,
        release: run.release.map(|release| release.to_string()),
        state: state.to_owned(),
        code,
        detail,
        log: run.log.clone(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn refusal(error: CronError, view: &View) -> Refusal {
    let (message, hints) = (error.to_string(), error.hints());
    let (status, code) = match error {
        CronError::UnknownApp(app) => return Refusal::no_app(&app, view),
        CronError::UnknownJob { .. } => (StatusCode::NOT_FOUND, "no-job"),
        CronError::IsRunning(_) => (StatusCode::CONFLICT, "running"),
        CronError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        CronError::Stopping(stopping) => return stopping.into(),
    };
    Refusal::new(status, hints.into_iter().fold(Failure::new(code, message), Failure::hinted))
}
