//! Why there is no certificate: for the manager by kind, for people in plain words that end with what to do.
//!
//! What an authority says is quoted, as it knows more than we do; the rest of a message is ours. A message does not name the
//! authority, since who shows it knows whom was asked.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use instant_acme::{Error, Problem};

use super::ChallengeKind;
use super::wire::{Refusal, refusal};
use crate::web::WebError;

/// What all kinds of problems begin with (RFC 8555, 6.7).
const PROBLEM_PREFIX: &str = "urn:ietf:params:acme:error:";

/// Why there is no certificate.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct OrderError {
    /// What kind of trouble it is.
    pub kind: OrderErrorKind,
    /// What happened, and what to do, for people.
    pub message: String,
    /// How long the authority wants to be left alone, if it said so.
    pub retry_after: Option<Duration>,
    /// What each attempt to prove a name came to; empty unless the kind is [`OrderErrorKind::Validation`] or
    /// [`OrderErrorKind::Caa`].
    pub verdicts: Vec<Verdict>,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OrderErrorKind {
    /// The authority had enough for now.
    RateLimited,
    /// It does not issue for these names, or not as configured.
    Refused,
    /// A CAA record forbids it to.
    Caa,
    /// No kind of challenge proved a name.
    Validation,
    /// It cannot be reached, or is in trouble itself.
    Unreachable,
    /// The order was not done in time; it can be resumed.
    Late,
    /// It does not take our account.
    Account,
    /// It wants an account that was made elsewhere first, or does not take the one that was given.
    EabRequired,
    /// The order is no longer good.
    Order,
    /// The answer to a challenge cannot be given.
    Responder,
    /// Something cannot be written down here.
    Journal,
    /// The authority does not speak as it should.
    Protocol,
    /// There is a wildcard, and no way to give DNS records.
    NoDns,
}

/// What one attempt to prove a name came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The name, without the `*.` of a wildcard.
    pub host: String,
    /// How it was to be proved.
    pub kind: ChallengeKind,
    /// The kind of the problem, as RFC 8555 (6.7) has it: `connection`, `dns`, `unauthorized`.
    pub problem: String,
    /// What the authority said.
    pub detail: String,
}

// === impl OrderErrorKind ===

impl OrderErrorKind {
    /// A word for it that does not change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate-limited",
            Self::Refused => "refused",
            Self::Caa => "caa",
            Self::Validation => "validation",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Account => "account",
            Self::EabRequired => "eab-required",
            Self::Order => "order",
            Self::Responder => "responder",
            Self::Journal => "journal",
            Self::Protocol => "protocol",
            Self::NoDns => "no-dns",
        }
    }
}

// === impl OrderError ===

