//! Server-side apply: who owns which field, and what an apply makes of an object.
//!
//! After the structured-merge-diff of Kubernetes (kubernetes.io, "Server-Side Apply"): a manager owns the leaves of what it applied; to
//! set a leaf that another manager owns to another value is a conflict, unless forced, and then the other loses it; a leaf that a manager
//! does not apply any more, and nobody else owns, goes. Lists with merge keys are merged by item (kubernetes' OpenAPI,
//! `x-kubernetes-list-map-keys`); all others are one leaf.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A way into an object.
pub type Path = Vec<Step>;
/// Who owns what.
pub type Managers = BTreeMap<String, BTreeSet<Path>>;

/// One step of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Field(String),
    /// The item of a list with these values at its merge keys, as JSON.
    Item(Vec<(String, String)>),
}

/// A field that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub field: String,
    pub manager: String,
}

/// The merge keys of lists, by the field that holds them and what else they have to have to be that list.
const LIST_KEYS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
];
/// Maps that are one leaf.
const ATOMIC_MAPS: [&str; 3] = ["selector", "nodeSelector", "matchLabels"];

/// What applying `config` makes of `live`, and the managers after it.
pub fn apply(
    live: Option<&Value>,
    managers: &Managers,
    manager: &str,
    config: &Value,
    is_forced: bool,
) -> Result<(Value, Managers), Vec<Conflict>> {
    let mut managers = managers.clone();
    let before = managers.remove(manager).unwrap_or_default();
    let mut now = BTreeMap::new();
    leaves(config, &mut Vec::new(), &mut now);
    let mut merged = live.cloned().unwrap_or_else(|| config_frame(config));
    let mut conflicts = Vec::new();
    for (path, value) in &now {
        let is_same = live.is_some_and(|live| get(live, path) == value.as_ref());
        for (other, owned) in &mut managers {
            if owned.contains(path) && !is_same && value.is_some() {
                if !is_forced {
                    conflicts.push(Conflict { field: render(path), manager: other.clone() });
                }
                owned.remove(path);
            }
        }
        if let Some(value) = value {
            set(&mut merged, path, value.clone());
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    for path in before.iter().filter(|path| !now.contains_key(*path)) {
        let is_under = |other: &Path| other.starts_with(path);
        let is_owned = managers.values().flatten().chain(now.keys()).any(is_under);
        if !is_owned {
            remove(&mut merged, path);
        }
    }
    managers.insert(manager.to_owned(), now.into_keys().collect());
    Ok((merged, managers))
}

/// What every object has and nobody owns.
fn config_frame(config: &Value) -> Value {
    let mut frame = Map::new();
    for field in ["apiVersion", "kind"] {
        frame.insert(field.to_owned(), config[field].clone());
    }
    let mut metadata = Map::new();
    for field in ["name", "namespace"] {
        if let Some(value) = config["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    frame.insert("metadata".to_owned(), metadata.into());
    frame.into()
}

/// The leaves with their values; items of lists are there too, without.
fn leaves(value: &Value, path: &mut Path, found: &mut BTreeMap<Path, Option<Value>>) {
    if is_frame(path) {
        return;
    }
    let field = match path.last() {
        Some(Step::Field(field)) => field.as_str(),
        _ => "",
    };
    match value {
        Value::Object(fields) if !ATOMIC_MAPS.contains(&field) && !fields.is_empty() => {
            for (name, value) in fields {
                path.push(Step::Field(name.clone()));
                leaves(value, path, found);
                path.pop();
            }
        }
        Value::Array(items) if keys_of(field, items).is_some() => {
            let keys = keys_of(field, items).unwrap();
            for item in items {
                path.push(item_step(item, keys));
                found.insert(path.clone(), None);
                leaves(item, path, found);
                path.pop();
            }
        }
        leaf => {
            found.insert(path.clone(), Some(leaf.clone()));
        }
    }
}

fn is_frame(path: &Path) -> bool {
    let fields: Vec<_> = path
        .iter()
        .map(|step| match step {
            Step::Field(field) => field.as_str(),
            Step::Item(_) => "",
        })
        .collect();
    matches!(fields.as_slice(), ["apiVersion" | "kind"] | ["metadata", "name" | "namespace"])
}

fn keys_of(field: &str, items: &[Value]) -> Option<&'static [&'static str]> {
    if field == "ports" {
        let is_of_container = items.iter().all(|item| item.get("containerPort").is_some());
        let is_of_service = items.iter().all(|item| item.get("port").is_some() && item.get("from").is_none());
        return match (items.is_empty(), is_of_container, is_of_service) {
            (true, ..) | (_, false, false) => None,
            (_, true, _) => Some(&["containerPort", "protocol"]),
            _ => Some(&["port", "protocol"]),
        };
    }
    let (_, keys) = LIST_KEYS.iter().find(|(name, _)| *name == field)?;
    items.iter().all(Value::is_object).then_some(*keys)
}

fn item_step(item: &Value, keys: &[&str]) -> Step {
    let values = keys.iter().map(|key| {
        let value = item.get(*key).map_or_else(|| "\"TCP\"".to_owned(), Value::to_string);
        ((*key).to_owned(), value)
    });
    Step::Item(values.collect())
}

fn is_item(item: &Value, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(key, value)| item.get(key).map_or("\"TCP\"".to_owned(), Value::to_string) == *value)
}

fn get<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Field(field) => value.get(field),
        Step::Item(keys) => value.as_array()?.iter().find(|item| is_item(item, keys)),
    })
}

fn set(value: &mut Value, path: &[Step], leaf: Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = leaf;
        return;
    };
    match step {
        Step::Field(field) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let inner = value.as_object_mut().unwrap().entry(field).or_insert(Value::Null);
            set(inner, rest, leaf);
        }
        Step::Item(keys) => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            let items = value.as_array_mut().unwrap();
            if !items.iter().any(|item| is_item(item, keys)) {
                items.push(Value::Object(Map::new()));
                let new = items.last_mut().unwrap();
                for (key, value) in keys {
                    new[key] = serde_json::from_str(value).unwrap();
                }
            }
            set(items.iter_mut().find(|item| is_item(item, keys)).unwrap(), rest, leaf);
        }
    }
}

/// Takes a leaf or an item out, and the maps that it leaves empty.
fn remove(value: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    match step {
        Step::Field(field) => {
            let Some(fields) = value.as_object_mut() else { return };
            if rest.is_empty() {
                fields.remove(field);
            } else if let Some(inner) = fields.get_mut(field) {
                remove(inner, rest);
                let is_empty = inner.as_object().is_some_and(Map::is_empty)
                    || inner.as_array().is_some_and(Vec::is_empty);
                if is_empty {
                    fields.remove(field);
                }
            }
        }
        Step::Item(keys) => {
            let Some(items) = value.as_array_mut() else { return };
            if rest.is_empty() {
                items.retain(|item| !is_item(item, keys));
            } else if let Some(item) = items.iter_mut().find(|item| is_item(item, keys)) {
                remove(item, rest);
            }
        }
    }
}

/// As the API writes it: `.spec.template.spec.containers[name="web"].image`.
fn render(path: &Path) -> String {
    path.iter()
        .map(|step| match step {
            Step::Field(field) => format!(".{field}"),
            Step::Item(keys) => {
                let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("[{}]", keys.join(","))
            }
        })
        .collect()
}
