//! Who asks, and what they may do.
//!
//! An [`Actor`] is whoever stands behind a change, as the ledger of releases and the audit log name them. A [`Role`] is what
//! somebody may do with an app, or, as [`Role::Admin`], with the whole box.

mod actor;
mod role;

pub use actor::Actor;
pub use role::{NoSuchRole, Role};
