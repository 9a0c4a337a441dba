//! `[cron.NAME]`: commands that run at times.

use std::collections::BTreeMap;
use std::time::Duration;

use super::read::{Entry, Report, Table};
use super::{Bytes, Command, MilliCpu, process, quantity};
use crate::cron::Schedule;
use crate::name::ProcessType;

/// The zone of a schedule that names none.
const ZONE_DEFAULT: &str = "UTC";
/// How long a run may last unless the manifest says otherwise.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// `[cron.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronJob {
    /// When it runs.
    pub schedule: Schedule,
    /// What runs.
    pub command: Command,
    /// Whether it runs although the run before has not ended. Default false.
    pub overlap: bool,
    /// How long a run may last. Default an hour.
    pub deadline: Duration,
    /// The memory limit; `None`: none.
    pub memory: Option<Bytes>,
    /// The CPU limit; `None`: none.
    pub cpu: Option<MilliCpu>,
    /// What its containers are called: `cron-NAME`.
    pub process: ProcessType,
}

/// Reads `[cron]`.
pub(super) fn jobs(mut table: Table<'_>, report: &mut Report<'_>) -> BTreeMap<String, CronJob> {
    let entries = table.take_all();
    entries.iter().filter_map(|entry| Some((entry.key().to_owned(), job(entry, report)?))).collect()
}

fn job(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<CronJob> {
    let name = entry.key();
    let named = name.parse::<ProcessType>().and_then(|_| format!("cron-{name}").parse::<ProcessType>());
    let named = named.map_err(|error| error.to_string().replace("process type", "job"));
    let process = entry.checked(report, named);
    let mut table = entry.table(report, format!("[cron.{name}]"))?;
    let pattern = table.take("schedule");
    let zone = table.take("timezone");
    let command = table.take("command");
    for (key, found) in [("schedule", pattern.is_some()), ("command", command.is_some())] {
        if !found {
            let hint = if key == "schedule" {
                "`schedule = \"0 3 * * *\"`"
            } else {
                "`command = \"npm run report\"`"
            };
            let message = format!("job `{name}` has no `{key}`; write one such as {hint}");
            report.problem(&entry.span(), message, None);
        }
    }
    let command = command.and_then(|entry| process::command(&entry, report));
    let overlap = table.take("overlap").and_then(|entry| entry.boolean(report)).unwrap_or(false);
    let mut deadline = DEADLINE_DEFAULT;
    table.set("deadline", &mut deadline, |entry| entry.positive_duration(report));
    let memory = table
        .take("memory")
        .and_then(|entry| entry.parsed(report, "a size such as `\"256M\"`", quantity::memory));
    let cpu = table.take("cpu").and_then(|entry| process::cpu(&entry, report));
    table.finish(report);
    let zone_name = match &zone {
        Some(zone) => zone.parsed(report, "a time zone such as `\"Europe/Berlin\"`", |zone| {
            // Apart from the pattern, so that the line is the zone's.
            Schedule::new("@daily", zone).map(|_| zone.to_owned())
        })?,
        None => ZONE_DEFAULT.to_owned(),
    };
    let schedule = pattern.and_then(|entry| {
        entry.parsed(report, "a schedule such as `\"0 3 * * *\"`", |pattern| {
            Schedule::new(pattern, &zone_name)
        })
    });
    Some(CronJob {
        schedule: schedule?,
        command: command?,
        overlap,
        deadline,
        memory,
        cpu,
        process: process?,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::{Manifest, Source};

    fn check(toml: &str, expected: &Expect) {
        let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
        let said = match Manifest::parse(&source) {
            Ok((manifest, _)) => format!("{:#?}\n", manifest.cron),
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn a_job_has_defaults() {
        check(
            "[cron.report]\nschedule = \"0 3 * * *\"\ncommand = \"npm run report\"\ntimezone = \"Europe/Berlin\"\n",
            &expect![[r#"
                {
                    "report": CronJob {
                        schedule: Schedule(0 3 * * * Europe/Berlin),
                        command: Line(
                            "npm run report",
                        ),
                        overlap: false,
                        deadline: 3600s,
                        memory: None,
                        cpu: None,
                        process: ProcessType(
                            "cron-report",
                        ),
                    },
                }
            "#]],
        );
    }

    #[test]
    fn what_is_wrong_with_a_job_is_told_with_its_line() {
        let toml = "[cron.report]\nschedule = \"61 * * * *\"\ncommand = \"x\"\n[cron.late]\ncomand = \"x\"\n[cron.z]\nschedule = \"@daily\"\ncommand = \"x\"\ntimezone = \"Europe/Berln\"\n";
        let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
        let said = Manifest::parse(&source).unwrap_err().to_string();
        for expected in [
            "minipaas.toml:2: `61 * * * *` is no schedule: ",
            "job `late` has no `schedule`; write one such as `schedule = \"0 3 * * *\"`",
            "job `late` has no `command`",
            "minipaas.toml:5: unknown key `comand`",
            "minipaas.toml:9: there is no time zone `Europe/Berln`; write one such as `Europe/Berlin` or `UTC`",
        ] {
            assert!(said.contains(expected), "`{expected}` is not in:\n{said}");
        }
    }
}
