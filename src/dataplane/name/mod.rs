//! The names of things, as types.
//!
//! Each is made by its [`FromStr`] alone, so a value that exists is a name that is valid: no other module checks one again.
//! The rules are those of DNS labels, because an app's name becomes a host name (`<app>.localhost`), part of a container's
//! name, and one day a Kubernetes object's name (RFC 1123).

mod host;
mod idn;
mod public;

use std::fmt;
use std::str::FromStr;

pub use host::{Host, PathPrefix};
pub use public::{PRIVATE_SUFFIXES, is_below, is_public};

/// The longest DNS label (RFC 1035, 2.3.4).
const LABEL_LENGTH_MAX: usize = 63;
/// Names that would shadow minipaas's own hosts.
const RESERVED_APPS: [&str; 2] = ["minipaas", "localhost"];

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS label.
    #[error(
        "{what} `{text}` {problem}; use 1-63 lower-case letters, digits and dashes, starting with a letter"
    )]
    Label {
        /// What was named: `app name`, `process type`, …
        what: &'static str,
        /// The text that was given.
        text: String,
        /// The first rule that it breaks.
        problem: String,
    },
    /// A name that minipaas keeps for itself.
    #[error("app name `{0}` is reserved; choose another")]
    Reserved(String),
    /// Not a host name.
    #[error("host `{text}` {problem}; use a name such as `shop.example.com`, `*.example.com` or `*`")]
    Host {
        /// The text that was given.
        text: String,
        /// The first rule that it breaks.
        problem: String,
    },
    /// Not a path prefix.
    #[error("path `{text}` {problem}; use a prefix such as `/` or `/api`")]
    Path {
        /// The text that was given.
        text: String,
        /// The first rule that it breaks.
        problem: String,
    },
    /// Not a release number.
    #[error("release `{0}` is not a number such as `v42`")]
    Release(String),
    /// Not `<process>.<number>`.
    #[error("instance `{0}` is not a process type and a number such as `web.1`")]
    Slot(String),
}

/// An app's name: a DNS label, unique on a box.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(String);

/// A process type: `web`, `worker`; a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessType(String);

/// A release's number within its app: `v42`. Starts at 1 and only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseId(u64);

/// A place for one instance of a process type: `web.1`. Numbers start at 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The process type.
    pub process: ProcessType,
    /// Which of its replicas, from 1.
    pub number: u32,
}

/// One running container of a process type, unique on a box for all time: eight hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(String);

/// Which minipaas state directory owns an object on an engine: eight hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoxId(String);

// === impl AppName ===

impl AppName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whom the box's own routes belong to: reserved, so no app has this name.
    #[must_use]
    pub fn of_the_box() -> Self {
        Self(RESERVED_APPS[0].to_owned())
    }

    /// The nearest valid name to a folder's: lower case, other characters as dashes, cut at 63; `app` when nothing is left.
    #[must_use]
    pub fn from_folder(folder: &str) -> Self {
        let dashed: String = folder
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
            .collect();
        let squeezed = dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let lettered = match squeezed.chars().next() {
            Some(first) if first.is_ascii_digit() => format!("app-{squeezed}"),
            _ => squeezed,
        };
        let cut: String = lettered.chars().take(LABEL_LENGTH_MAX).collect();
        cut.trim_end_matches('-').parse().unwrap_or_else(|_| Self("app".to_owned()))
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_label("app name", text)?;
        if RESERVED_APPS.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

// === impl ProcessType ===

impl ProcessType {
    /// The process type that gets routes when nothing else is said.
    #[must_use]
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    /// The process type of upstreams that run elsewhere.
    #[must_use]
    pub fn upstream() -> Self {
        Self("upstream".to_owned())
    }

    /// What single runs of a command are numbered under: `run.4711`.
    #[must_use]
    pub fn run() -> Self {
        Self("run".to_owned())
    }

    /// What a release's own command is numbered under, by the release's number: `release.7`.
    #[must_use]
    pub fn release() -> Self {
        Self("release".to_owned())
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `web`.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }
}

impl FromStr for ProcessType {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_label("process type", text)?;
        Ok(Self(text.to_owned()))
    }
}

// === impl ReleaseId ===

impl ReleaseId {
    /// The first release of an app.
    pub const FIRST: Self = Self(1);

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The release with this number; `None` for 0.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl FromStr for ReleaseId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.strip_prefix('v')
            .unwrap_or(text)
            .parse()
            .ok()
            .and_then(Self::from_number)
            .ok_or_else(|| NameError::Release(text.to_owned()))
    }
}

// === impl Slot ===

impl FromStr for Slot {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::Slot(text.to_owned());
        let (process, number) = text.rsplit_once('.').ok_or_else(bad)?;
        let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        Ok(Self { process: process.parse()?, number })
    }
}

// === impl InstanceId, BoxId ===

impl InstanceId {
    /// The id made of these random bits.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(format!("{bits:08x}"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_hex("instance id", text).map(Self)
    }
}

impl BoxId {
    /// The id made of these random bits.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(format!("{bits:08x}"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BoxId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_hex("box id", text).map(Self)
    }
}

// === text forms ===

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProcessType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process, self.number)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_label(what: &'static str, text: &str) -> Result<(), NameError> {
    let bad = |problem: String| NameError::Label { what, text: text.to_owned(), problem };
    if text.is_empty() {
        return Err(bad("is empty".to_owned()));
    }
    if text.len() > LABEL_LENGTH_MAX {
        return Err(bad(format!("has {} characters", text.len())));
    }
    if let Some(c) = text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        return Err(bad(format!("has `{}`", c.escape_debug())));
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(bad("does not start with a letter".to_owned()));
    }
    if text.ends_with('-') {
        return Err(bad("ends with a dash".to_owned()));
    }
    Ok(())
}

fn check_hex(what: &'static str, text: &str) -> Result<String, NameError> {
    if text.len() == 8 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        Ok(text.to_owned())
    } else {
        Err(NameError::Label {
            what,
            text: text.to_owned(),
            problem: "is not eight hexadecimal digits".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_name_is_a_dns_label() {
        for good in ["a", "shop", "my-shop-2", &"a".repeat(63)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in ["", "My_App", "-a", "a-", "1a", "a.b", "é", "minipaas", &"a".repeat(64)] {
            assert!(bad.parse::<AppName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_error_names_the_rule_that_was_broken() {
        let error = "My_App".parse::<AppName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "app name `My_App` has `M`; use 1-63 lower-case letters, digits and dashes, starting with a letter"
        );
    }

    #[test]
    fn a_folder_gives_a_valid_name() {
        for (folder, name) in [
            ("My Shop", "my-shop"),
            ("shop_v2", "shop-v2"),
            ("42", "app-42"),
            ("___", "app"),
            ("localhost", "app"),
        ] {
            assert_eq!(AppName::from_folder(folder).as_str(), name, "{folder}");
        }
    }

    #[test]
    fn slots_and_releases_read_back_as_they_print() {
        assert_eq!("web.12".parse::<Slot>().unwrap().to_string(), "web.12");
        assert!("web.0".parse::<Slot>().is_err() && "web".parse::<Slot>().is_err());
        assert_eq!("v42".parse::<ReleaseId>().unwrap(), "42".parse().unwrap());
        assert!("v0".parse::<ReleaseId>().is_err());
    }
}
