//! Two versions of an object, as a person compares them.
//!
//! What the cluster keeps for itself is left out: who owns which field, versions, times, the status. Values of secrets are never shown,
//! only whether they differ; so are those of the annotation in which `kubectl apply` keeps a whole object, Secrets too.

use serde_json::{Map, Value};
use similar::TextDiff;

use super::ObjectName;

/// Of metadata, what is the cluster's own business.
const OWN_METADATA: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];
/// Where `kubectl apply` without `--server-side` keeps the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Lines around a change.
const CONTEXT_LINES: usize = 3;

/// Whether a person would see no difference.
pub(super) fn is_same(live: &Value, result: &Value) -> bool {
    bare(live) == bare(result)
}

/// What changes, as a unified diff of YAML; empty: nothing.
pub(super) fn difference(name: &ObjectName, before: Option<&Value>, after: Option<&Value>) -> String {
    let (mut before, mut after) = (before.map(bare), after.map(bare));
    mask(before.as_mut(), after.as_mut());
    let (old, new) = (yaml(before.as_ref()), yaml(after.as_ref()));
    if old == new {
        return String::new();
    }
    let namespace = name.namespace.as_deref().map_or_else(String::new, |namespace| format!("{namespace}/"));
    let title = format!("{} {namespace}{}", name.kind, name.name);
    let side = |value: &Option<Value>, side: &str| match value {
        Some(_) => format!("{title} ({side})"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::from_lines(&old, &new);
    let mut unified = diff.unified_diff();
    let (live, wanted) = (side(&before, "cluster"), side(&after, "export"));
    unified.context_radius(CONTEXT_LINES).header(&live, &wanted).to_string()
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    for field in OWN_METADATA {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    object
}

/// Puts stars in the place of the values of Secrets: the same for two that are the same.
fn mask(before: Option<&mut Value>, after: Option<&mut Value>) {
    let (mut none, mut nothing) = (Map::new(), Map::new());
    let before = secrets(before).unwrap_or(&mut none);
    let after = secrets(after).unwrap_or(&mut nothing);
    for (key, value) in after.iter_mut() {
        match before.get_mut(key) {
            Some(old) if old == value => *old = "***".into(),
            Some(old) => {
                *old = "*** (before)".into();
                *value = "*** (after)".into();
                continue;
            }
            None => {}
        }
        *value = "***".into();
    }
    for (_, value) in before.iter_mut().filter(|(key, _)| !after.contains_key(*key)) {
        *value = "***".into();
    }
}

/// The values of a Secret, all of them as data; `None`: it is another object.
fn secrets(object: Option<&mut Value>) -> Option<&mut Map<String, Value>> {
    let object = object.filter(|object| object["kind"] == "Secret")?.as_object_mut()?;
    let mut all = Map::new();
    for field in ["data", "stringData"] {
        if let Some(Value::Object(found)) = object.remove(field) {
            all.extend(found);
        }
    }
    object.insert("data".to_owned(), Value::Object(all));
    object.get_mut("data")?.as_object_mut()
}

fn yaml(object: Option<&Value>) -> String {
    let Some(object) = object else { return String::new() };
    serde_saphyr::to_string(object).expect("JSON can be written as YAML")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn name(kind: &str) -> ObjectName {
        ObjectName { kind: kind.to_owned(), namespace: Some("prod".to_owned()), name: "shop".to_owned() }
    }

    #[test]
    fn what_the_cluster_keeps_for_itself_is_no_difference() {
        let live = json!({
            "kind": "Service", "spec": { "a": 1 }, "status": {},
            "metadata": { "name": "shop", "uid": "1", "resourceVersion": "7", "annotations": { LAST_APPLIED: "{}" } },
        });
        let result = json!({ "kind": "Service", "spec": { "a": 1 }, "metadata": { "name": "shop" } });
        assert!(is_same(&live, &result));
        assert_eq!(difference(&name("Service"), Some(&live), Some(&result)), "");
        assert!(!is_same(
            &live,
            &json!({ "kind": "Service", "spec": { "a": 2 }, "metadata": { "name": "shop" } })
        ));
    }

    #[test]
    fn values_of_secrets_are_not_shown() {
        let live = json!({ "kind": "Secret", "metadata": { "name": "shop" }, "data": { "A": "b25l", "B": "c2FtZQ==", "C": "b2xk" } });
        let result = json!({ "kind": "Secret", "metadata": { "name": "shop" }, "data": { "A": "dHdv", "B": "c2FtZQ==", "D": "bmV3" } });
        expect![[r#"
            --- Secret prod/shop (cluster)
            +++ Secret prod/shop (export)
            @@ -1,7 +1,7 @@
             data:
            -  A: "*** (before)"
            +  A: "*** (after)"
               B: "***"
            -  C: "***"
            +  D: "***"
             kind: Secret
             metadata:
               name: shop
        "#]]
        .assert_eq(&difference(&name("Secret"), Some(&live), Some(&result)));
        let new = difference(&name("Secret"), None, Some(&result));
        let gone = difference(&name("Secret"), Some(&live), None);
        for value in ["b25l", "c2FtZQ==", "b2xk", "dHdv", "bmV3"] {
            assert!(!new.contains(value) && !gone.contains(value), "{new}{gone}");
        }
        assert!(new.starts_with("--- /dev/null\n+++ Secret prod/shop (export)\n"), "{new}");
    }
}
