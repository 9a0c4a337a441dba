//! What is remembered of a name whose certificate an authority gives, from one start of the daemon to the next.
//!
//! A name is remembered from its first order until it is not wanted any more and its certificate is dropped. What went wrong
//! and when to try again survives, so that a daemon that restarts in a loop does not hammer an authority; so does an order that
//! is under way, with the key that it is for, so that it is gone on with and not made twice.

use std::ops::Range;

use crate::tls::CertificateId;

/// A time as it is kept: milliseconds since the Unix epoch, of [`crate::clock::millis`].
pub type Millis = u64;

/// What is remembered of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameRecord {
    /// The certificate's one name, `*.` included.
    pub name: String,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
    /// When to try again after those.
    pub next_try: Option<Millis>,
    /// With which settings the last one was made: with others there is nothing to wait for.
    pub tried_with: String,
    /// Why the last one failed.
    pub problem: Option<Problem>,
    /// When the last certificate was issued.
    pub issued: Option<Millis>,
    /// What the authority last said about renewing.
    pub renewal: Option<Renewal>,
    /// When it was first seen that nobody wants it; `None` while somebody does.
    pub unwanted_since: Option<Millis>,
    /// Whether it was ordered because somebody asked for it, and an app agreed.
    pub is_demanded: bool,
}

/// Why there is no certificate, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind, for machines: `unresolved`, `rate-limited`, ….
    pub kind: String,
    /// What happened, and what to do about it.
    pub message: String,
    /// When.
    pub at: Millis,
}

/// An order that an authority may know of: kept apart from the name, by whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// Which authority.
    pub authority: String,
    /// Where the order is; `None` until the authority has said so.
    pub url: Option<String>,
    /// The certificate's key (PEM), sealed.
    pub key: Vec<u8>,
}

/// What an authority says about renewing a certificate (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Of which certificate, by its id in the vault.
    pub certificate: CertificateId,
    /// When to renew.
    pub window: Range<Millis>,
    /// When to ask again.
    pub check_at: Millis,
    /// Where the authority explains itself.
    pub explanation: Option<String>,
}

// === impl NameRecord ===

impl NameRecord {
    /// A name that nothing is known of.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// After an order that worked.
    pub fn succeed(&mut self, now: Millis) {
        (self.failures, self.next_try, self.problem, self.issued) = (0, None, None, Some(now));
    }
}
