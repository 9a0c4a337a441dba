//! `[release]`: the command that is run once for each release, before any of it starts.

use std::ops::Range;
use std::time::Duration;

use super::Command;
use super::process;
use super::read::{Report, Table};

/// A release's own command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseCommand {
    /// What to run.
    pub command: Command,
    /// How long it may take. Default 1 h, as on Heroku; 24 h at most.
    pub deadline: Duration,
}

impl ReleaseCommand {
    /// How long it may take when nothing is said.
    pub const DEADLINE: Duration = Duration::from_secs(60 * 60);
    /// How long it may be allowed to take.
    pub const DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// This command, with every default.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self { command, deadline: Self::DEADLINE }
    }
}

pub(super) fn release(
    mut table: Table<'_>,
    at: &Range<usize>,
    report: &mut Report<'_>,
) -> Option<ReleaseCommand> {
    let entry = table.take("command");
    if entry.is_none() {
        let hint = Some("write `command = \"npm run migrate\"`, say".to_owned());
        report.problem(at, "[release] needs a `command`".to_owned(), hint);
    }
    let command = entry.and_then(|entry| process::command(&entry, report));
    let mut deadline = ReleaseCommand::DEADLINE;
    if let Some(entry) = table.take("deadline")
        && let Some(found) = entry.positive_duration(report)
    {
        deadline = found;
        if found > ReleaseCommand::DEADLINE_MAX {
            report.problem(&entry.span(), "`deadline` is longer than 24 h".to_owned(), None);
        }
    }
    table.finish(report);
    Some(ReleaseCommand { command: command?, deadline })
}
