//! What is typed about releases: the ledger, going back, config and limits.

use std::path::PathBuf;

use clap::Subcommand;

use crate::environment::VariableName;
use crate::name::{ProcessType, ReleaseId};

#[derive(Debug, clap::Args)]
pub(crate) struct ReleasesArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ReleasesAction>,
    /// At most so many, the newest first [default: 15]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleasesAction {
    /// List them, as `minipaas releases` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Show a release, and what is new about it
    Info {
        /// The release, such as `v42` [default: the one that serves]
        #[arg(value_name = "RELEASE")]
        release: Option<ReleaseId>,
    },
    /// Print what became of a release, and what its release command wrote
    Output {
        /// The release, such as `v42` [default: all]
        #[arg(value_name = "RELEASE")]
        release: Option<ReleaseId>,
    },
    /// Go back to what an earlier release was: as `minipaas rollback`
    Rollback(RollbackArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The release, such as `v42` [default: the last that served before]
    #[arg(value_name = "RELEASE")]
    pub(crate) release: Option<ReleaseId>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ConfigAction>,
    /// Print what a shell reads: NAME='value' lines
    #[arg(short, long)]
    pub(crate) shell: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// List the variables, as `minipaas config` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Print the values of variables, a line each
    Get {
        /// The variables
        #[arg(required = true, value_name = "NAME")]
        names: Vec<VariableName>,
        /// Print what a shell reads: NAME='value' lines
        #[arg(short, long)]
        shell: bool,
    },
    /// Set variables, with a release
    Set(ConfigSetArgs),
    /// Take variables out, with a release
    #[command(alias = "remove")]
    Unset {
        /// The variables
        #[arg(required = true, value_name = "NAME")]
        names: Vec<VariableName>,
        /// Have it wait for the next release
        #[arg(long)]
        no_restart: bool,
    },
    /// Change the variables in an editor: $VISUAL, $EDITOR or vi
    Edit,
    /// Write the variables to a file
    Pull {
        /// The file
        #[arg(short, long, value_name = "FILE", default_value = ".env")]
        output: PathBuf,
        /// Replace the file if it is there
        #[arg(short, long)]
        force: bool,
    },
    /// Set what a file has in NAME=value lines
    Push {
        /// The file; `-` is standard input
        #[arg(value_name = "FILE", default_value = ".env")]
        file: PathBuf,
        /// Have it wait for the next release
        #[arg(long)]
        no_restart: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigSetArgs {
    /// NAME=value; `NAME=-` reads the value from standard input
    #[arg(required = true, value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// Never show the values again, and give them as files: /run/secrets/NAME, whose path is in NAME_FILE
    #[arg(long)]
    pub(crate) secret: bool,
    /// Give secrets as variables, too
    #[arg(long, requires = "secret")]
    pub(crate) export: bool,
    /// Have it wait for the next release
    #[arg(long)]
    pub(crate) no_restart: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LimitsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LimitsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsAction {
    /// List them, as `minipaas limits` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Limit memory or CPU, with a release
    Set {
        /// Process type and limit: `web=256M`; `web=0.5` with --cpu
        #[arg(required = true, value_name = "TYPE=LIMIT")]
        limits: Vec<String>,
        /// The limits are cores, such as `0.5` or `500m`
        #[arg(long)]
        cpu: bool,
    },
    /// Go back to what the manifest says, with a release
    Unset {
        /// The process types
        #[arg(required = true, value_name = "TYPE")]
        types: Vec<ProcessType>,
    },
}
