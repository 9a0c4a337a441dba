//! `minipaas autoscale`: by what rule the number of instances changes, and what it came to.

use super::Session;
use super::args::{AppArgs, AutoscaleAction, AutoscaleArgs, AutoscaleSetArgs};
use super::failure::{Failure, Kind};
use super::output::{Table, age};
use super::project;
use crate::api::{Autoscale, AutoscaleQuery, AutoscaleRequest};
use crate::autoscale::Target;
use crate::clock;
use crate::name::AppName;

pub(crate) async fn run(session: &Session, args: &AutoscaleArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    match &args.action {
        None | Some(AutoscaleAction::List) => {}
        Some(AutoscaleAction::Set(args)) => {
            client.set_autoscale(&app, &args.process, &request(args)?).await?;
        }
        Some(AutoscaleAction::Unset { process }) => {
            client.unset_autoscale(&app, process, &AutoscaleQuery { reset: false }).await?;
        }
        Some(AutoscaleAction::Reset { process }) => {
            client.unset_autoscale(&app, process, &AutoscaleQuery { reset: true }).await?;
        }
    }
    print(session, &app, &client.autoscale(&app).await?)
}

fn request(args: &AutoscaleSetArgs) -> Result<AutoscaleRequest, Failure> {
    let given = [("cpu", &args.cpu), ("p95", &args.p95), ("in-flight", &args.in_flight)];
    let (key, text) = given
        .into_iter()
        .find_map(|(key, text)| Some((key, text.as_ref()?)))
        .ok_or_else(|| Failure::usage("`--cpu`, `--p95` or `--in-flight` is needed"))?;
    let target = Target::named(key, text).map_err(|error| Failure::new(Kind::Usage, error))?;
    Ok(AutoscaleRequest { min: args.min, max: args.max, target: target.to_string() })
}

fn print(session: &Session, app: &AppName, rules: &[Autoscale]) -> Result<(), Failure> {
    let out = session.out;
    if out.is_json() {
        out.json(&rules)?;
        return Ok(());
    }
    if rules.is_empty() {
        out.notice(format_args!(
            "`{app}` has no rule; `minipaas autoscale set web --max 5 --cpu 70%` sets one"
        ));
        return Ok(());
    }
    let now = clock::now();
    let mut table = Table::new(["TYPE", "MIN", "MAX", "TARGET", "NOW", "REPLICAS", "LAST CHANGE", "WHY"]);
    for rule in rules {
        let change = rule.last_change.as_ref();
        table.row([
            rule.process.clone(),
            rule.min.to_string(),
            rule.max.to_string(),
            rule.target.clone(),
            rule.metric.clone().unwrap_or_else(|| "-".to_owned()),
            rule.replicas.to_string(),
            change.map_or_else(
                || "-".to_owned(),
                |change| format!("{} -> {}, {} ago", change.from, change.to, age(change.at, now)),
            ),
            change.map(|change| &change.reason).or(rule.reason.as_ref()).cloned().unwrap_or_default(),
        ]);
    }
    out.table(&table)?;
    Ok(())
}
