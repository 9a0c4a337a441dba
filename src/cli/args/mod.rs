//! What can be typed, as types.
//!
//! Only syntax is here: which words there are, and that a name is a name. What a missing `--app` means, say, is decided by
//! the commands. Before clap sees the arguments, `a:b` becomes `a b` (`colons`), because Heroku's users type `config:set`, and
//! what has another name there gets ours (`foreign`).
//! What is typed about an app's traffic is in `traffic`, about its processes in `processes`.

mod colons;
mod domains;
mod events;
mod export;
mod foreign;
mod health;
mod import;
mod install;
mod logs;
mod people;
mod processes;
mod releases;
mod runs;
mod traffic;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use self::colons::expand_colons;
use super::certs::CertsArgs;
use crate::external::{Address, Health};
use crate::name::{AppName, Host, PathPrefix};

pub(crate) use self::domains::{DomainsAction, DomainsArgs};
pub(crate) use self::events::{EventsArgs, HooksAction, HooksAddArgs, HooksArgs};
pub(crate) use self::export::{ExportArgs, FormatArg, SecretsArg};
pub(crate) use self::health::{CheckArg, HealthAction, HealthArgs, HealthSetArgs, StatusArgs};
pub(crate) use self::import::ImportArgs;
pub(crate) use self::install::{InstallArgs, UninstallArgs};
pub(crate) use self::logs::{DrainsAction, DrainsArgs, LogsArgs};
pub(crate) use self::people::{
    AccessAction, AccessArgs, InviteArgs, InvitesAction, InvitesArgs, LoginArgs, LogoutArgs, RemotesAction,
    RemotesArgs, TokensAction, TokensArgs, TransferArgs, UsersAction, UsersArgs,
};
pub(crate) use self::processes::{
    AutoscaleAction, AutoscaleArgs, AutoscaleSetArgs, CronAction, CronArgs, HistoryArgs, PsAction, PsArgs,
    RestartArgs, ScaleArgs, StopArgs, WaitArgs,
};
pub(crate) use self::releases::{
    ConfigAction, ConfigArgs, ConfigSetArgs, LimitsAction, LimitsArgs, ReleasesAction, ReleasesArgs,
    RollbackArgs,
};
pub(crate) use self::runs::{CpArgs, ExecArgs, Place, PortForwardArgs, Ports, RunArgs};
pub(crate) use self::traffic::{
    CanaryAction, CanaryArgs, MaintenanceAction, MaintenanceArgs, MaintenanceOnArgs, PauseArgs, ProxyAction,
    ProxyArgs,
};

/// Apart from a command's own options, which are what its help is read for.
const GLOBAL_HEADING: &str = "Options of every command";

