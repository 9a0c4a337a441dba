//! What pods say of why they do not run.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams, LogParams};

use super::{ApplyError, Cluster};

/// Lines of a container's log that are shown.
const LOG_LINES_MAX: i64 = 20;
/// Why a container waits while all is well.
const PATIENT: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Why one waits that will wait for ever, unless somebody does something.
const HOPELESS: [&str; 6] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
];

/// A pod that does not run as it should, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The pod.
    pub pod: String,
    /// The container; empty if there is none yet.
    pub container: String,
    /// `CrashLoopBackOff`, `ImagePullBackOff`, `Unschedulable`, `exit code 1`, `not ready`.
    pub reason: String,
    /// The cluster's words; may be empty.
    pub message: String,
    /// The last lines that it wrote, the newest last.
    pub log: Vec<String>,
    /// Whether what it says is in the log of the run before this one.
    was_restarted: bool,
}

impl Trouble {
    /// A pod of which only its log is known.
    pub(super) fn of_log(pod: String, log: Vec<String>) -> Self {
        let (container, message) = (String::new(), String::new());
        Self { pod, container, reason: "ended".to_owned(), message, log, was_restarted: false }
    }

    /// Whether waiting does not help.
    pub(super) fn is_hopeless(&self) -> bool {
        HOPELESS.contains(&self.reason.as_str())
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod `{}`: {}", self.pod, self.reason)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl Cluster {
    /// The pods with these labels, the newest first.
    pub(super) async fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Pod>, ApplyError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = api.list(&ListParams::default().labels(labels)).await;
        let mut pods = pods.map_err(|error| self.failed("list pods", error))?.items;
        let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        pods.sort_by_key(|pod| std::cmp::Reverse(made(pod)));
        Ok(pods)
    }

    /// The last lines of a container. Who may not read them gets none: the reason is told anyway.
    pub(super) async fn tail(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        is_before: bool,
    ) -> Vec<String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = LogParams {
            container: (!container.is_empty()).then(|| container.to_owned()),
            previous: is_before,
            tail_lines: Some(LOG_LINES_MAX),
            ..LogParams::default()
        };
        match api.logs(pod, &params).await {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(error) => {
                tracing::debug!(pod, container, %error, "no log");
                Vec::new()
            }
        }
    }

    /// The trouble with what its container wrote last.
    pub(super) async fn with_log(&self, namespace: &str, mut trouble: Trouble) -> Trouble {
        // One that never ran wrote nothing.
        if !trouble.is_hopeless() && !trouble.container.is_empty() {
            let before = trouble.was_restarted;
            trouble.log = self.tail(namespace, &trouble.pod, &trouble.container, before).await;
            if trouble.log.is_empty() && before {
                trouble.log = self.tail(namespace, &trouble.pod, &trouble.container, false).await;
            }
        }
        trouble
    }
}

/// Why this pod does not run as it should; `None`: it does, it is on its way, or it is about to go.
pub(super) fn trouble_of(pod: &Pod) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let statuses = |list: &Option<Vec<ContainerStatus>>| list.clone().unwrap_or_default();
    let containers =
        statuses(&status.init_container_statuses).into_iter().chain(statuses(&status.container_statuses));
    let found = containers.into_iter().find_map(|container| {
        let (reason, message) = trouble_of_container(&container)?;
        let was_restarted = container.restart_count > 0
            && container.state.as_ref().is_some_and(|state| state.terminated.is_none());
        let (pod, container) = (name.clone(), container.name);
        Some(Trouble { pod, container, reason, message, log: Vec::new(), was_restarted })
    });
    found.or_else(|| {
        let conditions = status.conditions.iter().flatten();
        let unscheduled = conditions
            .into_iter()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
        Some(Trouble {
            pod: name,
            container: String::new(),
            reason: unscheduled.reason.clone().unwrap_or_else(|| "Unschedulable".to_owned()),
            message: unscheduled.message.clone().unwrap_or_default(),
            log: Vec::new(),
            was_restarted: false,
        })
    })
}

/// Why a container that runs is not ready, which is no trouble until it is waited for in vain.
pub(super) fn unready_of(pod: &Pod) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let unready = statuses.iter().find(|container| !container.ready)?;
    Some(Trouble {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        container: unready.name.clone(),
        reason: "runs and is not ready".to_owned(),
        message: String::new(),
        log: Vec::new(),
        was_restarted: false,
    })
}

fn trouble_of_container(container: &ContainerStatus) -> Option<(String, String)> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap_or_default();
        if reason.is_empty() || PATIENT.contains(&reason.as_str()) {
            return None;
        }
        return Some((reason, waiting.message.clone().unwrap_or_default()));
    }
    let terminated = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
    let message = match terminated.reason.as_deref() {
        Some("Error") | None => terminated.message.clone().unwrap_or_default(),
        Some(reason) => reason.to_owned(),
    };
    Some((format!("exit code {}", terminated.exit_code), message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: &serde_json::Value, expected: Option<&str>) {
        let pod: Pod =
            serde_json::from_value(json!({ "metadata": { "name": "shop-1" }, "status": status })).unwrap();
        let found = trouble_of(&pod).map(|trouble| trouble.to_string());
        assert_eq!(found.as_deref(), expected);
    }

    fn container(state: &serde_json::Value) -> serde_json::Value {
        let status = json!({ "name": "web", "ready": false, "restartCount": 2, "image": "x", "imageID": "", "state": state });
        json!({ "containerStatuses": [status] })
    }

    #[test]
    fn what_is_wrong_is_told_from_what_takes_time() {
        check(&container(&json!({ "waiting": { "reason": "ContainerCreating" } })), None);
        check(&container(&json!({ "running": {} })), None);
        check(&container(&json!({ "terminated": { "exitCode": 0 } })), None);
        check(
            &container(&json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } })),
            Some("pod `shop-1`: ImagePullBackOff: no such image"),
        );
        check(
            &container(&json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } })),
            Some("pod `shop-1`: exit code 137: OOMKilled"),
        );
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node" });
        check(&json!({ "conditions": [condition] }), Some("pod `shop-1`: Unschedulable: no node"));
    }
}
