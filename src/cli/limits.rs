//! `minipaas limits`: how much memory and CPU each instance of a process type may use.

use super::Session;
use super::args::{AppArgs, LimitsAction, LimitsArgs};
use super::failure::Failure;
use super::interrupt::Interrupts;
use super::output::Table;
use super::project::app_of;
use super::releases::{follow, print_changed};
use crate::api::{Limits, LimitsRequest};
use crate::name::ProcessType;

pub(crate) async fn run(
    session: &Session,
    args: &LimitsArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let app = app_of(session, &AppArgs { name: None })?;
    let limits = match &args.action {
        None | Some(LimitsAction::List) => {
            return interrupts.or(list(session, &app), Failure::silently_interrupted).await;
        }
        Some(LimitsAction::Set { limits, cpu }) => {
            limits.iter().map(|text| limit(text, *cpu)).collect::<Result<_, _>>()?
        }
        Some(LimitsAction::Unset { types }) => types.iter().map(|name| (name.to_string(), None)).collect(),
    };
    let client = session.client();
    let request = LimitsRequest { limits };
    let deployed = follow(session, &app, client.change_limits(&app, &request), interrupts).await?;
    print_changed(session, &app, &deployed)
}

async fn list(session: &Session, app: &crate::name::AppName) -> Result<(), Failure> {
    let reply = session.client().limits(app).await?;
    if session.out.is_json() {
        session.out.json(&reply)?;
        return Ok(());
    }
    let mut table = Table::new(["PROCESS", "MEMORY", "CPU", "SET BY"]);
    for (process, limits) in &reply.limits {
        let shown = |limit: &Option<String>| limit.clone().unwrap_or_else(|| "none".to_owned());
        let by = if reply.by_command.contains(process) { "command" } else { "manifest" };
        table.row([process.clone(), shown(&limits.memory), shown(&limits.cpu), by.to_owned()]);
    }
    session.out.table(&table)?;
    Ok(())
}

fn limit(text: &str, is_cpu: bool) -> Result<(String, Option<Limits>), Failure> {
    let wrong = || {
        Failure::usage(format!("`{text}` is no limit"))
            .hint("write a process type and how much: `web=256M`, or with --cpu `web=0.5`")
    };
    let (process, limit) = text.split_once('=').ok_or_else(wrong)?;
    let process: ProcessType = process.parse().map_err(|_| wrong())?;
    // Deis' `request/limit`: what is reserved means nothing on one box.
    let limit = limit.rsplit('/').next().unwrap_or(limit).to_owned();
    let limits = if is_cpu {
        Limits { cpu: Some(limit), memory: None }
    } else {
        Limits { memory: Some(limit), cpu: None }
    };
    Ok((process.to_string(), Some(limits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_type_and_how_much() {
        let (process, limits) = limit("web=1G/2G", false).expect("a limit");
        assert_eq!((process.as_str(), limits.unwrap().memory.as_deref()), ("web", Some("2G")));
        let (_, limits) = limit("web=500m", true).expect("a limit");
        assert_eq!(limits.unwrap().cpu.as_deref(), Some("500m"));
        assert!(limit("256M", false).is_err());
    }
}
