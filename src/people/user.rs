//! A user of the box, by a name that can be typed.

use std::fmt;
use std::str::FromStr;

/// As long as an address of mail may be on most systems.
const NAME_LENGTH_MAX: usize = 64;
/// What actors are called that are no users.
const RESERVED: [&str; 4] = ["minipaas", "somebody", "root", "me"];

/// A user's name: `alice`, or an address such as `alice@example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// Somebody who may use the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub name: UserName,
    /// Since when, in milliseconds since the Unix epoch.
    pub created: u64,
    /// Whether they may do anything on the box.
    pub is_admin: bool,
}

/// The name of no user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "user name `{text}` {problem}; use 1-64 lower-case letters, digits, `.`, `_`, `-`, `+` and `@`, starting with a letter or digit"
)]
pub struct UserNameError {
    text: String,
    problem: &'static str,
}

// === impl UserName ===

impl UserName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let problem = match text.as_bytes() {
            [] => "is empty",
            bytes if bytes.len() > NAME_LENGTH_MAX => "is too long",
            [first, ..] if !is_plain(*first) => "does not start with a letter or digit",
            bytes if !bytes.iter().all(|byte| is_plain(*byte) || b"._-+@".contains(byte)) => {
                "has a character that is none of these"
            }
            _ if RESERVED.contains(&text) => "is reserved",
            _ => return Ok(Self(text.to_owned())),
        };
        Err(UserNameError { text: text.to_owned(), problem })
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_typed_and_is_nobody_elses() {
        for good in ["alice", "a", "7up", "alice@example.com", "a.b_c-d+e"] {
            assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "Alice", "-a", "@a", "a b", "a/b", "é", "minipaas", "root", long.as_str()] {
            assert!(bad.parse::<UserName>().is_err(), "{bad}");
        }
    }
}
