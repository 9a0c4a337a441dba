//! What an export before this one made, and this one does not have.
//!
//! It is found by the labels that every object of an export has, the app's and ours, among the kinds that exports have, in the namespaces
//! of this one. What another object owns (a job of a CronJob, a Secret of a SealedSecret) goes with it and is left alone here. The app
//! has to be in this export: an app that is not exported is not looked at.

use std::collections::BTreeSet;

use kube::api::{DeleteParams, ListParams, Preconditions};
use serde_json::Value;

use super::kinds::{Kind, Turn};
use super::{ApplyError, Change, Cluster, ObjectName, Options, Outcome, Planned, Progress};
use crate::export::Labels;

/// Data, which would be lost.
const VOLUME_CLAIM: &str = "PersistentVolumeClaim";

/// An object that the export does not have any more.
#[derive(Debug, Clone)]
pub(super) struct Obsolete {
    kind: Kind,
    pub(super) name: ObjectName,
    pub(super) live: Value,
}

impl Obsolete {
    /// Whether it is deleted.
    pub(super) fn is_pruned(&self, options: Options) -> bool {
        self.name.kind != VOLUME_CLAIM || options.prune_volumes
    }

    pub(super) fn change(&self, options: Options) -> Change {
        let outcome = if self.is_pruned(options) { Outcome::Pruned } else { Outcome::Kept };
        Change { object: self.name.clone(), outcome }
    }
}

impl Cluster {
    pub(super) async fn obsolete<'a>(
        &self,
        planned: &[Planned],
        kinds: impl Iterator<Item = &'a Kind>,
        new_namespaces: &BTreeSet<String>,
    ) -> Result<Vec<Obsolete>, ApplyError> {
        let wanted: BTreeSet<&ObjectName> = planned.iter().map(|planned| &planned.name).collect();
        let apps: BTreeSet<_> = planned
            .iter()
            .filter_map(|planned| Some((planned.app.as_ref()?, planned.name.namespace.as_deref()?)))
            .filter(|(_, namespace)| !new_namespaces.contains(*namespace))
            .collect();
        let mut obsolete = Vec::new();
        for kind in kinds {
            for (app, namespace) in &apps {
                let labels = Labels::of(app).app();
                let labels =
                    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
                let api = self.api(kind, Some(namespace));
                let found = match api.list(&ListParams::default().labels(&labels)).await {
                    Ok(found) => found,
                    // Who may not look at a kind has not made any of it.
                    Err(kube::Error::Api(status)) if status.is_forbidden() => continue,
                    Err(error) => {
                        let action = format!("list what `{app}` has of {}", kind.resource.kind);
                        return Err(self.failed(&action, error));
                    }
                };
                for object in found.items {
                    let is_owned =
                        object.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
                    let name = ObjectName {
                        kind: kind.resource.kind.clone(),
                        namespace: Some((*namespace).to_owned()),
                        name: object.metadata.name.clone().unwrap_or_default(),
                    };
                    if is_owned || wanted.contains(&name) || is_of_stateful_set(&name, planned) {
                        continue;
                    }
                    let live = serde_json::to_value(object).expect("an object of the API is JSON");
                    obsolete.push(Obsolete { kind: kind.clone(), name, live });
                }
            }
        }
        // What refers to others goes before them.
        obsolete.sort_by_key(|one| std::cmp::Reverse(Turn::of(&one.name.kind)));
        Ok(obsolete)
    }

    /// Deletes what is obsolete; says what became of each.
    pub(super) async fn prune(
        &self,
        obsolete: &[Obsolete],
        options: Options,
        progress: &dyn Progress,
    ) -> Result<Vec<Change>, ApplyError> {
        let names = obsolete.iter().filter(|one| one.is_pruned(options)).map(|one| one.name.to_string());
        let names = names.collect::<Vec<_>>();
        if !names.is_empty() {
            progress.step("prune", &names.join(", "));
        }
        for one in obsolete.iter().filter(|one| one.is_pruned(options)) {
            let uid = one.live["metadata"]["uid"].as_str().map(str::to_owned);
            // Another one of this name, made meanwhile, is not the one that was looked at.
            let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), resource_version: None });
            let params = DeleteParams { preconditions, ..DeleteParams::background() };
            match self.api(&one.kind, one.name.namespace.as_deref()).delete(&one.name.name, &params).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
                Err(error) => return Err(self.failed(&format!("delete {}", one.name), error)),
            }
        }
        Ok(obsolete.iter().map(|one| one.change(options)).collect())
    }
}

/// Whether it is a claim that a StatefulSet of this export makes by itself: `data-shop-0` of template `data` and set `shop`.
fn is_of_stateful_set(name: &ObjectName, planned: &[Planned]) -> bool {
    if name.kind != VOLUME_CLAIM {
        return false;
    }
    let sets = planned.iter().filter(|planned| planned.name.kind == "StatefulSet");
    sets.filter(|set| set.name.namespace == name.namespace).any(|set| {
        let templates = set.wanted["spec"]["volumeClaimTemplates"].as_array();
        templates.into_iter().flatten().filter_map(|template| template["metadata"]["name"].as_str()).any(
            |template| {
                let prefix = format!("{template}-{}-", set.name.name);
                name.name.strip_prefix(&prefix).is_some_and(|number| number.parse::<u32>().is_ok())
            },
        )
    })
}
