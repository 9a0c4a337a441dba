//! Certificates from a real authority: every test names the rule that it proves.
//!
//! A [`World`] is a box as the authority sees it, which is a proxy that answers challenges, and an authority that sees it. Where
//! an authority has to misbehave in a way that Pebble cannot, a [`gate::Gate`] stands between the two.
//! An [`daemon::AcmeBox`] is the whole program in place of the proxy, which can be killed.

mod accounts;
mod challenges;
mod commands;
mod daemon;
mod failures;
mod gate;
mod hostile;
mod kill;
mod load;
mod nonces;
mod notes;
mod on_demand;
mod own;
mod reasons;
mod renewal;
mod restart;
mod resume;
mod secrets;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use minipaas::acme::{
    AcmeAuthority, Authority, AuthorityConfig, ChallengeKind, Issued, OrderError, OrderRequest, Post,
    RespondError, TxtRecords, new_key_pem,
};
use minipaas::proxy::{Proxy, ProxyConfig};
use minipaas::tls::{Challenges, TLS_ALPN01};
use minipaas::traffic::Routes;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use x509_parser::prelude::*;

use self::notes::Notes;
use crate::support::pebble::{Options, Pebble};

const HTTP: ChallengeKind = ChallengeKind::Http01;
const TLS: ChallengeKind = ChallengeKind::TlsAlpn01;
const DNS: ChallengeKind = ChallengeKind::Dns01;

/// A box and an authority.
struct World {
    pebble: Arc<Pebble>,
    challenges: Challenges,
    notes: Notes,
    _shutdown: DropGuard,
}

/// Gives the answers to tls-alpn-01, and no other certificate.
#[derive(Debug)]
struct ChallengesOnly(Challenges);

/// The DNS server of the tests. Records of one name go together.
struct Records(Arc<Pebble>);

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let challenges = Challenges::default();
        let config = ProxyConfig { challenges: challenges.clone(), ..ProxyConfig::new("localhost") };
        let proxy = Proxy::new(Routes::new(), config);
        let shutdown = CancellationToken::new();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let https = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = Options::new(http.local_addr().unwrap(), https.local_addr().unwrap());
        tokio::spawn(proxy.clone().serve_http(http, shutdown.clone()));
        tokio::spawn(proxy.serve_https(https, tls_config(&challenges), shutdown.clone()));
        change(&mut options);
        let pebble = Arc::new(options.start().await);
        Self { pebble, challenges, notes: Notes::default(), _shutdown: shutdown.drop_guard() }
    }

    fn authority(&self) -> AcmeAuthority {
        self.authority_at(&self.pebble.directory, |_| {})
    }

    fn authority_at(&self, directory: &str, change: impl FnOnce(&mut AuthorityConfig)) -> AcmeAuthority {
        let mut config = AuthorityConfig::new("pebble", directory);
        config.poll_first = Duration::from_millis(10);
        change(&mut config);
        AcmeAuthority::new(config, self.pebble.web.clone())
    }

    /// Answers to all kinds of challenges.
    fn post(&self) -> Post {
        Post::new(self.challenges.clone(), Some(Arc::new(Records(Arc::clone(&self.pebble)))))
    }

    async fn issue(&self, names: &[&str], kinds: &[ChallengeKind]) -> Result<Issued, OrderError> {
        let request = request(names, kinds);
        let issued = self.authority().issue(&request, &self.notes, &self.post()).await?;
        check(&request, &issued);
        Ok(issued)
    }
}

impl ResolvesServerCert for ChallengesOnly {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == TLS_ALPN01));
        hello.server_name().filter(|_| asks).and_then(|host| self.0.tls(host))
    }
}

#[async_trait]
impl TxtRecords for Records {
    async fn add(&self, name: &str, value: &str) -> Result<(), RespondError> {
        self.0.add_txt(&format!("{name}."), value).await;
        Ok(())
    }

    async fn remove(&self, name: &str, _: &str) -> Result<(), RespondError> {
        self.0.clear_txt(&format!("{name}.")).await;
        Ok(())
    }
}

fn tls_config(challenges: &Challenges) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ChallengesOnly(challenges.clone())));
    config.alpn_protocols = vec![TLS_ALPN01.to_vec()];
    Arc::new(config)
}

fn request(names: &[&str], kinds: &[ChallengeKind]) -> OrderRequest {
    OrderRequest {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        key_pem: new_key_pem(),
        kinds: kinds.to_vec(),
        resume: None,
        replaces: None,
    }
}

/// The leaf is for the request's names and its key.
fn check(request: &OrderRequest, issued: &Issued) {
    let chain = chain(issued);
    assert_eq!(chain.len(), 2, "a leaf and its issuer");
    assert_eq!(names(&chain[0]), {
        let mut names = request.names.clone();
        names.sort();
        names
    });
    let key = PrivateKeyDer::from_pem_slice(request.key_pem.as_bytes()).unwrap();
    CertifiedKey::from_der(chain, key, &ring::default_provider()).expect("the certificate is for the key");
}

fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let mut names: Vec<_> = names
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => panic!("{other}"),
        })
        .collect();
    names.sort();
    names
}

/// A port where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
