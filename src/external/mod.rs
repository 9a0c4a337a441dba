//! Apps that are only routes: their upstreams run somewhere else.
//!
//! [`External`] is such an app's whole description, and is kept in its record; [`Wanted`] is what somebody asks for, before it
//! is checked. Each upstream has a number that is never given again, so that `upstream.3` in a log or a metric means the same
//! address for ever, and a saved route table can be read without asking a name server anything.
//!
//! At run time ([`crate::controller`] owns both) a [`Lookup`] says which addresses an upstream's name has, and a [`Remote`]
//! probes one of them. Nothing is ever started or stopped here.

mod address;
mod lookup;
mod remote;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::manifest::{Check, Manifest, ManifestError, Probe, Source};
use crate::name::{Host, PathPrefix};

pub use address::{Address, AddressError};
pub use lookup::{Lookup, Resolved};
pub use remote::{Remote, RemoteState, Target};
pub use surroundings::{Resolver, Surroundings, SystemResolver};

/// How many upstreams an app may have.
pub const UPSTREAMS_MAX: usize = 32;

/// An app that is only a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Where it leads, by the number of the slot. Never empty.
    pub upstreams: BTreeMap<u32, Address>,
    /// The highest number that was ever given.
    pub last: u32,
    /// What it is besides `<app>.<domain>`.
    pub hosts: Vec<Host>,
    /// The path prefix of all of them.
    pub path: PathPrefix,
    /// When an upstream is ready.
    pub health: Health,
    /// `[proxy]` and `[[route]]` of a manifest; valid, and with nothing else in it.
    pub source: Source,
}

/// What an app that is only a route is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is to lead.
    pub upstreams: Vec<Address>,
    /// Its hosts besides `<app>.<domain>`.
    pub hosts: Vec<Host>,
    /// The path prefix of all of them.
    pub path: PathPrefix,
    /// When an upstream is ready.
    pub health: Health,
    /// A manifest with `[proxy]` and `[[route]]` alone.
    pub source: Source,
}

/// When an upstream is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// When it accepts connections.
    #[default]
    Tcp,
    /// When it answers `GET` of this path with 2xx.
    Http(String),
}

/// Why there is no such app.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// It leads nowhere.
    #[error("an app that is only a route needs an upstream")]
    NoUpstream,
    /// It leads to too many places.
    #[error("an app has at most {UPSTREAMS_MAX} upstreams, not {0}")]
    TooMany(usize),
    /// It leads twice to the same place.
    #[error("upstream `{0}` is named twice")]
    Duplicate(Address),
    /// Its manifest breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// A text that says no health check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no health check; use `tcp`, or a path such as `/up`")]
pub struct HealthError(String);

// === impl External ===

impl External {
    /// What is wanted, checked. Upstreams that were there before keep their numbers.
    ///
    /// # Errors
    ///
    /// When there are none, too many or the same twice, or the manifest says more than `[proxy]` and `[[route]]`.
    pub fn new(wanted: Wanted, before: Option<&Self>) -> Result<Self, ExternalError> {
        if wanted.upstreams.is_empty() {
            return Err(ExternalError::NoUpstream);
        }
        if wanted.upstreams.len() > UPSTREAMS_MAX {
            return Err(ExternalError::TooMany(wanted.upstreams.len()));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = wanted.upstreams.iter().find(|address| !seen.insert(*address)) {
            return Err(ExternalError::Duplicate(twice.clone()));
        }
        Manifest::of_routes(&wanted.source)?;
        let mut last = before.map_or(0, |before| before.last);
        let mut number_of = |address: &Address| {
            let known = before.into_iter().flat_map(|before| &before.upstreams);
            let known = known.into_iter().find(|(_, other)| *other == address).map(|(number, _)| *number);
            known.unwrap_or_else(|| {
                last += 1;
                last
            })
        };
        let upstreams = wanted.upstreams.into_iter().map(|address| (number_of(&address), address)).collect();
        let mut seen = BTreeSet::new();
        let hosts = wanted.hosts.into_iter().filter(|host| seen.insert(host.clone())).collect();
        Ok(Self { upstreams, last, hosts, path: wanted.path, health: wanted.health, source: wanted.source })
    }
}

// === impl Health ===

impl Health {
    /// For one probe: what does not answer in that time is not what a client should wait for.
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// What an upstream is asked, in the rhythm of every other probe.
    #[must_use]
    pub fn probe(&self) -> Probe {
        let check = match self {
            Self::Tcp => Check::Tcp { port: None },
            Self::Http(path) => Check::Http { path: path.clone(), port: None },
        };
        Probe { timeout: Self::TIMEOUT, ..Probe::new(check) }
    }
}

impl FromStr for Health {
    type Err = HealthError;

