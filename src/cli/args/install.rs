//! What can be typed about minipaas on this machine: `install` and `uninstall`.

use std::path::PathBuf;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct InstallArgs {
    /// Apps are at `<app>.<domain>` [default: what `server.toml` says, else localhost]
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Where certificates of public names come from: as of `minipaas server`
    #[arg(long, value_name = "CAS")]
    pub(crate) acme_directory: Option<String>,
    /// Whom a certificate authority tells what it has to say
    #[arg(long, value_name = "EMAIL")]
    pub(crate) acme_email: Option<String>,
    /// Prove names by DNS records, as wildcards need it: as of `minipaas server`
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) acme_dns: Option<String>,
    /// The provider's credentials, a NAME=value a line
    #[arg(long, value_name = "FILE")]
    pub(crate) acme_dns_file: Option<PathBuf>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Install into the file system of an image below this folder, and touch nothing else
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UninstallArgs {
    /// Remove all apps with their volumes, and the state, too, after asking
    #[arg(long)]
    pub(crate) data: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Uninstall from the file system of an image below this folder, and touch nothing else
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}
