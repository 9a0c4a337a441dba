//! What is typed about how apps are.

use std::str::FromStr;

use clap::{Subcommand, ValueEnum};

use super::AppArgs;
use crate::manifest::{self, ProbeKind};
use crate::name::ProcessType;

/// `minipaas status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Show which apps call which, and what that means for how they are
    #[arg(long)]
    pub(crate) graph: bool,
}

/// `minipaas health`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HealthArgs {
    #[command(subcommand)]
    pub(crate) action: Option<HealthAction>,
    #[command(flatten)]
    pub(crate) app: AppArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HealthAction {
    /// List the probes, as `minipaas health` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Set a probe of a process type, with a release
    Set(HealthSetArgs),
    /// Go back to what the manifest says, with a release
    Unset {
        /// Which probes
        #[arg(required = true, value_name = "PROBE")]
        kinds: Vec<ProbeArg>,
        /// The process type
        #[arg(short, long = "type", value_name = "TYPE", default_value = "web")]
        process: ProcessType,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct HealthSetArgs {
    /// Which probe
    #[arg(value_name = "PROBE")]
    pub(crate) kind: ProbeArg,
    /// What is asked
    #[arg(value_name = "CHECK")]
    pub(crate) check: CheckArg,
    /// The path of http and hootsuite, the port of tcp, the service of grpc; after `--` the command
    #[arg(value_name = "WHAT")]
    pub(crate) words: Vec<String>,
    /// The process type
    #[arg(short, long = "type", value_name = "TYPE", default_value = "web")]
    pub(crate) process: ProcessType,
    /// The path; the same as WHAT
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) path: Option<String>,
    /// Another port than the process's own
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Between two probes, such as `5s` [default: 1s until the first success, then 10s]
    #[arg(long, value_name = "TIME")]
    pub(crate) interval: Option<TimeArg>,
    /// For one probe [default: 5s]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<TimeArg>,
    /// Until the first success, of startup and ready [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<TimeArg>,
    /// Failures in a row that count [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) failures: Option<u32>,
}

/// One of a process type's probes, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeArg {
    /// Whether an instance has started; until then nothing else is asked
    #[value(alias = "startupProbe")]
    Startup,
    /// Whether it may receive traffic
    #[value(aliases = ["readiness", "readinessProbe"])]
    Ready,
    /// Whether it is to be restarted
    #[value(aliases = ["liveness", "livenessProbe"])]
    Live,
}

/// What a probe asks, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckArg {
    /// `GET` of a path: 2xx passes
    #[value(alias = "httpGet")]
    Http,
    /// A connection is accepted
    #[value(alias = "tcpSocket")]
    Tcp,
    /// A command exits with 0 inside the container
    #[value(alias = "exec")]
    Command,
    /// gRPC's own health service says `SERVING`
    Grpc,
    /// The health-checks API says `OK` or `WARN`
    Hootsuite,
    /// The image's own HEALTHCHECK says healthy
    Docker,
    /// Nothing, whatever the manifest says; not for ready
    Off,
}

/// A duration in the manifest's words; a number alone is seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeArg(pub(crate) String);

impl From<ProbeArg> for ProbeKind {
    fn from(arg: ProbeArg) -> Self {
        match arg {
            ProbeArg::Startup => Self::Startup,
            ProbeArg::Ready => Self::Ready,
            ProbeArg::Live => Self::Live,
        }
    }
}

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let text = if is_number { format!("{text}s") } else { text.to_owned() };
        manifest::duration(&text).map(|_| Self(text))
    }
}
