//! Makes sure that there is an engine before `up` needs one.
//!
//! The daemon is the one that talks to the engine, so its word counts: [`ensure`] asks it, and where there is no engine looks
//! at the machine, has [`decide`] choose what to do, and does it. Then it waits until the daemon has found the engine, which
//! looks for it every second. `DOCKER_HOST` names an engine that is somebody else's to start; then nothing is done.
//!
//! Docker is installed from the distribution alone, where that is one command, and only after somebody said yes.

mod decide;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::Session;
use super::failure::{Failure, Kind};
use super::output::Answer;
use crate::api::EngineStatus;
use crate::api::client::Client;
use decide::{EngineFacts, Privilege, Socket, decide};

pub(crate) use decide::{CommandLine, EngineAction};

/// Where Docker listens.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where a `dockerd` that we start logs to.
const DOCKERD_LOG: &str = "/var/log/minipaas-dockerd.log";
/// For a daemon that was started just now to have asked its engine.
const FIRST_LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// From the engine's start to the daemon's word that it answers; `dockerd` takes 2 s, more on a small board.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two questions to the daemon.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Returns when the daemon has an engine.
pub(crate) async fn ensure(session: &Session, client: &Client) -> Result<(), Failure> {
    let status = settled(client).await?;
    let Some(error) = status.error else { return Ok(()) };
    if session.is_remote() {
        let hint = "`minipaas doctor` on the box looks for the reason".to_owned();
        return Err(away(&status.endpoint, &error, vec![hint]));
    }
    let facts = facts(session, &error);
    match decide(&facts) {
        EngineAction::GiveUp { hints } => Err(away(&status.endpoint, &error, hints)),
        EngineAction::Run { question, commands } => {
            let out = session.out;
            if let Some(question) = question {
                let answer = tokio::task::spawn_blocking(move || out.ask(question)).await;
                if !matches!(answer, Ok(Answer::Yes)) {
                    let typed = commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>();
                    let hint = format!("type {}, or let `minipaas up --yes` do it", typed.join(", then "));
                    return Err(away(&status.endpoint, &error, vec![hint]));
                }
            }
            for command in commands {
                out.notice(format_args!("=> {command}"));
                tokio::task::spawn_blocking(move || run(&command))
                    .await
                    .expect("running a command does not panic")
                    .map_err(|error| Failure::new(Kind::Unreachable, error))?;
            }
            answering(client).await
        }
    }
}

/// What to do so that this machine has an engine of its own; nothing where one answers at Docker's own socket.
pub(crate) fn of_machine(session: &Session) -> Option<EngineAction> {
    let facts = facts(session, "");
    // A variable of this shell is none of the service's.
    (facts.socket != Socket::Answers).then(|| decide(&EngineFacts { docker_host: None, ..facts }))
}

/// The engine's state, once the daemon has one.
async fn settled(client: &Client) -> Result<EngineStatus, Failure> {
    let deadline = Instant::now() + FIRST_LOOK_TIMEOUT;
    loop {
        let mut engine = client.status().await?.engine;
        if engine.error.is_some() || engine.version.is_some() {
            return Ok(engine);
        }
        if Instant::now() >= deadline {
            engine.error = Some(format!("no answer within {}s", FIRST_LOOK_TIMEOUT.as_secs()));
            return Ok(engine);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn answering(client: &Client) -> Result<(), Failure> {
    let deadline = Instant::now() + ENGINE_TIMEOUT;
    loop {
        let engine = client.status().await?.engine;
        match engine.error {
            None => return Ok(()),
            Some(error) if Instant::now() >= deadline => {
                let hints = vec![format!("`{DOCKERD_LOG}` or `journalctl -u docker` may say why")];
                return Err(away(&engine.endpoint, &error, hints));
            }
            Some(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

fn away(endpoint: &str, error: &str, hints: Vec<String>) -> Failure {
    let what = match endpoint {
        // It never answered; the error names the place that was tried.
        "" => "no engine answers".to_owned(),
        endpoint => format!("the engine at `{endpoint}` does not answer"),
    };
    let error = anyhow::anyhow!("{error}").context(what);
    hints.into_iter().fold(Failure::new(Kind::Unreachable, error), Failure::hint)
}

fn facts(session: &Session, error: &str) -> EngineFacts {
    let has = |program| find_program(session.env.get("PATH").unwrap_or_default(), program);
    let can_ask = session.out.can_ask();
    let privilege = match (session.env.is_root, has("sudo") && can_ask) {
        (true, _) => Privilege::Root,
        (false, true) => Privilege::Sudo,
        (false, false) => Privilege::None,
    };
    let socket = match UnixStream::connect(DOCKER_SOCKET) {
        Ok(_) => Socket::Answers,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Socket::Denied,
        Err(_) if error.to_ascii_lowercase().contains("permission denied") => Socket::Denied,
        Err(_) => Socket::Silent,
    };
    EngineFacts {
        docker_host: session.env.get("DOCKER_HOST").map(str::to_owned),
        socket,
        // The administrator's programs are not on everybody's path.
        has_dockerd: has("dockerd") || find_program("/usr/sbin:/usr/local/sbin:/usr/local/bin", "dockerd"),
        has_apt: has("apt-get"),
        has_apt_lists: has_apt_lists(Path::new("/var/lib/apt/lists")),
        has_systemd: Path::new("/run/systemd/system").exists(),
        privilege,
    }
}

fn find_program(path: &str, program: &str) -> bool {
    std::env::split_paths(path).any(|dir| dir.join(program).is_file())
}

/// Images of Debian come without the lists, and then `apt-get install` finds nothing.
fn has_apt_lists(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.path().to_string_lossy().contains("_Packages"))
    })
}

/// Runs it, and returns when it has ended, unless it goes on in the background.
pub(crate) fn run(command: &CommandLine) -> anyhow::Result<()> {
    let (program, args) = command.argv.split_first().expect("a command has a program");
    let mut process = Command::new(program);
    process.args(args);
    if command.is_detached {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(DOCKERD_LOG);
        let log = log.with_context(|| format!("cannot open `{DOCKERD_LOG}`"))?;
        // Out of the terminal's group, so that Ctrl-C does not reach it.
        std::os::unix::process::CommandExt::process_group(&mut process, 0);
        let (out, err) = (log.try_clone().context("cannot share the log")?, log);
        process.current_dir("/").stdin(Stdio::null()).stdout(out).stderr(err);
        process.spawn().with_context(|| format!("cannot run `{command}`"))?;
        return Ok(());
    }
    // What it prints is no result of ours.
    process.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    let status = process.status().with_context(|| format!("cannot run `{command}`"))?;
    anyhow::ensure!(status.success(), "`{command}` ended with {status}");
    Ok(())
}
