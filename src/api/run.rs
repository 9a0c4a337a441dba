//! What the wire says of single runs of a command, and of commands beside what runs.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runs a command in a release. As JSON with a plain `POST` the run is detached; in `Begin` it is attached.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RunRequest {
    /// The command: one word is a line as in the manifest, several are the program and its arguments. Empty: the command of
    /// `process`.
    #[serde(default)]
    pub command: Vec<String>,
    /// More variables, over the release's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The process type whose limits, and command if none is given, it has.
    pub process: Option<String>,
    /// The release: `v4`; `None`: the one that serves.
    pub release: Option<String>,
    /// The size of its terminal's window; `None`: it has none.
    pub tty: Option<Window>,
    /// Whether it is given input.
    #[serde(default)]
    pub has_input: bool,
    /// For how long a detached one may run, in milliseconds; `None`: 24 h.
    pub limit_ms: Option<u64>,
}

/// Runs a command beside what runs in an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ExecRequest {
    /// The command, as for a run.
    pub command: Vec<String>,
    /// The size of its terminal's window; `None`: it has none.
    pub tty: Option<Window>,
    /// Whether it is given input.
    #[serde(default)]
    pub has_input: bool,
}

/// The size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Window {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// A run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// `run.4711`.
    pub slot: String,
    /// `v4`.
    pub release: String,
    /// `attached`, `detached` or `release`.
    pub kind: String,
    /// The program, without its arguments.
    pub program: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
}

/// What was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Started {
    /// What runs, or what it runs in: `run.4711`, `web.1`.
    pub slot: String,
    /// Its release.
    pub release: String,
}

/// Which file or folder is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FilesQuery {
    /// Its absolute path in the container.
    pub path: String,
}

/// Variables may be secrets, and so may what follows the program.
impl fmt::Debug for RunRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRequest")
            .field("program", &self.command.first())
            .field("release", &self.release)
            .finish_non_exhaustive()
    }
}
