//! What somebody may do.

use std::fmt;
use std::str::FromStr;

/// What somebody may do with an app; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look: state, releases, logs, traffic; no value of a variable.
    Viewer,
    /// Deploy and operate: config, scale, run, roll back.
    Collaborator,
    /// Also remove it and say who else may use it.
    Owner,
    /// Anything on the box, and who its users are.
    Admin,
}

/// The name of no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; there are viewer, collaborator, owner and admin")]
pub struct NoSuchRole(String);

impl Role {
    /// All, the smallest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Collaborator, Self::Owner, Self::Admin];

    /// As it is typed and stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Collaborator => "collaborator",
            Self::Owner => "owner",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = NoSuchRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NoSuchRole(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
