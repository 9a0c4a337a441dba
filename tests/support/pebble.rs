//! A real certificate authority: Pebble, with the DNS server that it asks, both on ports of their own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use minipaas::web::{Client, Settings, WebError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use super::{SOON, free_port};

/// A running authority. Dropping it ends it, and the DNS server.
pub struct Pebble {
    /// The URL of its directory.
    pub directory: String,
    /// Who signed the certificate of its own https.
    pub root: CertificateDer<'static>,
    /// The DNS server that it asks.
    pub dns: SocketAddr,
    /// Where it looks for http-01, and for tls-alpn-01.
    pub ports: (u16, u16),
    /// Trusts `root`.
    pub web: Client,
    /// The names of what is run beside it are set here.
    dns_management: SocketAddr,
    management: SocketAddr,
    folder: TempDir,
    _processes: [Process; 2],
}

/// How an authority is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it looks for http-01, and for tls-alpn-01.
    pub ports: (u16, u16),
    /// Percent of nonces that it refuses. Default none.
    pub nonces_refused: u8,
    /// Percent of proofs that it takes for later orders as well. Default none.
    pub proofs_reused: u8,
    /// Lifetime of certificates, in seconds. Default five years.
    pub lifetime: Option<u32>,
    /// The accounts that it wants: key id, and key in base64url. Default none.
    pub eab: Option<(&'static str, &'static str)>,
    /// Domains that it does not issue for. Default none.
    pub blocked: Vec<&'static str>,
    /// Where it listens; default on some free port.
    pub listen: Option<SocketAddr>,
    /// The DNS server that it asks in place of its own.
    pub resolver: Option<SocketAddr>,
    /// Whether all names have the address 127.0.0.1, until that is changed; else they have none. Default yes.
    pub resolves: bool,
}

struct Process(Child);

impl Options {
    pub fn new(http: SocketAddr, tls: SocketAddr) -> Self {
        Self {
            ports: (http.port(), tls.port()),
            nonces_refused: 0,
            proofs_reused: 0,
            lifetime: None,
            eab: None,
            blocked: Vec::new(),
            listen: None,
            resolver: None,
            resolves: true,
        }
    }

    /// Starts it; all names have the address 127.0.0.1, until that is changed.
    pub async fn start(self) -> Pebble {
        let folder = tempfile::tempdir().unwrap();
        let root = make_certificate(folder.path());
        let listen = self.listen.unwrap_or_else(free_port);
        let (management, dns, dns_management) = (free_port(), free_port(), free_port());
        fs::write(folder.path().join("config.json"), self.config(folder.path(), listen, management)).unwrap();

        let mut challtestsrv = Command::new("pebble-challtestsrv");
        challtestsrv.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        challtestsrv.args(["-dns01", &dns.to_string(), "-management", &dns_management.to_string()]);
        challtestsrv.args(["-defaultIPv4", if self.resolves { "127.0.0.1" } else { "" }]);
        let mut pebble = Command::new("pebble");
        let resolver = self.resolver.unwrap_or(dns);
        pebble.args(["-config", "config.json", "-dnsserver", &resolver.to_string()]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        pebble.env("PEBBLE_WFE_NONCEREJECT", self.nonces_refused.to_string());
        pebble.env("PEBBLE_AUTHZREUSE", self.proofs_reused.to_string());
        let processes = [(challtestsrv, "dns.log"), (pebble, "pebble.log")]
            .map(|(command, log)| run(command, folder.path(), log));

        let settings = Settings { extra_roots: vec![root.clone()], nameservers: Vec::new(), may_reach: None };
        let started = Pebble {
            directory: format!("https://{listen}/dir"),
            root,
            dns,
            ports: self.ports,
            web: Client::new(&settings).unwrap(),
            dns_management,
            management,
            folder,
            _processes: processes,
        };
        started.ready().await;
        started
    }

    fn config(&self, folder: &Path, listen: SocketAddr, management: SocketAddr) -> String {
        let keys: serde_json::Map<_, _> =
            self.eab.iter().map(|(id, key)| ((*id).to_owned(), (*key).into())).collect();
        let mut config = serde_json::json!({
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.join("cert.pem"),
            "privateKey": folder.join("key.pem"),
            "httpPort": self.ports.0,
            "tlsPort": self.ports.1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self.eab.is_some(),
            "externalAccountMACKeys": keys,
            "domainBlocklist": self.blocked,
        });
        if let Some(lifetime) = self.lifetime {
            config["certificateValidityPeriod"] = lifetime.into();
        }
        serde_json::json!({ "pebble": config }).to_string()
    }
}

impl Pebble {
    /// Where the names of the DNS server are set.
    pub fn dns_management(&self) -> SocketAddr {
        self.dns_management
    }

    /// Another TXT record of this name, which ends with a dot.
    pub async fn add_txt(&self, name: &str, value: &str) {
        self.set("set-txt", serde_json::json!({ "host": name, "value": value })).await;
    }

    /// Removes all TXT records of this name, which ends with a dot.
    pub async fn clear_txt(&self, name: &str) {
        self.set("clear-txt", serde_json::json!({ "host": name })).await;
    }

    /// The one address of this name, which ends with a dot.
    pub async fn set_a(&self, name: &str, addr: &str) {
        self.set("add-a", serde_json::json!({ "host": name, "addresses": [addr] })).await;
    }

    /// Has look-ups of this name, which ends with a dot, fail.
    pub async fn break_name(&self, name: &str) {
        self.set("set-servfail", serde_json::json!({ "host": name })).await;
    }

    /// The root of the certificates that it issues, as PEM.
    pub async fn issuing_root(&self) -> String {
        let response = self.get(&format!("https://{}/roots/0", self.management)).await.unwrap();
        String::from_utf8(response.into_body().into()).unwrap()
    }

    /// The TLS of its own https, for what stands before it.
    pub fn tls(&self) -> Arc<ServerConfig> {
        let file = |name: &str| self.folder.path().join(name);
        let certificate = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }

    /// Who signed the certificate of its own https, as PEM.
    pub fn root_file(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("pebble.log")).unwrap()
    }

    async fn set(&self, what: &str, body: serde_json::Value) {
        let request = Request::post(format!("http://{}/{what}", self.dns_management));
        let response = self.web.send(request.body(body.to_string().into()).unwrap()).await.unwrap();
        assert!(response.status().is_success(), "{what}: {response:?}");
    }

    async fn get(&self, url: &str) -> Result<Response<Bytes>, WebError> {
        self.web.send(Request::get(url).body(Bytes::new()).unwrap()).await
    }

    /// Waits until both answer.
    async fn ready(&self) {
        let deadline = Instant::now() + SOON;
        for url in [self.directory.clone(), format!("http://{}/", self.dns_management)] {
            while let Err(error) = self.get(&url).await {
                assert!(Instant::now() < deadline, "{url} never answered: {error}\n{}", self.log());
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(mut command: Command, folder: &Path, log: &str) -> Process {
    let log = File::create(folder.join(log)).unwrap();
    command.current_dir(folder).stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
    Process(
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/prepare installs pebble")),
    )
}

/// A certificate for 127.0.0.1, in files, and who signed it.
fn make_certificate(folder: &Path) -> CertificateDer<'static> {
    let root_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&root_key).unwrap();
    fs::write(folder.join("root.pem"), root.pem()).unwrap();
    let root = root.der().clone();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, root_key)).unwrap();
    fs::write(folder.join("cert.pem"), leaf.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    root
}
