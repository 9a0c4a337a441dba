//! Hosts that were given to an app by command, as they lie on disk: a part of the app's record.

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::record::parse;
use crate::name::Host;
use crate::people::Actor;

/// A host that was given to an app by command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// An exact name or a wildcard.
    pub host: Host,
    /// Who gave it.
    pub by: Actor,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct DomainForm {
    host: String,
    by: String,
    at: u64,
}

pub(super) fn from_domains(domains: &[Domain]) -> Vec<DomainForm> {
    let form = |domain: &Domain| DomainForm {
        host: domain.host.to_string(),
        by: domain.by.to_string(),
        at: domain.at,
    };
    domains.iter().map(form).collect()
}

pub(super) fn domains(key: &str, forms: Vec<DomainForm>) -> Result<Vec<Domain>, StoreError> {
    let domain = |form: DomainForm| {
        Ok(Domain { host: parse(key, &form.host)?, by: Actor::named(form.by), at: form.at })
    };
    forms.into_iter().map(domain).collect()
}
