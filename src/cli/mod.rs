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

mod access;
mod apply;
mod apps;
mod args;
mod attach;
mod autoscale;
mod canary;
mod certs;
mod check;
mod completions;
mod config;
mod cp;
mod cron;
mod daemon;
mod deploy;
mod doctor;
mod domains;
mod dotenv;
mod down;
mod drains;
mod engine;
mod events;
mod exec;
mod export;
mod failure;
mod graph;
mod health;
mod hooks;
mod image;
mod import;
mod install;
mod interrupt;
mod limits;
mod logs;
mod maintenance;
mod metrics;
mod open;
mod output;
mod pause;
mod port_forward;
mod progress;
mod project;
mod proxy;
mod ps;
mod push;
mod reform;
mod releases;
mod remotes;
mod revision;
mod run;
mod server;
mod static_server;
mod status;
mod terminal;
mod tokens;
mod top;
mod trust;
mod up;
mod users;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing_subscriber::EnvFilter;

use crate::api::client::Client;
use crate::config::{Env, ServerConfig};
use args::{Args, Command, Globals, Reach};
use failure::{Failure, Kind};
use interrupt::Interrupts;
use output::Output;
use remotes::login;

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
    /// The home of this machine's box.
    pub(crate) home: PathBuf,
    /// The box elsewhere that is meant in its place.
    remote: Option<Client>,
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
        _ => crate::config::home(flag, &env)?,
    };
    let remote = match command.reach() {
        Reach::Box => remotes::choose(&globals, &env, &home, out)?,
        Reach::Machine if globals.remote.as_deref().is_some_and(|name| name != "local") => {
            return Err(Failure::usage("this is about this machine, and takes no `--remote`"));
        }
        Reach::Machine | Reach::Remotes => None,
    };
    let session = Session { out, env, globals, home, remote };
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
        Command::Releases(args) => return releases::run(session, args, interrupts).await,
        Command::Rollback(args) => return releases::rollback(session, args, interrupts).await,
        Command::Config(args) => return config::run(session, args, interrupts).await,
        Command::Export(args) => return export::run(session, args, interrupts).await,
        Command::Health(args) => return health::run(session, args, interrupts).await,
        Command::Limits(args) => return limits::run(session, args, interrupts).await,
        Command::Run(args) => return run::run(session, args, interrupts).await,
        Command::Exec(args) => return exec::run(session, args, interrupts).await,
        Command::Cp(args) => cp::run(session, args).boxed(),
        Command::PortForward(args) => port_forward::run(session, args).boxed(),
        Command::Down(args) => down::run(session, args).boxed(),
        Command::Ps(args) => ps::run(session, args).boxed(),
        Command::Scale(args) => reform::scale(session, args).boxed(),
        Command::Restart(args) => reform::restart(session, args).boxed(),
        Command::Autoscale(args) => autoscale::run(session, args).boxed(),
        Command::Cron(args) => cron::run(session, args).boxed(),
        Command::Apps(args) => apps::run(session, args).boxed(),
        Command::Logs(args) => logs::run(session, args).boxed(),
        Command::Drains(args) => drains::run(session, args).boxed(),
        Command::Metrics(args) => metrics::run(session, args).boxed(),
        Command::Top(args) => top::run(session, args).boxed(),
        Command::Maintenance(args) => maintenance::run(session, args).boxed(),
        Command::Pause(args) => pause::run(session, args).boxed(),
        Command::Resume(args) => pause::resume(session, args).boxed(),
        Command::Canary(args) => canary::run(session, args).boxed(),
        Command::Proxy(args) => proxy::run(session, args).boxed(),
        Command::Domains(args) => domains::run(session, args).boxed(),
        Command::Certs(args) => certs::run(session, args).boxed(),
        Command::Events(args) => events::run(session, args).boxed(),
        Command::Hooks(args) => hooks::run(session, args).boxed(),
        Command::Status(args) => status::run(session, args).boxed(),
        Command::Login(args) => login::run(session, args).boxed(),
        Command::Logout(args) => login::logout(session, args).boxed(),
        Command::Whoami => login::whoami(session).boxed(),
        Command::Remotes(args) => remotes::run(session, args).boxed(),
        Command::Users(args) => users::run(session, args).boxed(),
        Command::Invite(args) => users::invite(session, args).boxed(),
        Command::Invites(args) => users::invites(session, args).boxed(),
        Command::Access(args) => access::run(session, args).boxed(),
        Command::Tokens(args) => tokens::run(session, args).boxed(),
        Command::Open(args) => open::run(session, args).boxed(),
        Command::Server(_) => server::stop(session).boxed(),
        Command::Doctor => doctor::run(session).boxed(),
        Command::Install(args) => install::run(session, args).boxed(),
        Command::Uninstall(args) => install::uninstall::run(session, args).boxed(),
        Command::Trust(args) => trust::run(session, args).boxed(),
        Command::Untrust(args) => trust::run_untrust(session, args).boxed(),
        Command::Completions { shell } => return completions::run(session, *shell),
        Command::Openapi => return completions::openapi(session),
        Command::Import(args) => return import::run(session, args),
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
    /// The way to the daemon that is meant, which may not be there.
    pub(crate) fn client(&self) -> Client {
        self.remote.clone().unwrap_or_else(|| self.local_client())
    }

    /// The way to this machine's daemon.
    pub(crate) fn local_client(&self) -> Client {
        Client::unix(crate::config::socket_path(&self.home))
    }

    /// Whether a box elsewhere is meant.
    pub(crate) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }
}
