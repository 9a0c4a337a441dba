//! What may stand in `minipaas.toml`, table by table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

use super::read::{Entry, Report, Table, nearest};
use super::{
    Build, Check, Command, Deploy, MANIFEST_FILE, Manifest, Probe, Problem, Process, RouteRule, Volume,
    proxy, quantity,
};
use crate::name::{Host, PathPrefix, ProcessType};
use crate::policy::Policy;

/// More replicas than this of one process type is a typing mistake.
const REPLICAS_MAX: i64 = 100;
/// Environment variables that minipaas sets itself.
const ENV_RESERVED: [&str; 1] = ["PORT"];

/// Reads the whole document; a text that is no TOML gives one problem and an empty manifest.
pub(super) fn manifest(text: &str, problems: &mut Vec<Problem>) -> Manifest {
    let mut report = Report::new(MANIFEST_FILE, text, problems);
    let mut manifest = empty();
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            report.problem(
                &error.span().unwrap_or(0..0),
                format!("not valid TOML: {}", error.message()),
                None,
            );
            return manifest;
        }
    };
    let mut root = Table::new("the file", document.get_ref());
    let report = &mut report;
    manifest.app =
        root.take("app").and_then(|entry| entry.parsed(report, "a name such as `\"shop\"`", str::parse));
    if let Some(table) = root.take("build").and_then(|entry| entry.table(report, "[build]")) {
        manifest.build = build(table, report);
    }
    if let Some(mut table) = root.take("env").and_then(|entry| entry.table(report, "[env]")) {
        manifest.env = table.take_all().iter().filter_map(|entry| variable(entry, report)).collect();
    }
    if let Some(mut table) = root.take("process").and_then(|entry| entry.table(report, "[process]")) {
        for entry in table.take_all() {
            let name = entry.checked(report, entry.key().parse::<ProcessType>());
            let inner = entry.table(report, format!("[process.{}]", entry.key()));
            if let (Some(name), Some(inner)) = (name, inner) {
                manifest.processes.insert(name, process(inner, report));
            }
        }
    }
    // Before the routes: what it says holds for each of them.
    if let Some(table) = root.take("proxy").and_then(|entry| entry.table(report, "[proxy]")) {
        manifest.proxy = Arc::new(proxy::policy(table, &manifest.proxy, report));
    }
    if let Some(entry) = root.take("route") {
        let tables = entry.tables(report, "[[route]]");
        manifest.routes =
            tables.into_iter().map(|(_, table)| route(table, &manifest.proxy, report)).collect();
    }
    if let Some(mut table) = root.take("deploy").and_then(|entry| entry.table(report, "[deploy]")) {
        set_duration(&mut table, "drain", &mut manifest.deploy.drain, report);
        set_duration(&mut table, "websocket_drain", &mut manifest.deploy.websocket_drain, report);
        table.finish(report);
    }
    if let Some(mut table) = root.take("volume").and_then(|entry| entry.table(report, "[volume]")) {
        for entry in table.take_all() {
            if let Some((name, volume)) = volume(&entry, report) {
                manifest.volumes.insert(name, volume);
            }
        }
    }
    root.finish(report);
    manifest
}

