//! `minipaas hooks`: who is told of what happens.
//!
//! With `--app` it is about that app's hooks, which its owners may change; without, about all hooks of the box.

use std::io::Read as _;

use anyhow::Context as _;

use super::Session;
use super::args::{HooksAction, HooksAddArgs, HooksArgs};
use super::failure::{Failure, Kind};
use super::output::{Table, age};
use crate::api::{HookDelivery, HookRequest};
use crate::clock;
use crate::plain::plain;

/// Longer than any secret.
const SECRET_BYTES_MAX: u64 = 4_096;
/// What of the other side's words is shown.
const ERROR_CHARS_MAX: usize = 200;

pub(crate) async fn run(session: &Session, args: &HooksArgs) -> Result<(), Failure> {
    match &args.action {
        None | Some(HooksAction::List) => list(session).await,
        Some(HooksAction::Add(args)) => add(session, args).await,
        Some(HooksAction::Remove { id }) => {
            session.client().remove_hook(session.globals.app.as_ref(), id).await?;
            session.out.notice(format_args!("hook {id} is removed"));
            Ok(())
        }
        Some(HooksAction::Test { id }) => test(session, id).await,
        Some(HooksAction::Deliveries { id }) => deliveries(session, id).await,
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let hooks = session.client().hooks(session.globals.app.as_ref()).await?;
    if session.out.is_json() {
        return Ok(session.out.json(&hooks)?);
    }
    if hooks.is_empty() {
        session.out.notice("there are no hooks; `minipaas hooks add URL` adds one");
        return Ok(());
    }
    let now = clock::now();
    let mut table = Table::new(["HOOK", "APP", "TO", "FORMAT", "EVENTS", "LAST"]);
    for hook in hooks {
        let last = match (&hook.disabled, &hook.last) {
            (Some(why), _) => format!("disabled: {why}"),
            (None, Some(last)) => format!("{} {} ago", last.state, age(last.at, now)),
            (None, None) => "-".to_owned(),
        };
        let app = hook.app.unwrap_or_else(|| "-".to_owned());
        table.row([hook.id, app, hook.to, hook.format, hook.events.join(","), last]);
    }
    Ok(session.out.table(&table)?)
}

async fn add(session: &Session, args: &HooksAddArgs) -> Result<(), Failure> {
    let secret = match args.secret.as_deref() {
        None => None,
        Some("-") => Some(secret_from_stdin()?),
        Some(_) => {
            let message = "a secret on the command line is seen by everybody on this machine";
            return Err(Failure::usage(message).hint("write `--secret -`, and give it on standard input"));
        }
    };
    let format = Some(args.format.clone());
    let request = HookRequest { url: args.url.clone(), events: args.event.clone(), secret, format };
    let added = session.client().add_hook(session.globals.app.as_ref(), &request).await?;
    if session.out.is_json() {
        return Ok(session.out.json(&added)?);
    }
    session.out.notice(format_args!("{} is told of {}", added.hook.to, added.hook.events.join(", ")));
    if let Some(secret) = added.secret {
        session.out.notice(format_args!("its secret, which is shown this once: {secret}"));
    }
    session.out.notice(format_args!("try it: minipaas hooks test {}", added.hook.id));
    Ok(session.out.line(added.hook.id)?)
}

async fn test(session: &Session, id: &str) -> Result<(), Failure> {
    let delivery = session.client().test_hook(session.globals.app.as_ref(), id).await?;
    if session.out.is_json() {
        session.out.json(&delivery)?;
    }
    match &delivery.error {
        None => {
            session.out.notice(format_args!("hook {id} took it: status {}", delivery.status.unwrap_or(0)));
        }
        Some(error) => {
            let error = plain(error, ERROR_CHARS_MAX);
            return Err(Failure::failed(format!("hook {id} did not take the test: {error}")));
        }
    }
    Ok(())
}

async fn deliveries(session: &Session, id: &str) -> Result<(), Failure> {
    let deliveries = session.client().hook_deliveries(session.globals.app.as_ref(), id).await?;
    if session.out.is_json() {
        return Ok(session.out.json(&deliveries)?);
    }
    let now = clock::now();
    let mut table = Table::new(["EVENT", "ACTION", "AGE", "STATE", "TRIES", "STATUS", "ERROR"]);
    for delivery in deliveries {
        let HookDelivery { event, action, at, state, attempts, status, error, next } = delivery;
        let state = match next {
            Some(next) => format!("{state} {}", age(now, next.max(now))),
            None => state,
        };
        let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let error = error.map(|error| plain(&error, ERROR_CHARS_MAX)).unwrap_or_default();
        let event = if event == 0 { "-".to_owned() } else { event.to_string() };
        table.row([event, action, age(at, now), state, attempts.to_string(), status, error]);
    }
    Ok(session.out.table(&table)?)
}

fn secret_from_stdin() -> Result<String, Failure> {
    let mut secret = String::new();
    std::io::stdin()
        .lock()
        .take(SECRET_BYTES_MAX)
        .read_to_string(&mut secret)
        .context("cannot read the secret from standard input")
        .map_err(|error| Failure::new(Kind::Usage, error))?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::usage("there is no secret on standard input"));
    }
    Ok(secret.to_owned())
}