impl OrderError {
    /// An error of this kind.
    pub fn new(kind: OrderErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, verdicts: Vec::new() }
    }

    pub(super) fn journal(error: &super::JournalError) -> Self {
        Self::new(
            OrderErrorKind::Journal,
            format!("the order cannot be written down: {}", chain(error.as_ref())),
        )
    }

    pub(super) fn responder(answer: &super::Answer, error: &super::RespondError) -> Self {
        use super::Answer::{Dns01, Http01, TlsAlpn01};
        let what = match answer {
            Http01 { host, .. } => format!("http-01 for `{host}`"),
            TlsAlpn01 { host, .. } => format!("tls-alpn-01 for `{host}`"),
            Dns01 { name, .. } => format!("dns-01 at `{name}`"),
        };
        let message = format!("the answer to {what} cannot be given: {}", chain(error.as_ref()));
        Self::new(OrderErrorKind::Responder, message)
    }

    /// What an authority's problem is, outside of a challenge.
    pub(super) fn of_problem(problem: &Problem) -> Self {
        use OrderErrorKind as Kind;
        let said = words(problem);
        let (kind, message) = match problem_kind(problem) {
            "rateLimited" => (
                Kind::RateLimited,
                format!("it limits how many orders it takes: {said}; wait, or use another authority"),
            ),
            "rejectedIdentifier" | "unsupportedIdentifier" => (
                Kind::Refused,
                format!(
                    "it does not issue for such names: {said}; use a name that is public, or another authority"
                ),
            ),
            "invalidProfile" => {
                (Kind::Refused, format!("it does not know the profile: {said}; choose one that it has"))
            }
            "caa" => (Kind::Caa, caa(&said)),
            "externalAccountRequired" => (
                Kind::EabRequired,
                format!(
                    "it wants an account that you have with it: {said}; put its key id and key into `acme_eab_file`"
                ),
            ),
            "accountDoesNotExist" | "unauthorized" => (
                Kind::Account,
                format!(
                    "it does not take the account of this box: {said}; ask it why, or use another authority"
                ),
            ),
            "invalidContact" | "unsupportedContact" => {
                (Kind::Account, format!("it does not take the contact: {said}; correct `acme_email`"))
            }
            "userActionRequired" => (Kind::Account, format!("it wants something of you first: {said}")),
            "badCSR" | "orderNotReady" | "alreadyReplaced" => {
                (Kind::Order, format!("the order is not good: {said}"))
            }
            "badNonce" => {
                (Kind::Unreachable, format!("it refused one request again and again: {said}; wait"))
            }
            "serverInternal" => (Kind::Unreachable, format!("it is in trouble itself: {said}; wait")),
            _ => (Kind::Protocol, format!("it refuses the request: {said}")),
        };
        let mut error = Self::new(kind, message);
        if kind == Kind::RateLimited {
            error.retry_after = wait_in_words(&said, SystemTime::now());
        }
        error
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        let status = refusal.status;
        let mut error = match &refusal.problem {
            // With status 5xx it is the server's trouble, whatever it calls it.
            Some(problem) if status.is_server_error() && problem_kind(problem) != "rateLimited" => Self::new(
                OrderErrorKind::Unreachable,
                format!("it is in trouble itself: {}; wait", words(problem)),
            ),
            Some(problem) => Self::of_problem(problem),
            None if status.is_server_error() || status.as_u16() == 429 => Self::new(
                OrderErrorKind::Unreachable,
                format!("`{}` answered with {status}; wait", refusal.host),
            ),
            None => Self::new(
                OrderErrorKind::Protocol,
                format!(
                    "`{}` answered with {status}, which is not ACME; see whether `acme_directory` is right",
                    refusal.host
                ),
            ),
        };
        error.retry_after = refusal.retry_after.or(error.retry_after);
        error
    }

    pub(super) fn of_web(error: &WebError) -> Self {
        use OrderErrorKind as Kind;
        match error {
            WebError::Untrusted { .. } => {
                Self::new(Kind::Unreachable, format!("{error}; name the root of its issuer in `acme_root`"))
            }
            WebError::Address { .. } => {
                Self::new(Kind::Protocol, format!("{error}; correct `acme_directory`"))
            }
            error if error.is_unreachable() => Self::new(
                Kind::Unreachable,
                format!("{error}; it is tried again later, see whether this box has a way there"),
            ),
            error => Self::new(Kind::Protocol, error.to_string()),
        }
    }

    /// What kept names from being proved; at least one verdict.
    pub(super) fn of_verdicts(verdicts: Vec<Verdict>) -> Self {
        if let Some(verdict) = verdicts.iter().find(|verdict| verdict.problem == "caa") {
            let message = format!("`{}`: {}", verdict.host, caa(&verdict.detail));
            return Self { verdicts, ..Self::new(OrderErrorKind::Caa, message) };
        }
        let mut message = String::new();
        let mut hosts: Vec<_> = verdicts.iter().map(|verdict| verdict.host.as_str()).collect();
        hosts.dedup();
        for host in hosts {
            let said = verdicts.iter().filter(|verdict| verdict.host == host);
            let said: Vec<_> = said.map(|verdict| format!("{}: {}", verdict.kind, verdict.detail)).collect();
            let separator = if message.is_empty() { "" } else { "; " };
            write!(message, "{separator}`{host}` was not found to be ours: {}", said.join("; "))
                .expect("memory takes it");
        }
        let advice = advice(&verdicts);
        Self { verdicts, ..Self::new(OrderErrorKind::Validation, format!("{message}; {advice}")) }
    }
}

impl From<Error> for OrderError {
    fn from(error: Error) -> Self {
        if let Some(refusal) = refusal(&error) {
            return Self::of_refusal(refusal);
        }
        match &error {
            Error::Api(problem) => Self::of_problem(problem),
            Error::Other(other) => match other.downcast_ref::<WebError>() {
                Some(error) => Self::of_web(error),
                None => Self::new(OrderErrorKind::Protocol, chain(other.as_ref())),
            },
            Error::Json(_) => Self::new(
                OrderErrorKind::Protocol,
                format!("what it answered is not ACME: {error}; see whether `acme_directory` is right"),
            ),
            error => Self::new(OrderErrorKind::Protocol, chain(error)),
        }
    }
}

