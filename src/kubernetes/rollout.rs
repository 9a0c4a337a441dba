//! New pods taking over from old ones: when that is done, and when it will never be.
//!
//! What "done" means is `kubectl rollout status`'s rule: the controller has seen the newest text, all replicas are of it, none of the old
//! ones is left, and all are available. A Deployment says itself when it makes no progress (`progressDeadlineSeconds`); a StatefulSet does
//! not, and gets as long as a Deployment gets by default.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::Api;
use tokio::time::{Instant, sleep};

use super::pods::{Trouble, trouble_of, unready_of};
use super::{ApplyError, Cluster, ObjectName, Planned, Progress};

/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long a cluster may be away meanwhile: an API server that is upgraded takes less.
const OUTAGE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a rollout may take that does not say itself: the default of `progressDeadlineSeconds`.
const PROGRESS_TIME: Duration = Duration::from_secs(600);
/// What a Deployment gets beyond its own deadline to say that it has passed.
const DEADLINE_MARGIN: Duration = Duration::from_secs(60);
/// Pods of which the log is shown.
const TROUBLES_MAX: usize = 3;

/// Bears a cluster that does not answer for a while.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Waiting(String),
    Done,
    Failed(String),
}

/// One workload that is looked at.
struct Look {
    verdict: Verdict,
    /// What its pods are found by.
    selector: String,
    /// How long it may take without saying anything.
    limit: Duration,
}

