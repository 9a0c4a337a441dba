//! What an API server refuses, of what an export could get wrong.
//!
//! Fields and types are those of k8s-openapi: what it cannot read is of a wrong type, and what is not there any more after it was read
//! and written again is a field that no version knows. Names, immutable fields and their messages are as kubernetes' validation has
//! them (pkg/apis/{apps,batch,core}/validation).

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::reply::Refused;

/// Fields that cannot be changed, as JSON pointers, by kind.
const IMMUTABLE: &[(&str, &[&str])] = &[
    ("Deployment", &["/spec/selector"]),
    ("StatefulSet", &["/spec/selector", "/spec/serviceName", "/spec/volumeClaimTemplates"]),
    ("Job", &["/spec/template", "/spec/selector", "/spec/completions"]),
    ("PersistentVolumeClaim", &["/spec/accessModes", "/spec/storageClassName", "/spec/volumeMode"]),
    ("Service", &["/spec/clusterIP"]),
];

/// Whether the object is of its kind's shape.
pub fn check_shape(object: &Value) -> Result<(), Refused> {
    let problem = match object["kind"].as_str().unwrap_or_default() {
        "ConfigMap" => misfit::<ConfigMap>(object),
        "CronJob" => misfit::<CronJob>(object),
        "Deployment" => misfit::<Deployment>(object),
        "HorizontalPodAutoscaler" => misfit::<HorizontalPodAutoscaler>(object),
        "Ingress" => misfit::<Ingress>(object),
        "Job" => misfit::<Job>(object),
        "Namespace" => misfit::<Namespace>(object),
        "NetworkPolicy" => misfit::<NetworkPolicy>(object),
        "PersistentVolumeClaim" => misfit::<PersistentVolumeClaim>(object),
        "Pod" => misfit::<Pod>(object),
        "PodDisruptionBudget" => misfit::<PodDisruptionBudget>(object),
        "Secret" => misfit::<Secret>(object),
        "Service" => misfit::<Service>(object),
        "ServiceAccount" => misfit::<ServiceAccount>(object),
        "StatefulSet" => misfit::<StatefulSet>(object),
        // Of a CRD, whose schema is not here.
        _ => None,
    };
    problem.map_or(Ok(()), |problem| Err(Refused::untyped(object, &problem)))
}

/// Whether its values are allowed; `live` is what it is now.
pub fn check_values(object: &Value, live: Option<&Value>) -> Result<(), Refused> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let is_label = |text: &str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('-') && !text.ends_with('-')
    };
    let length_max = match kind {
        "Service" | "Job" => 63,
        "CronJob" => 52,
        _ => 253,
    };
    if name.len() > length_max || !name.split('.').all(is_label) {
        let problem = format!(
            "metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"
        );
        return Err(Refused::invalid(object, &problem));
    }
    if let "Deployment" | "StatefulSet" = kind {
        let selector = object["spec"]["selector"]["matchLabels"].as_object();
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        let is_matched = selector.is_some_and(|selector| {
            !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        });
        if !is_matched {
            let problem =
                "spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`";
            return Err(Refused::invalid(object, problem));
        }
    }
    if let "Deployment" | "StatefulSet" | "Job" = kind {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array();
        if containers.is_none_or(Vec::is_empty) {
            return Err(Refused::invalid(object, "spec.template.spec.containers: Required value"));
        }
    }
    let Some(live) = live else { return Ok(()) };
    let fields = IMMUTABLE.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| fields);
    for field in fields {
        if let (Some(before), Some(after)) = (live.pointer(field), object.pointer(field))
            && before != after
        {
            let field = field[1..].replace('/', ".");
            return Err(Refused::invalid(object, &format!("{field}: Invalid value: field is immutable")));
        }
    }
    Ok(())
}

/// What the API server adds to what nobody said (pkg/apis/*/v1/defaults.go), as much of it as is looked at.
pub fn with_defaults(object: &mut Value) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let default = |object: &mut Value, path: &[&str], value: Value| {
        let mut at = object;
        for field in path {
            at = &mut at[*field];
        }
        if at.is_null() {
            *at = value;
        }
    };
    match kind.as_str() {
        "Deployment" => {
            default(object, &["spec", "replicas"], json!(1));
            default(object, &["spec", "progressDeadlineSeconds"], json!(600));
            default(object, &["spec", "revisionHistoryLimit"], json!(10));
            default(object, &["spec", "strategy", "type"], json!("RollingUpdate"));
        }
        "StatefulSet" => default(object, &["spec", "replicas"], json!(1)),
        "Service" => {
            default(object, &["spec", "type"], json!("ClusterIP"));
            default(object, &["spec", "clusterIP"], json!("10.96.0.10"));
        }
        "Job" => {
            default(object, &["spec", "completions"], json!(1));
            default(object, &["spec", "backoffLimit"], json!(6));
        }
        "Secret" => {
            default(object, &["type"], json!("Opaque"));
            if let Some(Value::Object(texts)) = object.as_object_mut().unwrap().remove("stringData") {
                use base64::Engine as _;
                for (key, text) in texts {
                    let text = text.as_str().unwrap_or_default();
                    object["data"][key] = base64::engine::general_purpose::STANDARD.encode(text).into();
                }
            }
        }
        _ => {}
    }
    if let "Deployment" | "StatefulSet" | "Job" = kind.as_str() {
        let pod = &mut object["spec"]["template"]["spec"];
        default(pod, &["restartPolicy"], json!("Always"));
        default(pod, &["dnsPolicy"], json!("ClusterFirst"));
        for container in pod["containers"].as_array_mut().into_iter().flatten() {
            default(container, &["terminationMessagePath"], json!("/dev/termination-log"));
            for port in container["ports"].as_array_mut().into_iter().flatten() {
                default(port, &["protocol"], json!("TCP"));
            }
        }
    }
}

/// What of it is of no use to its type.
fn misfit<T: DeserializeOwned + Serialize>(object: &Value) -> Option<String> {
    let read: T = match serde_json::from_value(object.clone()) {
        Ok(read) => read,
        Err(error) => return Some(format!(": {error}")),
    };
    let known = serde_json::to_value(read).unwrap();
    unknown(object, &known, "")
}

/// The first field that is in `given` and not in `known`.
fn unknown(given: &Value, known: &Value, at: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(field, value)| {
            let at = format!("{at}.{field}");
            match known.get(field) {
                None if value.is_null() => None,
                None => Some(format!("{at}: field not declared in schema")),
                Some(known) => unknown(value, known, &at),
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).find_map(|(given, known)| unknown(given, known, at))
        }
        _ => None,
    }
}
