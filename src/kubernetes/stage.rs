//! Planning, which changes nothing, and carrying it out, turn by turn.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Map, Value};

use super::kinds::{Kind, Turn};
use super::{
    Applied, ApplyError, Change, Cluster, FIELD_MANAGER, ObjectName, Options, Outcome, Plan, Planned,
    Progress,
};
use super::{diff, job};
use crate::export::Object;

/// How the cluster calls an object that breaks a rule.
const UNPROCESSABLE: u16 = 422;

/// What stands in the place of a value in a Secret that is to be filled in.
const PLACEHOLDER: &str = "REPLACE_ME";

/// How an object is brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Apply,
    /// What cannot be changed is deleted and made anew.
    Replace,
    /// Somebody else has made it.
    Leave,
}

impl Cluster {
    /// What applying these objects would do; nothing is changed.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer or does not take an object, and when [`Cluster::apply`] would fail for a reason that shows
    /// already: a kind that is not installed, a field of somebody else's, a right or a value that is missing.
    pub async fn plan(&self, objects: &[Object], options: Options) -> Result<Plan, ApplyError> {
        let wanted: BTreeSet<_> = objects.iter().map(key).collect();
        let kinds = self.kinds(&wanted).await?;
        let mut named: Vec<_> = Vec::new();
        for object in objects {
            let (api_version, kind) = key(object);
            let kind = kinds.get(&api_version, &kind).expect("a kind that is missing is an error");
            named.push((self.name_of(object, kind), kind, object));
        }
        // Within a turn they keep the export's order, in which what others refer to comes first.
        named.sort_by_key(|(name, ..)| Turn::of(&name.kind));
        let new_namespaces = self.new_namespaces(&named).await?;
        let (mut planned, mut conflicts) = (Vec::new(), Vec::new());
        for (name, kind, object) in named {
            let is_in_new =
                name.namespace.as_ref().is_some_and(|namespace| new_namespaces.contains(namespace));
            match self.rehearse(name, kind, object, options, is_in_new).await {
                Ok(one) => planned.push(one),
                // All of them are told at once.
                Err(ApplyError::Conflicts { conflicts: more }) => conflicts.extend(more),
                Err(error) => return Err(error),
            }
        }
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts { conflicts });
        }
        let obsolete = self.obsolete(&planned, kinds.prunable(&wanted), &new_namespaces).await?;
        Ok(Plan { planned, obsolete, options })
    }

    /// Does what was planned, and returns when all of it runs. Dropping it leaves what was applied as it is.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer any more or changed its mind, a release's job fails, or new pods do not become ready. What was
    /// applied by then stays.
    pub async fn apply(&self, plan: &Plan, progress: &dyn Progress) -> Result<Applied, ApplyError> {
        let mut applied = Applied { changes: Vec::new() };
        let mut done = |change: Change| {
            progress.done(&change);
            applied.changes.push(change);
        };
        let turn = |turn| plan.planned.iter().filter(move |planned| Turn::of(&planned.name.kind) == turn);
        for now in [Turn::Namespace, Turn::Config, Turn::Job, Turn::Workload] {
            if now != Turn::Job && turn(now).next().is_some() {
                progress.step("apply", &summary(turn(now)));
            }
            for planned in turn(now) {
                match now {
                    Turn::Job => self.run_job(planned, plan.options, progress).await?,
                    _ => self.bring_about(planned, plan.options).await?,
                }
                done(planned.change());
            }
        }
        self.await_rollouts(turn(Turn::Workload), progress).await?;
        for change in self.prune(&plan.obsolete, plan.options, progress).await? {
            done(change);
        }
        Ok(applied)
    }

    /// Makes an object what it is to be.
    pub(super) async fn bring_about(&self, planned: &Planned, options: Options) -> Result<(), ApplyError> {
        match planned.deed {
            Deed::Leave => Ok(()),
            Deed::Apply | Deed::Replace => {
                let patched = self.patch(&planned.kind, &planned.name, &planned.wanted, options, false).await;
                patched.map(drop).map_err(|error| self.not_applied(&planned.name, error))
            }
        }
    }

    /// What would become of an object.
    async fn rehearse(
        &self,
        name: ObjectName,
        kind: &Kind,
        object: &Object,
        options: Options,
        is_in_new_namespace: bool,
    ) -> Result<Planned, ApplyError> {
        let mut planned = Planned {
            app: object.app.clone(),
            kind: kind.clone(),
            name,
            wanted: with_data(object.value.clone()),
            live: None,
            result: None,
            deed: Deed::Apply,
            outcome: Outcome::Created,
        };
        if !is_in_new_namespace {
            planned.live = self.live(kind, &planned.name).await?;
        }
        if let Some(keys) = empty_keys(&planned.wanted) {
            let missing = missing_keys(keys, planned.live.as_ref());
            if !missing.is_empty() {
                return Err(ApplyError::EmptySecret { object: planned.name, keys: missing });
            }
            let result = planned.live.clone();
            return Ok(Planned { deed: Deed::Leave, outcome: Outcome::Unchanged, result, ..planned });
        }
        if is_in_new_namespace {
            return Ok(planned);
        }
        let is_old_job = planned.name.kind == "Job" && planned.live.is_some();
        if is_old_job && planned.live.as_ref().is_some_and(job::has_failed) {
            return Ok(Planned { deed: Deed::Replace, outcome: Outcome::Changed, ..planned });
        }
        let result = match self.patch(kind, &planned.name, &planned.wanted, options, true).await {
            Ok(result) => result,
            // The pods of a job that is there cannot be changed.
            Err(kube::Error::Api(status)) if is_old_job && status.code == UNPROCESSABLE => {
                return Ok(Planned { deed: Deed::Replace, outcome: Outcome::Changed, ..planned });
            }
            Err(error) => return Err(self.not_applied(&planned.name, error)),
        };
        planned.outcome = match &planned.live {
            None => Outcome::Created,
            Some(live) if diff::is_same(live, &result) => Outcome::Unchanged,
            Some(_) => Outcome::Changed,
        };
        planned.result = Some(result);
        Ok(planned)
    }

    /// An object as it is; `None` if it is not there.
    pub(super) async fn live(&self, kind: &Kind, name: &ObjectName) -> Result<Option<Value>, ApplyError> {
        let found = self.api(kind, name.namespace.as_deref()).get_opt(&name.name).await;
        let found = found.map_err(|error| self.failed(&format!("look at {name}"), error))?;
        Ok(found.map(|found| serde_json::to_value(found).expect("an object of the API is JSON")))
    }

    async fn patch(
        &self,
        kind: &Kind,
        name: &ObjectName,
        wanted: &Value,
        options: Options,
        is_rehearsal: bool,
    ) -> Result<Value, kube::Error> {
        let params = PatchParams {
            dry_run: is_rehearsal,
            force: options.force_conflicts,
            ..PatchParams::apply(FIELD_MANAGER).validation_strict()
        };
        let api = self.api(kind, name.namespace.as_deref());
        let patched = api.patch(&name.name, &params, &Patch::Apply(wanted)).await?;
        Ok(serde_json::to_value(patched).expect("an object of the API is JSON"))
    }

    /// The namespaces that are not there yet and will be made.
    async fn new_namespaces(
        &self,
        named: &[(ObjectName, &Kind, &Object)],
    ) -> Result<BTreeSet<String>, ApplyError> {
        let used: BTreeSet<_> = named.iter().filter_map(|(name, ..)| name.namespace.clone()).collect();
        let api: Api<Namespace> = Api::all(self.client.clone());
        let mut new = BTreeSet::new();
        for namespace in used {
            let is_made = named.iter().any(|(name, ..)| name.kind == "Namespace" && name.name == namespace);
            match api.get_opt(&namespace).await {
                Ok(Some(_)) => {}
                Ok(None) if is_made => {
                    new.insert(namespace);
                }
                Ok(None) => return Err(ApplyError::NoNamespace(namespace)),
                // Whoever may only use it may not look at it.
                Err(kube::Error::Api(status)) if status.is_forbidden() => {}
                Err(error) => return Err(self.failed(&format!("look at namespace `{namespace}`"), error)),
            }
        }
        Ok(new)
    }
}

