//! What can be typed about events and webhooks.

use clap::Subcommand;

use super::AppArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// At most so many of the newest [default: 100]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Only those from this time on: `2h`, `3d`, or a time such as `2026-05-01T12:00Z`
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only those by this user; `minipaas` for what the box did by itself
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only these actions, such as `deploy,release-failed`
    #[arg(long, value_name = "ACTIONS")]
    pub(crate) action: Option<String>,
    /// Go on with new ones until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HooksArgs {
    #[command(subcommand)]
    pub(crate) action: Option<HooksAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HooksAction {
    /// List them, as `minipaas hooks` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Send what happens to this URL; with `--app` only what happens to that app
    Add(HooksAddArgs),
    /// Send nothing more
    Remove {
        /// Its id, as `minipaas hooks` lists it
        id: String,
    },
    /// Send a test now, and say what came of it
    Test {
        /// Its id, as `minipaas hooks` lists it
        id: String,
    },
    /// List what was sent lately, and what came of it
    Deliveries {
        /// Its id, as `minipaas hooks` lists it
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct HooksAddArgs {
    /// Where it goes
    pub(crate) url: String,
    /// What it is for [default: release-active,release-failed,rolled-back-by-itself]
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',')]
    pub(crate) event: Vec<String>,
    /// Sign with a secret of your own, read from standard input with `-` [default: one is made, and printed once]
    #[arg(long, value_name = "-")]
    pub(crate) secret: Option<String>,
    /// What is sent: `json`, or `slack` for Slack and those that imitate it
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) format: String,
}
