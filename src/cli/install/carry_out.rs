//! Does the steps of a plan, one after the other, and says of each that it is done.
//!
//! Each step can be done again, so nothing is taken back when one fails: `minipaas install` typed once more finds what is
//! done and goes on.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::facts;
use super::layout::{Layout, SERVICE};
use super::plan::Step;
use crate::api::client::Client;
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::Output;
use crate::cli::{engine, server};
use crate::file::{PRIVATE_MODE, replace};

/// As the service's `StateDirectoryMode`: keys are in there.
const HOME_MODE: u32 = 0o700;
const PROGRAM_MODE: u32 = 0o755;
const UNIT_MODE: u32 = 0o644;
/// From the service's start to the first answer on its socket.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at the socket.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Lines of the service's log in a failure.
const LOG_LINES: &str = "15";

/// Does them all.
pub(super) async fn carry_out(
    out: Output,
    layout: &Layout,
    steps: &[Step],
    client: &Client,
) -> Result<(), Failure> {
    for (at, step) in steps.iter().enumerate() {
        out.notice(format_args!("=> {step}"));
        if let Err(failure) = carry_out_one(out, layout, step, client).await {
            let done = match at {
                0 => "nothing was changed".to_owned(),
                _ => format!("{at} of {} steps are done, and stay", steps.len()),
            };
            return Err(failure.hint(format!("{done}; `minipaas install`, typed again, goes on from here")));
        }
    }
    Ok(())
}

async fn carry_out_one(out: Output, layout: &Layout, step: &Step, client: &Client) -> Result<(), Failure> {
    match step {
        Step::EndByHand(_) => return server::end(out, client).await,
        Step::Await => return answering(client).await,
        Step::Systemctl(args) => {
            let args = args.clone();
            return blocking(move || systemctl(&args))
                .await
                .map_err(|failure| failure.with_log("the service", log()));
        }
        _ => {}
    }
    let (layout, step) = (layout.clone(), step.clone());
    blocking(move || change(&layout, &step)).await
}

/// What changes files, or runs a program.
fn change(layout: &Layout, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Engine(command) => engine::run(command),
        Step::Home => make_home(&layout.home()),
        Step::Settings(merged) => write(&layout.settings(), PRIVATE_MODE, merged.text.as_bytes()),
        Step::Binary { .. } => write(&layout.binary(), PROGRAM_MODE, &facts::program()?),
        Step::Unit(unit) => write(&layout.at(unit.path()), UNIT_MODE, unit.text.as_bytes()),
        Step::Enable(unit) => link(&layout.at(unit.link()), &unit.path()),
        Step::EndByHand(_) | Step::Systemctl(_) | Step::Await => Ok(()),
    }
}

/// Runs `systemctl`.
pub(super) fn systemctl(args: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("systemctl");
    // What it prints is no result of ours.
    command.args(args).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().context("cannot run `systemctl`")?;
    anyhow::ensure!(status.success(), "`systemctl {}` ended with {status}", args.join(" "));
    Ok(())
}

/// Runs it where waiting harms nobody.
pub(super) async fn blocking(
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let done = tokio::task::spawn_blocking(work).await.expect("no step panics");
    done.map_err(|error| Failure::new(Kind::Failed, error))
}

fn make_home(path: &Path) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    }
    match DirBuilder::new().mode(HOME_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make `{}`", path.display()));
        }
        _ => {}
    }
    let closed = std::fs::set_permissions(path, Permissions::from_mode(HOME_MODE));
    closed.with_context(|| format!("cannot close `{}` to others", path.display()))
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    replace(path, mode, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

fn link(path: &Path, target: &Path) -> anyhow::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    symlink(target, path).with_context(|| format!("cannot make the link `{}`", path.display()))
}

async fn answering(client: &Client) -> Result<(), Failure> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while let Err(error) = client.status().await {
        if Instant::now() >= deadline {
            let failure = Failure::from(error).with_log("the service", log());
            return Err(failure.hint("`systemctl status minipaas` and `journalctl -u minipaas` say more"));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// The last lines that the service logged; none where there is no journal.
fn log() -> Vec<String> {
    let mut journal = Command::new("journalctl");
    journal.args(["-u", SERVICE, "-n", LOG_LINES, "-o", "cat", "--no-pager"]).stdin(Stdio::null());
    let output = journal.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().map(str::to_owned).collect()
}
