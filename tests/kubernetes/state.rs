//! What the stand-in keeps: objects with who owns their fields, and what is to be refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::controllers::{self, Behaviour};
use super::discovery::Resource;
use super::fields::{self, Managers};
use super::reply::{Refused, qualified};
use super::rules;

/// Which object: its resource, namespace and name.
pub type Key = (Resource, Option<String>, String);

/// Everything that the cluster has.
#[derive(Debug, Default)]
pub struct State {
    pub objects: BTreeMap<Key, Stored>,
    /// API versions of CRDs that are installed.
    pub installed: BTreeSet<&'static str>,
    /// A verb and a plural name that one may not use.
    pub forbidden: BTreeSet<(&'static str, &'static str)>,
    /// A plural name of which there may be no more.
    pub full: BTreeSet<&'static str>,
    /// What workloads and jobs do, by their name.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Logs of pods.
    pub logs: BTreeMap<String, String>,
    /// Every request that changed something: `PATCH Deployment shop`.
    pub writes: Vec<String>,
    /// Whether it asks nobody who they are.
    pub is_open: bool,
    /// How many pods there ever were.
    pub pods: u32,
    version: u64,
}

/// An object, and who owns its fields.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub value: Value,
    pub managers: Managers,
}

/// How an object is applied.
#[derive(Debug, Clone)]
pub struct Patch {
    pub manager: String,
    pub is_forced: bool,
    pub is_dry: bool,
}

impl State {
    pub fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Server-side apply.
    pub fn apply(&mut self, key: &Key, mut config: Value, patch: &Patch) -> Result<(u16, Value), Refused> {
        let (resource, namespace, name) = key;
        self.allow("patch", key)?;
        if let Some(namespace) = namespace {
            self.check_namespace(namespace)?;
            config["metadata"]["namespace"] = namespace.clone().into();
        }
        if config["metadata"]["name"] != name.as_str() || config["kind"] != resource.kind {
            return Err(Refused::bad_request("the name of the object does not match the name on the URL"));
        }
        let stored = self.objects.get(key).cloned();
        let live = stored.as_ref().map(|stored| &stored.value);
        if live.is_none() && self.full.contains(resource.plural) {
            return Err(Refused::over_quota(resource.plural, name));
        }
        rules::check_shape(&config)?;
        let managers = stored.as_ref().map(|stored| stored.managers.clone()).unwrap_or_default();
        let applied = fields::apply(live, &managers, &patch.manager, &config, patch.is_forced);
        let (mut value, managers) = applied.map_err(|conflicts| {
            let resource_name = qualified(resource.plural, resource.group());
            Refused::conflicts(&resource_name, name, resource.api_version, &conflicts)
        })?;
        rules::with_defaults(&mut value);
        rules::check_values(&value, live)?;
        let is_new = live.is_none();
        let is_changed = live != Some(&value);
        if is_new {
            let uid = format!("uid-{}", self.version + 1);
            value["metadata"]["uid"] = uid.into();
            value["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            value["metadata"]["generation"] = 1.into();
        } else if live.is_some_and(|live| live["spec"] != value["spec"]) {
            let generation = value["metadata"]["generation"].as_u64().unwrap_or(1);
            value["metadata"]["generation"] = (generation + 1).into();
        }
        let stored = Stored { value, managers };
        if patch.is_dry {
            return Ok((if is_new { 201 } else { 200 }, stored.shown()));
        }
        self.writes.push(format!("PATCH {} {name}", resource.kind));
        let mut stored = stored;
        if is_changed {
            stored.value["metadata"]["resourceVersion"] = self.next_version().into();
        }
        let shown = stored.shown();
        self.objects.insert(key.clone(), stored);
        Ok((if is_new { 201 } else { 200 }, shown))
    }

    pub fn get(&mut self, key: &Key) -> Result<Value, Refused> {
        self.allow("get", key)?;
        controllers::advance(self, key);
        let (resource, _, name) = key;
        let found = self.objects.get(key).map(Stored::shown);
        found.ok_or_else(|| Refused::not_found(&qualified(resource.plural, resource.group()), name))
    }

    pub fn list(
        &self,
        resource: Resource,
        namespace: Option<&str>,
        selector: &[(String, String)],
    ) -> Result<Value, Refused> {
        self.allow("list", &(resource, namespace.map(str::to_owned), String::new()))?;
        let is_selected = |value: &Value| {
            let labels = &value["metadata"]["labels"];
            selector.iter().all(|(key, wanted)| labels[key] == wanted.as_str())
        };
        let found = self.objects.iter().filter(|((of, place, _), stored)| {
            *of == resource
                && (namespace.is_none() || place.as_deref() == namespace)
                && is_selected(&stored.value)
        });
        let items: Vec<_> = found.map(|(_, stored)| stored.shown()).collect();
        Ok(json!({
            "apiVersion": resource.api_version, "kind": format!("{}List", resource.kind),
            "metadata": { "resourceVersion": self.version.to_string() }, "items": items,
        }))
    }

    /// With what it owns; in the foreground it is gone at the next look at it.
    pub fn delete(&mut self, key: &Key, body: &Value) -> Result<Value, Refused> {
        self.allow("delete", key)?;
        let (resource, _, name) = key;
        let resource_name = qualified(resource.plural, resource.group());
        let Some(stored) = self.objects.get_mut(key) else {
            return Err(Refused::not_found(&resource_name, name));
        };
        let uid = stored.value["metadata"]["uid"].clone();
        if body["preconditions"]["uid"].is_string() && body["preconditions"]["uid"] != uid {
            return Err(Refused::precondition(&resource_name, name));
        }
        self.writes.push(format!("DELETE {} {name}", resource.kind));
        stored.value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let shown = stored.shown();
        if body["propagationPolicy"] != "Foreground" {
            self.remove(key);
        }
        Ok(shown)
    }

    /// An object and all that it owns are gone.
    pub fn remove(&mut self, key: &Key) {
        let Some(gone) = self.objects.remove(key) else { return };
        let uid = gone.value["metadata"]["uid"].clone();
        self.objects.retain(|_, stored| {
            let owners = stored.value["metadata"]["ownerReferences"].as_array();
            !owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
        });
    }

    pub fn check_namespace(&self, namespace: &str) -> Result<(), Refused> {
        let key = (super::discovery::NAMESPACE, None, namespace.to_owned());
        if self.objects.contains_key(&key) {
            return Ok(());
        }
        Err(Refused::not_found("namespaces", namespace))
    }

    fn allow(&self, verb: &str, (resource, namespace, name): &Key) -> Result<(), Refused> {
        if self.forbidden.iter().any(|(denied, plural)| *denied == verb && *plural == resource.plural) {
            return Err(Refused::forbidden(
                verb,
                resource.group(),
                resource.plural,
                namespace.as_deref(),
                name,
            ));
        }
        Ok(())
    }
}

impl Stored {
    /// As the API shows it. Who owns what is told by name alone: nobody here reads `fieldsV1`.
    pub fn shown(&self) -> Value {
        let mut value = self.value.clone();
        let api_version = value["apiVersion"].clone();
        let managers = self.managers.keys().map(|manager| {
            json!({
                "manager": manager, "operation": "Apply", "apiVersion": api_version,
                "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {},
            })
        });
        value["metadata"]["managedFields"] = managers.collect();
        value
    }
}
