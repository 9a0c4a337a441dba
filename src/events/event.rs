//! One event.

use std::time::Duration;

use crate::name::{AppName, ReleaseId};
use crate::people::Actor;

/// Something that was done or that happened, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number; it grows by one from event to event, over restarts, too.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The rest of it.
    pub news: News,
}

/// An event that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Who did it.
    pub actor: Actor,
    /// The app that it is about; `None` for the box.
    pub app: Option<AppName>,
    /// One stable word, as `deploy` or `release-failed`.
    pub action: String,
    /// What it was about, in a few words; never a secret.
    pub detail: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The address that it was asked from; `None` for the box's own socket, and for what happened by itself.
    pub from: Option<String>,
    /// The release that it is about, if it is about one.
    pub release: Option<ReleaseFacts>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was not, for the reason of this code.
    Failed(String),
}

/// What is told of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// Its number.
    pub id: ReleaseId,
    /// Who made it, when that is known.
    pub by: Option<Actor>,
    /// What it changed, in one line, when that is known.
    pub summary: Option<String>,
    /// The commit that it was made from, when that is known.
    pub commit: Option<String>,
    /// From when it was asked for to this event.
    pub took: Duration,
    /// Where its app is reached: hosts and paths.
    pub routes: Vec<(String, String)>,
}

impl News {
    /// Something that happened to an app by itself.
    #[must_use]
    pub fn of_app(app: &AppName, action: &str, detail: impl Into<String>) -> Self {
        Self { app: Some(app.clone()), ..Self::of_box(action, detail) }
    }

    /// Something that happened to the box by itself.
    #[must_use]
    pub fn of_box(action: &str, detail: impl Into<String>) -> Self {
        Self {
            actor: Actor::the_box(),
            app: None,
            action: action.to_owned(),
            detail: detail.into(),
            outcome: Outcome::Ok,
            from: None,
            release: None,
        }
    }

    /// The same, as something that went wrong.
    #[must_use]
    pub fn failed(self, code: &str) -> Self {
        Self { outcome: Outcome::Failed(code.to_owned()), ..self }
    }

    /// The same, about this release.
    #[must_use]
    pub fn about(self, release: ReleaseFacts) -> Self {
        Self { release: Some(release), ..self }
    }
}
