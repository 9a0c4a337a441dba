//! `minipaas cron`: the jobs that run at times, and how they went.

use futures_util::StreamExt as _;

use super::Session;
use super::args::{AppArgs, CronAction, CronArgs, HistoryArgs};
use super::failure::Failure;
use super::output::{Table, duration};
use super::progress::ProgressView;
use super::{image, project};
use crate::api::{Job, JobRun, Progress};
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &CronArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    match &args.action {
        None | Some(CronAction::List) => list(session, &app).await,
        Some(CronAction::Run(job)) => run_now(session, &app, &job.name).await,
        Some(CronAction::History(args)) => history(session, &app, args).await,
        Some(CronAction::Suspend(job)) => suspend(session, &app, &job.name, true).await,
        Some(CronAction::Resume(job)) => suspend(session, &app, &job.name, false).await,
    }
}

async fn list(session: &Session, app: &AppName) -> Result<(), Failure> {
    let jobs = session.client().jobs(app).await?;
    let out = session.out;
    if out.is_json() {
        out.json(&jobs)?;
        return Ok(());
    }
    if jobs.is_empty() {
        out.notice(format_args!("`{app}` has no jobs; a [cron.NAME] table in its manifest makes one"));
        return Ok(());
    }
    let mut table = Table::new(["JOB", "SCHEDULE", "ZONE", "NEXT", "LAST", "COMMAND"]);
    for job in &jobs {
        let last = job
            .last
            .as_ref()
            .map_or_else(|| "-".to_owned(), |run| format!("{} {}", run.planned_local, state(run)));
        let cells = [&job.name, &job.schedule, &job.timezone, &next(job), &last, &job.command];
        table.row(cells.map(String::clone));
    }
    out.table(&table)?;
    Ok(())
}

async fn run_now(session: &Session, app: &AppName, name: &str) -> Result<(), Failure> {
    let out = session.out;
    let mut stream = session.client().run_job(app, name).await?;
    let mut view = ProgressView::new(out);
    while let Some(event) = stream.next().await {
        match event? {
            Progress::Step { step, detail } => view.step(&step, &detail),
            Progress::Notice { message } => view.notice(&message),
            Progress::Ran { run } => {
                view.finish();
                if out.is_json() {
                    out.json(&run)?;
                } else {
                    for line in &run.log {
                        out.line(line)?;
                    }
                }
                return ended(name, &run);
            }
            Progress::Failed { failure } => return Err(image::failed(failure, &mut view)),
            Progress::Log { .. }
            | Progress::Accepted { .. }
            | Progress::Built { .. }
            | Progress::Reformed { .. }
            | Progress::Pushed { .. }
            | Progress::Deployed(_) => {}
        }
    }
    Err(Failure::failed("the daemon ended the run without a result"))
}

/// A run that was not well is a failure, with its exit code.
fn ended(name: &str, run: &JobRun) -> Result<(), Failure> {
    match (run.code, &run.detail) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Failure::exited(code, format!("job `{name}` ended with code {code}"))),
        (None, detail) => {
            let detail = detail.as_deref().unwrap_or("it did not end");
            Err(Failure::failed(format!("job `{name}`: {detail}")))
        }
    }
}

async fn history(session: &Session, app: &AppName, args: &HistoryArgs) -> Result<(), Failure> {
    let runs = session.client().job_runs(app, &args.job.name).await?;
    let out = session.out;
    if out.is_json() {
        out.json(&runs)?;
        return Ok(());
    }
    let mut table = Table::new(["RUN", "PLANNED", "RELEASE", "STATE", "TOOK", "DETAIL"]);
    for run in &runs {
        let took = run.started.zip(run.ended).map(|(started, ended)| duration(ended.saturating_sub(started)));
        let by_hand = run.by_hand.then(|| "by hand".to_owned());
        table.row([
            run.number.to_string(),
            run.planned_local.clone(),
            run.release.clone().unwrap_or_else(|| "-".to_owned()),
            state(run),
            took.unwrap_or_else(|| "-".to_owned()),
            run.detail.clone().into_iter().chain(by_hand).collect::<Vec<_>>().join(", "),
        ]);
        if args.log {
            run.log.iter().for_each(|line| table.row([String::new(), line.clone()]));
        }
    }
    out.table(&table)?;
    Ok(())
}

async fn suspend(session: &Session, app: &AppName, name: &str, is_suspended: bool) -> Result<(), Failure> {
    let job = session.client().suspend_job(app, name, is_suspended).await?;
    let out = session.out;
    if out.is_json() {
        out.json(&job)?;
    } else if is_suspended {
        out.line(format_args!("`{name}` is suspended; `minipaas cron resume {name}` ends that"))?;
    } else {
        out.line(format_args!("`{name}` runs next at {}", next(&job)))?;
    }
    Ok(())
}

fn next(job: &Job) -> String {
    match &job.next_local {
        _ if job.suspended => "suspended".to_owned(),
        Some(next) if job.running > 0 => format!("{next} (runs now)"),
        Some(next) => next.clone(),
        None => "never".to_owned(),
    }
}

fn state(run: &JobRun) -> String {
    match run.code {
        Some(code) if code != 0 => format!("{} ({code})", run.state),
        _ => run.state.clone(),
    }
}