/// Rules between tables: a route's process exists, two volumes do not share a path.
pub(super) fn check_references(manifest: &Manifest, text: &str, problems: &mut Vec<Problem>) {
    let mut report = Report::new(MANIFEST_FILE, text, problems);
    let line_of = |needle: &str| text.find(needle).map_or(0..0, |at| at..at);
    for route in &manifest.routes {
        if !manifest.processes.contains_key(&route.process) {
            let known: Vec<_> = manifest.processes.keys().map(ProcessType::as_str).collect();
            let hint = nearest(route.process.as_str(), known.iter().copied()).map_or_else(
                || format!("there is {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("a route leads to process `{}`, which there is none of", route.process);
            report.problem(&line_of("[[route]]"), message, Some(hint));
        }
    }
    let mut paths = BTreeMap::new();
    for (name, volume) in &manifest.volumes {
        if let Some(other) = paths.insert(&volume.path, name) {
            let message = format!("volumes `{other}` and `{name}` are both mounted at `{}`", volume.path);
            report.problem(&line_of(&format!("[volume.{name}]")), message, None);
        }
    }
}

/// A manifest that says nothing.
pub(super) fn empty() -> Manifest {
    Manifest {
        app: None,
        build: Build::default(),
        env: BTreeMap::new(),
        processes: BTreeMap::new(),
        routes: Vec::new(),
        proxy: Arc::default(),
        deploy: Deploy::default(),
        volumes: BTreeMap::new(),
    }
}

fn build(mut table: Table<'_>, report: &mut Report<'_>) -> Build {
    let mut sources = Vec::new();
    let mut source = |table: &mut Table<'_>, key: &'static str, report: &mut Report<'_>| {
        let entry = table.take(key)?;
        let text = entry.string(report)?;
        if text.is_empty() {
            report.problem(&entry.span(), format!("`{key}` is empty"), None);
            return None;
        }
        sources.push((key, entry.span()));
        Some((entry.span(), text))
    };
    let image = source(&mut table, "image", report).map(|(_, text)| text);
    let dockerfile = source(&mut table, "dockerfile", report);
    let static_dir = source(&mut table, "static", report);
    let mut inside = |found: Option<(std::ops::Range<usize>, String)>| {
        let (span, text) = found?;
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            report.problem(
                &span,
                format!("`{text}` is outside the project folder; give a path below it"),
                None,
            );
        }
        Some(text)
    };
    let (dockerfile, static_dir) = (inside(dockerfile), inside(static_dir));
    if let [(first, _), (second, span), ..] = sources.as_slice() {
        report.problem(span, format!("`{second}` and `{first}` exclude each other; keep one"), None);
    }
    let spa = table.take("spa").and_then(|entry| entry.boolean(report)).unwrap_or(false);
    let target = table.take("target").and_then(|entry| entry.string(report));
    let mut args = BTreeMap::new();
    if let Some(mut inner) = table.take("args").and_then(|entry| entry.table(report, "[build.args]")) {
        args =
            inner.take_all().iter().filter_map(|e| Some((e.key().to_owned(), e.string(report)?))).collect();
    }
    table.finish(report);
    Build { image, dockerfile, static_dir, spa, args, target }
}

fn variable(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<(String, String)> {
    let key = entry.key();
    let mut characters = key.chars();
    let is_name = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        let message = format!("`{key}` is no name for a variable; use letters, digits and `_`");
        report.problem(&entry.span(), message, None);
        return None;
    }
    if ENV_RESERVED.contains(&key) {
        let hint = Some("set `port` in its [process] table".to_owned());
        report.problem(&entry.span(), format!("`{key}` is set by minipaas"), hint);
        return None;
    }
    let value = entry.string(report)?;
    if value.contains('\0') {
        report.problem(&entry.span(), format!("the value of `{key}` has a NUL character"), None);
        return None;
    }
    Some((key.to_owned(), value))
}

fn process(mut table: Table<'_>, report: &mut Report<'_>) -> Process {
    let mut process = Process {
        command: table.take("command").and_then(|entry| command(&entry, report)),
        port: table.take("port").and_then(|entry| port(&entry, report)),
        ..Process::default()
    };
    if let Some(replicas) = table.take("replicas").and_then(|entry| entry.integer(report, (0, REPLICAS_MAX)))
    {
        process.replicas = u32::try_from(replicas).expect("checked to be within 0..=100");
    }
    process.ready = table.take("ready").and_then(|entry| probe(&entry, true, report));
    process.live = table.take("live").and_then(|entry| probe(&entry, false, report));
    process.memory = table
        .take("memory")
        .and_then(|entry| entry.parsed(report, "a size such as `\"256M\"`", quantity::memory));
    process.cpu = table.take("cpu").and_then(|entry| match entry.number() {
        Some(number) => entry.checked(report, quantity::cores(number)),
        None => entry.parsed(report, "cores such as `0.5`", quantity::cpu),
    });
    set_duration(&mut table, "stop_grace", &mut process.stop_grace, report);
    table.finish(report);
    process
}

