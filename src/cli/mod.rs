//! The command line: what is typed becomes requests to the daemon, and answers become text.
//!
//! ```text
//! argv ─► args ─► a command (one file each) ─► api::client ─► output, progress
//!                      │
//!                      └─► Failure ─► text on stderr, exit code
//! ```
//!
//! [`run`] is the whole of it. A command gets a `Session` (who asks, which home, how to print) and returns a `Failure` when
//! it did not do what it was asked to: nothing here ends the process. Ctrl-C drops what a command is doing; `up` alone wants
//! to know, because it has a deploy to take back.
//!
//! The daemon is not called from here but for `minipaas server`, which is handed the function that runs it ([`ServerMain`]).

mod apps;
mod args;
mod autoscale;
mod canary;
mod certs;
mod completions;
mod cron;
mod daemon;
mod deploy;
mod doctor;
mod down;
mod engine;
mod failure;
mod image;
mod interrupt;
mod logs;
mod maintenance;
mod metrics;
mod open;
mod output;
mod pause;
mod progress;
mod project;
mod proxy;
mod ps;
mod reform;
mod server;
mod static_server;
mod status;
mod top;
mod trust;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing_subscriber::EnvFilter;

use crate::api::client::Client;
use crate::config::{self, Env, ServerConfig};
use args::{Args, Command, Globals};
use failure::{Failure, Kind};
use interrupt::Interrupts;
use output::Output;

/// Runs the daemon until it is told to end.
pub type ServerMain = fn(ServerConfig) -> anyhow::Result<()>;

/// What the command line logs when `MINIPAAS_LOG` says nothing.
const LOG: &str = "warn";

/// What every command knows.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) out: Output,
    pub(crate) env: Env,
    pub(crate) globals: Globals,
    /// The home of the box that is meant.
    pub(crate) home: PathBuf,
}

/// Does what the arguments say; `argv` starts with the program's name. Errors are printed, and become the exit code:
/// 0 done, 1 failed, 2 usage, 3 daemon or engine unreachable, 130 interrupted.
#[must_use]
pub fn run(argv: impl IntoIterator<Item = OsString>, server: ServerMain) -> ExitCode {
    let args = match args::parse(argv) {
        Ok(args) => args,
        Err(error) => {
            // Help that nobody reads to its end is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let env = Env::of_process();
    let out = Output::new(&args.globals, &env);
    match dispatch(args, env, out, server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(args: Args, env: Env, out: Output, server: ServerMain) -> Result<(), Failure> {
    let Args { globals, command } = args;
    if let Command::Server(args) = &command
        && !args.stop
    {
        return server::run(args, &env, server);
    }
    log_to_stderr(env.get("MINIPAAS_LOG").unwrap_or(LOG))?;
    let flag = if let Command::Server(args) = &command { args.home.as_deref() } else { None };
    let home = match &command {
        // It runs where there is no home, and needs none.
        Command::StaticServer(_) => PathBuf::new(),
        _ => config::home(flag, &env)?,
    };
    let session = Session { out, env, globals, home };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the runtime")
        .map_err(|error| Failure::new(Kind::Failed, error))?;
    let result = runtime.block_on(async {
        let mut interrupts = Interrupts::listen()
            .context("cannot listen for Ctrl-C")
            .map_err(|error| Failure::new(Kind::Failed, error))?;
        command_run(&session, &command, &mut interrupts).await
    });
    // A question that nobody answered, or a tool that hangs, is not waited for.
    runtime.shutdown_background();
    result
}

async fn command_run(
    session: &Session,
    command: &Command,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let work: BoxFuture<'_, Result<(), Failure>> = match command {
        Command::Up(args) => return up::run(session, args, interrupts).await,
        Command::Down(args) => down::run(session, args).boxed(),
        Command::Ps(args) => ps::run(session, args).boxed(),
        Command::Scale(args) => reform::scale(session, args).boxed(),
        Command::Restart(args) => reform::restart(session, args).boxed(),
        Command::Autoscale(args) => autoscale::run(session, args).boxed(),
        Command::Cron(args) => cron::run(session, args).boxed(),
        Command::Apps(args) => apps::run(session, args).boxed(),
        Command::Logs(args) => logs::run(session, args).boxed(),
        Command::Metrics(args) => metrics::run(session, args).boxed(),
        Command::Top(args) => top::run(session, args).boxed(),
        Command::Maintenance(args) => maintenance::run(session, args).boxed(),
        Command::Pause(args) => pause::run(session, args).boxed(),
        Command::Resume(args) => pause::resume(session, args).boxed(),
        Command::Canary(args) => canary::run(session, args).boxed(),
        Command::Proxy(args) => proxy::run(session, args).boxed(),
        Command::Certs(args) => certs::run(session, args).boxed(),
        Command::Status => status::run(session).boxed(),
        Command::Open(args) => open::run(session, args).boxed(),
        Command::Server(_) => server::stop(session).boxed(),
        Command::Doctor => doctor::run(session).boxed(),
        Command::Trust(args) => trust::run(session, args).boxed(),
        Command::Untrust(args) => trust::run_untrust(session, args).boxed(),
        Command::Completions { shell } => return completions::run(session, *shell),
        Command::Version => return completions::version(session),
        Command::StaticServer(args) => return static_server::run(args).await,
    };
    interrupts.or(work, Failure::silently_interrupted).await
}

/// Has everything that is logged go to standard error, through this filter.
fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .with_context(|| format!("`MINIPAAS_LOG` is `{filter}`, which is no log filter"))
        .map_err(|error| Failure::new(Kind::Usage, error))?;
    // By itself it colours files, too, and `daemon.log` is one.
    let is_coloured = console::colors_enabled_stderr();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_coloured)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

impl Session {
    /// The way to the daemon, which may not be there.
    pub(crate) fn client(&self) -> Client {
        Client::unix(config::socket_path(&self.home))
    }
}
