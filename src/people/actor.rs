//! Whoever stands behind a change.

use std::fmt;

/// Whoever stands behind a change: a user's name, a person at the box itself, or the box.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(String);

impl Actor {
    /// The box, of its own accord: autoscaling, a schedule, a flip back.
    #[must_use]
    pub fn the_box() -> Self {
        Self("minipaas".to_owned())
    }

    /// Who stands behind what was done before anybody was asked for a name.
    #[must_use]
    pub fn unknown() -> Self {
        Self("somebody".to_owned())
    }

    /// This user, or this user of the box's own system.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
