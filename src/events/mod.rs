//! What was done to the box, by whom, and what happened on it by itself: the audit log.
//!
//! # Theory of operation
//!
//! A [`Journal`] is a handle on one task, which gives each [`Event`] its number and writes it. What waits while a write is
//! under way is written together by the next one, so that a hundred changes at once cost two flushes. [`Journal::record`]
//! returns once the event is on disk; [`Reporter::tell`] does not wait, for those that must not: the controller.
//!
//! Events are never changed. The oldest go when there are more than [`KEPT_MIN`] and they are older than [`KEPT_FOR`], and in
//! any case when there are more than [`KEPT_MAX`].
//!
//! It keeps no value of a variable, no token and no password: a detail names what was changed, never to what. Who may read
//! which events is the API's to decide.

mod event;
mod journal;

use std::time::Duration;

pub use event::{Event, News, Outcome, ReleaseFacts};
pub use journal::{Journal, JournalError, Page, Query, Reporter};

/// So many are kept, however old they are.
pub const KEPT_MIN: u64 = 10_000;
/// More than that are kept as long as they are younger than this.
pub const KEPT_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// No more than so many, however young: at 300 bytes each, 30 MiB.
pub const KEPT_MAX: u64 = 100_000;
