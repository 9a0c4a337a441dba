//! `minipaas ps`: the instances of one app, or of all.

use super::Session;
use super::args::AppArgs;
use super::failure::Failure;
use super::output::{Table, age, count};
use super::{canary, maintenance, project};
use crate::api::Instance;
use crate::clock;

pub(crate) async fn run(session: &Session, args: &AppArgs) -> Result<(), Failure> {
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
    let mut table = Table::new(["APP", "SLOT", "RELEASE", "STATE", "SINCE", "DETAIL"]);
    for app in &apps {
        for instance in &app.instances {
            let since = age(instance.since, now);
            let Instance { slot, release, state, .. } = instance;
            let cells = [&app.name, slot, release, state, &since, &detail(instance)].map(String::clone);
            table.row(cells);
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

fn detail(instance: &Instance) -> String {
    let restarts = match instance.restarts {
        0 => None,
        number => Some(format!("({})", count(number as usize, "restart"))),
    };
    let parts = instance.addr.clone().into_iter().chain(instance.detail.clone());
    parts.chain(restarts).collect::<Vec<_>>().join(" ")
}
