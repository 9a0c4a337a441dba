//! Where requests lead: hosts, and paths below them.

use std::fmt;
use std::str::FromStr;

use super::{LABEL_LENGTH_MAX, NameError};

/// The longest host name in its text form (RFC 1035, 2.3.4: 255 octets on the wire).
const HOST_LENGTH_MAX: usize = 253;

/// What a route's host may be, most specific first in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// `shop.example.com`.
    Exact(String),
    /// `*.example.com`, kept without `*.`: any one label before it.
    Wildcard(String),
    /// `*`: whatever no other route names.
    Fallback,
}

/// A path prefix that matches whole segments: `/api` matches `/api` and `/api/x`, not `/apiary`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(String);

// === impl Host ===

impl Host {
    /// Whether a request's host (lower case, without port) is one that this pattern names.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(suffix) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix)
            }
            Self::Fallback => true,
        }
    }
}

impl FromStr for Host {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = |problem: &str| NameError::Host { text: text.to_owned(), problem: problem.to_owned() };
        if text == "*" {
            return Ok(Self::Fallback);
        }
        let (is_wildcard, name) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name.is_empty() {
            return Err(bad("is empty"));
        }
        if name.len() > HOST_LENGTH_MAX {
            return Err(bad("is longer than 253 characters"));
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err(bad("has an empty label"));
            }
            if label.len() > LABEL_LENGTH_MAX {
                return Err(bad("has a label longer than 63 characters"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(bad("has a label that starts or ends with a dash"));
            }
            if let Some(c) =
                label.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
            {
                return Err(bad(&format!("has `{c}`")));
            }
        }
        Ok(if is_wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }
}

// === impl PathPrefix ===

impl PathPrefix {
    /// `/`: every path.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The prefix as text; no trailing slash but for `/` itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request's path lies at or below this prefix.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.0 == "/"
            || path.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for PathPrefix {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = |problem: &str| NameError::Path { text: text.to_owned(), problem: problem.to_owned() };
        if !text.starts_with('/') {
            return Err(bad("does not start with `/`"));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '\\')) {
            return Err(bad(&format!("has `{}`", c.escape_default())));
        }
        if text.contains("//") || text.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(bad("has an empty, `.` or `..` segment"));
        }
        let trimmed = text.trim_end_matches('/');
        Ok(Self(if trimmed.is_empty() { "/" } else { trimmed }.to_owned()))
    }
}

// === text forms ===

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Fallback => f.write_str("*"),
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_label() {
        let host: Host = "*.Example.com".parse().unwrap();
        assert!(host.matches("a.example.com"));
        assert!(!host.matches("a.b.example.com"));
        assert!(!host.matches("example.com"));
        assert_eq!(host.to_string(), "*.example.com");
    }

    #[test]
    fn a_path_prefix_matches_whole_segments() {
        let api: PathPrefix = "/api/".parse().unwrap();
        assert!(api.matches("/api") && api.matches("/api/") && api.matches("/api/x"));
        assert!(!api.matches("/apiary") && !api.matches("/"));
        assert!(PathPrefix::root().matches("/anything"));
        for bad in ["api", "/a//b", "/a/../b", "/a b", "/a?x"] {
            assert!(bad.parse::<PathPrefix>().is_err(), "{bad}");
        }
    }
}
