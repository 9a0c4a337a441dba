//! The text of a manifest, as somebody would write it by hand.
//!
//! Tables come in the order in which a reader wants them: what it is, how it is built, what it is told, what runs, how it is
//! reached. `web` goes before other process types. Comments say where a choice was made; the head of the file says what is
//! missing.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::draft::{Ask, Draft, Probe, Process};
use super::findings::{Note, NoteKind};
use crate::manifest::Command;

/// Where comments are wrapped; the files of people are about as wide.
const WIDTH: usize = 110;

/// The manifest of a draft, headed by where it comes from and its notes.
pub(super) fn manifest(draft: &Draft, from: &str, notes: &[&Note]) -> String {
    let mut out = String::new();
    head(&mut out, from, notes);
    let mut page = Page { out: &mut out, draft };
    if let Some(app) = &draft.app {
        page.remarks("app");
        page.pair("app", &string(app));
    }
    build(&mut page);
    page.table("env", draft.env.iter().map(|(name, value)| (name.as_str(), string(value))));
    if let Some(release) = &draft.release {
        page.table("release", [("command", command(release))]);
    }
    let is_web = |name: &&String| name.as_str() == "web";
    let names = draft.processes.keys().filter(is_web).chain(draft.processes.keys().filter(|n| !is_web(n)));
    for name in names {
        process(&mut page, name, &draft.processes[name]);
    }
    for route in &draft.routes {
        let key = format!("route.{}", route.host.as_deref().unwrap_or_default());
        page.section("[route]", &key);
        page.optional("host", route.host.as_deref().map(string));
        page.optional("path", route.path.as_deref().map(string));
        page.optional("process", (route.process != "web").then(|| string(&route.process)));
        page.optional("strip_prefix", route.strip_prefix.then(|| "true".to_owned()));
    }
    for port in &draft.ports {
        page.section("[port]", &format!("port.{}", port.port));
        page.pair("port", &port.port.to_string());
        page.optional("process", (port.process != "web").then(|| string(&port.process)));
        page.optional("target", (port.target != port.port).then(|| port.target.to_string()));
    }
    page.table(
        "link",
        draft.links.iter().map(|(stem, (app, variable))| (stem.as_str(), link(stem, app, variable))),
    );
    page.table("proxy", draft.proxy.iter().map(|(key, value)| (*key, value.clone())));
    for (name, path) in &draft.volumes {
        page.table(&format!("volume.{name}"), [("path", string(path))]);
    }
    for (name, job) in &draft.cron {
        let pairs = [("schedule", string(&job.schedule)), ("command", command(&job.command))];
        page.table(&format!("cron.{name}"), pairs);
    }
    page.table("deploy", draft.deploy.iter().map(|(key, value)| (*key, value.clone())));
    out
}

/// A text as a TOML string on one line.
pub(super) fn string(text: &str) -> String {
    let is_plain = !text.contains('\'') && !text.chars().any(char::is_control);
    if is_plain && text.contains(['"', '\\']) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of texts.
pub(super) fn strings<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    format!("[{}]", texts.into_iter().map(string).collect::<Vec<_>>().join(", "))
}

/// As a manifest says it, in the largest unit that is exact.
pub(super) fn time(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        n if n % 1000 != 0 => format!("\"{n}ms\""),
        n if n % 3_600_000 == 0 && n > 0 => format!("\"{}h\"", n / 3_600_000),
        n if n % 60_000 == 0 && n > 0 => format!("\"{}m\"", n / 60_000),
        n => format!("\"{}s\"", n / 1000),
    }
}

/// A key, in quotes where it needs some.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { name.to_owned() } else { string(name) }
}

fn command(command: &Command) -> String {
    match command {
        Command::Line(line) => string(line),
        Command::Args(args) => strings(args.iter().map(String::as_str)),
    }
}

fn link(stem: &str, app: &str, variable: &str) -> String {
    if variable == format!("{}_URL", stem.to_ascii_uppercase().replace('-', "_")) {
        string(app)
    } else {
        format!("{{ app = {}, env = {} }}", string(app), string(variable))
    }
}

