//! What is done to headers and bodies on their way.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// Changes to headers: removed first, then set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// Removed, wherever they come from.
    pub remove: Vec<HeaderName>,
    /// Set, replacing what was there.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

/// `Strict-Transport-Security` (RFC 6797).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts {
    /// For how long browsers use https alone.
    pub max_age: Duration,
    /// For the host's subdomains, too.
    pub subdomains: bool,
    /// Whether the host may be put into the browsers' own lists.
    pub preload: bool,
}

/// Whether bodies are collected before they are passed on; what does not fit in memory goes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffering {
    /// A request reaches the app once it is complete.
    pub requests: bool,
    /// An app is rid of a response however slow its client is.
    pub responses: bool,
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

// === impl HeaderEdits ===

impl HeaderEdits {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }
}

// === impl Encoding ===

impl Encoding {
    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}