/// A Heroku of your own: builds the app in this folder, runs it in Docker, and routes https to it.
#[derive(Debug, Parser)]
#[command(name = "minipaas", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Globals {
    /// The app [default: the manifest's `app`, else the folder's name]
    #[arg(short, long, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) app: Option<AppName>,
    /// The box, by its name in `minipaas remotes`; `local` is this machine's [default: MINIPAAS_REMOTE]
    #[arg(short, long, global = true, value_name = "NAME", help_heading = GLOBAL_HEADING)]
    pub(crate) remote: Option<String>,
    /// Print the result as JSON
    #[arg(long, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) json: bool,
    /// Say yes to every question
    #[arg(short, long, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) yes: bool,
    /// Print the result and errors alone
    #[arg(short, long, global = true, help_heading = GLOBAL_HEADING)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build the app, run it, and route to it
    Up(UpArgs),
    /// Stop an app and forget it
    Down(DownArgs),
    /// List releases, or show one
    Releases(ReleasesArgs),
    /// Go back to what an earlier release was
    Rollback(RollbackArgs),
    /// List an app's variables, or change them
    Config(ConfigArgs),
    /// Show or change how much memory and CPU processes may use
    Limits(LimitsArgs),
    /// List instances, or wait until they are ready
    Ps(PsArgs),
    /// Show how many instances there are of each process type, or change it
    Scale(ScaleArgs),
    /// Put new instances in the place of old ones, one after the other
    Restart(RestartArgs),
    /// Show or set by what rule the number of instances changes
    Autoscale(AutoscaleArgs),
    /// List the jobs that run at times, run one now, or see how they went
    Cron(CronArgs),
    /// List apps; make one that is only a route, look at one, or remove one
    Apps(AppsArgs),
    /// Run a command in a container of its own, with a release's image and environment
    Run(RunArgs),
    /// Run a command inside a running instance
    Exec(ExecArgs),
    /// Copy files into an instance, or out of it
    Cp(CpArgs),
    /// Have ports of this machine lead into an instance
    PortForward(PortForwardArgs),
    /// Print what the instances write, and what the box says about them
    Logs(LogsArgs),
    /// List the log servers that the app's stream is handed on to, add or remove one
    Drains(DrainsArgs),
    /// Show how much traffic there was, and how it went
    Metrics(AppArgs),
    /// Show the traffic of this moment, again and again
    Top(AppArgs),
    /// Answer an app's requests with a page that says it is being worked on, or show whether that is so
    Maintenance(MaintenanceArgs),
    /// Have an app's requests wait
    Pause(PauseArgs),
    /// Let the requests of a paused app go on
    Resume(AppArgs),
    /// Show the release that gets a share of the requests, or decide about it
    Canary(CanaryArgs),
    /// Show how an app's requests are treated, or change it at once, without a release
    Proxy(ProxyArgs),
    /// List the hosts of an app, add some, or remove what was added
    Domains(DomainsArgs),
    /// List the certificates of all hosts, add one of your own, or look at one
    Certs(CertsArgs),
    /// Write an app as objects of a Kubernetes cluster, which behave there as the app does here
    Export(Box<ExportArgs>),
    /// Show who did what, and what happened
    Events(EventsArgs),
    /// Tell others of what happens: list webhooks, add, test or remove one
    Hooks(HooksArgs),
    /// Log in to a box elsewhere, with an invite's link or a token
    Login(LoginArgs),
    /// Log out of a box: end the token there, and forget it here
    Logout(LogoutArgs),
    /// Say who you are for the box, and what you may do
    Whoami,
    /// List the boxes elsewhere that you have logged in to, or change what they are called
    Remotes(RemotesArgs),
    /// List the users of the box, make or remove one
    Users(UsersArgs),
    /// Print a link that lets a teammate in, once
    Invite(InviteArgs),
    /// List the invites that nobody has followed, or take one back
    Invites(InvitesArgs),
    /// List who may use an app, give or take a role
    #[command(alias = "perms", alias = "members", alias = "sharing")]
    Access(AccessArgs),
    /// List your tokens, make, revoke or rotate one
    Tokens(TokensArgs),
    /// Show what the box is and does
    Status(StatusArgs),
    /// Show the probes of each process type and what they say of its instances, or set one
    Health(HealthArgs),
    /// Open the app in a browser
    Open(AppArgs),
    /// Run the daemon in the foreground
    Server(Box<ServerArgs>),
    /// Look for what keeps minipaas from working, and say what to do
    Doctor,
    /// Make this machine a box: Docker, the program, its service; typed again, an upgrade
    Install(Box<InstallArgs>),
    /// Take minipaas off this machine; apps and data stay, unless they are to go
    Uninstall(UninstallArgs),
    /// Have this machine trust the box's certificates
    Trust(TrustArgs),
    /// Have this machine trust the box's certificates no more
    Untrust(UntrustArgs),
    /// Write a minipaas.toml out of another tool's project, and list what it cannot say
    Import(ImportArgs),
    /// Print a completion script
    Completions {
        /// The shell that it is for
        shell: Shell,
    },
    /// Print the control API as an OpenAPI document
    Openapi,
    /// Print the version
    Version,
    /// Serve a folder over http: what runs in the containers of static sites
    #[command(hide = true)]
    StaticServer(StaticServerArgs),
}

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A box, here or elsewhere.
    Box,
    /// This machine, or nothing but this program.
    Machine,
    /// What is known here of boxes elsewhere.
    Remotes,
}

