//! `[cron.NAME]`: CronJobs.

use k8s_openapi::api::batch::v1::{CronJob as Resource, CronJobSpec, JobSpec, JobTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::Pod;
use super::schedule::{Crontab, crontab};
use super::{Draft, unit};
use crate::cron::MISSED_GRACE;
use crate::export::names::CRON_NAME_LENGTH_MAX;
use crate::export::object::{NoteKind, Object, Sheet};
use crate::manifest::CronJob;

/// How many runs of each kind are kept, with their logs. The box keeps more, of which a cluster has no use but full lists.
const HISTORY: i32 = 3;
/// Zones whose clocks never change.
const STEADY_ZONES: [&str; 3] = ["UTC", "Etc/UTC", "Etc/GMT"];

/// Adds a CronJob for each job whose schedule a cluster can keep.
pub(super) fn add(draft: &Draft<'_>, sheet: &mut Sheet<'_>) {
    for (name, job) in &draft.subject.manifest.cron {
        let what = format!("[cron.{name}] schedule");
        let pattern = job.schedule.pattern();
        match crontab(&job.schedule) {
            Crontab::Same(schedule) => sheet.add(cron_job(draft, name, job, schedule)),
            Crontab::Moved { schedule, second } => {
                sheet.add(cron_job(draft, name, job, schedule));
                let text = format!(
                    "a cluster knows no seconds: `{pattern}` runs {second} s earlier, at the full minute"
                );
                sheet.note(NoteKind::Changed, &what, text);
            }
            Crontab::Seldomer { schedule, times } => {
                sheet.add(cron_job(draft, name, job, schedule));
                let text = format!(
                    "a cluster knows no seconds: of `{pattern}` one run of {times} in a minute is left; a process type that does it \
                     in a loop keeps all"
                );
                sheet.note(NoteKind::Dropped, &what, text);
            }
            Crontab::None => {
                let text = format!(
                    "no CronJob is written: `{pattern}` names years, or counts weekdays, which a cluster cannot; let it run on more \
                     days, and have the command look which day it is"
                );
                sheet.note(NoteKind::Dropped, &what, text);
                continue;
            }
        }
        let zone = job.schedule.zone_name();
        if !STEADY_ZONES.contains(&zone) {
            let text = format!(
                "a time that `{zone}` leaves out in spring is not made up for on a cluster; on the box it is, at once"
            );
            sheet.note(NoteKind::Changed, format!("[cron.{name}] timezone"), text);
        }
    }
}

fn cron_job(draft: &Draft<'_>, name: &str, job: &CronJob, schedule: String) -> Object {
    let subject = draft.subject;
    let part = job.process.as_str();
    let pod = Pod {
        part,
        command: Some(&job.command),
        memory: job.memory,
        cpu: job.cpu,
        port: None,
        ports: Vec::new(),
        volumes: Vec::new(),
        runs_once: true,
    };
    let is_written_so = schedule == job.schedule.pattern();
    let concurrency = if job.overlap { "Allow" } else { "Forbid" };
    let labels = draft.metadata(String::new(), Some(part)).labels;
    let resource = Resource {
        metadata: draft.metadata(draft.names.part(name, CRON_NAME_LENGTH_MAX), Some(part)),
        spec: Some(CronJobSpec {
            schedule,
            time_zone: Some(job.schedule.zone_name().to_owned()),
            concurrency_policy: Some(concurrency.to_owned()),
            starting_deadline_seconds: Some(MISSED_GRACE.as_secs().cast_signed()),
            successful_jobs_history_limit: Some(HISTORY),
            failed_jobs_history_limit: Some(HISTORY),
            suspend: subject.suspended.contains(name).then_some(true),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta { labels, ..ObjectMeta::default() }),
                spec: Some(JobSpec {
                    backoff_limit: Some(0),
                    active_deadline_seconds: Some(unit::positive(job.deadline).into()),
                    template: pod.template(draft),
                    ..JobSpec::default()
                }),
            },
        }),
        ..Resource::default()
    };
    let object =
        pod.commented(Object::new(&subject.app, &resource), "/spec/jobTemplate/spec/template", &draft.user);
    let object = object.comment(
        "/spec/startingDeadlineSeconds",
        "as on the box, a run that was missed is made up for so long",
    );
    if is_written_so {
        object
    } else {
        object.comment("/spec/schedule", format!("`{}` in the manifest", job.schedule.pattern()))
    }
}
