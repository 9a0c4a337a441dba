//! What can be wrong with a chain and its key, in words for whoever has made the files.

use std::time::SystemTime;

use jiff::Timestamp;

/// Why a chain and a key cannot be served. Nothing in it is of the key.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ChainError {
    /// The PEM framing or the base64 in it is broken.
    #[error(
        "the chain is broken PEM; each certificate is `-----BEGIN CERTIFICATE-----`, base64, and `-----END CERTIFICATE-----`"
    )]
    ChainPem,
    /// The text has no certificate at all.
    #[error(
        "there is no certificate in the chain; give the certificate of the host and those of its issuers as PEM"
    )]
    NoCertificate,
    /// It is PEM, and what is in it is no X.509 certificate.
    #[error(
        "certificate {place} of the chain is no X.509 certificate; it may have been cut short when it was copied"
    )]
    NotACertificate {
        /// Counted from one.
        place: usize,
    },
    /// A bundle of roots, say.
    #[error(
        "there are {found} certificates in the chain; a chain has at most {max}: the host's and those of its issuers"
    )]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// The text has no private key, or a broken one.
    #[error(
        "there is no private key in the key file; give the key of the host's certificate as PEM: PKCS#8, SEC1 or PKCS#1"
    )]
    NoKey,
    /// The text is a certificate.
    #[error("the key file has a certificate and no private key; give the chain first and the key second")]
    KeyIsChain,
    /// The key needs a passphrase.
    #[error(
        "the key is encrypted with a passphrase; decrypt it first: `openssl pkey -in key.pem -out plain.pem`"
    )]
    KeyEncrypted,
    /// A key that cannot sign handshakes.
    #[error(
        "the key cannot be used; it is to be ECDSA on P-256 or P-384, RSA of 2048 to 4096 bits, or Ed25519"
    )]
    KeyUnusable,
    /// The key is another certificate's.
    #[error(
        "the key does not belong to the certificate for `{subject}`; give the key that this certificate was requested with"
    )]
    KeyMismatch {
        /// The certificate that was meant.
        subject: String,
    },
    /// The leaf is for no host.
    #[error(
        "the certificate `{subject}` names no host; it needs a DNS name or an IP address as subject alternative name"
    )]
    NoNames {
        /// How the certificate calls itself.
        subject: String,
    },
    /// A certificate that is not in the line of issuers.
    #[error(
        "`{extra}` in the chain did not sign `{last}`; put in the certificate of `{issuer}`, which did, or take out `{extra}`"
    )]
    NotLinked {
        /// The certificate that does not belong.
        extra: String,
        /// The last one that does.
        last: String,
        /// Who signed that.
        issuer: String,
    },
    /// Clients refuse it already.
    #[error("the certificate `{subject}` expired on {}; get a new one from its issuer", date(*at))]
    Expired {
        /// Which one of the chain.
        subject: String,
        /// When.
        at: SystemTime,
    },
    /// Clients refuse it still.
    #[error("the certificate `{subject}` is valid from {} on only; wait until then, or look at this machine's clock", date(*from))]
    NotYetValid {
        /// Which one of the chain.
        subject: String,
        /// When.
        from: SystemTime,
    },
}

fn date(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%d at %H:%M UTC").to_string()
}
