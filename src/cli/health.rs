//! `minipaas health`: the probes of each process type, and what they say of each instance.

use super::Session;
use super::args::AppArgs;
use super::failure::Failure;
use super::output::{Table, age};
use super::project;
use crate::api::{Health, InstanceHealth, ProcessHealth};
use crate::clock;
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let (out, client) = (session.out, session.client());
    let apps: Vec<AppName> = match project::named_app(session, args) {
        Some(app) => vec![app],
        None => client.apps().await?.iter().filter_map(|app| app.name.parse().ok()).collect(),
    };
    let mut told = Vec::new();
    for app in &apps {
        told.push(client.health(app).await?);
    }
    if out.is_json() {
        out.json(&told)?;
        return Ok(());
    }
    let mut table = Table::new(["APP", "INSTANCE", "PROBE", "ASKS", "RESULT", "FAILURES", "SINCE"]);
    for health in &told {
        for process in &health.processes {
            rows(&mut table, health, process);
        }
        if health.processes.is_empty() {
            out.notice(format_args!("nothing of `{}` is probed here", health.app));
        }
    }
    out.table(&table)?;
    Ok(())
}

fn rows(table: &mut Table, health: &Health, process: &ProcessHealth) {
    let probes = [
        ("startup", process.startup.as_deref()),
        ("ready", Some(process.ready.as_str())),
        ("live", process.live.as_deref()),
    ];
    let probes = probes.into_iter().filter_map(|(kind, asks)| Some((kind, asks?)));
    for (kind, asks) in probes {
        for instance in &process.instances {
            let first = [health.app.clone(), instance.slot.clone(), kind.to_owned(), asks.to_owned()];
            table.row(first.into_iter().chain(result(instance, kind)));
        }
        if process.instances.is_empty() {
            let first = [health.app.clone(), process.process.clone(), kind.to_owned(), asks.to_owned()];
            table.row(first.into_iter().chain(["-", "-", "-"].map(str::to_owned)));
        }
    }
}

/// What was answered, how often it failed in a row, and since when.
fn result(instance: &InstanceHealth, kind: &str) -> [String; 3] {
    let now = clock::now();
    match instance.probes.iter().find(|probe| probe.kind == kind) {
        // What has no probe is ready by having run for a while.
        None if kind == "ready" => [instance.state.clone(), "0".to_owned(), age(instance.since, now)],
        None => ["not asked yet", "0", "-"].map(str::to_owned),
        Some(probe) => {
            let word = if probe.passes { "passes" } else { "fails" };
            let said = probe.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
            [format!("{word}{said}"), probe.failures.to_string(), age(probe.since, now)]
        }
    }
}
