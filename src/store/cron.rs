//! What jobs did: which were suspended, and how their last runs went.

use serde::{Deserialize, Serialize};

use super::record::{decode, encode, parse};
use super::{Store, StoreError};
use crate::cron::{Ended, Run};
use crate::name::AppName;

/// What is kept of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronRecord {
    /// The app.
    pub app: AppName,
    /// The job's name.
    pub job: String,
    /// Whether somebody has suspended it.
    pub is_suspended: bool,
    /// The last time that was dealt with, in milliseconds since the Unix epoch.
    pub seen: u64,
    /// Its last runs, the oldest first.
    pub runs: Vec<Run>,
}

#[derive(Serialize, Deserialize)]
struct CronForm {
    app: String,
    job: String,
    is_suspended: bool,
    seen: u64,
    runs: Vec<RunForm>,
}

#[derive(Serialize, Deserialize)]
struct RunForm {
    number: u64,
    planned: u64,
    by_hand: bool,
    started: Option<u64>,
    ended: Option<u64>,
    release: Option<String>,
    /// Absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<EndForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndForm {
    Exited(i64),
    TimedOut,
    Failed(String),
    Skipped,
    Missed(u64),
    Lost,
}

impl Store {
    /// Keeps what is known of a job.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub async fn save_cron(&self, record: &CronRecord) -> Result<(), StoreError> {
        let form = CronForm {
            app: record.app.to_string(),
            job: record.job.clone(),
            is_suspended: record.is_suspended,
            seen: record.seen,
            runs: record.runs.iter().map(from_run).collect(),
        };
        let mut batch = sled::Batch::default();
        batch.insert(format!("cron/{}/{}", record.app, record.job).as_bytes(), encode(&form));
        self.apply(batch).await
    }

    /// What is known of all jobs.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back.
    pub async fn cron(&self) -> Result<Vec<CronRecord>, StoreError> {
        self.blocking(|store| store.scan("cron/", read)).await
    }
}

fn read(key: &str, bytes: &[u8]) -> Result<CronRecord, StoreError> {
    let form: CronForm = decode(key, bytes)?;
    Ok(CronRecord {
        app: parse(key, &form.app)?,
        job: form.job,
        is_suspended: form.is_suspended,
        seen: form.seen,
        runs: form.runs.into_iter().map(|run| self::run(key, run)).collect::<Result<_, _>>()?,
    })
}

fn from_run(run: &Run) -> RunForm {
    RunForm {
        number: run.number,
        planned: run.planned,
        by_hand: run.by_hand,
        started: run.started,
        ended: run.ended,
        release: run.release.map(|release| release.to_string()),
        end: run.end.as_ref().map(|end| match end {
            Ended::Exited(code) => EndForm::Exited(*code),
            Ended::TimedOut => EndForm::TimedOut,
            Ended::Failed(why) => EndForm::Failed(why.clone()),
            Ended::Skipped => EndForm::Skipped,
            Ended::Missed(count) => EndForm::Missed(*count),
            Ended::Lost => EndForm::Lost,
        }),
        log: run.log.clone(),
    }
}

fn run(key: &str, form: RunForm) -> Result<Run, StoreError> {
    Ok(Run {
        number: form.number,
        planned: form.planned,
        by_hand: form.by_hand,
        started: form.started,
        ended: form.ended,
        release: form.release.map(|release| parse(key, &release)).transpose()?,
        end: form.end.map(|end| match end {
            EndForm::Exited(code) => Ended::Exited(code),
            EndForm::TimedOut => Ended::TimedOut,
            EndForm::Failed(why) => Ended::Failed(why),
            EndForm::Skipped => Ended::Skipped,
            EndForm::Missed(count) => Ended::Missed(count),
            EndForm::Lost => Ended::Lost,
        }),
        log: form.log,
    })
}