fn key(object: &Object) -> (String, String) {
    (object.value["apiVersion"].as_str().unwrap_or_default().to_owned(), object.kind().to_owned())
}

/// `3 objects: ConfigMap, Secret, Service`.
fn summary<'a>(planned: impl Iterator<Item = &'a Planned>) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    let mut count = 0;
    for one in planned {
        count += 1;
        if !kinds.contains(&one.name.kind.as_str()) {
            kinds.push(&one.name.kind);
        }
    }
    format!("{count} object{}: {}", if count == 1 { "" } else { "s" }, kinds.join(", "))
}

/// The object; a Secret with all its values as data. Nobody owns what is written as text (kubernetes.io, "Secret": `stringData` does not
/// work well with server-side apply), so a key that is taken out would stay.
fn with_data(mut object: Value) -> Value {
    if object["kind"] != "Secret" {
        return object;
    }
    let Some(fields) = object.as_object_mut() else { return object };
    if let Some(Value::Object(texts)) = fields.remove("stringData") {
        let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
        for (key, text) in texts {
            data[key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
        }
    }
    object
}

/// The keys of a Secret that has keys and no value, as `--secrets template` makes it; `None`: it is another object.
fn empty_keys(wanted: &Value) -> Option<Vec<&str>> {
    let entries = wanted["data"].as_object().filter(|data| wanted["kind"] == "Secret" && !data.is_empty())?;
    let is_empty = |value: &Value| {
        let decoded = value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        decoded.is_empty() || decoded == PLACEHOLDER.as_bytes()
    };
    let is_template = entries.values().all(is_empty);
    is_template.then(|| entries.keys().map(String::as_str).collect())
}

fn missing_keys(keys: Vec<&str>, live: Option<&Value>) -> Vec<String> {
    let has = |key: &&str| {
        live.is_some_and(|live| live["data"][*key].as_str().is_some_and(|value| !value.is_empty()))
    };
    keys.into_iter().filter(|key| !has(key)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_without_values_is_somebody_elses_to_fill() {
        let template = json!({ "kind": "Secret", "stringData": { "A": "", "B": PLACEHOLDER } });
        let template = with_data(template);
        let keys = empty_keys(&template).unwrap();
        assert_eq!(keys, ["A", "B"]);
        let live = json!({ "data": { "A": "eA==", "B": "" } });
        assert_eq!(missing_keys(keys.clone(), Some(&live)), ["B"]);
        assert_eq!(missing_keys(keys, None), ["A", "B"]);
        assert!(empty_keys(&json!({ "kind": "Secret", "data": { "A": "eA==", "B": "" } })).is_none());
        assert!(empty_keys(&json!({ "kind": "ConfigMap", "data": { "A": "" } })).is_none());
    }
}
