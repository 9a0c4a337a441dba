//! `minipaas events`: who did what, and what happened.
//!
//! Times are UTC. Without `--app` it is everything on the box; the app of the folder is not meant by itself, since what
//! happened is often asked where no app is.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::Session;
use super::args::EventsArgs;
use super::failure::Failure;
use crate::api::{Event, EventsQuery};
use crate::{clock, manifest, plain};

/// What of a text is shown.
const CHARS_MAX: usize = 400;

pub(crate) async fn run(session: &Session, args: &EventsArgs) -> Result<(), Failure> {
    let app = args.app.name.as_ref().or(session.globals.app.as_ref());
    let query = EventsQuery {
        after: None,
        limit: args.lines,
        actor: args.actor.clone(),
        action: args.action.clone(),
        since: args.since.as_deref().map(since).transpose()?,
        follow: false,
    };
    let client = session.client();
    if args.follow {
        let mut events = client.follow_events(app, &query).await?;
        while let Some(event) = events.next().await {
            print(session, &event?)?;
        }
        return Ok(());
    }
    let found = client.events(app, &query).await?;
    if session.out.is_json() {
        session.out.json(&found.events)?;
        return Ok(());
    }
    if found.events.is_empty() {
        session.out.notice("nothing happened");
    }
    found.events.iter().try_for_each(|event| print(session, event))
}

fn print(session: &Session, event: &Event) -> Result<(), Failure> {
    if session.out.is_json() {
        return Ok(session.out.json(event)?);
    }
    let at = i64::try_from(event.at).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let at = at.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%d %H:%M:%SZ");
    let outcome = match &event.code {
        Some(code) => session.out.coloured(&format!(" [{code}]"), console::Color::Red),
        None => String::new(),
    };
    let app = event.app.as_deref().unwrap_or("-");
    let (actor, detail) = (plain::plain(&event.actor, CHARS_MAX), plain::plain(&event.detail, CHARS_MAX));
    let from = event.from.as_ref().map(|from| format!(" (from {from})")).unwrap_or_default();
    Ok(session.out.line(format_args!("{at}  {actor}  {app}  {}{outcome}  {detail}{from}", event.action))?)
}

/// `2h` ago, or a time.
fn since(text: &str) -> Result<u64, Failure> {
    if let Ok(ago) = manifest::duration(text) {
        return Ok(clock::now().saturating_sub(millis(ago)));
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = days {
        return Ok(clock::now().saturating_sub(days.saturating_mul(24 * 60 * 60 * 1000)));
    }
    let time = text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok());
    time.ok_or_else(|| {
        let message = format!("`{text}` is no time; write one such as `2h`, `3d` or `2026-05-01T12:00:00Z`");
        Failure::usage(message)
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
