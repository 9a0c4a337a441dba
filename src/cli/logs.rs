//! `minipaas logs`: an app's stream, as `time app[slot]: text`.
//!
//! Lines that come together are printed together, and none waits for another. Times are UTC, so that lines of several boxes
//! can be merged.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::Session;
use super::args::LogsArgs;
use super::failure::Failure;
use super::project;
use crate::api::{LogLine, LogsQuery};

/// Lines that are printed together at most.
const LINES_MAX: usize = 512;

pub(crate) async fn run(session: &Session, args: &LogsArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &args.app)?;
    let query = LogsQuery {
        follow: args.follow,
        tail: args.lines,
        process: args.process.clone(),
        source: args.source.map(|source| source.as_str().to_owned()),
        release: args.release.map(|release| release.to_string()),
        since: args.since.map(|moment| moment.to_string()),
        until: args.until.map(|moment| moment.to_string()),
        grep: args.grep.clone(),
    };
    let lines = session.client().logs(&app, &query).await?;
    let mut chunks = lines.ready_chunks(LINES_MAX);
    let mut numbers = BTreeMap::new();
    while let Some(chunk) = chunks.next().await {
        let mut text = String::new();
        let mut failed = None;
        for line in chunk {
            match line {
                Ok(line) if session.out.is_json() => {
                    text.push_str(&serde_json::to_string(&line).expect("results are JSON"));
                    text.push('\n');
                }
                Ok(line) => print(&mut text, session, args, &line, &mut numbers),
                Err(error) => failed = Some(error),
            }
        }
        session.out.bytes(text.as_bytes())?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(())
}

fn print(
    text: &mut String,
    session: &Session,
    args: &LogsArgs,
    line: &LogLine,
    numbers: &mut BTreeMap<String, usize>,
) {
    let program = if line.source == "app" { "app" } else { "minipaas" };
    let name = format!("{program}[{}]:", line.slot);
    let end = if line.is_cut { " …" } else { "" };
    let written = if args.no_color {
        let said = console::strip_ansi_codes(&line.text);
        writeln!(text, "{} {name} {said}{end}", time(line))
    } else {
        // What the box says about a slot has the slot's colour.
        let next = numbers.len();
        let number = *numbers.entry(line.slot.clone()).or_insert(next);
        let name = session.out.slot(&name, number);
        writeln!(text, "{} {name} {}{end}", time(line), line.text)
    };
    written.expect("memory takes it");
}

fn time(line: &LogLine) -> String {
    let at = i64::try_from(line.at).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    format!("{:.3}", at.unwrap_or(Timestamp::UNIX_EPOCH))
}
