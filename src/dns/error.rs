//! What can go wrong with a record, and what to do about it.

use std::io;

use super::KINDS;
use crate::web::WebError;

/// Jaro-Winkler similarity from which a kind is taken for a misspelt one.
const SIMILARITY_MIN: f64 = 0.8;

/// Why a record is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// Nobody knows this kind of provider.
    #[error("there is no DNS provider `{kind}`; {}", known(*suggestion))]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What is spelt much like it.
        suggestion: Option<&'static str>,
    },
    /// A credential is not set.
    #[error(
        "DNS provider `{provider}` needs `{variable}`, as in `{variable}={example}`; put it in the file that `acme_dns_file` names, or in the daemon's environment"
    )]
    Missing {
        /// Its kind.
        provider: &'static str,
        /// The credential's name.
        variable: &'static str,
        /// What one looks like.
        example: &'static str,
    },
    /// A credential has no sense. It is not repeated.
    #[error("`{variable}` of DNS provider `{provider}` {problem}")]
    Invalid {
        /// Its kind.
        provider: &'static str,
        /// The credential's name.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The credentials are wrong, or not good enough for this.
    #[error("DNS provider `{provider}` refused to {doing}: {reason}; {advice}")]
    Denied {
        /// Its kind.
        provider: &'static str,
        /// What was being done.
        doing: String,
        /// The provider's words.
        reason: String,
        /// What to look at.
        advice: String,
    },
    /// The provider does not serve the name.
    #[error("DNS provider `{provider}` has no zone for `{name}`; {advice}")]
    NoZone {
        /// Its kind.
        provider: &'static str,
        /// The record's name.
        name: String,
        /// What to look at.
        advice: String,
    },
    /// No TXT record can be like that.
    #[error("`{name}` cannot have this TXT record: {problem}")]
    Record {
        /// The record's name.
        name: String,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// The provider answered, and did not do it.
    #[error("DNS provider `{provider}` did not {doing}: {reason}")]
    Failed {
        /// Its kind.
        provider: &'static str,
        /// What was being done.
        doing: String,
        /// The provider's words.
        reason: String,
    },
    /// The provider's API gave no answer.
    #[error("DNS provider `{provider}` could not be asked to {doing}")]
    Web {
        /// Its kind.
        provider: &'static str,
        /// What was being done.
        doing: String,
        /// What the connection ended with.
        #[source]
        source: WebError,
    },
    /// The name server gave no answer, or the hook's program did not start.
    #[error("DNS provider `{provider}` could not use `{place}` to {doing}")]
    Io {
        /// Its kind.
        provider: &'static str,
        /// The name server or program.
        place: String,
        /// What was being done.
        doing: String,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

// === impl DnsError ===

impl DnsError {
    pub(super) fn unknown_kind(kind: &str) -> Self {
        let wanted = kind.trim().to_ascii_lowercase();
        let suggestion = KINDS
            .iter()
            .map(|known| (strsim::jaro_winkler(&wanted, known), *known))
            .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, known)| known);
        Self::UnknownKind { kind: kind.to_owned(), suggestion }
    }

    /// Whether the credentials are to blame, so that trying again with the same ones is of no use.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// Whether nothing will be better before somebody changes a setting, here or at the provider.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::Web { .. } | Self::Io { .. })
    }
}

fn known(suggestion: Option<&str>) -> String {
    let kinds: Vec<_> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
    let kinds = format!("here are {}, and `hook` runs a program for any other", kinds.join(", "));
    match suggestion {
        Some(suggestion) => format!("did you mean `{suggestion}`? T{kinds}"),
        None => format!("t{kinds}"),
    }
}
