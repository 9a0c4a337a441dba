//! `minipaas health`: the probes of each process type, what they say of each instance, and setting them.
//!
//! What is typed becomes a probe in the words of the manifest, which the box reads as it reads the manifest.

use std::collections::BTreeMap;

use super::Session;
use super::args::{AppArgs, CheckArg, HealthAction, HealthArgs, HealthSetArgs};
use super::failure::Failure;
use super::interrupt::Interrupts;
use super::output::{Table, age};
use super::project;
use super::releases::{follow, print_changed};
use crate::api::{Health, HealthRequest, InstanceHealth, ProcessHealth};
use crate::clock;
use crate::manifest::{self, ProbeKind, ProbeSetting};
use crate::name::AppName;

pub(crate) async fn run(
    session: &Session,
    args: &HealthArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let (process, probes) = match &args.action {
        None | Some(HealthAction::List) => {
            return interrupts.or(show(session, &args.app), Failure::silently_interrupted).await;
        }
        Some(HealthAction::Set(args)) => {
            let (kind, text) = setting(args)?;
            (&args.process, BTreeMap::from([(kind.to_string(), Some(text))]))
        }
        Some(HealthAction::Unset { kinds, process }) => {
            (process, kinds.iter().map(|kind| (ProbeKind::from(*kind).to_string(), None)).collect())
        }
    };
    let app = project::app_of(session, &AppArgs { name: None })?;
    let request = HealthRequest { probes: [(process.to_string(), probes)].into() };
    let client = session.client();
    let deployed = follow(session, &app, client.change_health(&app, &request), interrupts).await?;
    print_changed(session, &app, &deployed)
}

/// The probe that was typed, as the manifest would have it.
fn setting(args: &HealthSetArgs) -> Result<(ProbeKind, String), Failure> {
    let HealthSetArgs { kind, check, words, interval, timeout, deadline, failures, .. } = args;
    let kind = ProbeKind::from(*kind);
    let times = [("interval", interval), ("timeout", timeout), ("deadline", deadline)];
    let mut options: Vec<String> = times
        .into_iter()
        .filter_map(|(key, time)| Some(format!("{key} = {}", manifest::quoted(&time.as_ref()?.0))))
        .collect();
    options.extend(failures.map(|failures| format!("failures = {failures}")));
    let (what, port) = match check {
        CheckArg::Command => (command(words)?, args.port),
        _ => what(args)?,
    };
    options.extend(port.map(|port| format!("port = {port}")));
    let text = match (check, what) {
        (CheckArg::Off, None) if options.is_empty() => "off".to_owned(),
        (CheckArg::Off, _) => return Err(Failure::usage("a probe that is off asks nothing")),
        (CheckArg::Tcp | CheckArg::Docker, Some(what)) => {
            return Err(Failure::usage(format!("`{what}` is nothing that this check takes")));
        }
        (CheckArg::Http, what) => table("http", &manifest::quoted(what.as_deref().unwrap_or("/")), &options),
        (CheckArg::Command, what) => table("command", &what.unwrap_or_default(), &options),
        (CheckArg::Tcp, None) => table("tcp", "true", &options),
        (CheckArg::Docker, None) => table("docker", "true", &options),
        (CheckArg::Grpc, what) => table("grpc", &flag(what.as_deref()), &options),
        (CheckArg::Hootsuite, what) => table("hootsuite", &flag(what.as_deref()), &options),
    };
    // The box would say the same; here nothing has been asked of it yet.
    ProbeSetting::parse(kind, &text).map_err(Failure::usage)?;
    Ok((kind, text))
}

/// Asked as it stands, or of this.
fn flag(what: Option<&str>) -> String {
    what.map_or_else(|| "true".to_owned(), manifest::quoted)
}

