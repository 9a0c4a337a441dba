//! Why something did not work, as the wire says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something did not work, for a person and for a program.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[error("{message}")]
pub struct Failure {
    /// What a client may branch on: `manifest`, `conflict`, `name-taken`, `not-found`, `not-ready`, `worse`, `cancelled`,
    /// `external`, `deployed`, `own-address`, `build-failed`, `not-pushed`, `image-missing`, `engine-unreachable`, `disk-full`, `internal`.
    pub code: String,
    /// What did not work.
    pub message: String,
    /// Why, from the outside in.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The last lines that the culprit wrote.
    #[serde(default)]
    pub log: Vec<String>,
    /// What to do next.
    #[serde(default)]
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), ..Self::default() }
    }

    /// With one more cause, under the ones before.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// With one more hint.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}
