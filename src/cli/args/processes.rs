//! What can be typed about an app's processes: how many, new ones, rules, and jobs that run at times.

use std::time::Duration;

use clap::Subcommand;

use super::AppArgs;
use crate::formation::Change;
use crate::manifest;
use crate::name::{NameError, ProcessType, Slot};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<PsAction>,
    #[command(flatten)]
    pub(crate) app: AppArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PsAction {
    /// Wait until all instances are ready and of the release that serves
    Wait(WaitArgs),
    /// As `minipaas scale`
    #[command(hide = true)]
    Scale(ScaleArgs),
    /// As `minipaas restart`
    #[command(hide = true)]
    Restart(RestartArgs),
    /// Restart one instance: it comes back, as `minipaas scale` says how many there are
    #[command(alias = "kill")]
    Stop(StopArgs),
    /// As `minipaas autoscale`
    #[command(hide = true)]
    Autoscale(AutoscaleArgs),
    /// Sizes are limits
    #[command(hide = true, aliases = ["resize", "size"])]
    Type(IgnoredArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    /// For so long at most
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = manifest::duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScaleArgs {
    /// `web=3`, `worker+1`, `web-1`; without any it is printed how many there are
    #[arg(value_name = "CHANGE")]
    pub(crate) changes: Vec<Change>,
    /// Have as many as the manifest says, of these process types, or of all
    #[arg(long, value_name = "TYPE", num_args = 0.., conflicts_with = "changes")]
    pub(crate) reset: Option<Vec<ProcessType>>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestartArgs {
    /// A process type, `web`, or one instance, `web.1` [default: all]
    #[arg(value_name = "TYPE|INSTANCE", value_parser = target)]
    pub(crate) target: Option<String>,
    /// The process type; as Heroku has it
    #[arg(short, long, hide = true, conflicts_with = "target")]
    pub(crate) process_type: Option<ProcessType>,
    /// The instance; as Heroku has it
    #[arg(short, long, hide = true, conflicts_with_all = ["target", "process_type"])]
    pub(crate) dyno_name: Option<Slot>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// The instance, such as `web.1`
    pub(crate) instance: Slot,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IgnoredArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AutoscaleArgs {
    #[command(subcommand)]
    pub(crate) action: Option<AutoscaleAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AutoscaleAction {
    /// List the rules, as `minipaas autoscale` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Have the number of instances change with what they have to do
    #[command(alias = "enable")]
    Set(AutoscaleSetArgs),
    /// Have it change no more, whatever the manifest says; it stays as it is
    #[command(alias = "disable")]
    Unset {
        /// The process type
        #[arg(value_name = "TYPE", default_value = "web")]
        process: ProcessType,
    },
    /// Have it change as the manifest says
    Reset {
        /// The process type
        #[arg(value_name = "TYPE", default_value = "web")]
        process: ProcessType,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["cpu", "p95", "in_flight"]))]
pub(crate) struct AutoscaleSetArgs {
    /// The process type
    #[arg(value_name = "TYPE", default_value = "web")]
    pub(crate) process: ProcessType,
    /// The fewest instances
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min: u32,
    /// The most instances
    #[arg(long, value_name = "N")]
    pub(crate) max: u32,
    /// The CPU that an instance is to use, such as `70%` of its limit, or of one core where it has none
    #[arg(long, alias = "cpu-percent", value_name = "PERCENT")]
    pub(crate) cpu: Option<String>,
    /// The time that 95 of 100 requests are not to exceed, such as `300ms`
    #[arg(long, value_name = "TIME")]
    pub(crate) p95: Option<String>,
    /// The requests that an instance is to have at a time
    #[arg(long, value_name = "N")]
    pub(crate) in_flight: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CronArgs {
    #[command(subcommand)]
    pub(crate) action: Option<CronAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CronAction {
    /// List the jobs, as `minipaas cron` alone does
    #[command(hide = true, alias = "ls")]
    List,
    /// Run a job now, and end with its exit code
    Run(JobArgs),
    /// Show how its last runs went
    History(HistoryArgs),
    /// Have it run at its times no more
    Suspend(JobArgs),
    /// Have it run at its times again
    Resume(JobArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// The job's name
    #[arg(value_name = "JOB")]
    pub(crate) name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Show what each run wrote last, too
    #[arg(long)]
    pub(crate) log: bool,
}

fn target(text: &str) -> Result<String, NameError> {
    if text.contains('.') {
        text.parse::<Slot>()?;
    } else {
        text.parse::<ProcessType>()?;
    }
    Ok(text.to_owned())
}
