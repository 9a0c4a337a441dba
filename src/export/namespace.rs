//! The Namespace that everything is put into, and what it enforces of pods.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::error::ExportError;
use super::names::NAME_LENGTH_MAX;
use super::object::{Comment, Object};
use super::options::Version;
use super::subject::Subject;
use super::workload::User;

/// Kinds without a namespace.
const CLUSTER_KINDS: [&str; 1] = ["Namespace"];

/// The Namespace; none for those that every cluster has, which are not ours to label.
pub(super) fn object(
    name: &str,
    subjects: &[Subject],
    version: Version,
) -> Result<Option<Object>, ExportError> {
    let is_label = !name.is_empty()
        && name.len() <= NAME_LENGTH_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_label {
        return Err(ExportError::Namespace(name.to_owned()));
    }
    if name == "default" || name.starts_with("kube-") {
        return Ok(None);
    }
    let other = subjects.iter().find(|subject| !User::of(&subject.image).is_surely_not_root());
    let (level, text) = match other {
        None => ("restricted", "every pod complies with the `restricted` Pod Security Standard".to_owned()),
        Some(subject) => (
            "baseline",
            format!(
                "`restricted` is out of reach while the image of `{}` names no user by number",
                subject.app
            ),
        ),
    };
    let labels = [
        ("app.kubernetes.io/managed-by", "minipaas".to_owned()),
        ("pod-security.kubernetes.io/enforce", level.to_owned()),
        ("pod-security.kubernetes.io/enforce-version", format!("v{version}")),
        ("pod-security.kubernetes.io/warn", "restricted".to_owned()),
        ("pod-security.kubernetes.io/warn-version", format!("v{version}")),
    ];
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let value = serde_json::to_value(&namespace).expect("an object of the API is JSON");
    let at = "/metadata/labels/pod-security.kubernetes.io~1enforce".to_owned();
    Ok(Some(Object { app: None, value, comments: vec![Comment { at, text }] }))
}

/// Puts every object into it that belongs into one.
pub(super) fn put_into(name: &str, objects: &mut [Object]) {
    for object in objects.iter_mut().filter(|object| !CLUSTER_KINDS.contains(&object.kind())) {
        if let Value::Object(metadata) = &mut object.value["metadata"] {
            metadata.entry("namespace").or_insert_with(|| Value::from(name));
        }
    }
}
