//! What can be typed about an app's traffic: maintenance, pauses, canaries, and how requests are treated.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use ipnet::IpNet;

use super::AppArgs;
use crate::manifest;
use crate::route::Mode;

#[derive(Debug, clap::Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    pub(crate) action: Option<MaintenanceAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceAction {
    /// Begin, or go on in another way
    On(MaintenanceOnArgs),
    /// End it
    Off,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MaintenanceOnArgs {
    /// Let clients of this network pass, such as `10.0.0.0/8` or an address; may be given more than once
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) allow: Vec<IpNet>,
    /// Let those pass who have a cookie, whose secret value is printed once
    #[arg(long)]
    pub(crate) cookie: bool,
    /// Show this page instead of minipaas's
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    /// Ask clients to come back after this time, such as `5m`
    #[arg(long, value_name = "TIME", value_parser = manifest::duration)]
    pub(crate) retry_after: Option<Duration>,
    /// Still answer this path with 200, for a load balancer that asks whether the box is well
    #[arg(long, value_name = "PATH", value_parser = health_path)]
    pub(crate) health_path: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// For so long at most; then a request is answered with 503. Up to `5m`
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = wait)]
    pub(crate) wait: Duration,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CanaryArgs {
    #[command(subcommand)]
    pub(crate) action: Option<CanaryAction>,
    /// Give it so many of a hundred clients from now on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) percent: Option<u8>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CanaryAction {
    /// Let it take over
    Promote,
    /// Take it away
    Abort,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ProxyArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ProxyAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProxyAction {
    /// Set keys of `[proxy]`, over what the manifest says
    Set {
        /// A key with its value as in the manifest, such as `body_max=20M` or 'allow=["10.0.0.0/8"]'
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
        #[command(flatten)]
        scope: ProxyScope,
    },
    /// Take keys back, so that the manifest's word holds again
    Unset {
        /// The key
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        scope: ProxyScope,
    },
    /// Take back all that was set by command, for the app and its routes
    Reset {
        #[command(flatten)]
        scope: ProxyScope,
    },
    /// Let a user in by a password, which is asked for, or read from standard input
    Password {
        /// The user
        user: String,
        /// Let the user in no more
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        scope: ProxyScope,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ProxyScope {
    /// Only for this route, such as `shop.example.com/api`, or `/api` of the app's own host
    #[arg(long, value_name = "HOST/PATH")]
    pub(crate) route: Option<String>,
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("`{text}` is no network; write one such as `10.0.0.0/8`, or an address"))
}

fn health_path(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no path; it begins with `/`, such as `/{text}`")),
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = manifest::duration(text)?;
    if wait > Mode::PAUSE_WAIT_MAX {
        return Err(format!(
            "`{text}` is longer than a request may wait, which is {}m",
            Mode::PAUSE_WAIT_MAX.as_secs() / 60
        ));
    }
    Ok(wait)
}
