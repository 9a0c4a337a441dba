//! `minipaas logs`: what the instances wrote, as `time app[slot]: text`.
//!
//! Each line is out before the next is waited for. Times are UTC, so that lines of several boxes can be merged.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::Session;
use super::args::LogsArgs;
use super::failure::Failure;
use super::project;
use crate::api::{LogLine, LogsQuery};

pub(crate) async fn run(session: &Session, args: &LogsArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    let query = LogsQuery { follow: args.follow, tail: args.lines, process: args.process.clone() };
    let mut lines = session.client().logs(&app, &query).await?;
    let mut numbers = BTreeMap::new();
    while let Some(line) = lines.next().await {
        let line = line?;
        if session.out.is_json() {
            session.out.json(&line)?;
            continue;
        }
        let next = numbers.len();
        let number = *numbers.entry(line.slot.clone()).or_insert(next);
        let slot = session.out.slot(&format!("{app}[{}]:", line.slot), number);
        session.out.line(format_args!("{} {slot} {}", time(&line), line.text))?;
    }
    Ok(())
}

fn time(line: &LogLine) -> String {
    let at = i64::try_from(line.at).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    format!("{:.3}", at.unwrap_or(Timestamp::UNIX_EPOCH))
}