/// What to do about names that were not proved.
fn advice(verdicts: &[Verdict]) -> String {
    let has = |kind| verdicts.iter().any(|verdict| verdict.kind == kind);
    if verdicts.iter().all(|verdict| verdict.problem == "dns") && !has(ChallengeKind::Dns01) {
        return "let the name's A and AAAA records lead to this box".to_owned();
    }
    let ports = match (has(ChallengeKind::Http01), has(ChallengeKind::TlsAlpn01)) {
        (true, true) => "ports 80 and 443 of the name must lead to this box",
        (true, false) => "port 80 of the name must lead to this box",
        (false, true) => "port 443 of the name must lead to this box",
        (false, false) => {
            return "its TXT records must be seen by everybody: see whether `acme_dns` changes the right zone"
                .to_owned();
        }
    };
    ports.to_owned()
}

fn caa(said: &str) -> String {
    format!(
        "a CAA record forbids this authority to issue: {said}; name it in a CAA record of the domain, or use another authority"
    )
}

/// The kind of a problem, without what is the same for all.
pub(super) fn problem_kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix(PROBLEM_PREFIX)).unwrap_or_default()
}

/// What a problem says, subproblems included, without a last period.
pub(super) fn words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or_default();
    let mut said: Vec<&str> = vec![if detail.is_empty() { problem_kind(problem) } else { detail }];
    said.extend(problem.subproblems.iter().filter_map(|subproblem| subproblem.detail.as_deref()));
    said.dedup();
    said.iter().map(|said| said.trim().trim_end_matches('.')).collect::<Vec<_>>().join("; ")
}

/// An error and its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("memory takes it");
        cause = error.source();
    }
    text
}

/// How long to wait where only the text says so, as Let's Encrypt's does: `retry after 2026-01-02 03:04:05 UTC`.
fn wait_in_words(said: &str, now: SystemTime) -> Option<Duration> {
    let (_, rest) = said.split_once("retry after ")?;
    let time = rest.get(.."2026-01-02T03:04:05".len())?.replacen(' ', "T", 1);
    let time: jiff::Timestamp = format!("{time}Z").parse().ok()?;
    SystemTime::from(time).duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(problem: &str, expected: &Expect) {
        let problem: Problem = serde_json::from_str(problem).unwrap();
        let error = OrderError::of_problem(&problem);
        expected.assert_eq(&format!("{}: {error}", error.kind.as_str()));
    }

    #[test]
    fn problems_are_told_in_plain_words() {
        check(
            r#"{"type":"urn:ietf:params:acme:error:caa","detail":"CAA record for example.com prevents issuance"}"#,
            &expect![
                "caa: a CAA record forbids this authority to issue: CAA record for example.com prevents issuance; name it in a CAA record of the domain, or use another authority"
            ],
        );
        check(
            r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"Error creating new order","subproblems":[{
                "type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"Domain name does not end with a valid public suffix (TLD).",
                "identifier":{"type":"dns","value":"box.lan"}}]}"#,
            &expect![
                "refused: it does not issue for such names: Error creating new order; Domain name does not end with a valid public suffix (TLD); use a name that is public, or another authority"
            ],
        );
        check(
            r#"{"type":"urn:ietf:params:acme:error:serverInternal"}"#,
            &expect!["unreachable: it is in trouble itself: serverInternal; wait"],
        );
        check(r#"{"type":"about:blank","detail":"no."}"#, &expect!["protocol: it refuses the request: no"]);
    }

    #[test]
    fn a_rate_limit_says_until_when() {
        let now = "2026-01-02T03:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
        let said = "too many certificates (5) already issued for this exact set of domains in the last 168h0m0s, \
                    retry after 2026-01-02 03:04:05 UTC: see https://letsencrypt.org/docs/rate-limits/";
        assert_eq!(wait_in_words(said, now), Some(Duration::from_secs(245)));
        assert_eq!(wait_in_words("retry after 2026", now), None);
        assert_eq!(wait_in_words("retry after 2026-01-02 02:04:05 UTC", now), None);
    }
}
