//! A link that lets somebody in, once.

use std::time::Duration;

use super::{Actor, Role, SecretDigest, SecretId, UserName};
use crate::name::AppName;

/// An invite as the box keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Which.
    pub id: SecretId,
    /// What its code is checked against.
    pub digest: SecretDigest,
    /// For whom; `None` lets whoever follows the link choose a name that is free.
    pub user: Option<UserName>,
    /// Whether it makes an administrator.
    pub is_admin: bool,
    /// What it grants.
    pub grants: Vec<(AppName, Role)>,
    /// When it was made, in milliseconds since the Unix epoch, as all times here.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// Who made it.
    pub by: Actor,
}

impl Invite {
    /// How long a link is good when nothing else is said.
    pub const TIME_DEFAULT: Duration = Duration::from_secs(72 * 60 * 60);
    /// How long it is good at most.
    pub const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires <= now
    }
}
