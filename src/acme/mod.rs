//! Certificates of public authorities, by ACME (RFC 8555).
//!
//! An [`Authority`] is the seam: it takes an [`OrderRequest`], proves with the help of a [`Responder`] that the names are ours,
//! and gives back a chain for the key that the request brought. [`AcmeAuthority`] is the real one, and the only part of the box
//! that knows instant-acme.
//!
//! Everything that must survive goes through a [`Journal`] before the next step is taken: the account when it was made, the
//! address of an order when it was made. So an order that a `kill -9` cut short is taken up where it was; one that is gone at
//! the authority by then is replaced by one new order.
//!
//! How a name is proved is chosen by what works: for each name the first kind of [`OrderRequest::kinds`] that the authority
//! offers. If that one is found wanting, a further order tries the next kind, one order at a time, and the error says at the end
//! what each kind came to. A wildcard can only be proved by dns-01.
//!
//! [`Post`] is the responder of the box: it answers through [`crate::tls::Challenges`] and through TXT records. When a
//! certificate is wanted and when it is renewed is not decided here, nor is anything kept on disk here.

mod account;
mod authority;
mod error;
#[cfg(feature = "testing")]
pub mod fake;
mod key;
mod order;
mod post;
mod records;
mod renewal;
mod wire;

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

pub use self::authority::{AcmeAuthority, AuthorityConfig, Eab};
pub use self::error::{OrderError, OrderErrorKind, Verdict};
pub(crate) use self::key::is_for_key;
pub use self::key::{new_key_pem, tls_alpn01_certificate};
pub use self::post::{Post, TxtRecords};
pub use self::records::ProviderRecords;

/// Whoever issues certificates.
#[async_trait]
pub trait Authority: fmt::Debug + Send + Sync {
    /// What it is called, in messages and in the journal.
    fn name(&self) -> &str;

    /// Has a certificate issued, in bounded time. Dropping the future leaves the order to be resumed; what was presented is
    /// not withdrawn then.
    ///
    /// # Errors
    ///
    /// There is no certificate, and the error says why and what to do.
    async fn issue(
        &self,
        request: &OrderRequest,
        journal: &dyn Journal,
        responder: &dyn Responder,
    ) -> Result<Issued, OrderError>;

    /// When the authority would have the certificate renewed (ARI, RFC 9773); `None` if it has no opinion.
    ///
    /// # Errors
    ///
    /// It has one, and did not say it.
    async fn renewal(&self, leaf: &CertificateDer<'_>) -> Result<Option<RenewalInfo>, OrderError>;
}

/// What is to be issued.
#[derive(Clone)]
pub struct OrderRequest {
    /// DNS names in lower case, which may be wildcards; at least one.
    pub names: Vec<String>,
    /// The key of the certificate, as [`new_key_pem`] makes it. A resumed order needs the one that it began with.
    pub key_pem: Zeroizing<String>,
    /// How the names may be proved, the best first.
    pub kinds: Vec<ChallengeKind>,
    /// The address of an order that was not finished, from [`Journal::order_created`].
    pub resume: Option<String>,
    /// The certificate that this one takes the place of, if the same authority issued it.
    pub replaces: Option<CertificateDer<'static>>,
}

/// What was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate and those of its issuers, leaf first, as PEM.
    pub chain_pem: String,
}

/// How a name is proved to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChallengeKind {
    /// A text at port 80 (RFC 8555, 8.3).
    Http01,
    /// A certificate in a handshake at port 443 (RFC 8737).
    TlsAlpn01,
    /// A TXT record (RFC 8555, 8.4).
    Dns01,
}

/// Where an order writes down what must survive. What it writes must be on disk when the call returns.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The account that was kept for this authority. It holds a private key.
    ///
    /// # Errors
    ///
    /// It cannot be read; that it was never kept is no error.
    async fn account(&self, authority: &str) -> Result<Option<Zeroizing<String>>, JournalError>;

    /// Keeps an account for this authority, in the place of any other.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    async fn keep_account(&self, authority: &str, credentials: &str) -> Result<(), JournalError>;

    /// Keeps the address of the order that is under way from now on, for [`OrderRequest::resume`].
    ///
    /// # Errors
    ///
    /// It cannot be written.
    async fn order_created(&self, url: &str) -> Result<(), JournalError>;
}

/// Why the journal was not read or written.
pub type JournalError = Box<dyn Error + Send + Sync>;

/// Who gives the answers by which names are proved.
#[async_trait]
pub trait Responder: Send + Sync {
    /// Gives the answer; it can be seen by the authority when this returns.
    ///
    /// # Errors
    ///
    /// It cannot be given.
    async fn present(&self, answer: &Answer) -> Result<(), RespondError>;

    /// Gives it no longer. Also called for an answer whose presentation failed or was cut short.
    ///
    /// # Errors
    ///
    /// It may still be given.
    async fn withdraw(&self, answer: &Answer) -> Result<(), RespondError>;
}

/// Why an answer was not given.
pub type RespondError = Box<dyn Error + Send + Sync>;

/// What proves a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A text for [`crate::tls::HTTP01_PATH`] and the token.
    Http01 {
        /// The name to prove.
        host: String,
        /// What comes behind the path.
        token: String,
        /// The text.
        authorization: String,
    },
    /// What [`tls_alpn01_certificate`] is made of.
    TlsAlpn01 {
        /// The name to prove.
        host: String,
        /// What the certificate must say.
        digest: [u8; 32],
    },
    /// A TXT record. An order may want several of one name at the same time.
    Dns01 {
        /// The name of the record, `_acme-challenge.example.com`.
        name: String,
        /// Its text.
        value: String,
    },
}

/// When a certificate should be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalInfo {
    /// Some moment in it, chosen at random; at once if it is over.
    pub window: Range<SystemTime>,
    /// A page that says why.
    pub explanation: Option<String>,
    /// When to ask again; between a minute and a day.
    pub check_again: Duration,
}

// === impl OrderRequest ===

impl fmt::Debug for OrderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderRequest")
            .field("names", &self.names)
            .field("kinds", &self.kinds)
            .field("resume", &self.resume)
            .field("replaces", &self.replaces.is_some())
            .finish_non_exhaustive()
    }
}

// === impl ChallengeKind ===

impl ChallengeKind {
    /// As ACME calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
