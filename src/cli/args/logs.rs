//! What is typed about logs and drains.

use clap::{Subcommand, ValueEnum};

use super::AppArgs;
use crate::logs::Moment;
use crate::name::ReleaseId;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// Go on with new lines until interrupted
    #[arg(short, long, alias = "tail", short_alias = 't')]
    pub(crate) follow: bool,
    /// At most so many of the newest lines [default: 100, or all with --since]
    #[arg(short = 'n', long, alias = "num", value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Only this process type or instance: `web`, `web.1`
    #[arg(short, long, aliases = ["dyno", "dyno-name", "process-type", "ps"], short_alias = 'd', value_name = "PROC")]
    pub(crate) process: Option<String>,
    /// Only lines of this source
    #[arg(short, long)]
    pub(crate) source: Option<SourceArg>,
    /// Only lines since then: how long ago, such as `10m`, or when, such as `2026-11-23T20:37:00Z`
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Only lines until then
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub(crate) until: Option<Moment>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub(crate) grep: Option<String>,
    /// Only lines about this release
    #[arg(long, value_name = "vN")]
    pub(crate) release: Option<ReleaseId>,
    /// Print without colours, those of the app neither
    #[arg(long)]
    pub(crate) no_color: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceArg {
    /// What instances write
    App,
    /// A line for each request
    Router,
    /// Logs of builds
    Build,
    /// What became of releases
    Release,
    /// What the box does with instances
    #[value(alias = "minipaas", alias = "heroku")]
    Platform,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DrainsArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    #[command(subcommand)]
    pub(crate) action: Option<DrainsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DrainsAction {
    /// Hand the app's stream on to a log server from now on
    Add {
        /// `syslog://`, `syslog+tcp://`, `syslog+tls://` and a host, or `http(s)://…`; `-` reads it from standard input
        url: String,
    },
    /// Hand it on no more
    Remove {
        /// Its id, or its URL
        drain: String,
    },
}

impl SourceArg {
    /// As it is sent.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Router => "router",
            Self::Build => "build",
            Self::Release => "release",
            Self::Platform => "platform",
        }
    }
}
