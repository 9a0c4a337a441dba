//! The certificates' part of the composition: who is asked for them, and who answers for the box.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::tls::Tls;
use crate::acme::{
    AcmeAuthority, Authority, AuthorityConfig, ChallengeKind, Eab, Post, ProviderRecords, TxtRecords,
};
use crate::certs::{AppAsker, Means, Parts, SelfCheck};
use crate::config::{AcmeConfig, Directory, ServerConfig};
use crate::dns::{self, DnsError, Lookup, Provider};
use crate::events::Reporter;
use crate::store::Store;
use crate::traffic::Routes;
use crate::web::{self, WebError};

/// Where authorities ask for http-01 (RFC 8555, 8.3).
const HTTP01_PORT: u16 = 80;

/// Why nobody can be asked for certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A file of the settings cannot be read.
    #[error("cannot read `{}`, which `{setting}` names", path.display())]
    Read {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A file of the settings is not what it must be.
    #[error("`{}`, which `{setting}` names, {problem}", path.display())]
    File {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An authority is asked for whom there is no client.
    #[error("cannot speak https with certificate authorities")]
    Web(#[from] WebError),
    /// There is no such provider, or it lacks a credential.
    #[error("cannot change DNS records")]
    Dns(#[from] DnsError),
}

/// What the daemon has by now.
pub(super) struct Daemon<'a> {
    pub(super) config: &'a ServerConfig,
    pub(super) store: &'a Store,
    pub(super) tls: &'a Tls,
    pub(super) routes: &'a Routes,
    pub(super) reporter: Reporter,
    /// The port where plain http is served.
    pub(super) http_port: u16,
    /// A variable of the environment.
    pub(super) env: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// What the certificates' task works with.
pub(super) fn parts(daemon: &Daemon<'_>) -> Result<Parts, CertificatesError> {
    let acme = &daemon.config.acme;
    let extra_roots = acme.root.as_deref().map(roots).transpose()?.unwrap_or_default();
    let web = web::Client::new(&web::Settings {
        extra_roots,
        nameservers: daemon.config.dns.clone(),
        may_reach: None,
    })?;
    let lookup = Lookup::new(&daemon.config.dns);
    let provider = acme.dns.as_deref().map(|kind| open_provider(kind, acme, daemon.env, &web)).transpose();
    let has_dns = acme.dns.is_some();
    // Apps are served without, so a credential that is missing keeps nothing but new certificates away.
    let (provider, no_provider) = match provider {
        Ok(provider) => (provider, None),
        Err(error) => (None, Some(no_provider(&error))),
    };
    let records = provider
        .map(|provider| -> Arc<dyn TxtRecords> { Arc::new(ProviderRecords::new(provider, lookup.clone())) });
    // What DNS records prove needs no door that is open to everybody.
    let kinds = match has_dns {
        true => vec![ChallengeKind::Dns01, ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        false => vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
    };
    let self_check = SelfCheck {
        lookup,
        web: web.clone(),
        challenges: daemon.tls.challenges.clone(),
        is_public: acme.root.is_none(),
        is_at_port_80: daemon.http_port == HTTP01_PORT,
    };
    Ok(Parts {
        store: daemon.store.clone(),
        vault: daemon.tls.vault.clone(),
        key: daemon.tls.key.clone(),
        routes: daemon.routes.clone(),
        means: Means {
            domain: daemon.config.domain.clone(),
            has_authority: !acme.directories.is_empty(),
            has_dns,
        },
        authorities: authorities(acme, &web)?,
        responder: Arc::new(Post::new(daemon.tls.challenges.clone(), records)),
        kinds,
        no_provider,
        look: Arc::new(self_check),
        asker: Arc::new(AppAsker { web, routes: daemon.routes.clone() }),
        clock: Arc::new(SystemTime::now),
        reporter: daemon.reporter.clone(),
    })
}

fn open_provider(
    kind: &str,
    acme: &AcmeConfig,
    env: &dyn Fn(&str) -> Option<String>,
    web: &web::Client,
) -> Result<Arc<dyn Provider>, CertificatesError> {
    Ok(dns::open(kind, &credentials(acme, env)?, web)?)
}

/// Why no records can be made, as it is told of every name.
fn no_provider(error: &CertificatesError) -> String {
    let reason = match error {
        CertificatesError::Dns(error) => error.to_string(),
        error => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    };
    tracing::warn!(reason, "no certificate can be ordered");
    format!("{reason}; then start the daemon again")
}

fn authorities(acme: &AcmeConfig, web: &web::Client) -> Result<Arc<[Arc<dyn Authority>]>, CertificatesError> {
    let mut eabs = acme.eab_file.as_deref().map(eabs).transpose()?.unwrap_or_default();
    let authority = |Directory { name, url }: &Directory| -> Arc<dyn Authority> {
        let eab = eabs.remove(name).or_else(|| eabs.remove(url));
        let config = AuthorityConfig {
            contact: acme.email.clone(),
            eab,
            ..AuthorityConfig::new(name.clone(), url.clone())
        };
        Arc::new(AcmeAuthority::new(config, web.clone()))
    };
    Ok(acme.directories.iter().map(authority).collect())
}

/// Accounts by the name or URL of their authority.
fn eabs(path: &Path) -> Result<BTreeMap<String, Eab>, CertificatesError> {
    let text = read("acme_eab_file", path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(authority), Some(key_id), Some(key), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err("has a line that is not `AUTHORITY KEY-ID KEY`");
            };
            let hmac_key = Zeroizing::new(key.trim_end_matches('=').to_owned());
            Ok((authority.to_owned(), Eab { key_id: key_id.to_owned(), hmac_key }))
        })
        .collect::<Result<_, &str>>()
        .map_err(|problem| broken("acme_eab_file", path, problem))
}

fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    let text = read("acme_root", path)?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| broken("acme_root", path, "is not PEM"))?;
    if found.is_empty() { Err(broken("acme_root", path, "holds no certificate")) } else { Ok(found) }
}

/// The provider's credentials: those of the file, else of the environment.
fn credentials(
    acme: &AcmeConfig,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, CertificatesError> {
    let variables = dns::VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), env(name)?)));
    let mut credentials: BTreeMap<_, _> = variables.collect();
    if let Some(path) = &acme.dns_file {
        for line in read("acme_dns_file", path)?.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let no_pair = || broken("acme_dns_file", path, "has a line that is not `NAME=value`");
            let (name, value) = line.trim_start_matches("export ").split_once('=').ok_or_else(no_pair)?;
            let value = value.trim().trim_matches(['"', '\'']);
            credentials.insert(name.trim().to_owned(), value.to_owned());
        }
    }
    Ok(credentials)
}

fn read(setting: &'static str, path: &Path) -> Result<String, CertificatesError> {
    std::fs::read_to_string(path).map_err(|source| CertificatesError::Read {
        setting,
        path: path.to_owned(),
        source,
    })
}

fn broken(setting: &'static str, path: &Path, problem: &str) -> CertificatesError {
    CertificatesError::File { setting, path: path.to_owned(), problem: problem.to_owned() }
}
