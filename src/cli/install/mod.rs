//! `minipaas install`: makes of a Debian or Ubuntu machine a box that serves apps, and of an old box a new one.
//!
//! ```text
//! machine ─► facts ─► plan (pure) ─► printed by --dry-run
//!                         └────────► carried out, step by step
//! ```
//!
//! There is a step for what is not yet as it is to be, so typed again it does nothing, or upgrades. The daemon behind the
//! socket units is restarted, and no connection is refused. Where no systemd runs, as in a container, everything is done but
//! the start. `--root` is for images: then only files below that folder are touched.
//!
//! `minipaas uninstall` ([`uninstall`]) takes it back. Neither changes what minipaas did not make: Docker stays, too.

mod carry_out;
mod facts;
mod first_admin;
mod layout;
mod plan;
mod settings;
pub(super) mod uninstall;

use serde::Serialize;

use super::Session;
use super::args::InstallArgs;
use super::completions::VERSION;
use super::engine::EngineAction;
use super::failure::{Failure, Kind};
use super::output::Answer;
use crate::api::Status;
use crate::api::client::Client;
use crate::config;
use layout::{HOME, Layout};
use plan::{Facts, HomeState, Step};

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct InstallResult {
    version: &'static str,
    /// What was done, or would be.
    steps: Vec<String>,
    dry_run: bool,
    /// What starts the daemon, where nothing else does.
    start: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &InstallArgs) -> Result<(), Failure> {
    let out = session.out;
    let layout = Layout::new(args.root.as_deref());
    let client = Client::unix(config::socket_path(&layout.home()));
    let facts = facts::look(session, args, &layout, &client).await?;
    let steps = plan::plan(&facts);
    if !args.dry_run {
        check(&facts)?;
    }
    for warning in plan::warnings(&facts) {
        out.warning(warning);
    }
    let mut first_admin = None;
    if !args.dry_run {
        ask(session, &facts).await?;
        carry_out::carry_out(out, &layout, &steps, &client).await?;
        if facts.home == HomeState::Missing && !out.is_json() && steps.contains(&Step::Await) {
            first_admin = first_admin::first_admin(&client).await;
        }
    }
    let start = plan::by_hand(&facts);
    if out.is_json() {
        let steps = steps.iter().map(ToString::to_string).collect();
        out.json(&InstallResult { version: VERSION, steps, dry_run: args.dry_run, start })?;
    } else if args.dry_run {
        steps.iter().try_for_each(|step| out.line(step))?;
        if steps.is_empty() {
            out.line(unchanged())?;
        }
    } else {
        let status = client.status().await.ok().filter(|_| !layout.is_image());
        tell(session, &facts, &steps, status.as_ref(), first_admin)?;
    }
    if args.dry_run { check(&facts) } else { Ok(()) }
}

/// Refuses, with all that is in the way.
fn check(facts: &Facts) -> Result<(), Failure> {
    let problems = plan::problems(facts);
    let Some(first) = problems.first() else { return Ok(()) };
    let error = match problems.as_slice() {
        [only] => anyhow::anyhow!("{}", only.message),
        several => {
            let list = several.iter().map(|problem| format!("\n  {}", problem.message)).collect::<String>();
            anyhow::anyhow!("minipaas cannot be installed here:{list}")
        }
    };
    let kind = if facts.is_root || facts.is_image { Kind::Failed } else { Kind::Usage };
    let failure = Failure::new(kind, error).hint(first.hint.clone());
    Err(problems.iter().skip(1).fold(failure, |failure, problem| failure.hint(problem.hint.clone())))
}

/// Asks before Docker is installed.
async fn ask(session: &Session, facts: &Facts) -> Result<(), Failure> {
    let Some(EngineAction::Run { question: Some(question), .. }) = facts.engine else { return Ok(()) };
    let out = session.out;
    match tokio::task::spawn_blocking(move || out.ask(question)).await {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::failed("nothing was changed: apps need Docker")
            .hint("install an engine of your own choice, and type this again")),
        Ok(Answer::Nobody) | Err(_) => Err(Failure::usage(
            "there is no Docker on this machine, and nobody to ask whether it may be installed",
        )
        .hint("`minipaas install --yes` says so; `minipaas install --dry-run` shows what is done")),
    }
}

fn unchanged() -> String {
    format!("unchanged: minipaas {VERSION} is installed")
}

fn tell(
    session: &Session,
    facts: &Facts,
    steps: &[Step],
    status: Option<&Status>,
    first_admin: Option<String>,
) -> Result<(), Failure> {
    let out = session.out;
    if steps.is_empty() {
        out.line(unchanged())?;
    } else {
        out.line(format_args!("minipaas {VERSION} is installed; its state is in `{HOME}`"))?;
    }
    if let Some(admin) = first_admin {
        out.line(admin)?;
    }
    if let Some(start) = plan::by_hand(facts) {
        match status {
            Some(status) if status.version == VERSION && steps.is_empty() => {}
            Some(_) => out.notice(format_args!(
                "next: systemd does not run here, and a daemon does; `minipaas server --stop`, then start the new one: `{start}`"
            )),
            None => out.notice(format_args!("next: systemd does not run here; start it yourself: `{start}`")),
        }
    }
    if facts.is_image {
        out.notice("next: the image needs the package `docker.io`; minipaas starts with the machine");
    }
    if let Some(status) = status.filter(|_| !steps.is_empty()) {
        match status.domain.as_str() {
            "localhost" => out.notice(
                "next: `minipaas install --domain apps.example.com`, when a name leads here; until then apps are at `<app>.localhost`",
            ),
            domain => out.notice(format_args!(
                "next: let `*.{domain}` lead to this machine in the DNS; `minipaas doctor` looks whether it does"
            )),
        }
        out.notice("      `minipaas up` in a project's folder puts it online");
    }
    Ok(())
}
