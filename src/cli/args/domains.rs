//! What can be typed about the hosts of an app.

use std::time::Duration;

use clap::Subcommand;

use crate::manifest;

#[derive(Debug, clap::Args)]
pub(crate) struct DomainsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<DomainsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DomainsAction {
    /// List them, as `minipaas domains` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Show one of them
    Info {
        #[arg(value_name = "HOST")]
        host: String,
    },
    /// Add hosts, such as `shop.example.com` or `*.example.com`: they lead to `web` at once, without a release
    Add {
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// Remove hosts that were added
    #[command(alias = "rm")]
    Remove {
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// Remove all hosts that were added
    Clear,
    /// Wait until each host has its certificate
    Wait {
        /// The hosts [default: all of the app's]
        #[arg(value_name = "HOST")]
        hosts: Vec<String>,
        /// Give up after this time
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = manifest::duration)]
        timeout: Duration,
    },
}