impl Command {
    /// What it is about.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Login(_) | Self::Logout(_) | Self::Remotes(_) => Reach::Remotes,
            Self::Server(_) | Self::Doctor | Self::Trust(_) | Self::Untrust(_) | Self::Import(_) => {
                Reach::Machine
            }
            Self::Completions { .. } | Self::Version | Self::StaticServer(_) => Reach::Machine,
            _ => Reach::Box,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Only print what would change
    #[arg(long, conflicts_with = "watch")]
    pub(crate) plan: bool,
    /// Use this image instead of building one
    #[arg(long, value_name = "REF")]
    pub(crate) image: Option<String>,
    /// Deploy even if the app came from another folder
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Go on and deploy again whenever a file changes
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AppsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<AppsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppsAction {
    /// List them, as `minipaas apps` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Make an app that is only a route to servers that run elsewhere, or have it lead somewhere else
    Create(CreateArgs),
    /// Show an app and what answers for it
    Info(AppArgs),
    /// Make a user the app's only owner
    Transfer(TransferArgs),
    /// Stop an app and forget it, after asking
    Destroy(DestroyArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Have it lead to names without an address, too, though what it leads to now is ready
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// A server that answers for it, such as `http://10.0.0.5:8080`; may be given more than once
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Vec<Address>,
    /// A host besides `<app>.<domain>`; may be given more than once
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<Host>,
    /// Route only what is below this path [default: /]
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathPrefix>,
    /// When a server is ready: `tcp`, when it accepts connections, or a path that it answers with 2xx [default: tcp]
    #[arg(long, value_name = "CHECK")]
    pub(crate) health: Option<Health>,
    /// Take [proxy] and [[route]] from this manifest
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct AppArgs {
    /// The app; the same as `--app`
    #[arg(value_name = "APP")]
    pub(crate) name: Option<AppName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// Remove its volumes, too, with all their data
    #[arg(long)]
    pub(crate) volumes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DestroyArgs {
    #[command(flatten)]
    pub(crate) down: DownArgs,
    /// The app once more, in place of the question
    #[arg(short, long, value_name = "APP")]
    pub(crate) confirm: Option<AppName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Where to serve plain http, such as `127.0.0.1:8080` [default: port 80, else 8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Where to serve https [default: port 443, else 8443]
    #[arg(long, value_name = "ADDR")]
    pub(crate) https: Option<String>,
    /// Serve HTTP/3, too, on the UDP port of https's number
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) http3: Option<String>,
    /// Apps are at `<app>.<domain>` [default: localhost]
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Where the API is served over TLS, for `minipaas login` [default: the domain itself]
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Believe these proxies in front of the box what they say of their clients, such as `10.0.0.0/8,192.0.2.1`
    #[arg(long, value_name = "CIDRS")]
    pub(crate) trusted_proxies: Option<String>,
    /// The header in which they name the client's address [default: X-Forwarded-For]
    #[arg(long, value_name = "NAME")]
    pub(crate) client_ip_header: Option<String>,
    /// Their connections begin with a PROXY header, version 1 or 2
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) proxy_protocol: Option<String>,
    /// Where certificates of public names come from, the most wanted first: `letsencrypt`, `letsencrypt-staging`, `zerossl`, the
    /// URL of an ACME directory, or `off` [default: letsencrypt]
    #[arg(long, value_name = "CAS")]
    pub(crate) acme_directory: Option<String>,
    /// Trust the certificates in this file, too, when an ACME directory is asked
    #[arg(long, value_name = "FILE")]
    pub(crate) acme_root: Option<String>,
    /// Whom a certificate authority tells what it has to say
    #[arg(long, value_name = "EMAIL")]
    pub(crate) acme_email: Option<String>,
    /// Accounts at certificate authorities that ask for one, a line each: the authority, key id, key
    #[arg(long, value_name = "FILE")]
    pub(crate) acme_eab_file: Option<String>,
    /// Prove names by DNS records, as wildcards need it: cloudflare, digitalocean, hetzner, route53, rfc2136 or hook
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) acme_dns: Option<String>,
    /// The provider's credentials, a NAME=value a line [default: the environment's]
    #[arg(long, value_name = "FILE")]
    pub(crate) acme_dns_file: Option<String>,
    /// Name servers to ask in place of the system's, such as `10.0.0.53`
    #[arg(long, value_name = "ADDRS")]
    pub(crate) dns: Option<String>,
    /// The state's folder [default: /var/lib/minipaas for root, else ~/.local/state/minipaas]
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Where Prometheus may scrape `/metrics`, such as `127.0.0.1:9464`: anybody who reaches it sees all apps [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// Where a line for each request goes: a file, `stderr` or `off` [default: stderr]
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<String>,
    /// Stop the daemon; apps go on running in Docker, but are not reachable
    #[arg(long, conflicts_with_all = [
        "http", "https", "http3", "domain", "host", "metrics", "access_log", "trusted_proxies", "client_ip_header", "proxy_protocol",
        "acme_directory", "acme_root", "acme_email", "acme_eab_file", "acme_dns", "acme_dns_file", "dns",
    ])]
    pub(crate) stop: bool,
    /// Leave the terminal's session first: set by `up` when it starts a daemon in the background
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// Another box, such as `http://192.168.1.7`, or a file with its certificate [default: this machine's box]
    #[arg(value_name = "BOX")]
    pub(crate) from: Option<String>,
    /// Only print the CA's certificate; with `--json` its fingerprint, too
    #[arg(long, conflicts_with_all = ["remove", "fingerprint"])]
    pub(crate) print: bool,
    /// Trust a certificate of this fingerprint alone, and do not ask
    #[arg(long, value_name = "SHA256", conflicts_with = "remove")]
    pub(crate) fingerprint: Option<String>,
    /// Take the certificate out again: as `minipaas untrust`
    #[arg(long, visible_alias = "untrust")]
    pub(crate) remove: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UntrustArgs {
    /// Another box, such as `http://192.168.1.7`, or a file with its certificate [default: this machine's box]
    #[arg(value_name = "BOX")]
    pub(crate) from: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StaticServerArgs {
    /// The site's root
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
    /// Answer unknown pages with `index.html`
    #[arg(long)]
    pub(crate) spa: bool,
    /// The port
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
}

/// The arguments, with `a:b` as `a b` in the command's place, and what is typed elsewhere as it is typed here.
///
/// # Errors
///
/// What clap says: also help and version are such an error, of exit code 0.
pub(crate) fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    let mut argv =
        foreign::translate(expand_colons(argv.into_iter().collect())).map_err(|(typed, instead)| {
            let message = format!("`{typed}` is not a command of minipaas\n\nhint: {instead}\n");
            Args::command().error(ErrorKind::InvalidSubcommand, message)
        })?;
    drop_list(&mut argv);
    // Each turn exchanges or takes out one word, and puts none there that is unknown.
    loop {
        let error = match Args::try_parse_from(&argv) {
            Err(error) if error.kind() == ErrorKind::UnknownArgument => error,
            parsed => return parsed,
        };
        let Some((option, meaning)) = foreign_option(&argv, &error) else { return Err(error) };
        if let foreign::OptionMeaning::Instead(hint) = meaning {
            let message = format!("`{option}` is not an option of this command\n\nhint: {hint}\n");
            return Err(Args::command().error(ErrorKind::UnknownArgument, message));
        }
        argv = foreign::exchanged(argv, &option, meaning).ok_or(error)?;
    }
}

/// Takes `list` out where a command alone is its list, which has options that a subcommand would not.
fn drop_list(argv: &mut Vec<OsString>) {
    let Some(at) = colons::command_position(argv) else { return };
    let mut command = Args::command();
    for at in at..argv.len() {
        let Some(found) = argv[at].to_str().and_then(|word| command.find_subcommand(word)) else { return };
        if found.get_name() == "list" && found.is_hide_set() {
            argv.remove(at);
            return;
        }
        command = found.clone();
    }
}

/// The option that a command does not know, with what it means elsewhere.
fn foreign_option(argv: &[OsString], error: &clap::Error) -> Option<(String, foreign::OptionMeaning)> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let mut command = Args::command();
    let mut names = Vec::new();
    for word in &argv[colons::command_position(argv)?..] {
        let Some(found) = word.to_str().and_then(|word| command.find_subcommand(word)) else { break };
        names.push(found.get_name().to_owned());
        command = found.clone();
    }
    Some((option.clone(), foreign::meaning(&names.join(" "), option)?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn globals_may_stand_before_and_after_the_command() {
        for typed in ["minipaas -a shop --json ps", "minipaas ps --json -a shop"] {
            let args = parse(typed.split(' ').map(OsString::from)).expect("arguments");
            assert!(args.globals.json);
            assert_eq!(args.globals.app.expect("an app").as_str(), "shop");
        }
    }

    #[test]
    fn a_list_takes_the_options_of_the_command_alone() {
        for typed in ["minipaas config:list -s", "minipaas -a shop releases ls -n 3", "minipaas apps:list"] {
            parse(typed.split(' ').map(OsString::from)).expect(typed);
        }
        let run = parse("minipaas run list x".split(' ').map(OsString::from)).expect("arguments");
        assert!(matches!(run.command, Command::Run(RunArgs { command, .. }) if command == ["list", "x"]));
    }

    #[test]
    fn names_are_checked_as_they_are_read() {
        let error = parse(["minipaas", "ps", "-a", "My_App"].map(OsString::from)).expect_err("no name");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("app name `My_App`"), "{error}");
    }
}