fn command(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Command> {
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

fn port(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<u16> {
    entry.integer(report, (1, 65_535)).and_then(|number| u16::try_from(number).ok())
}

fn probe(entry: &Entry<'_>, is_ready: bool, report: &mut Report<'_>) -> Option<Probe> {
    let key = entry.key();
    let mut table = entry.table(report, format!("`{key}`"))?;
    let mut checks = Vec::new();
    let probe_port = table.take("port").and_then(|entry| port(&entry, report));
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
    let mut probe = Probe::new(Check::Docker);
    if let Some(entry) = table.take("interval") {
        probe.interval = positive_duration(&entry, report);
    }
    if let Some(timeout) = table.take("timeout").and_then(|entry| positive_duration(&entry, report)) {
        probe.timeout = timeout;
    }
    if is_ready
        && let Some(deadline) = table.take("deadline").and_then(|entry| positive_duration(&entry, report))
    {
        probe.deadline = deadline;
    }
    if let Some(failures) = table.take("failures").and_then(|entry| entry.integer(report, (1, 100))) {
        probe.failures = u32::try_from(failures).expect("checked to be within 1..=100");
    }
    table.finish(report);
    if checks.len() > 1 || checks.is_empty() {
        let message = format!(
            "`{key}` takes one of `http = \"/path\"`, `tcp = true`, `command = \"…\"`, `docker = true`"
        );
        report.problem(&entry.span(), message, None);
        return None;
    }
    probe.check = checks.remove(0);
    Some(probe)
}

fn http_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a path; it starts with `/` and has no spaces"))
    }
}

fn route(mut table: Table<'_>, app: &Arc<Policy>, report: &mut Report<'_>) -> RouteRule {
    let host = table.take("host").and_then(|entry| entry.parsed(report, "a host name", str::parse::<Host>));
    let path =
        table.take("path").and_then(|entry| entry.parsed(report, "a path such as `\"/api\"`", str::parse));
    let process = table.take("process").and_then(|entry| entry.parsed(report, "a process type", str::parse));
    let strip_prefix = table.take("strip_prefix").and_then(|entry| entry.boolean(report)).unwrap_or(false);
    let policy = match table.take("proxy").and_then(|entry| entry.table(report, "[route.proxy]")) {
        Some(table) => Arc::new(proxy::policy(table, app, report)),
        None => Arc::clone(app),
    };
    table.finish(report);
    RouteRule {
        host,
        path: path.unwrap_or_else(PathPrefix::root),
        process: process.unwrap_or_else(ProcessType::web),
        strip_prefix,
        policy,
    }
}

fn volume(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<(String, Volume)> {
    entry.checked(
        report,
        entry.key().parse::<ProcessType>().map_err(|e| e.to_string().replace("process type", "volume")),
    )?;
    let mut table = entry.table(report, format!("[volume.{}]", entry.key()))?;
    let path =
        table.take("path").and_then(|entry| entry.parsed(report, "a path such as `\"/data\"`", mount_path));
    let is_missing = path.is_none();
    table.finish(report);
    if is_missing {
        report.problem(
            &entry.span(),
            format!("volume `{}` needs a valid `path`, such as `\"/data\"`", entry.key()),
            None,
        );
    }
    Some((entry.key().to_owned(), Volume { path: path? }))
}

fn mount_path(text: &str) -> Result<String, String> {
    let is_clean = text.starts_with('/') && text.len() > 1 && !text.split('/').any(|part| part == "..");
    if is_clean { Ok(text.to_owned()) } else { Err(format!("`{text}` is not an absolute path below `/`")) }
}

fn set_duration(table: &mut Table<'_>, key: &'static str, place: &mut Duration, report: &mut Report<'_>) {
    if let Some(duration) = table.take(key).and_then(|entry| duration(&entry, report)) {
        *place = duration;
    }
}

fn duration(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Duration> {
    entry.parsed(report, "a duration such as `\"30s\"`", quantity::duration)
}

fn positive_duration(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Duration> {
    let found = duration(entry, report)?;
    if found.is_zero() {
        report.problem(
            &entry.span(),
            format!("`{}` is zero; it takes a duration such as `\"1s\"`", entry.key()),
            None,
        );
        return None;
    }
    Some(found)
}
