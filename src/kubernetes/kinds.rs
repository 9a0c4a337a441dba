//! The kinds of objects: which there are in the cluster, and in which order they are applied.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::api::ApiResource;

use super::{ApplyError, Cluster, MissingKind};

/// What an export may have, now or in an earlier version: among these what is obsolete is looked for. Nothing of any other kind is
/// ever deleted.
const EXPORTED: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("bitnami.com/v1alpha1", "SealedSecret"),
    ("external-secrets.io/v1", "ExternalSecret"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("traefik.io/v1alpha1", "Middleware"),
    ("traefik.io/v1alpha1", "ServersTransport"),
    ("traefik.io/v1alpha1", "TLSOption"),
];

/// A kind that the cluster has.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) resource: ApiResource,
    pub(super) is_namespaced: bool,
}

/// When an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Namespace,
    /// What pods refer to.
    Config,
    /// What a release does once, before it serves.
    Job,
    /// What runs, and what leads to it.
    Workload,
}

/// The kinds that a cluster has, by API version and kind.
#[derive(Debug, Default)]
pub(super) struct Kinds(BTreeMap<(String, String), Kind>);

impl Turn {
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "Namespace" => Self::Namespace,
            "ConfigMap"
            | "ExternalSecret"
            | "NetworkPolicy"
            | "PersistentVolumeClaim"
            | "Role"
            | "RoleBinding"
            | "SealedSecret"
            | "Secret"
            | "Service"
            | "ServiceAccount" => Self::Config,
            "Job" => Self::Job,
            _ => Self::Workload,
        }
    }
}

impl Kinds {
    /// The kind, if the cluster has it.
    pub(super) fn get(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.0.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Those that may be obsolete: what exports have, and what this one has.
    pub(super) fn prunable<'a>(
        &'a self,
        wanted: &'a BTreeSet<(String, String)>,
    ) -> impl Iterator<Item = &'a Kind> {
        let is_exported = |key: &(String, String)| EXPORTED.contains(&(key.0.as_str(), key.1.as_str()));
        let kinds = self.0.iter().filter(move |(key, _)| is_exported(key) || wanted.contains(*key));
        kinds.map(|(_, kind)| kind).filter(|kind| kind.is_namespaced)
    }
}

impl Cluster {
    /// Asks for the kinds that are wanted, all of which it must have, and for those that exports may have made.
    pub(super) async fn kinds(&self, wanted: &BTreeSet<(String, String)>) -> Result<Kinds, ApplyError> {
        let exported = EXPORTED.iter().map(|(api_version, _)| (*api_version).to_owned());
        let versions: BTreeSet<_> =
            exported.chain(wanted.iter().map(|(version, _)| version.clone())).collect();
        let mut kinds = Kinds::default();
        for api_version in versions {
            let Some(list) = self.resources(&api_version).await? else { continue };
            // `deployments/status` and the like are parts of others.
            for found in list.resources.into_iter().filter(|found| !found.name.contains('/')) {
                let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
                let resource = ApiResource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    api_version: api_version.clone(),
                    kind: found.kind.clone(),
                    plural: found.name,
                };
                let kind = Kind { resource, is_namespaced: found.namespaced };
                kinds.0.insert((api_version.clone(), found.kind), kind);
            }
        }
        let missing = wanted.iter().filter(|(version, kind)| kinds.get(version, kind).is_none());
        let missing: Vec<_> = missing
            .map(|(version, kind)| MissingKind { api_version: version.clone(), kind: kind.clone() })
            .collect();
        if missing.is_empty() { Ok(kinds) } else { Err(ApplyError::MissingKinds { kinds: missing }) }
    }

    /// What there is of a version of a group; `None`: there is no such version.
    async fn resources(&self, api_version: &str) -> Result<Option<APIResourceList>, ApplyError> {
        let asked = if api_version.contains('/') {
            self.client.list_api_group_resources(api_version).await
        } else {
            self.client.list_core_api_resources(api_version).await
        };
        match asked {
            Ok(list) => Ok(Some(list)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(self.failed("ask which kinds of objects there are", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pods_refer_to_comes_before_them() {
        let mut kinds = ["Ingress", "Job", "Secret", "Namespace", "Deployment", "NetworkPolicy"];
        kinds.sort_by_key(|kind| Turn::of(kind));
        assert_eq!(kinds, ["Namespace", "Secret", "NetworkPolicy", "Job", "Ingress", "Deployment"]);
    }
}
