//! What the wire says about certificates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name, and the certificate that it has or will have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Certificate {
    /// A host, a wildcard or an address.
    pub name: String,
    /// `valid`, `renewing`, `ordering`, `waiting`, `failed`, `expired` or `unused`.
    pub state: String,
    /// Who signs: `local`, the box's own CA; `own`, somebody outside, and it was added; `acme`.
    pub signer: String,
    /// The certificate authority, once it has given one.
    pub authority: Option<String>,
    /// The hosts of routes that it serves.
    pub hosts: Vec<String>,
    /// The apps of those.
    pub apps: Vec<String>,
    /// The certificate that serves; none for those of the local CA, which are made in the handshake.
    pub certificate: Option<CertificateFacts>,
    /// What went wrong last.
    pub problem: Option<CertificateProblem>,
    /// When it is renewed or ordered next, in milliseconds since the Unix epoch.
    pub next: Option<u64>,
    /// What should be done about it, and soon.
    pub warning: Option<String>,
}

/// What a certificate says. Its key is told to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateFacts {
    /// Its id on this box.
    pub id: String,
    /// The names that it is for.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// In hexadecimal digits.
    pub serial: String,
    /// The SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
    /// `ecdsa`, `rsa` or `ed25519`.
    pub key: String,
    /// In milliseconds since the Unix epoch.
    pub not_before: u64,
    /// In milliseconds since the Unix epoch.
    pub not_after: u64,
}

/// Why there is no certificate, or no new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateProblem {
    /// Its kind, for machines: `unresolved`, `rate-limited`, ….
    pub kind: String,
    /// What happened, and what to do about it.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// A certificate that somebody brings.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateRequest {
    /// The certificate and those of its issuers, as PEM.
    pub chain: String,
    /// Its private key, as PEM.
    pub key: String,
}