    fn from_str(text: &str) -> Result<Self, HealthError> {
        let is_path =
            text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && c != '#' && c != '\\');
        match text {
            "tcp" => Ok(Self::Tcp),
            path if is_path => Ok(Self::Http(path.to_owned())),
            _ => Err(HealthError(text.to_owned())),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(upstreams: &[&str]) -> Wanted {
        Wanted {
            upstreams: upstreams.iter().map(|text| text.parse().unwrap()).collect(),
            hosts: Vec::new(),
            path: PathPrefix::root(),
            health: Health::Tcp,
            source: Source::default(),
        }
    }

    fn numbers(external: &External) -> Vec<String> {
        external.upstreams.iter().map(|(number, address)| format!("{number} {address}")).collect()
    }

    #[test]
    fn a_number_is_given_once() {
        let first = External::new(wanted(&["http://a", "http://b"]), None).unwrap();
        assert_eq!(numbers(&first), ["1 http://a", "2 http://b"]);
        let second = External::new(wanted(&["http://c", "http://a"]), Some(&first)).unwrap();
        assert_eq!(numbers(&second), ["1 http://a", "3 http://c"]);
        let third = External::new(wanted(&["http://b"]), Some(&second)).unwrap();
        assert_eq!(numbers(&third), ["4 http://b"]);
    }

    #[test]
    fn upstreams_are_few_and_differ() {
        let error = |upstreams: &[&str]| External::new(wanted(upstreams), None).unwrap_err().to_string();
        assert_eq!(error(&[]), "an app that is only a route needs an upstream");
        assert_eq!(error(&["http://a:80", "http://A/"]), "upstream `http://a` is named twice");
        let many: Vec<_> = (1..=33).map(|port| format!("http://a:{port}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(error(&many), "an app has at most 32 upstreams, not 33");
    }

    #[test]
    fn a_health_check_is_a_path_or_tcp() {
        assert_eq!("tcp".parse(), Ok(Health::Tcp));
        assert_eq!("/up?deep=1".parse(), Ok(Health::Http("/up?deep=1".to_owned())));
        for bad in ["up", "", "http", "/a b", "/a#b"] {
            let error = bad.parse::<Health>().unwrap_err().to_string();
            assert_eq!(error, format!("`{bad}` is no health check; use `tcp`, or a path such as `/up`"));
        }
    }

    #[test]
    fn a_manifest_says_how_requests_are_treated_and_nothing_else() {
        let source = |toml: &str| Source { toml: Some(toml.to_owned()), ..Source::default() };
        let policy = source("app = \"x\"\n[proxy]\nretries = 2\n[[route]]\nhost = \"a.example\"\n");
        assert!(External::new(Wanted { source: policy, ..wanted(&["http://a"]) }, None).is_ok());
        let process = source("[proxy]\nretries = 2\n[process.web]\ncommand = \"x\"\n[env]\nA = \"1\"\n");
        let error = External::new(Wanted { source: process, ..wanted(&["http://a"]) }, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "minipaas.toml:3: `process` means nothing to an app that is only a route; keep [proxy], [tls] and [[route]]\n       \
             minipaas.toml:5: `env` means nothing to an app that is only a route; keep [proxy], [tls] and [[route]]"
        );
    }
}
