//! The way out: what a box runs, as the objects of a Kubernetes cluster that behave the same there.
//!
//! [`export`] turns each [`Subject`] (an app's newest release that served, with everything that commands have set over it) into typed
//! [`Object`]s and [`Note`]s. It is pure, and deterministic: the same subjects and [`Options`] give the same bytes. What has no
//! counterpart on a cluster becomes a note, never silence. Later steps change or write the result and know nothing of apps: how
//! secrets are handed over, the formats yaml, kustomize and Helm, the check against a version's schema, and `--apply`.
//!
//! ```text
//!   Subject ─► workloads, config, jobs, routing … ─► Export { objects, notes } ─► secrets ─► yaml | kustomize | helm | apply
//! ```
//!
//! It does not ask the box or the cluster anything; whoever calls it has.

pub mod check;
pub mod format;
mod names;
mod object;
mod options;
pub mod secrets;
mod subject;

pub use names::{CRON_NAME_LENGTH_MAX, Labels, NAME_LENGTH_MAX, Names};
pub use object::{Comment, Export, Note, NoteKind, Object, Sheet};
pub use options::{Entrance, Options, SecretMode, TlsSource, Version};
pub use subject::{Healthcheck, Image, Subject};