fn head(out: &mut String, from: &str, notes: &[&Note]) {
    comment(out, "", &format!("Made by `minipaas import` of {from}."));
    let parts =
        [(NoteKind::Lost, "Not carried:"), (NoteKind::ToDo, "To do:"), (NoteKind::Choice, "Choices:")];
    for (kind, title) in parts {
        let notes: Vec<_> = notes.iter().filter(|note| note.kind == kind).collect();
        if !notes.is_empty() {
            out.push_str("#\n");
            comment(out, "", title);
            for note in notes {
                comment(out, "- ", &note.to_string());
            }
        }
    }
}

/// Wrapped at spaces, but not within backticks: a command stays one. Lines after the first are indented by `mark`.
fn comment(out: &mut String, mark: &str, text: &str) {
    let mut line = format!("# {mark}");
    let mut is_first = true;
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let mut word = word.to_owned();
        while word.matches('`').count() % 2 == 1
            && let Some(next) = words.next()
        {
            word.push(' ');
            word.push_str(next);
        }
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = format!("# {:1$}", "", mark.len());
            is_first = true;
        }
        if !is_first {
            line.push(' ');
        }
        line.push_str(&word);
        is_first = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

fn build(page: &mut Page<'_>) {
    let build = &page.draft.build;
    let pairs = [
        ("image", build.image.as_deref().map(string)),
        ("dockerfile", build.dockerfile.as_deref().map(string)),
        ("static", build.static_dir.as_deref().map(string)),
        ("spa", build.spa.then(|| "true".to_owned())),
        ("target", build.target.as_deref().map(string)),
    ];
    page.table("build", pairs.into_iter().filter_map(|(key, value)| Some((key, value?))));
    page.table("build.args", build.args.iter().map(|(name, value)| (name.as_str(), string(value))));
}

fn process(page: &mut Page<'_>, name: &str, process: &Process) {
    let section = format!("process.{name}");
    page.section(&section, &section);
    page.optional("command", process.command.as_ref().map(command));
    page.optional("port", process.port.map(|port| port.to_string()));
    page.optional("replicas", process.replicas.map(|replicas| replicas.to_string()));
    page.optional("startup", process.startup.as_ref().map(probe));
    page.optional("ready", process.ready.as_ref().map(probe));
    page.optional("live", process.live.as_ref().map(probe));
    page.optional("memory", process.memory.map(|memory| string(&memory.to_string())));
    page.optional("cpu", process.cpu.map(|cpu| cpu.to_string()));
    page.optional("stop_grace", process.stop_grace.map(time));
    let autoscale = process.autoscale.iter().map(|(key, value)| (*key, value.clone()));
    page.table(&format!("{section}.autoscale"), autoscale);
}

fn probe(probe: &Probe) -> String {
    let ask = match &probe.ask {
        Ask::Http(path) => format!("http = {}", string(path)),
        Ask::Tcp => "tcp = true".to_owned(),
        Ask::Command(asked) => format!("command = {}", command(asked)),
    };
    let parts = [
        Some(ask),
        probe.port.map(|port| format!("port = {port}")),
        probe.interval.map(|interval| format!("interval = {}", time(interval))),
        probe.timeout.map(|timeout| format!("timeout = {}", time(timeout))),
        probe.deadline.map(|deadline| format!("deadline = {}", time(deadline))),
        probe.failures.map(|failures| format!("failures = {failures}")),
    ];
    format!("{{ {} }}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// The text, and the draft whose remarks stand in it.
struct Page<'p> {
    out: &'p mut String,
    draft: &'p Draft,
}

impl Page<'_> {
    fn remarks(&mut self, above: &str) {
        for remark in self.draft.remarks(above) {
            comment(self.out, "", remark);
        }
    }

    /// A table's title, below an empty line and its remarks; `[name]` in a title is one of an array.
    fn section(&mut self, title: &str, remarks: &str) {
        self.out.push('\n');
        self.remarks(remarks);
        self.line(format_args!("[{title}]"));
    }

    /// A table with its pairs and their remarks; none without pairs.
    fn table<'k>(&mut self, title: &str, pairs: impl IntoIterator<Item = (&'k str, String)>) {
        let mut is_begun = false;
        for (name, value) in pairs {
            if !is_begun {
                self.section(title, title);
                is_begun = true;
            }
            self.remarks(&format!("{title}.{name}"));
            self.pair(name, &value);
        }
    }

    fn optional(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.pair(name, &value);
        }
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.line(format_args!("{} = {value}", key(name)));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{line}");
    }
}
