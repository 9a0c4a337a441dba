//! The small cluster behind the API: Deployments that make progress or do not, jobs that end well or badly.
//!
//! Nothing here knows the time. A workload or job goes one step further each time that somebody looks at it, so a test that waits for it
//! takes as many looks as there are steps.

use serde_json::{Value, json};

use super::discovery::POD;
use super::state::{Key, State, Stored};

/// What a workload's or a job's pods do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// They become ready; a job's end well.
    Well,
    /// They wait, with this reason and message, until the deadline has passed.
    Waits(&'static str, &'static str),
    /// They write this and end with 1, again and again; a job's once.
    Crashes(&'static str),
    /// A Deployment never gets further than its first pod, a job never ends.
    Hangs,
}

/// Goes one step further.
pub fn advance(state: &mut State, key: &Key) {
    let (resource, _, name) = key.clone();
    let Some(stored) = state.objects.get(key).cloned() else { return };
    if stored.value["metadata"]["deletionTimestamp"].is_string() {
        state.remove(key);
        return;
    }
    let behaviour = state.behaviours.get(&name).cloned().unwrap_or(Behaviour::Well);
    let before = stored.value["status"].clone();
    let status = match resource.kind {
        "Deployment" | "StatefulSet" => workload(state, key, &stored.value, &behaviour),
        "Job" => job(state, key, &stored.value, &behaviour),
        _ => return,
    };
    if status != before {
        let version = state.next_version();
        let stored = state.objects.get_mut(key).unwrap();
        stored.value["status"] = status;
        stored.value["metadata"]["resourceVersion"] = version.into();
    }
}

fn workload(state: &mut State, key: &Key, value: &Value, behaviour: &Behaviour) -> Value {
    let mut status = value["status"].clone();
    let generation = value["metadata"]["generation"].as_u64().unwrap();
    let wanted = value["spec"]["replicas"].as_u64().unwrap();
    let number = |status: &Value, field: &str| status[field].as_u64().unwrap_or(0);
    if number(&status, "observedGeneration") < generation {
        status["observedGeneration"] = generation.into();
        status["updatedReplicas"] = 0.into();
        status["conditions"] =
            json!([{ "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated" }]);
        return status;
    }
    let updated = number(&status, "updatedReplicas");
    if updated < wanted && (updated == 0 || *behaviour == Behaviour::Well) {
        let pod = format!("{}-{generation}-{updated}", key.2);
        add_pod(state, key, value, &pod, behaviour);
        status["updatedReplicas"] = (updated + 1).into();
        status["replicas"] = (number(&status, "availableReplicas") + updated + 1).into();
        return status;
    }
    if *behaviour == Behaviour::Well {
        for field in ["replicas", "availableReplicas", "readyReplicas"] {
            status[field] = wanted.into();
        }
        let old = |pod: &Key| {
            pod.0 == POD && pod.1 == key.1 && !pod.2.starts_with(&format!("{}-{generation}-", key.2))
        };
        let of = value["metadata"]["uid"].clone();
        state
            .objects
            .retain(|pod, stored| !old(pod) || stored.value["metadata"]["ownerReferences"][0]["uid"] != of);
    } else if *behaviour != Behaviour::Hangs {
        let late = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
        status["conditions"] = json!([late]);
    }
    status
}

fn job(state: &mut State, key: &Key, value: &Value, behaviour: &Behaviour) -> Value {
    let mut status = value["status"].clone();
    let is_over = !status["conditions"].is_null();
    if status["active"].is_null() && !is_over {
        let pod = format!("{}-x", key.2);
        add_pod(state, key, value, &pod, behaviour);
        return json!({ "active": 1 });
    }
    if is_over {
        return status;
    }
    match behaviour {
        Behaviour::Hangs | Behaviour::Waits(..) => {}
        Behaviour::Well => {
            status = json!({ "succeeded": 1, "conditions": [{ "type": "Complete", "status": "True" }] });
        }
        Behaviour::Crashes(_) => {
            let failed = json!({ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" });
            status = json!({ "failed": 1, "conditions": [failed] });
        }
    }
    status
}

fn add_pod(state: &mut State, of: &Key, value: &Value, name: &str, behaviour: &Behaviour) {
    let is_job = of.0.kind == "Job";
    let mut labels = value["spec"]["template"]["metadata"]["labels"].clone();
    if is_job {
        labels["job-name"] = of.2.clone().into();
    }
    let container = value["spec"]["template"]["spec"]["containers"][0]["name"].clone();
    let (state_of, log, is_ready) = match behaviour {
        Behaviour::Well if is_job => (json!({ "terminated": { "exitCode": 0 } }), "migrated", false),
        Behaviour::Well => (json!({ "running": {} }), "listening", true),
        Behaviour::Hangs => (json!({ "running": {} }), "still at it", false),
        Behaviour::Waits(reason, message) => {
            (json!({ "waiting": { "reason": reason, "message": message } }), "", false)
        }
        Behaviour::Crashes(log) if is_job => {
            (json!({ "terminated": { "exitCode": 1, "reason": "Error" } }), *log, false)
        }
        Behaviour::Crashes(log) => {
            let waiting = json!({ "reason": "CrashLoopBackOff", "message": "back-off restarting" });
            (json!({ "waiting": waiting }), *log, false)
        }
    };
    state.logs.insert(name.to_owned(), log.to_owned());
    let key = (POD, of.1.clone(), name.to_owned());
    let version = state.next_version();
    state.pods += 1;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": of.1, "labels": labels, "uid": format!("uid-{name}"), "resourceVersion": version,
            // Of two pods the later one is the newer.
            "creationTimestamp": format!("2026-01-01T{:02}:{:02}:00Z", state.pods / 60, state.pods % 60),
            "ownerReferences": [{
                "apiVersion": of.0.api_version, "kind": of.0.kind, "name": of.2, "uid": value["metadata"]["uid"],
            }],
        },
        "spec": value["spec"]["template"]["spec"],
        "status": { "containerStatuses": [{
            "name": container, "image": "x", "imageID": "", "ready": is_ready, "restartCount": 0, "state": state_of,
        }] },
    });
    state.objects.insert(key, Stored { value: pod, ..Stored::default() });
}
