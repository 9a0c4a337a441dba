//! What may be wanted of an app's instances, and why they are as they were.

use std::fmt;

use tokio::sync::mpsc;

use crate::formation::{Change, FormationError};
use crate::manifest::ManifestError;
use crate::name::{AppName, ProcessType, Slot};
use crate::rollout::{Abort, Update};
use crate::store::StoreError;

/// A change of what runs for an app, as it is asked for.
#[derive(Debug)]
pub struct Reform {
    /// The app.
    pub app: AppName,
    /// What is wanted.
    pub wanted: Wanted,
    /// Hears how it goes, and ends with [`ReformUpdate::Ended`].
    pub updates: mpsc::UnboundedSender<ReformUpdate>,
}

/// What is wanted of an app's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Other numbers.
    Scale(Vec<Change>),
    /// The manifest's numbers, of these process types, or of all.
    Reset(Vec<ProcessType>),
    /// New instances of all process types.
    RestartAll,
    /// New instances of this process type.
    RestartType(ProcessType),
    /// A new instance in this place.
    Restart(Slot),
}

/// What a change says while it goes on.
#[derive(Debug)]
pub enum ReformUpdate {
    /// It said something.
    Said(Update),
    /// It is over; nothing follows.
    Ended(Result<(), ReformError>),
}

/// Why an app's instances are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ReformError {
    /// There is none of this name.
    #[error("there is no app `{0}`")]
    Unknown(AppName),
    /// It has no instances.
    #[error("app `{0}` is only a route to upstreams, and has no instances")]
    External(AppName),
    /// It has nothing that could run.
    #[error("app `{0}` has no release that serves")]
    NoRelease(AppName),
    /// The numbers break a rule.
    #[error(transparent)]
    Formation(#[from] FormationError),
    /// There is no such instance.
    #[error("`{app}` has no instance `{slot}`")]
    NoInstance {
        /// The app.
        app: AppName,
        /// What was named.
        slot: Slot,
    },
    /// A volume has one writer.
    #[error(
        "`{process}` has a volume, which has one writer, and its manifest does not say that more may share it"
    )]
    OneWriter {
        /// The process type.
        process: ProcessType,
    },
    /// The host has less.
    #[error(
        "the memory limits of all instances would be {} MiB, and the host has {} MiB",
        wanted >> 20,
        host >> 20
    )]
    Memory {
        /// Bytes.
        wanted: u64,
        /// Bytes.
        host: u64,
    },
    /// The release's manifest cannot be read any more.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A new instance did not become ready; everything is as it was.
    #[error("{}", unready(.0))]
    NotReady(Box<Abort>),
    /// The app was taken down meanwhile.
    #[error("app `{0}` was taken down meanwhile")]
    TakenDown(AppName),
    /// The engine has not answered since the daemon started.
    #[error("the engine does not answer: {0}")]
    EngineAway(String),
    /// The state could not be written; everything is as it was.
    #[error("the state of the app could not be stored")]
    Store(#[from] StoreError),
}

impl fmt::Display for Wanted {
    /// As it is typed: `web=3 worker+1`, `web.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, parts: &[impl ToString]) -> fmt::Result {
            f.write_str(&parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        match self {
            Self::Scale(changes) => list(f, changes),
            Self::Reset(types) if types.is_empty() => f.write_str("all as in the manifest"),
            Self::Reset(types) => {
                list(f, types)?;
                f.write_str(" as in the manifest")
            }
            Self::RestartAll => f.write_str("all"),
            Self::RestartType(process) => write!(f, "{process}"),
            Self::Restart(slot) => write!(f, "{slot}"),
        }
    }
}

impl Reform {
    pub(super) fn end(self, result: Result<(), ReformError>) {
        // A client that went away does not need to know.
        let _ = self.updates.send(ReformUpdate::Ended(result));
    }

    pub(super) fn say(&self, update: Update) {
        let _ = self.updates.send(ReformUpdate::Said(update));
    }
}

impl ReformError {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Formation(error) => error.hints(),
            Self::NoRelease(_) => {
                vec!["`minipaas up` makes one; `replicas` in its [process] table says how many".to_owned()]
            }
            Self::NoInstance { app, .. } => vec![format!("`minipaas ps -a {app}` lists them")],
            Self::OneWriter { .. } => {
                vec!["`replicas` above 1 in its [process] table says that they may, or keep the data in a service".to_owned()]
            }
            Self::Memory { .. } => {
                vec!["lower `memory` in its [process] table, or scale something else down".to_owned()]
            }
            Self::NotReady(abort) => abort.hints(),
            _ => Vec::new(),
        }
    }
}

fn unready(abort: &Abort) -> String {
    let slot = abort.slot.as_ref().map_or_else(|| "a new instance".to_owned(), |slot| format!("`{slot}`"));
    format!("{slot} of `{}` did not become ready, and everything is as it was", abort.app)
}
