//! Who asks, and what they may do.
//!
//! An [`Actor`] is whoever stands behind a change, as the ledger of releases and the audit log name them. A [`Role`] is what
//! somebody may do with an app, or, as [`Role::Admin`], with the whole box. A [`User`] has [`Token`]s, each of a [`Scope`],
//! and grants; an [`Invite`] makes one of whoever follows its link. A [`Caller`] is somebody who was let in.
//!
//! [`State`] is all of that as a value, and decides; [`People`] owns the one of a box: it keeps every change in the store
//! before anybody sees it, lets people in, and tells those who wait when something has changed. Nothing here is asked by the
//! proxy: only who uses the box's own API is known.
//!
//! It knows no passwords: whoever can open the box's socket makes the first user.

mod actor;
mod caller;
mod invite;
mod registry;
mod role;
mod state;
mod token;
mod user;

pub(crate) use self::token::is_same;
pub use actor::Actor;
pub use caller::{Caller, Credential};
pub use invite::Invite;
pub use registry::{NewInvite, NewToken, People, PeopleError, Redeemed};
pub use role::{NoSuchRole, Role};
pub use state::{Denied, Entry, Grants, State};
pub use token::{NoSecret, Scope, Secret, SecretDigest, SecretId, SecretKind, Token};
pub use user::{User, UserName, UserNameError};