impl Patience {
    /// What was found; `None` if nobody answered, and that may pass.
    pub(super) fn bear<T>(&mut self, looked: Result<T, ApplyError>) -> Result<Option<T>, ApplyError> {
        match looked {
            Ok(found) => {
                self.since = None;
                Ok(Some(found))
            }
            Err(error @ ApplyError::Unreachable { .. }) => {
                let since = *self.since.get_or_insert_with(Instant::now);
                if since.elapsed() < OUTAGE_TIME_MAX { Ok(None) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }
}

impl Cluster {
    /// Waits until every workload among these runs as it is to.
    pub(super) async fn await_rollouts(
        &self,
        planned: impl Iterator<Item = &Planned>,
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        let is_workload =
            |planned: &&Planned| matches!(planned.name.kind.as_str(), "Deployment" | "StatefulSet");
        let mut waiting: BTreeMap<&ObjectName, String> =
            planned.filter(is_workload).map(|planned| (&planned.name, String::new())).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        progress
            .step("rollout", &waiting.keys().map(|name| name.name.as_str()).collect::<Vec<_>>().join(", "));
        let began = Instant::now();
        let mut patience = Patience::default();
        let mut told = BTreeSet::new();
        while !waiting.is_empty() {
            for name in waiting.keys().copied().collect::<Vec<_>>() {
                let namespace = name.namespace.as_deref().unwrap_or(&self.namespace);
                let Some(look) = patience.bear(self.look(namespace, name).await)? else { continue };
                match look.verdict {
                    Verdict::Done => {
                        waiting.remove(name);
                        progress.log(&format!("{name} runs"));
                    }
                    Verdict::Failed(reason) => {
                        return Err(self.rollout_failed(namespace, name, reason, &look.selector).await);
                    }
                    Verdict::Waiting(_) if began.elapsed() >= look.limit => {
                        let reason = format!("did not become ready within {}s", look.limit.as_secs());
                        return Err(self.rollout_failed(namespace, name, reason, &look.selector).await);
                    }
                    Verdict::Waiting(state) => {
                        for trouble in self.troubles(namespace, &look.selector, trouble_of).await {
                            if told.insert((trouble.pod.clone(), trouble.reason.clone())) {
                                progress.notice(&trouble.to_string());
                            }
                        }
                        if waiting.insert(name, state.clone()).is_some_and(|before| before != state) {
                            progress.log(&format!("{name}: {state}"));
                        }
                    }
                }
            }
            if !waiting.is_empty() {
                sleep(LOOK_PAUSE).await;
            }
        }
        Ok(())
    }

    async fn look(&self, namespace: &str, name: &ObjectName) -> Result<Look, ApplyError> {
        let failed = |error| self.failed(&format!("look at {name}"), error);
        if name.kind == "StatefulSet" {
            let api: Api<StatefulSet> = Api::namespaced(self.client.clone(), namespace);
            let found = api.get(&name.name).await.map_err(failed)?;
            let selector = found.spec.as_ref().map(|spec| selector(spec.selector.match_labels.as_ref()));
            let verdict = of_stateful_set(&found);
            return Ok(Look { verdict, selector: selector.unwrap_or_default(), limit: PROGRESS_TIME });
        }
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get(&name.name).await.map_err(failed)?;
        let spec = found.spec.as_ref();
        let own = spec
            .and_then(|spec| spec.progress_deadline_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Look {
            verdict: of_deployment(&found),
            selector: spec.map(|spec| selector(spec.selector.match_labels.as_ref())).unwrap_or_default(),
            limit: own.map_or(PROGRESS_TIME, Duration::from_secs) + DEADLINE_MARGIN,
        })
    }

    async fn troubles(
        &self,
        namespace: &str,
        selector: &str,
        of: impl Fn(&k8s_openapi::api::core::v1::Pod) -> Option<Trouble>,
    ) -> Vec<Trouble> {
        match self.pods(namespace, selector).await {
            Ok(pods) => pods.iter().filter_map(of).collect(),
            // Without the right to list pods there is still the workload's own word.
            Err(error) => {
                tracing::debug!(%error, selector, "no pods");
                Vec::new()
            }
        }
    }

    async fn rollout_failed(
        &self,
        namespace: &str,
        name: &ObjectName,
        reason: String,
        selector: &str,
    ) -> ApplyError {
        let found =
            self.troubles(namespace, selector, |pod| trouble_of(pod).or_else(|| unready_of(pod))).await;
        let mut troubles = Vec::new();
        for trouble in found.into_iter().take(TROUBLES_MAX) {
            troubles.push(self.with_log(namespace, trouble).await);
        }
        ApplyError::RolloutFailed { workload: name.clone(), reason, troubles }
    }
}

fn of_deployment(found: &Deployment) -> Verdict {
    let status = found.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < found.metadata.generation.unwrap_or(0) {
        return Verdict::Waiting("waits for the cluster to see it".to_owned());
    }
    let conditions = status.conditions.iter().flatten();
    let progressing = conditions.into_iter().find(|condition| condition.type_ == "Progressing");
    if let Some(late) =
        progressing.filter(|found| found.reason.as_deref() == Some("ProgressDeadlineExceeded"))
    {
        let seconds = found.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).unwrap_or(600);
        tracing::debug!(message = late.message, "the deadline has passed");
        return Verdict::Failed(format!("made no progress within {seconds}s"));
    }
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let old = status.replicas.unwrap_or(0) - updated;
    if updated < wanted {
        Verdict::Waiting(format!("{updated} of {wanted} new pods are made"))
    } else if old > 0 {
        Verdict::Waiting(format!("{old} old pods are still there"))
    } else if available < updated {
        Verdict::Waiting(format!("{available} of {updated} pods are ready"))
    } else {
        Verdict::Done
    }
}

fn of_stateful_set(found: &StatefulSet) -> Verdict {
    let status = found.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < found.metadata.generation.unwrap_or(0) {
        return Verdict::Waiting("waits for the cluster to see it".to_owned());
    }
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.ready_replicas.unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let is_updated = status.update_revision == status.current_revision || updated >= wanted;
    if ready < wanted {
        Verdict::Waiting(format!("{ready} of {wanted} pods are ready"))
    } else if !is_updated {
        Verdict::Waiting(format!("{updated} of {wanted} pods are new"))
    } else {
        Verdict::Done
    }
}

fn selector(labels: Option<&BTreeMap<String, String>>) -> String {
    let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: &serde_json::Value) -> Verdict {
        let found = json!({ "metadata": { "generation": 2 }, "spec": { "replicas": 2, "selector": {}, "template": {}, "progressDeadlineSeconds": 30 }, "status": status });
        of_deployment(&serde_json::from_value(found).unwrap())
    }

    #[test]
    fn a_rollout_is_done_when_nothing_old_is_left_and_all_is_available() {
        let waits = |status| assert!(matches!(deployment(&status), Verdict::Waiting(_)));
        waits(
            json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
        );
        waits(
            json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2 }),
        );
        waits(
            json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3 }),
        );
        waits(
            json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 }),
        );
        let done =
            json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
        assert_eq!(deployment(&done), Verdict::Done);
    }

    #[test]
    fn a_deadline_that_has_passed_is_a_failure() {
        let late = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
        let status = json!({ "observedGeneration": 2, "conditions": [late] });
        assert_eq!(deployment(&status), Verdict::Failed("made no progress within 30s".to_owned()));
        // Of the text before this one.
        let late = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
        assert!(matches!(
            deployment(&json!({ "observedGeneration": 1, "conditions": [late] })),
            Verdict::Waiting(_)
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_may_be_away_for_a_while() {
        let away = || ApplyError::Unreachable { server: String::new(), reason: String::new() };
        let mut patience = Patience::default();
        assert!(patience.bear::<()>(Err(away())).unwrap().is_none());
        tokio::time::advance(OUTAGE_TIME_MAX / 2).await;
        assert!(patience.bear(Ok(())).unwrap().is_some());
        tokio::time::advance(OUTAGE_TIME_MAX / 2).await;
        assert!(patience.bear::<()>(Err(away())).unwrap().is_none());
        tokio::time::advance(OUTAGE_TIME_MAX).await;
        patience.bear::<()>(Err(away())).unwrap_err();
    }
}
