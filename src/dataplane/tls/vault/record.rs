//! How certificates and the index of them look on disk.
//!
//! A certificate's file is one line of JSON with what is not in the certificates themselves, its key sealed, and then the
//! chain as PEM, so that `openssl x509 -in` reads it as it is. The index has a line for every change: a certificate that came,
//! or one that is not to be believed any more. Nobody edits either; `version` is for later forms of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::shelf::Sealed;
use super::{CertificateId, Source, Summary};
use crate::clock;
use crate::seal::BoxKey;
use crate::tls::chain::{Chain, Facts, read_certificates};

const VERSION: u32 = 1;
/// What the first line of the index is sealed as.
const INDEX: &str = "the index of certificates";

/// The first line of a certificate's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Head {
    version: u32,
    added_millis: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acme_authority: Option<String>,
    /// In base64.
    sealed_key: String,
}

/// A line of the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    Index {
        version: u32,
        /// Opens with the key that the certificates' keys are sealed with, in base64; earlier indexes have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seal: Option<String>,
    },
    Kept(Box<Row>),
    Forgotten {
        id: String,
    },
}

/// What the index says of a certificate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    id: String,
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
    issuer: String,
    key_kind: String,
    fingerprint: String,
    serial: String,
    added_millis: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acme_authority: Option<String>,
}

// === impl Line ===

impl Line {
    /// What an index begins with, of certificates that are sealed with `key`.
    pub(super) fn first(key: &BoxKey) -> Self {
        Self::Index { version: VERSION, seal: Some(BASE64_STANDARD.encode(key.seal(INDEX, b""))) }
    }

    /// Whether an index that begins so is of this form, and of this box's certificates.
    pub(super) fn is_first(&self, key: &BoxKey) -> bool {
        let Self::Index { version: VERSION, seal: Some(seal) } = self else { return false };
        BASE64_STANDARD.decode(seal).is_ok_and(|seal| key.open(INDEX, &seal).is_ok())
    }

    /// With its newline.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON") + "\n"
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

// === impl Row ===

impl From<&Summary> for Row {
    fn from(summary: &Summary) -> Self {
        Self {
            id: summary.id.to_string(),
            names: summary.names.clone(),
            not_before: seconds(summary.not_before),
            not_after: seconds(summary.not_after),
            issuer: summary.issuer.clone(),
            key_kind: summary.key_kind.to_string(),
            fingerprint: summary.fingerprint.clone(),
            serial: summary.serial.clone(),
            added_millis: clock::millis(summary.added),
            acme_authority: summary.source.authority().map(str::to_owned),
        }
    }
}

impl Row {
    /// `None` for a row that is not one of ours.
    pub(super) fn summary(self) -> Option<Summary> {
        Some(Summary {
            id: self.id.parse().ok()?,
            names: self.names,
            not_before: time(self.not_before),
            not_after: time(self.not_after),
            issuer: self.issuer,
            key_kind: self.key_kind.parse().ok()?,
            fingerprint: self.fingerprint,
            serial: self.serial,
            source: Source::from_authority(self.acme_authority),
            added: clock::time(self.added_millis),
        })
    }
}

/// The contents of a certificate's file.
pub(super) fn write_file(summary: &Summary, chain: &Chain, sealed_key: &[u8]) -> String {
    let head = Head {
        version: VERSION,
        added_millis: clock::millis(summary.added),
        acme_authority: summary.source.authority().map(str::to_owned),
        sealed_key: BASE64_STANDARD.encode(sealed_key),
    };
    let head = serde_json::to_string(&head).expect("strings and numbers are JSON");
    format!("{head}\n{}", chain.certificates_pem())
}

/// What a certificate's file says; `None` if it is damaged, another's, or of a later version.
pub(super) fn read_file(id: CertificateId, text: &str) -> Option<(Summary, Sealed)> {
    let (head, pem) = text.split_once('\n')?;
    let head: Head = serde_json::from_str(head).ok().filter(|head: &Head| head.version == VERSION)?;
    let certificates = read_certificates(pem).ok()?;
    if CertificateId::of(certificates.first()?) != id {
        return None;
    }
    let facts = Facts::of(&certificates).ok()?;
    let source = Source::from_authority(head.acme_authority);
    let added = clock::time(head.added_millis);
    let summary = Summary::new(id, &facts, source, added);
    Some((summary, Sealed { certificates, key: BASE64_STANDARD.decode(head.sealed_key).ok()? }))
}

fn seconds(time: SystemTime) -> i64 {
    let since = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -since(before.duration()), since)
}

fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
