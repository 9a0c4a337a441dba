//! How upstreams are used: timeouts, `balance`, `eject`, `queue`, `protocol`.

use std::ops::Range;
use std::time::Duration;

use super::super::read::{Entry, Report, Table};
use crate::policy::{Balance, Ejection, Protocol, Queue, Timeouts};

/// Each one costs an upstream that may be in trouble another request.
pub(super) const RETRIES_MAX: u32 = 5;
/// Requests in flight on one upstream; more is no limit.
pub(super) const REQUESTS_MAX: u32 = 1_000_000;
/// What a connection may take at most: no network needs longer.
const CONNECT_MAX: Duration = Duration::from_secs(60 * 60);
/// Requests that wait cost memory and a connection each.
const QUEUE_MAX: u32 = 10_000;
/// Failures in a row that are looked at.
const FAILURES_MAX: u32 = 100;

/// Reads the four timeouts, and whether each can be reached before the one of the whole request.
pub(super) fn timeouts(table: &mut Table<'_>, timeouts: &mut Timeouts, report: &mut Report<'_>) {
    let mut said: Vec<(&'static str, Range<usize>)> = Vec::new();
    let mut positive = |key: &'static str, entry: &Entry<'_>, report: &mut Report<'_>| {
        said.push((key, entry.span()));
        entry.positive_duration(report)
    };
    table.set("connect_timeout", &mut timeouts.connect, |entry| {
        let connect = positive("connect_timeout", entry, report)?;
        if connect > CONNECT_MAX {
            report.problem(&entry.span(), "`connect_timeout` is longer than an hour".to_owned(), None);
            return None;
        }
        Some(connect)
    });
    table.set("first_byte_timeout", &mut timeouts.first_byte, |entry| {
        positive("first_byte_timeout", entry, report)
    });
    table.set("idle_timeout", &mut timeouts.idle, |entry| {
        entry.or_off(|on| positive("idle_timeout", on, report))
    });
    table.set("timeout", &mut timeouts.whole, |entry| entry.or_off(|on| positive("timeout", on, report)));
    let Some(whole) = timeouts.whole else { return };
    let default = Timeouts::default();
    let parts = [
        ("connect_timeout", Some(timeouts.connect), Some(default.connect)),
        ("first_byte_timeout", Some(timeouts.first_byte), Some(default.first_byte)),
        ("idle_timeout", timeouts.idle, default.idle),
    ];
    for (key, part, default) in parts {
        let at = |wanted: &str| said.iter().find(|(key, _)| *key == wanted).map(|(_, at)| at);
        // Where it is written: here, or the table of the whole app said one of the two. A default is no promise of anybody.
        let Some(at) = at(key).or_else(|| at("timeout").filter(|_| part != default)) else { continue };
        if part.is_some_and(|part| part > whole) {
            let message = format!(
                "`{key}` is {:?} and can never pass, because `timeout` ends the whole request after {whole:?}",
                part.unwrap_or_default()
            );
            report.problem(at, message, None);
        }
    }
}

/// The way to choose.
pub(super) fn balance(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Balance> {
    entry.one_of(
        report,
        &[
            ("least", Balance::Least),
            ("round-robin", Balance::RoundRobin),
            ("sticky", Balance::Sticky),
            ("client-ip", Balance::ClientIp),
        ],
    )
}

/// `false`, or a table.
pub(super) fn ejection(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Ejection> {
    let mut ejection = Ejection::default();
    if entry.flag() == Some(false) {
        return Some(Ejection { failures: 0, ..ejection });
    }
    let mut table = entry.table(report, "`eject`")?;
    table.set("failures", &mut ejection.failures, |entry| entry.count(report, (1, FAILURES_MAX)));
    table.set("base", &mut ejection.base, |entry| entry.positive_duration(report));
    let max = table.take("max").and_then(|entry| entry.positive_duration(report));
    // A base beyond the default of the other moves it along.
    ejection.max = max.unwrap_or_else(|| ejection.max.max(ejection.base));
    table.set("slow_start", &mut ejection.slow_start, |entry| entry.duration(report));
    table.finish(report);
    if ejection.base > ejection.max {
        let message = format!("`base` of `eject` is {:?}, and `max` only {:?}", ejection.base, ejection.max);
        report.problem(&entry.span(), message, None);
    }
    Some(ejection)
}

/// `false`, or a table.
pub(super) fn queue(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Queue> {
    let mut queue = Queue::default();
    if entry.flag() == Some(false) {
        return Some(Queue { max: 0, ..queue });
    }
    let mut table = entry.table(report, "`queue`")?;
    table.set("max", &mut queue.max, |entry| entry.count(report, (0, QUEUE_MAX)));
    table.set("wait", &mut queue.wait, |entry| entry.positive_duration(report));
    table.finish(report);
    Some(queue)
}

/// What is spoken.
pub(super) fn protocol(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Protocol> {
    entry.one_of(report, &[("auto", Protocol::Auto), ("http1", Protocol::Http1), ("h2", Protocol::Http2)])
}
