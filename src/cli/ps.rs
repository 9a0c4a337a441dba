//! `minipaas ps`: the instances of one app, or of all.

use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use super::args::{AppArgs, PsAction, PsArgs, WaitArgs};
use super::failure::Failure;
use super::output::{Table, age, count, duration, size};
use super::{autoscale, canary, maintenance, project, reform};
use crate::api::{App, Instance};
use crate::clock;

/// Between two looks of `ps wait`.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn run(session: &Session, args: &PsArgs) -> Result<(), Failure> {
    match &args.action {
        None => list(session, &args.app).await,
        Some(PsAction::Wait(args)) => wait(session, args).await,
        Some(PsAction::Scale(args)) => reform::scale(session, args).await,
        Some(PsAction::Restart(args)) => reform::restart(session, args).await,
        Some(PsAction::Stop(args)) => reform::stop(session, args).await,
        Some(PsAction::Autoscale(args)) => autoscale::run(session, args).await,
        Some(PsAction::Type(_)) => Err(Failure::usage("instances have no types or sizes here, but limits")
            .hint("`memory` and `cpu` in its [process] table say how much each may use, or `minipaas limits set web=512M`")
            .hint("`minipaas scale web=3` says how many there are")),
    }
}

async fn list(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let client = session.client();
    let apps = match project::named_app(session, args) {
        Some(app) => vec![client.app(&app).await?],
        None => client.apps().await?,
    };
    if session.out.is_json() {
        session.out.json(&apps)?;
        return Ok(());
    }
    let now = clock::now();
    let mut table = Table::new(["APP", "SLOT", "RELEASE", "STATE", "SINCE", "LIMITS", "DETAIL"]);
    for app in &apps {
        for instance in &app.instances {
            let since = age(instance.since, now);
            let Instance { slot, release, state, .. } = instance;
            let (limits, detail) = (limits(instance), detail(instance, now));
            table.row([&app.name, slot, release, state, &since, &limits, &detail].map(String::clone));
        }
        for process in app.processes.iter().filter(|process| process.replicas == 0) {
            let release = app.release.clone().unwrap_or_else(|| "-".to_owned());
            let detail = format!("`minipaas scale {}=1 -a {}` starts one", process.process, app.name);
            let none = || "-".to_owned();
            table.row([
                app.name.clone(),
                process.process.clone(),
                release,
                "scaled to 0".to_owned(),
                none(),
                none(),
                detail,
            ]);
        }
        for run in &app.runs {
            let (name, since) = (app.name.clone(), age(run.since, now));
            let program = run.program.clone().unwrap_or_default();
            table.row([name, run.slot.clone(), run.release.clone(), run.kind.clone(), since, program]);
        }
        for port in &app.ports {
            session.out.notice(format_args!("tcp port of `{}`: {port}", app.name));
        }
        if let Some(said) = maintenance::sentence(&app.name, &app.traffic) {
            session.out.notice(said);
        }
        for upstream in app.external.iter().flat_map(|external| &external.upstreams) {
            if let Some(problem) = &upstream.problem {
                session.out.warning(format_args!("{} of `{}`: {problem}", upstream.slot, app.name));
            }
        }
        if let Some(found) = &app.canary {
            session.out.notice(canary::sentence(&app.name, found, app.release.as_deref()));
        }
        if let Some(deploy) = &app.deploy {
            session.out.notice(format_args!(
                "{} of `{}` is being deployed: {}",
                deploy.release, app.name, deploy.phase
            ));
        }
    }
    session.out.table(&table)?;
    Ok(())
}

/// Waits until all instances are ready, and of the release that serves.
async fn wait(session: &Session, args: &WaitArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    let client = session.client();
    let deadline = Instant::now() + args.timeout;
    loop {
        let found = client.app(&app).await?;
        let Some(missing) = missing(&found) else {
            if session.out.is_json() {
                session.out.json(&found)?;
            } else {
                let release = found.release.as_deref().unwrap_or("-");
                let ready = count(found.instances.len(), "instance");
                session.out.line(format_args!("`{app}` is ready: {ready} of {release}"))?;
            }
            return Ok(());
        };
        if Instant::now() >= deadline {
            let limit = duration(u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX));
            return Err(Failure::failed(format!("`{app}` is not ready after {limit}: {missing}"))
                .hint(format!("`minipaas logs {app}` shows what it says")));
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// What is waited for; `None` when there is nothing.
fn missing(app: &App) -> Option<String> {
    if let Some(deploy) = &app.deploy {
        return Some(format!("{} is being deployed", deploy.release));
    }
    let is_done =
        |instance: &&Instance| instance.state == "ready" && Some(&instance.release) == app.release.as_ref();
    if let Some(instance) = app.instances.iter().find(|instance| !is_done(instance)) {
        return Some(format!("{} {} is {}", instance.slot, instance.release, instance.state));
    }
    let wanted: u32 = app.processes.iter().map(|process| process.replicas).sum();
    let is_short = (app.instances.len() as u64) < u64::from(wanted);
    is_short.then(|| format!("{} of {wanted} instances run", app.instances.len()))
}

/// `256M 0.5 cpu`.
fn limits(instance: &Instance) -> String {
    let memory = instance.memory_bytes.map(size);
    let cpu = instance.cpu_millis.map(|millis| format!("{} cpu", f64::from(millis) / 1_000.0));
    let both: Vec<_> = memory.into_iter().chain(cpu).collect();
    if both.is_empty() { "-".to_owned() } else { both.join(", ") }
}

fn detail(instance: &Instance, now: u64) -> String {
    let next = instance.next_start.filter(|next| *next > now + 1_000);
    let next = next.map(|next| format!("starts again in {}", age(now, next)));
    let restarts = match instance.restarts {
        0 => None,
        number => Some(format!("({})", count(number as usize, "restart"))),
    };
    let said = instance.addr.clone().into_iter().chain(instance.detail.clone());
    let said = said.collect::<Vec<_>>().join(" ");
    let said: Vec<_> = Some(said).filter(|said| !said.is_empty()).into_iter().chain(next).collect();
    Some(said.join(", "))
        .filter(|said| !said.is_empty())
        .into_iter()
        .chain(restarts)
        .collect::<Vec<_>>()
        .join(" ")
}
