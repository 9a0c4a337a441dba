//! Why something cannot be exported at all. What a cluster merely does otherwise is a note of the export, and no error.

use super::options::Version;
use crate::environment::SECRETS_DIR;
use crate::name::AppName;

/// Why there is no export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Nothing was named.
    #[error("there is no app to export")]
    NoSubject,
    /// No name for a namespace.
    #[error(
        "namespace `{0}` is no name for one; use 1-63 lower-case letters, digits and dashes, with none of the dashes first or last"
    )]
    Namespace(String),
    /// A cluster that lacks fields without which requests are lost.
    #[error(
        "Kubernetes {0} is too old: an export needs {oldest} or newer, where a pod can wait before it stops (`preStop.sleep`)",
        oldest = Version::OLDEST
    )]
    Version(Version),
    /// Two objects of a kind would have one name, and the later would replace the earlier.
    #[error("{first} and {second} would both be the {kind} `{name}`")]
    Collision {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
        /// Whose the one is.
        first: String,
        /// Whose the other is.
        second: String,
    },
    /// Pods of two parts of an app could not be told apart.
    #[error(
        "the process type `{process}` and the job `{job}` of `{app}` have pods of one label, so requests would reach the job's"
    )]
    Label {
        /// The app.
        app: AppName,
        /// The process type.
        process: String,
        /// The job.
        job: String,
    },
    /// A place where a cluster mounts no volume.
    #[error(
        "volume `{volume}` of `{app}` is mounted at `{path}`; a cluster takes a path without `:`, and secrets are in {SECRETS_DIR}"
    )]
    Mount {
        /// The app.
        app: AppName,
        /// The volume.
        volume: String,
        /// Where.
        path: String,
    },
    /// More than the API takes for one object.
    #[error("the variables of `{app}` make a {kind} of {bytes} bytes; a cluster takes {max}")]
    Large {
        /// The app.
        app: AppName,
        /// ConfigMap or Secret.
        kind: &'static str,
        /// All of its names and values.
        bytes: usize,
        /// How many there may be.
        max: usize,
    },
}

impl ExportError {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSubject => "deploy one with `minipaas up`; what has never served cannot be exported",
            Self::Namespace(_) => return Vec::new(),
            Self::Version(_) => "leave `--kubernetes` out for the oldest that works",
            Self::Collision { .. } => {
                "export the apps one by one, each with a `--namespace` of its own, or rename one of the two"
            }
            Self::Label { .. } => "rename one of the two",
            Self::Mount { .. } => "give the volume another `path`",
            Self::Large { .. } => "put what is large into a file of the image, or a volume",
        };
        vec![hint.to_owned()]
    }
}