fn table(key: &str, value: &str, options: &[String]) -> String {
    let pairs: Vec<_> = std::iter::once(format!("{key} = {value}")).chain(options.iter().cloned()).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// The command as TOML.
fn command(words: &[String]) -> Result<Option<String>, Failure> {
    let quoted: Vec<_> = words.iter().map(|word| manifest::quoted(word)).collect();
    match quoted.as_slice() {
        [] => Err(Failure::usage("there is no command")
            .hint("it follows `--`: `minipaas health set live command -- pg_isready -q`")),
        // A single word is a line, as in the manifest.
        [line] => Ok(Some(line.clone())),
        words => Ok(Some(format!("[{}]", words.join(", ")))),
    }
}

/// The path or service, and the port: a number is a port, as in Deis' `httpGet 8000 --path=/up`.
fn what(args: &HealthSetArgs) -> Result<(Option<String>, Option<u16>), Failure> {
    let (mut what, mut port) = (args.path.clone(), args.port);
    for word in &args.words {
        let is_taken = match word.parse() {
            Ok(number) => port.replace(number).is_some(),
            Err(_) => what.replace(word.clone()).is_some(),
        };
        if is_taken {
            return Err(Failure::usage(format!("with `{word}` it is more than one thing to ask")));
        }
    }
    Ok((what, port))
}

async fn show(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let (out, client) = (session.out, session.client());
    let apps: Vec<AppName> = match project::named_app(session, args) {
        Some(app) => vec![app],
        None => client.apps().await?.iter().filter_map(|app| app.name.parse().ok()).collect(),
    };
    let mut told = Vec::new();
    for app in &apps {
        told.push(client.health(app).await?);
    }
    if out.is_json() {
        out.json(&told)?;
        return Ok(());
    }
    let mut table = Table::new(["APP", "INSTANCE", "PROBE", "ASKS", "RESULT", "FAILURES", "SINCE"]);
    for health in &told {
        for process in &health.processes {
            rows(&mut table, health, process);
        }
        if health.processes.is_empty() {
            out.notice(format_args!("nothing of `{}` is probed here", health.app));
        }
    }
    out.table(&table)?;
    Ok(())
}

fn rows(table: &mut Table, health: &Health, process: &ProcessHealth) {
    let probes = [
        ("startup", process.startup.as_deref()),
        ("ready", Some(process.ready.as_str())),
        ("live", process.live.as_deref()),
    ];
    let probes = probes.into_iter().filter_map(|(kind, asks)| Some((kind, asks?)));
    for (kind, asks) in probes {
        let is_set = process.by_command.iter().any(|set| set == kind);
        let asks = if is_set { format!("{asks} (by command)") } else { asks.to_owned() };
        for instance in &process.instances {
            let first = [health.app.clone(), instance.slot.clone(), kind.to_owned(), asks.clone()];
            table.row(first.into_iter().chain(result(instance, kind)));
        }
        if process.instances.is_empty() {
            let first = [health.app.clone(), process.process.clone(), kind.to_owned(), asks.clone()];
            table.row(first.into_iter().chain(["-", "-", "-"].map(str::to_owned)));
        }
    }
}

/// What was answered, how often it failed in a row, and since when.
fn result(instance: &InstanceHealth, kind: &str) -> [String; 3] {
    let now = clock::now();
    match instance.probes.iter().find(|probe| probe.kind == kind) {
        // What has no probe is ready by having run for a while.
        None if kind == "ready" => [instance.state.clone(), "0".to_owned(), age(instance.since, now)],
        None => ["not asked yet", "0", "-"].map(str::to_owned),
        Some(probe) => {
            let word = if probe.passes { "passes" } else { "fails" };
            let said = probe.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
            [format!("{word}{said}"), probe.failures.to_string(), age(probe.since, now)]
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::{Args, Command};
    use super::*;

    fn typed(words: &str) -> Result<String, String> {
        let args = Args::try_parse_from(format!("minipaas health set {words}").split(' '))
            .map_err(|error| error.to_string())?;
        let Command::Health(HealthArgs { action: Some(HealthAction::Set(args)), .. }) = args.command else {
            panic!("another command");
        };
        setting(&args)
            .map(|(kind, text)| format!("{kind} = {text}"))
            .map_err(|failure| failure.error.map(|error| error.to_string()).unwrap_or_default())
    }

    #[test]
    fn what_is_typed_is_a_probe_of_the_manifest() {
        let check =
            |words: &str, expected: &str| assert_eq!(typed(words).as_deref(), Ok(expected), "{words}");
        check("ready http /up", r#"ready = { http = "/up" }"#);
        check("ready http", r#"ready = { http = "/" }"#);
        check(
            "startup http /up --interval 5s --deadline 90 --failures 2 --port 81",
            r#"startup = { http = "/up", interval = "5s", deadline = "90s", failures = 2, port = 81 }"#,
        );
        check("live tcp 5432", "live = { tcp = true, port = 5432 }");
        check("live command -- pg_isready -q", r#"live = { command = ["pg_isready", "-q"] }"#);
        check("ready grpc shop.v1.Orders", r#"ready = { grpc = "shop.v1.Orders" }"#);
        check("ready hootsuite", "ready = { hootsuite = true }");
        check("live off", "live = off");
        // As Deis has it.
        check(
            "liveness httpGet 8000 --path=/up --timeout 3",
            r#"live = { http = "/up", timeout = "3s", port = 8000 }"#,
        );
        check("readiness exec -- /bin/true", r#"ready = { command = "/bin/true" }"#);
    }

    #[test]
    fn what_cannot_be_asked_is_said_before_the_box_is_asked() {
        let check = |words: &str, expected: &str| {
            let error = typed(words).expect_err(words);
            assert!(error.contains(expected), "{words}: {error}");
        };
        check("ready off", "cannot be off");
        check("live off --port 80", "asks nothing");
        check("live http up", "`up` is not a path");
        check("live http /up --deadline 1m", "unknown key `deadline`");
        check("live tcp db", "`db` is nothing that this check takes");
        check("live http /a /b", "more than one thing");
        check("live command", "there is no command");
        check("live http /up --interval soon", "is not a duration");
        check("alive http", "invalid value 'alive'");
    }
}
