//! Where certificates of public names come from: the settings `acme_*` and `dns`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{ConfigError, Setting};
use crate::dns;

/// The directories that have a name, in the order of their certificate authorities' age.
const DIRECTORIES: [(&str, &str); 3] = [
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
    ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
    ("zerossl", "https://acme.zerossl.com/v2/DV90"),
];
const DNS_PORT: u16 = 53;

/// Where certificates of public names come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The authorities, the most wanted first; empty: none, and the local CA signs for public names, too. Default Let's Encrypt.
    pub directories: Vec<Directory>,
    /// A file of certificates (PEM) to trust besides the system's, for a directory of one's own. Default none.
    pub root: Option<PathBuf>,
    /// Whom an authority tells what it has to say. Default nobody.
    pub email: Option<String>,
    /// A file with the keys of accounts at authorities that ask for one, a line each: its name or URL, key id, key. Default none.
    pub eab_file: Option<PathBuf>,
    /// What puts the records of dns-01 into the DNS: a kind of provider. Default nothing.
    pub dns: Option<String>,
    /// Its credentials: a file of `NAME=value` lines. Default the daemon's environment alone.
    pub dns_file: Option<PathBuf>,
}

/// One certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its name for people, and another one for each URL: `letsencrypt`, or the URL without its scheme and `/directory`.
    pub name: String,
    /// The URL of its ACME directory.
    pub url: String,
}

/// The settings as they were given.
pub(super) struct Settings {
    pub(super) directory: Option<Setting>,
    pub(super) root: Option<Setting>,
    pub(super) email: Option<Setting>,
    pub(super) eab_file: Option<Setting>,
    pub(super) dns: Option<Setting>,
    pub(super) dns_file: Option<Setting>,
}

// === impl Settings ===

impl Settings {
    pub(super) fn resolve(self, home: &Path) -> Result<AcmeConfig, ConfigError> {
        let path = |setting: Option<Setting>| setting.map(|setting| setting.path(home));
        Ok(AcmeConfig {
            directories: match self.directory {
                Some(setting) => directories(&setting)?,
                None => vec![named(DIRECTORIES[0])],
            },
            root: path(self.root),
            email: self.email.map(email).transpose()?,
            eab_file: path(self.eab_file),
            dns: self.dns.map(dns_provider).transpose()?,
            dns_file: path(self.dns_file),
        })
    }
}

/// Names and URLs, separated by commas or spaces.
fn directories(Setting { from, text, .. }: &Setting) -> Result<Vec<Directory>, ConfigError> {
    if text == "off" {
        return Ok(Vec::new());
    }
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            directory(part)
                .ok_or_else(|| ConfigError::Directory { from: from.clone(), text: part.to_owned() })
        })
        .collect()
}

fn directory(text: &str) -> Option<Directory> {
    if let Some(known) = DIRECTORIES.into_iter().find(|(name, url)| *name == text || *url == text) {
        return Some(named(known));
    }
    let uri: http::Uri = text.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
    let host = uri.host().filter(|host| is_web && !host.is_empty())?;
    // One server may have several directories, each with accounts and certificates of its own.
    let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    let place = format!("{host}{port}{}", uri.path().trim_end_matches('/'));
    let name = place.strip_suffix("/directory").unwrap_or(&place);
    Some(Directory { name: name.to_owned(), url: text.to_owned() })
}

fn named((name, url): (&str, &str)) -> Directory {
    Directory { name: name.to_owned(), url: url.to_owned() }
}

fn email(Setting { from, text, .. }: Setting) -> Result<String, ConfigError> {
    let is_plausible =
        text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
            && text.chars().all(|c| c.is_ascii_graphic());
    if is_plausible { Ok(text) } else { Err(ConfigError::Email { from, text }) }
}

fn dns_provider(Setting { from, text, .. }: Setting) -> Result<String, ConfigError> {
    if dns::KINDS.contains(&text.as_str()) { Ok(text) } else { Err(ConfigError::DnsProvider { from, text }) }
}

/// Addresses, with port 53 where none is said, separated by commas or spaces.
pub(super) fn name_servers(Setting { from, text, .. }: Setting) -> Result<Vec<SocketAddr>, ConfigError> {
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let address = || part.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
            part.parse()
                .or_else(|_| address())
                .map_err(|_| ConfigError::NameServer { from: from.clone(), text: part.to_owned() })
        })
        .collect()
}
