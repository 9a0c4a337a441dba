//! Which kinds the stand-in has, and how it tells (kubernetes.io, "API discovery", the form before aggregation).

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A kind of objects, as URLs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub is_namespaced: bool,
}

const fn of(api_version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource { api_version, kind, plural, is_namespaced: true }
}

pub const NAMESPACE: Resource =
    Resource { api_version: "v1", kind: "Namespace", plural: "namespaces", is_namespaced: false };
pub const POD: Resource = of("v1", "Pod", "pods");

/// What any cluster has.
const BUILT_IN: &[Resource] = &[
    NAMESPACE,
    POD,
    of("v1", "ConfigMap", "configmaps"),
    of("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    of("v1", "Secret", "secrets"),
    of("v1", "Service", "services"),
    of("v1", "ServiceAccount", "serviceaccounts"),
    of("apps/v1", "Deployment", "deployments"),
    of("apps/v1", "StatefulSet", "statefulsets"),
    of("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    of("batch/v1", "CronJob", "cronjobs"),
    of("batch/v1", "Job", "jobs"),
    of("networking.k8s.io/v1", "Ingress", "ingresses"),
    of("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    of("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
];

/// What comes with CRDs.
const ADD_ONS: &[Resource] = &[
    of("bitnami.com/v1alpha1", "SealedSecret", "sealedsecrets"),
    of("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
];

impl Resource {
    pub fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// Everything that there is, with these CRDs.
pub fn resources<'a>(installed: &'a BTreeSet<&'static str>) -> impl Iterator<Item = Resource> + 'a {
    let add_ons = ADD_ONS.iter().filter(|found| installed.contains(found.api_version));
    BUILT_IN.iter().chain(add_ons).copied()
}

/// What is answered to `/api`, `/apis`, and a version of a group; `None`: there is no such.
pub fn document(path: &str, installed: &BTreeSet<&'static str>) -> Option<Value> {
    let versions: BTreeSet<_> = resources(installed).map(|found| found.api_version).collect();
    match path {
        "/version" => {
            Some(json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64" }))
        }
        "/api" => {
            Some(json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }))
        }
        "/apis" => {
            let groups = versions.iter().filter(|version| version.contains('/')).map(|version| {
                let (group, short) = version.split_once('/').unwrap();
                let version = json!({ "groupVersion": version, "version": short });
                json!({ "name": group, "versions": [version], "preferredVersion": version })
            });
            let groups: Vec<_> = groups.collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        path => {
            let version = path.strip_prefix("/apis/").or_else(|| path.strip_prefix("/api/"))?;
            versions.contains(version).then(|| {
                let found = resources(installed).filter(|found| found.api_version == version);
                let found: Vec<_> = found
                    .map(|found| {
                        json!({
                            "name": found.plural, "singularName": found.kind.to_lowercase(), "namespaced": found.is_namespaced,
                            "kind": found.kind, "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
                        })
                    })
                    .collect();
                json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found })
            })
        }
    }
}
