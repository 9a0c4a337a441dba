//! How names and other words of Kubernetes are written (apimachinery, `validation`).
//!
//! Each function says whether a text is such a word; the sentences for people are constants beside them.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// RFC 1123.
pub(super) const LABEL_LENGTH_MAX: usize = 63;
/// RFC 1123.
pub(super) const SUBDOMAIN_LENGTH_MAX: usize = 253;
/// The longest name of a container's port (RFC 6335).
const PORT_NAME_LENGTH_MAX: usize = 15;
/// The longest key of a ConfigMap or Secret.
const KEY_LENGTH_MAX: usize = 253;

pub(super) const DNS_LABEL: &str =
    "1-63 lower-case letters, digits and `-`, beginning and ending with a letter or digit";
pub(super) const SERVICE_NAME: &str =
    "1-63 lower-case letters, digits and `-`, beginning with a letter and not ending with `-`";
pub(super) const DNS_SUBDOMAIN: &str =
    "1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit";
pub(super) const QUALIFIED_NAME: &str =
    "1-63 letters, digits, `-`, `_` and `.`, with a domain and `/` before it or without";
pub(super) const LABEL_VALUE: &str =
    "at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit";
pub(super) const PORT_NAME: &str =
    "1-15 lower-case letters, digits and single `-` between them, with a letter among them";
pub(super) const CONFIG_KEY: &str = "1-253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`";

/// A DNS label (RFC 1123).
pub(super) fn is_dns_label(text: &str) -> bool {
    text.len() <= LABEL_LENGTH_MAX && is_part(text, |c| matches!(c, 'a'..='z' | '0'..='9'), |c| c == '-')
}

/// A DNS label of the older kind (RFC 1035): a letter first.
pub(super) fn is_service_name(text: &str) -> bool {
    is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A DNS name in lower case (RFC 1123).
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    // Of its parts only the whole has a length.
    let is_dns_part = |part: &str| is_part(part, |c| matches!(c, 'a'..='z' | '0'..='9'), |c| c == '-');
    text.len() <= SUBDOMAIN_LENGTH_MAX && text.split('.').all(is_dns_part)
}

/// A host of an Ingress: a DNS name, or one with `*` for its first label.
pub(super) fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_err() && is_dns_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

/// The key of a label or an annotation.
pub(super) fn is_qualified_name(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    domain.is_none_or(is_dns_subdomain) && name.len() <= LABEL_LENGTH_MAX && is_label_word(name)
}

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || text.len() <= LABEL_LENGTH_MAX && is_label_word(text)
}

/// The name of a port (RFC 6335).
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= PORT_NAME_LENGTH_MAX
        && is_dns_label(text)
        && !text.contains("--")
        && text.contains(|c: char| c.is_ascii_lowercase())
}

/// The key of a ConfigMap or a Secret.
pub(super) fn is_config_key(text: &str) -> bool {
    (1..=KEY_LENGTH_MAX).contains(&text.len())
        && !text.starts_with("..")
        && text != "."
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The name of a variable, as versions before 1.32 take it.
pub(super) fn is_variable(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.starts_with("..")
        && text != "."
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The name of a variable since 1.32: anything that can be printed.
pub(super) fn is_relaxed_variable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, ' '..='~') && c != '=')
}

/// Whether a text is base64, with its padding.
pub(super) fn is_base64(text: &str) -> bool {
    STANDARD.decode(text).is_ok()
}

/// How many bytes are behind base64; 0 if it is none.
pub(super) fn decoded_length(text: &str) -> usize {
    STANDARD.decode(text).map_or(0, |bytes| bytes.len())
}

/// `a`, `b`, `c`.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `5%`.
pub(super) fn is_percent(text: &str) -> bool {
    text.strip_suffix('%')
        .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

fn is_label_word(text: &str) -> bool {
    is_part(text, |c| c.is_ascii_alphanumeric(), |c| "-_.".contains(c))
}

/// Begins and ends with one kind of character, with another kind as well between.
fn is_part(text: &str, is_edge: impl Fn(char) -> bool, is_middle: impl Fn(char) -> bool) -> bool {
    text.starts_with(&is_edge) && text.ends_with(&is_edge) && text.chars().all(|c| is_edge(c) || is_middle(c))
}
