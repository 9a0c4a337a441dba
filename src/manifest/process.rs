//! `[process.NAME]`, with its probes.

use super::read::{Entry, Report, Table};
use super::{Check, Command, HOOTSUITE_PATH, MilliCpu, Probe, ProbeKind, Process, quantity};
use crate::autoscale::{Autoscale, Target};
use crate::formation::REPLICAS_MAX;

/// The longest name of a gRPC service: its length is one byte of the question.
const GRPC_SERVICE_BYTES_MAX: usize = 100;

/// Reads the table; what it does not say has its default.
pub(super) fn process(mut table: Table<'_>, report: &mut Report<'_>) -> Process {
    let mut process = Process {
        command: table.take("command").and_then(|entry| command(&entry, report)),
        port: table.take("port").and_then(|entry| entry.port(report)),
        ..Process::default()
    };
    table.set("replicas", &mut process.replicas, |entry| entry.count(report, (0, REPLICAS_MAX)));
    process.startup = table.take("startup").and_then(|entry| probe_of(ProbeKind::Startup, &entry, report));
    process.ready = table.take("ready").and_then(|entry| probe_of(ProbeKind::Ready, &entry, report));
    process.live = table.take("live").and_then(|entry| probe_of(ProbeKind::Live, &entry, report));
    process.memory = table
        .take("memory")
        .and_then(|entry| entry.parsed(report, "a size such as `\"256M\"`", quantity::memory));
    process.cpu = table.take("cpu").and_then(|entry| cpu(&entry, report));
    process.autoscale = table.take("autoscale").and_then(|entry| autoscale(&entry, report));
    table.set("stop_grace", &mut process.stop_grace, |entry| entry.duration(report));
    table.finish(report);
    process
}

pub(super) fn cpu(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<MilliCpu> {
    match entry.number() {
        Some(number) => entry.checked(report, quantity::cores(number)),
        None => entry.parsed(report, "cores such as `0.5`", quantity::cpu),
    }
}

/// `{ min = 1, max = 5, cpu = "70%" }`, or `p95 = "300ms"`, or `in_flight = 20`.
fn autoscale(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Autoscale> {
    let mut table = entry.table(report, "`autoscale`")?;
    let replicas = (1, REPLICAS_MAX);
    let min = table.take("min").and_then(|entry| entry.count(report, replicas)).unwrap_or(1);
    let max = table.take("max").and_then(|entry| entry.count(report, replicas));
    let mut targets = Vec::new();
    for key in ["cpu", "p95", "in_flight"] {
        let Some(entry) = table.take(key) else { continue };
        targets.extend(match entry.number().filter(|_| key != "p95") {
            Some(number) => entry.checked(report, Target::named(key, &number.to_string())),
            None => entry.parsed(report, Target::example(key), |text| Target::named(key, text)),
        });
    }
    table.finish(report);
    match (max, targets.as_slice()) {
        (Some(max), [target]) => {
            entry.checked(report, Autoscale { min, max, target: target.clone() }.validated())
        }
        _ => {
            let message = "`autoscale` takes `max = 5`, and one of `cpu = \"70%\"`, `p95 = \"300ms\"`, `in_flight = 20`";
            report.problem(&entry.span(), message.to_owned(), None);
            None
        }
    }
}

pub(super) fn command(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Command> {
    let command = if entry.is_array() {
        Command::Args(entry.strings(report)?)
    } else {
        Command::Line(entry.string(report)?)
    };
    if command.argv().first().is_none_or(String::is_empty) {
        report.problem(&entry.span(), format!("`{}` is empty", entry.key()), None);
        return None;
    }
    Some(command)
}

/// A probe; one that is asked for as long as the instance lives has no deadline.
pub(super) fn probe_of(kind: ProbeKind, entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Probe> {
    let key = entry.key();
    let mut table = entry.table(report, format!("`{key}`"))?;
    let mut checks = Vec::new();
    let probe_port = table.take("port").and_then(|entry| entry.port(report));
    if let Some(path) =
        table.take("http").and_then(|entry| entry.parsed(report, "a path such as `\"/up\"`", http_path))
    {
        checks.push(Check::Http { path, port: probe_port });
    }
    if table.take("tcp").and_then(|entry| entry.boolean(report)) == Some(true) {
        checks.push(Check::Tcp { port: probe_port });
    }
    if let Some(command) = table.take("command").and_then(|entry| command(&entry, report)) {
        checks.push(Check::Command(command));
    }
    if table.take("docker").and_then(|entry| entry.boolean(report)) == Some(true) {
        checks.push(Check::Docker);
    }
    if let Some(entry) = table.take("grpc") {
        checks.extend(grpc(&entry, report).map(|service| Check::Grpc { service, port: probe_port }));
    }
    if let Some(entry) = table.take("hootsuite") {
        checks.extend(hootsuite(&entry, report).map(|path| Check::Hootsuite { path, port: probe_port }));
    }
    let mut probe = Probe::new(Check::Docker);
    probe.interval = table.take("interval").and_then(|entry| entry.positive_duration(report));
    table.set("timeout", &mut probe.timeout, |entry| entry.positive_duration(report));
    if kind != ProbeKind::Live {
        table.set("deadline", &mut probe.deadline, |entry| entry.positive_duration(report));
    }
    if let Some(failures) = table.take("failures").and_then(|entry| entry.integer(report, (1, 100))) {
        probe.failures = u32::try_from(failures).expect("checked to be within 1..=100");
    }
    table.finish(report);
    if checks.len() > 1 || checks.is_empty() {
        let message = format!(
            "`{key}` takes one of `http = \"/path\"`, `tcp = true`, `command = \"…\"`, `docker = true`, `grpc = true`, \
             `hootsuite = true`"
        );
        report.problem(&entry.span(), message, None);
        return None;
    }
    probe.check = checks.remove(0);
    Some(probe)
}

/// `true`, or a service's name; `None` when it is off or wrong.
fn grpc(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Option<String>> {
    match entry.flag() {
        Some(is_on) => is_on.then_some(None),
        None => entry.parsed(report, "`true`, or a service's name", grpc_service).map(Some),
    }
}

/// `true`, or another path than the API's own.
fn hootsuite(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<String> {
    match entry.flag() {
        Some(is_on) => is_on.then(|| HOOTSUITE_PATH.to_owned()),
        None => entry.parsed(report, "`true`, or a path such as `\"/status/aggregate\"`", http_path),
    }
}

fn grpc_service(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= GRPC_SERVICE_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no name of a gRPC service, such as `shop.v1.Orders`"))
    }
}

fn http_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a path; it starts with `/` and has no spaces"))
    }
}
