//! Why an export is not applied, and what helps.

use std::path::PathBuf;

use kube::config::KubeconfigError;
use kube::core::Status;

use super::pods::Trouble;
use super::{Cluster, ObjectName};

/// The status codes of the API that mean something here.
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
/// What a cause of a conflict is called (apimachinery, `CauseTypeFieldManagerConflict`).
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// Why an export is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// No file of it is there.
    #[error("there is no kubeconfig{}", at(paths))]
    NoKubeconfig {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
    },
    /// It is not what it must be.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// It has no such context.
    #[error("the kubeconfig has no context `{name}`")]
    UnknownContext {
        /// The one that is meant.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// It does not say which of its contexts is meant.
    #[error("the kubeconfig has no current context")]
    NoContext {
        /// Those that it has.
        known: Vec<String>,
    },
    /// Its certificates, keys or credentials are no such.
    #[error("context `{context}` cannot be used")]
    Client {
        /// The context.
        context: String,
        /// What is wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// It does not answer.
    #[error("the cluster at {server} does not answer: {reason}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// The transport's word.
        reason: String,
    },
    /// It does not take the credentials.
    #[error("the cluster at {server} does not know who you are: {reason}")]
    Unauthorized {
        /// Its URL.
        server: String,
        /// The context whose credentials they are.
        context: String,
        /// Its word.
        reason: String,
    },
    /// A right is missing.
    #[error("you may not {action}: {message}")]
    Forbidden {
        /// What was being done: "apply Deployment `shop`".
        action: String,
        /// The cluster's word, which names the right.
        message: String,
    },
    /// Kinds of the export are not installed there.
    #[error("the cluster has no {}", list(kinds.iter()))]
    MissingKinds {
        /// Which.
        kinds: Vec<MissingKind>,
    },
    /// The namespace is not there.
    #[error("the cluster has no namespace `{0}`")]
    NoNamespace(String),
    /// A secret has to have values before anything runs, and the export has none.
    #[error("{object} has no {}, and the export has no values", list(keys.iter().map(|key| format!("`{key}`"))))]
    EmptySecret {
        /// Which.
        object: ObjectName,
        /// The keys that are missing there.
        keys: Vec<String>,
    },
    /// Others own fields that the export sets.
    #[error("others have set what the export sets: {}", list(conflicts.iter()))]
    Conflicts {
        /// Each field.
        conflicts: Vec<Conflict>,
    },
    /// The cluster does not take an object.
    #[error("the cluster does not take {object}: {message}")]
    Rejected {
        /// Which.
        object: ObjectName,
        /// The cluster's word.
        message: String,
    },
    /// A call failed otherwise.
    #[error("cannot {action}: {message}")]
    Failed {
        /// What was being done.
        action: String,
        /// The cluster's word.
        message: String,
    },
    /// A release's own command failed; nothing after it was applied.
    #[error("{job} {reason}")]
    JobFailed {
        /// The job.
        job: ObjectName,
        /// How it ended: `failed: BackoffLimitExceeded`.
        reason: String,
        /// What its pod says.
        trouble: Option<Box<Trouble>>,
    },
    /// New pods do not become ready.
    #[error("{workload} {reason}")]
    RolloutFailed {
        /// The workload.
        workload: ObjectName,
        /// How it ended: `did not become ready within 600s`.
        reason: String,
        /// What its pods say.
        troubles: Vec<Trouble>,
    },
}

/// A kind that is not installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingKind {
    /// `gateway.networking.k8s.io/v1`.
    pub api_version: String,
    /// `HTTPRoute`.
    pub kind: String,
}

/// A field that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The object.
    pub object: ObjectName,
    /// `.spec.replicas`.
    pub field: String,
    /// Who, in the cluster's words: `"kubectl-edit" using apps/v1`.
    pub owner: String,
}

// === impl ApplyError ===

impl ApplyError {
    /// What to do next, in sentences.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let known = |known: &[String]| match known {
            [] => "it has none; `kubectl config set-context` makes one".to_owned(),
            known => {
                format!("it has {}; `--context` chooses", list(known.iter().map(|name| format!("`{name}`"))))
            }
        };
        match self {
            Self::NoKubeconfig { .. } => vec![
                "whoever runs the cluster gives you one; `KUBECONFIG` says where it is".to_owned(),
                "without `--apply` the files are written, for `kubectl apply --server-side -f`".to_owned(),
            ],
            Self::UnknownContext { known: names, .. } | Self::NoContext { known: names } => {
                vec![known(names)]
            }
            Self::Unreachable { .. } => vec!["`kubectl cluster-info` asks the same cluster".to_owned()],
            Self::Unauthorized { context, .. } => {
                vec![format!("log in to it anew; `kubectl --context {context} auth whoami` says who you are")]
            }
            Self::Forbidden { .. } => vec![
                "whoever runs the cluster can give it, by a Role and a RoleBinding in the namespace"
                    .to_owned(),
            ],
            Self::MissingKinds { kinds } => kinds.iter().map(MissingKind::hint).collect(),
            Self::NoNamespace(name) => vec![format!("`kubectl create namespace {name}` makes it")],
            Self::EmptySecret { object, keys } => {
                let literals = keys.iter().map(|key| format!("--from-literal={key}=…")).collect::<Vec<_>>();
                let namespace = object.namespace.as_deref().unwrap_or("default");
                vec![
                    format!(
                        "`kubectl -n {namespace} create secret generic {} {}` gives them",
                        object.name,
                        literals.join(" ")
                    ),
                    "`--secrets inline` takes the values of the box".to_owned(),
                ]
            }
            Self::Conflicts { .. } => {
                vec![
                    "`--force-conflicts` takes these fields over; others keep all else that they own"
                        .to_owned(),
                ]
            }
            Self::JobFailed { .. } => {
                vec!["nothing after it was applied: the release before this one goes on serving".to_owned()]
            }
            Self::RolloutFailed { workload, .. } => vec![
                "what ran before goes on serving".to_owned(),
                format!(
                    "`kubectl -n {} rollout undo {}/{}` takes the new release back",
                    workload.namespace.as_deref().unwrap_or("default"),
                    workload.kind.to_lowercase(),
                    workload.name
                ),
            ],
            Self::Kubeconfig(_) | Self::Client { .. } | Self::Rejected { .. } | Self::Failed { .. } => {
                Vec::new()
            }
        }
    }

    /// What the culprits say, from the first on.
    #[must_use]
    pub fn troubles(&self) -> &[Trouble] {
        match self {
            Self::JobFailed { trouble: Some(trouble), .. } => std::slice::from_ref(trouble.as_ref()),
            Self::RolloutFailed { troubles, .. } => troubles,
            _ => &[],
        }
    }
}

