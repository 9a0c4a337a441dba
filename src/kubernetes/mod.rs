//! A cluster, as `minipaas export --apply` uses it; the only user of the client library kube.
//!
//! [`Cluster::connect`] reads a kubeconfig as `kubectl` does. [`Cluster::plan`] then asks the cluster what every object of an export would
//! become, with a server-side apply that changes nothing: an object of a kind that is not installed, a field that somebody else owns, a
//! right that is missing are all found before anything is touched. What it gives is the answer of `--dry-run=server` and `--diff`, and
//! what [`Cluster::apply`] carries out:
//!
//! ```text
//!   plan ─► namespace, config, secrets, volumes, policies, services ─► release jobs, each to its end ─► deployments and the rest
//!        ─► rollouts, each to its end ─► what the export before this one made, and this one does not, is deleted
//! ```
//!
//! Objects are applied by the field manager `minipaas`, which owns what the export says and nothing else: the number of replicas that an
//! autoscaler has set stays its own. A job that fails ends it all, and what comes after it is not applied: the old release goes on
//! serving. Nothing is rolled back; what was applied stays, also after Ctrl-C, and the next apply goes on from there.
//!
//! It keeps no state: what belongs to an app is found by its labels, and what nobody labelled is never deleted. Volumes are deleted only
//! where that is asked for.

mod diff;
mod error;
mod job;
mod kinds;
mod pods;
mod prune;
mod rollout;
mod stage;
mod target;

use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::Value;

use crate::export::Object;
use crate::name::AppName;
use kinds::Kind;
use stage::Deed;

pub use error::{ApplyError, Conflict, MissingKind};
pub use pods::Trouble;
pub use target::{Target, kubeconfig_paths};

/// Who owns the fields that an export sets.
pub const FIELD_MANAGER: &str = "minipaas";

/// A cluster that one can ask.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Its URL.
    server: String,
    context: String,
    /// That of objects that do not say theirs.
    namespace: String,
}

/// How an export is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether fields that somebody else owns are taken from them.
    pub force_conflicts: bool,
    /// Whether volume claims that are not in the export any more are deleted, with what is in them.
    pub prune_volumes: bool,
}

/// Hears how it goes on.
pub trait Progress: Send + Sync {
    /// A step begins; the one before it is done.
    fn step(&self, step: &str, detail: &str);
    /// A line of the running step's log.
    fn log(&self, line: &str);
    /// Something worth saying meanwhile.
    fn notice(&self, text: &str);
    /// An object was changed in the cluster, or found to be as it is wanted.
    fn done(&self, change: &Change);
}

/// An object by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// `Deployment`.
    pub kind: String,
    /// `None` for one of the whole cluster.
    pub namespace: Option<String>,
    /// `shop`.
    pub name: String,
}

/// What becomes of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which one.
    pub object: ObjectName,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was otherwise.
    Changed,
    /// It is as it is wanted.
    Unchanged,
    /// The export does not have it any more.
    Pruned,
    /// The export does not have it any more, and what is in it would be lost.
    Kept,
}

/// What an apply would do.
#[derive(Debug, Clone)]
pub struct Plan {
    planned: Vec<Planned>,
    obsolete: Vec<prune::Obsolete>,
    options: Options,
}

/// What an apply has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Every object of the export in the order in which it was applied, then those that were not in it any more.
    pub changes: Vec<Change>,
}

/// One object, and what becomes of it.
#[derive(Debug, Clone)]
struct Planned {
    app: Option<AppName>,
    kind: Kind,
    name: ObjectName,
    /// As the export has it.
    wanted: Value,
    /// As the cluster has it now.
    live: Option<Value>,
    /// As the cluster would have it; `None` where it was not asked.
    result: Option<Value>,
    deed: Deed,
    outcome: Outcome,
}

// === impl Cluster ===

impl Cluster {
    /// The name of its context in the kubeconfig.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The namespace of objects that do not say theirs.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn api(&self, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
            None => Api::all_with(self.client.clone(), &kind.resource),
        }
    }

    fn name_of(&self, object: &Object, kind: &Kind) -> ObjectName {
        let namespace = object.value["metadata"]["namespace"].as_str().unwrap_or(&self.namespace);
        ObjectName {
            kind: object.kind().to_owned(),
            namespace: kind.is_namespaced.then(|| namespace.to_owned()),
            name: object.name().to_owned(),
        }
    }
}

// === impl Plan ===

impl Plan {
    /// What would become of each object.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let planned = self.planned.iter().map(Planned::change);
        planned.chain(self.obsolete.iter().map(|obsolete| obsolete.change(self.options))).collect()
    }

    /// What would change, as unified diffs of YAML, object by object; empty: nothing. Values of secrets are not in it.
    #[must_use]
    pub fn diff(&self) -> String {
        let planned = self.planned.iter().filter(|planned| planned.outcome != Outcome::Unchanged);
        let planned = planned.map(|planned| {
            let after = planned.result.as_ref().unwrap_or(&planned.wanted);
            diff::difference(&planned.name, planned.live.as_ref(), Some(after))
        });
        let pruned = self.obsolete.iter().filter(|obsolete| obsolete.is_pruned(self.options));
        let pruned = pruned.map(|obsolete| diff::difference(&obsolete.name, Some(&obsolete.live), None));
        planned.chain(pruned).collect()
    }
}

// === impl Planned ===

impl Planned {
    fn change(&self) -> Change {
        Change { object: self.name.clone(), outcome: self.outcome }
    }
}

// === impl ObjectName ===

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

// === impl Outcome ===

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Pruned => "pruned",
            Self::Kept => "kept",
        })
    }
}
