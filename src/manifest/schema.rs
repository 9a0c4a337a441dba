//! What may stand in `minipaas.toml`, table by table.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::read::{Entry, Report, Table};
use super::references::References;
use super::{
    Build, Deploy, MANIFEST_FILE, Manifest, Problem, RouteRule, Volume, cron, deploy, link, port, process,
    proxy, release, tls,
};
use crate::name::{Host, PathPrefix, ProcessType};
use crate::policy::Policy;
use crate::route::internal_app;

/// Environment variables that minipaas sets itself.
pub(super) const ENV_RESERVED: [&str; 1] = ["PORT"];

/// Tables that are about what runs.
const RUNNING_TABLES: [&str; 9] =
    ["build", "cron", "deploy", "env", "link", "port", "process", "release", "volume"];
/// What would be run as a process type, if it were one.
const RELEASE: &str = "release";

/// Reads the whole document; a text that is no TOML gives one problem and an empty manifest.
pub(super) fn manifest(text: &str, references: &mut References<'_>, problems: &mut Vec<Problem>) -> Manifest {
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
            if entry.key() == RELEASE {
                let hint = Some("write `[release]`, with a `command`".to_owned());
                let message = "`release` is no process type: it runs once for each release".to_owned();
                report.problem(&entry.span(), message, hint);
                continue;
            }
            if let (Some(name), Some(inner)) = (name, inner) {
                manifest.processes.insert(name, process::process(inner, report));
            }
        }
    }
    // Before the routes: what it says holds for each of them.
    if let Some(table) = root.take("proxy").and_then(|entry| entry.table(report, "[proxy]")) {
        manifest.proxy = Arc::new(proxy::policy(table, &manifest.proxy, references, report));
    }
    if let Some(table) = root.take("tls").and_then(|entry| entry.table(report, "[tls]")) {
        tls::of_routes(table, Arc::make_mut(&mut manifest.proxy), references, report);
    }
    if let Some(entry) = root.take("route") {
        for (at, table) in entry.tables(report, "[[route]]") {
            let rule = route(table, &at, &manifest.proxy, references, report);
            let is_same = |other: &RouteRule| other.host == rule.host && other.path == rule.path;
            if manifest.routes.iter().any(is_same) {
                let host =
                    rule.host.as_ref().map_or_else(|| "the app's own host".to_owned(), ToString::to_string);
                let message = format!("a route for `{}` of {host} is there already; keep one", rule.path);
                report.problem(&at, message, None);
            }
            manifest.routes.push(rule);
        }
    }
    if let Some(entry) = root.take("port") {
        manifest.ports = port::rules(&entry, references, report);
    }
    if let Some(table) = root.take("link").and_then(|entry| entry.table(report, "[link]")) {
        manifest.links = link::links(table, manifest.app.as_ref(), report);
    }
    if let Some(table) = root.take("deploy").and_then(|entry| entry.table(report, "[deploy]")) {
        manifest.deploy = deploy::deploy(table, report);
    }
    if let Some(entry) = root.take(RELEASE)
        && let Some(table) = entry.table(report, "[release]")
    {
        manifest.release = release::release(table, &entry.span(), report);
    }
    if let Some(mut table) = root.take("volume").and_then(|entry| entry.table(report, "[volume]")) {
        for entry in table.take_all() {
            if let Some((name, volume)) = volume(&entry, report) {
                manifest.volumes.insert(name, volume);
            }
        }
    }
    if let Some(table) = root.take("cron").and_then(|entry| entry.table(report, "[cron]")) {
        manifest.cron = cron::jobs(table, report);
    }
    root.finish(report);
    manifest
}

/// Rules between tables: a process that something leads to exists, two volumes do not share a path.
pub(super) fn check_references(
    manifest: &Manifest,
    references: &References<'_>,
    text: &str,
    problems: &mut Vec<Problem>,
) {
    let mut report = Report::new(MANIFEST_FILE, text, problems);
    references.check_processes(manifest, &mut report);
    let line_of = |needle: &str| text.find(needle).map_or(0..0, |at| at..at);
    let mut paths = BTreeMap::new();
    for (name, volume) in &manifest.volumes {
        if let Some(other) = paths.insert(&volume.path, name) {
            let message = format!("volumes `{other}` and `{name}` are both mounted at `{}`", volume.path);
            report.problem(&line_of(&format!("[volume.{name}]")), message, None);
        }
    }
}

/// An app that is only a route has no use for tables about what runs.
pub(super) fn check_routes_alone(text: &str, problems: &mut Vec<Problem>) {
    // What is no TOML is told when it is read.
    let Ok(document) = DeTable::parse(text) else { return };
    let mut report = Report::new(MANIFEST_FILE, text, problems);
    for key in document.get_ref().keys().filter(|key| RUNNING_TABLES.contains(&&**key.get_ref())) {
        let message = format!(
            "`{}` means nothing to an app that is only a route; keep [proxy], [tls] and [[route]]",
            key.get_ref()
        );
        report.problem(&key.span(), message, None);
    }
}

/// A manifest that says nothing.
pub(super) fn empty() -> Manifest {
    Manifest {
        app: None,
        build: Build::default(),
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        processes: BTreeMap::new(),
        routes: Vec::new(),
        ports: Vec::new(),
        links: Vec::new(),
        proxy: Arc::default(),
        deploy: Deploy::default(),
        release: None,
        volumes: BTreeMap::new(),
        cron: BTreeMap::new(),
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
    let mut inside = |found: Option<(Range<usize>, String)>| {
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

fn route(
    mut table: Table<'_>,
    at: &Range<usize>,
    app: &Arc<Policy>,
    references: &mut References<'_>,
    report: &mut Report<'_>,
) -> RouteRule {
    let host = table.take("host").and_then(|entry| entry.parsed(report, "a host name", public_host));
    let path =
        table.take("path").and_then(|entry| entry.parsed(report, "a path such as `\"/api\"`", str::parse));
    let process = references.process(&mut table, at, "a route", report);
    let strip_prefix = table.take("strip_prefix").and_then(|entry| entry.boolean(report)).unwrap_or(false);
    let mut policy = match table.take("proxy").and_then(|entry| entry.table(report, "[route.proxy]")) {
        Some(table) => Arc::new(proxy::policy(table, app, references, report)),
        None => Arc::clone(app),
    };
    if let Some(table) = table.take("tls").and_then(|entry| entry.table(report, "[route.tls]")) {
        tls::of_routes(table, Arc::make_mut(&mut policy), references, report);
    }
    table.finish(report);
    RouteRule { host, path: path.unwrap_or_else(PathPrefix::root), process, strip_prefix, policy }
}

fn public_host(text: &str) -> Result<Host, String> {
    let host: Host = text.parse().map_err(|error: crate::name::NameError| error.to_string())?;
    match &host {
        Host::Exact(name) if internal_app(name).is_some() => {
            Err(format!("`{text}` is no host to choose: apps call each other at `<app>.internal`"))
        }
        _ => Ok(host),
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