// === impl MissingKind ===

impl MissingKind {
    fn hint(&self) -> String {
        let group = self.api_version.split('/').next().unwrap_or_default();
        let (what, how) = match group {
            "gateway.networking.k8s.io" => (
                "the Gateway API",
                "https://gateway-api.sigs.k8s.io/guides/, or export with `--ingress CLASS`",
            ),
            "bitnami.com" => (
                "Sealed Secrets",
                "https://github.com/bitnami-labs/sealed-secrets, or export with other `--secrets`",
            ),
            "external-secrets.io" => {
                ("External Secrets", "https://external-secrets.io, or export with other `--secrets`")
            }
            "traefik.io" => ("Traefik", "https://doc.traefik.io/traefik/getting-started/kubernetes/"),
            "cert-manager.io" => ("cert-manager", "https://cert-manager.io/docs/installation/"),
            _ => {
                return format!(
                    "`kubectl api-resources` lists what it has; {self} needs a newer cluster or an add-on"
                );
            }
        };
        format!("{self} comes with {what}: {how}")
    }
}

impl std::fmt::Display for MissingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({})", self.kind, self.api_version)
    }
}

// === impl Conflict ===

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` of {} is owned by {}", self.field, self.object, self.owner)
    }
}

// === impl Cluster ===

impl Cluster {
    /// What went wrong while `action` was being done.
    pub(super) fn failed(&self, action: &str, error: kube::Error) -> ApplyError {
        match error {
            kube::Error::Api(status) => match status.code {
                UNAUTHORIZED => self.unauthorized(&status.message),
                FORBIDDEN => ApplyError::Forbidden { action: action.to_owned(), message: status.message },
                _ => ApplyError::Failed { action: action.to_owned(), message: status.message },
            },
            kube::Error::Auth(error) => self.unauthorized(&error.to_string()),
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
                ApplyError::Unreachable { server: self.server.clone(), reason: innermost(&error) }
            }
            error => ApplyError::Failed { action: action.to_owned(), message: innermost(&error) },
        }
    }

    /// Why an object was not applied.
    pub(super) fn not_applied(&self, object: &ObjectName, error: kube::Error) -> ApplyError {
        match error {
            kube::Error::Api(status) if status.is_conflict() && !conflicts(object, &status).is_empty() => {
                ApplyError::Conflicts { conflicts: conflicts(object, &status) }
            }
            // A quota and a policy also answer so, and then the right is there.
            kube::Error::Api(status) if status.code == FORBIDDEN && is_refused_by_policy(&status.message) => {
                ApplyError::Rejected { object: object.clone(), message: status.message }
            }
            kube::Error::Api(status) if status.code == UNAUTHORIZED || status.code == FORBIDDEN => {
                self.failed(&format!("apply {object}"), kube::Error::Api(status))
            }
            kube::Error::Api(status) => {
                ApplyError::Rejected { object: object.clone(), message: status.message }
            }
            error => self.failed(&format!("apply {object}"), error),
        }
    }

    fn unauthorized(&self, reason: &str) -> ApplyError {
        ApplyError::Unauthorized {
            server: self.server.clone(),
            context: self.context.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Whether an admission plugin, not an authorizer, refused.
fn is_refused_by_policy(message: &str) -> bool {
    ["exceeded quota", "violates PodSecurity", "admission webhook", "ValidatingAdmissionPolicy", "LimitRange"]
        .iter()
        .any(|word| message.contains(word))
}

fn conflicts(object: &ObjectName, status: &Status) -> Vec<Conflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == FIELD_MANAGER_CONFLICT)
        .map(|cause| Conflict {
            object: object.clone(),
            field: cause.field.clone(),
            owner: cause.message.trim_start_matches("conflict with ").to_owned(),
        })
        .collect()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn at(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return String::new();
    }
    format!(" at {}", list(paths.iter().map(|path| format!("`{}`", path.display()))))
}
