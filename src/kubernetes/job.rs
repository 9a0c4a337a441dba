//! The jobs of a release, each run to its end before anything of the release serves.
//!
//! A job's name is that of its release, so one that has run is not run again. What a job runs cannot be changed: one that is there with
//! another text, or that has failed, is deleted and made anew.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use kube::api::{Api, DeleteParams, Preconditions};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::pods::{Trouble, trouble_of};
use super::rollout::Patience;
use super::stage::Deed;
use super::{ApplyError, Cluster, ObjectName, Options, Planned, Progress};

/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long a job may take that does not say itself (`activeDeadlineSeconds`).
const JOB_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// What the cluster gets beyond a job's own deadline to say that it has passed.
const DEADLINE_MARGIN: Duration = Duration::from_secs(60);
/// How long an image may be missing: somebody may be pushing it.
const HOPELESS_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a job that was deleted may stay: until its pods have ended.
const DELETE_TIME_MAX: Duration = Duration::from_secs(120);

impl Cluster {
    /// Runs a job, unless it has run, and waits for its end.
    pub(super) async fn run_job(
        &self,
        planned: &Planned,
        options: Options,
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        let name = &planned.name;
        progress.step("release", &name.to_string());
        if planned.deed == Deed::Replace {
            progress.notice(&format!("{name} was there, failed or of another text; it is made anew"));
            self.remove_job(planned).await?;
        }
        self.bring_about(planned, options).await?;
        self.await_job(name, progress).await
    }

    async fn remove_job(&self, planned: &Planned) -> Result<(), ApplyError> {
        let name = &planned.name;
        let uid = planned.live.as_ref().and_then(|live| live["metadata"]["uid"].as_str()).map(str::to_owned);
        let params = DeleteParams {
            preconditions: uid.clone().map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
            ..DeleteParams::foreground()
        };
        let api = self.api(&planned.kind, name.namespace.as_deref());
        match api.delete(&name.name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) => return Err(self.failed(&format!("delete {name}"), error)),
        }
        let deadline = Instant::now() + DELETE_TIME_MAX;
        while self
            .live(&planned.kind, name)
            .await?
            .is_some_and(|live| live["metadata"]["uid"].as_str() == uid.as_deref())
        {
            if Instant::now() >= deadline {
                return Err(ApplyError::Failed {
                    action: format!("delete {name}"),
                    message: format!("it is still there after {}s", DELETE_TIME_MAX.as_secs()),
                });
            }
            sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    async fn await_job(&self, name: &ObjectName, progress: &dyn Progress) -> Result<(), ApplyError> {
        let namespace = name.namespace.as_deref().unwrap_or(&self.namespace);
        let api: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let began = Instant::now();
        let mut patience = Patience::default();
        let mut told = BTreeSet::new();
        let mut hopeless_since = None;
        loop {
            let looked = match api.get(&name.name).await {
                Ok(job) => self.job_pods(namespace, name).await.map(|pods| (job, pods)),
                Err(error) => Err(self.failed(&format!("look at {name}"), error)),
            };
            let Some((job, (newest, trouble))) = patience.bear(looked)? else {
                sleep(LOOK_PAUSE).await;
                continue;
            };
            if condition(&job, "Complete").is_some() {
                if let Some(pod) = newest {
                    for line in self.tail(namespace, &pod, "", false).await {
                        progress.log(&line);
                    }
                }
                return Ok(());
            }
            if let Some(failed) = condition(&job, "Failed") {
                let reason = failed.reason.clone().unwrap_or_default();
                return Err(self.job_failed(name, &format!("failed: {reason}"), trouble, newest).await);
            }
            if let Some(trouble) = &trouble
                && told.insert(trouble.to_string())
            {
                progress.notice(&trouble.to_string());
            }
            let is_hopeless = trouble.as_ref().is_some_and(Trouble::is_hopeless);
            hopeless_since = is_hopeless.then(|| hopeless_since.unwrap_or_else(Instant::now));
            if hopeless_since.is_some_and(|since| since.elapsed() >= HOPELESS_TIME_MAX) {
                return Err(self.job_failed(name, "cannot be started", trouble, newest).await);
            }
            let own = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
            let own = own.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
            let limit = own.unwrap_or(JOB_TIME_MAX) + DEADLINE_MARGIN;
            if began.elapsed() >= limit {
                let reason = format!("did not end within {}s", limit.as_secs());
                return Err(self.job_failed(name, &reason, trouble, newest).await);
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// The newest pod of a job, and what is wrong with it.
    async fn job_pods(
        &self,
        namespace: &str,
        name: &ObjectName,
    ) -> Result<(Option<String>, Option<Trouble>), ApplyError> {
        let pods = self.pods(namespace, &format!("job-name={}", name.name)).await?;
        let newest = pods.first().and_then(|pod| pod.metadata.name.clone());
        Ok((newest, pods.first().and_then(trouble_of)))
    }

    async fn job_failed(
        &self,
        name: &ObjectName,
        reason: &str,
        trouble: Option<Trouble>,
        newest: Option<String>,
    ) -> ApplyError {
        let namespace = name.namespace.as_deref().unwrap_or(&self.namespace);
        let trouble = match (trouble, newest) {
            (Some(trouble), _) => Some(Box::new(self.with_log(namespace, trouble).await)),
            (None, Some(pod)) => {
                let log = self.tail(namespace, &pod, "", false).await;
                Some(Box::new(Trouble::of_log(pod, log)))
            }
            (None, None) => None,
        };
        ApplyError::JobFailed { job: name.clone(), reason: reason.to_owned(), trouble }
    }
}

/// Whether a job has failed for good.
pub(super) fn has_failed(live: &Value) -> bool {
    let conditions = live["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Failed" && condition["status"] == "True")
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}
