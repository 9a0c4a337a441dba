//! What users set for a provider, read by name, and what of it is secret.

use std::collections::BTreeMap;
use std::fmt;

use ::http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use super::DnsError;

/// The credentials of one provider, by the names that users know.
pub(super) struct Credentials<'a> {
    provider: &'static str,
    values: &'a BTreeMap<String, String>,
}

/// What nobody is shown.
#[derive(Clone)]
pub(super) struct Secret(Zeroizing<String>);

// === impl Credentials ===

impl<'a> Credentials<'a> {
    pub(super) fn new(provider: &'static str, values: &'a BTreeMap<String, String>) -> Self {
        Self { provider, values }
    }

    /// What is set; blank is unset.
    pub(super) fn get(&self, variable: &str) -> Option<&'a str> {
        self.values.get(variable).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn need(&self, variable: &'static str, example: &'static str) -> Result<&'a str, DnsError> {
        self.get(variable).ok_or(DnsError::Missing { provider: self.provider, variable, example })
    }

    /// A token and its name: the first of these that is set.
    pub(super) fn token(
        &self,
        variables: &[&'static str],
        example: &'static str,
    ) -> Result<Secret, DnsError> {
        let set = variables.iter().find(|variable| self.get(variable).is_some());
        let variable = set.unwrap_or(&variables[0]);
        let token = self.need(variable, example)?;
        if HeaderValue::from_str(token).is_err() || !token.is_ascii() {
            return Err(self.invalid(variable, "has a character that no token has; copy it again"));
        }
        Ok(Secret::new(token))
    }

    /// Where the API is, without a final slash.
    pub(super) fn endpoint(&self, variable: &'static str, default: &str) -> Result<String, DnsError> {
        let Some(text) = self.get(variable) else { return Ok(default.to_owned()) };
        let text = text.trim_end_matches('/');
        let is_address = text.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.query().is_none()
        });
        if !is_address {
            return Err(self.invalid(variable, &format!("is no address such as `{default}`")));
        }
        Ok(text.to_owned())
    }

    pub(super) fn invalid(&self, variable: &'static str, problem: &str) -> DnsError {
        DnsError::Invalid { provider: self.provider, variable, problem: problem.to_owned() }
    }
}

// === impl Secret ===

impl Secret {
    pub(super) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
