//! `healthcheck`, as probes.
//!
//! Docker asks every `interval`, and calls a container unhealthy after `retries` failures that began after `start_period`;
//! nothing is restarted. That is what `ready` does, whose `deadline` is the time within which a container has to be healthy.

use std::time::Duration;

use super::super::draft::{Ask, Probe};
use super::super::findings::Findings;
use super::super::node::{Node, Section, Value};
use crate::manifest::Command;

/// What Docker does when nothing is said.
const INTERVAL: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;
/// What a manifest's probe has when nothing is said.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest time that a manifest takes.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a service says about its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// Not even the image's own check.
    Off,
    /// The probes `startup` and `ready`.
    Probes(Option<Box<Probe>>, Box<Probe>),
}

/// What the mapping says; `None` when it leaves the image's own check alone.
pub(super) fn read(node: &Node, title: &str, findings: &mut Findings) -> Option<Health> {
    let mut section = Section::new(format!("`healthcheck` of {title}"), node, findings);
    let is_off =
        section.take("disable").and_then(|node| node.boolean("`disable`", findings)).unwrap_or(false);
    let test = section.take("test");
    let mut span = |key: &'static str, findings: &mut Findings| {
        section.take(key).and_then(|node| time(node, &format!("`{key}` of `healthcheck`"), findings))
    };
    let interval = span("interval", findings);
    let timeout = span("timeout", findings);
    let start_period = span("start_period", findings).unwrap_or_default();
    let start_interval = span("start_interval", findings);
    let retries = section.take("retries").and_then(|node| node.count("`retries`", (1, 100), findings));
    section.finish(findings);
    if is_off {
        return Some(Health::Off);
    }
    let Some(test) = test else {
        findings.lost(
            &node.at,
            format!("times of the image's own health check, of {title}"),
            "give the `test`, too",
        );
        return None;
    };
    let command = match self::test(test, findings)? {
        Test::None => return Some(Health::Off),
        Test::Command(command) => command,
    };
    let deadline = start_period + interval.unwrap_or(INTERVAL) * retries.unwrap_or(RETRIES);
    let ready = Probe {
        interval,
        timeout,
        deadline: (deadline > DEADLINE).then_some(deadline.min(TIME_MAX)),
        failures: retries.filter(|retries| *retries != RETRIES),
        ..Probe::new(Ask::Command(command))
    };
    let startup = start_interval
        .map(|interval| Box::new(Probe { interval: Some(interval), failures: None, ..ready.clone() }));
    Some(Health::Probes(startup, Box::new(ready)))
}

/// What `test` is.
enum Test {
    None,
    Command(Command),
}

/// A text is for a shell, a list says by its first item what it is.
fn test(node: &Node, findings: &mut Findings) -> Option<Test> {
    let Value::List(_) = &node.value else {
        let line = node.string("`test`", findings)?;
        if line.trim().is_empty() {
            findings.problem(&node.at, "`test` of `healthcheck` is empty");
            return None;
        }
        return Some(if line == "NONE" { Test::None } else { Test::Command(Command::Line(line)) });
    };
    let words: Vec<_> =
        node.strings("an item of `test`", findings).into_iter().map(|(text, _)| text).collect();
    match words.split_first() {
        Some((kind, [])) if kind == "NONE" => Some(Test::None),
        Some((kind, [line])) if kind == "CMD-SHELL" && !line.trim().is_empty() => {
            Some(Test::Command(Command::Line(line.clone())))
        }
        Some((kind, args)) if kind == "CMD" && args.first().is_some_and(|program| !program.is_empty()) => {
            Some(Test::Command(Command::Args(args.to_vec())))
        }
        _ => {
            let rule =
                "`test` of `healthcheck` is a text, or a list that begins with `NONE`, `CMD` or `CMD-SHELL`";
            findings.problem(&node.at, rule);
            None
        }
    }
}

/// A duration as compose writes it: `1m30s`, `1.5s`, `500ms`; a number is seconds.
pub(super) fn time(node: &Node, what: &str, findings: &mut Findings) -> Option<Duration> {
    let found = node.scalar().and_then(|text| duration(&text));
    if found.is_none() {
        findings
            .problem(&node.at, format!("{what} is {}; it takes a duration such as `1m30s`", node.shown()));
    }
    // Docker takes 0 for its default.
    found.filter(|duration| !duration.is_zero()).map(|duration| {
        if duration > TIME_MAX {
            findings.lost(&node.at, format!("{what} is longer than a day"), "it is a day here");
        }
        duration.min(TIME_MAX)
    })
}

fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let mut rest = text;
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        nanos += number
            * match &rest[digits..unit_end] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                "d" => 86_400e9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    // Milliseconds are the smallest unit of a manifest.
    let seconds = (nanos / 1e6).ceil() / 1e3;
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [("1m30s", 90_000), ("1.5s", 1_500), ("500ms", 500), ("30", 30_000), ("1us", 1)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "s", "1x", "-1s", "1h 2m", ".s", "99999999999999999999999h99999999999999999999h"] {
            assert!(duration(bad).is_none_or(|d| d > TIME_MAX), "{bad}");
        }
    }
}
