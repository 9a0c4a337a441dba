//! What 10,000 certificates cost a daemon: memory, and time until it serves after a start.
//!
//!     cargo bench --profile dev --bench certificates [-- NUMBER]
//!
//! Two boxes serve the same hosts: one whose certificates are the box's own, made in the handshake, and one that keeps a
//! certificate of an authority for each. Memory is what no file backs (`RssAnon`), once the daemon has settled, and again after
//! every host was asked for once; a start is timed from the process's first moment to the end of a handshake with one of
//! the hosts. The goal is 40 MiB for all certificates, and no time at the start.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use minipaas::api::UpstreamsRequest;
use minipaas::api::client::Client;
use minipaas::seal::BoxKey;
use minipaas::tls::{Chain, Source, Vault};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use tokio::time::Instant;

/// Unless a number is given.
const HOSTS: usize = 10_000;
const STARTS: usize = 5;
/// What a daemon does at its start is not what it costs.
const SETTLE: Duration = Duration::from_secs(5);
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Nobody is there.
const AUTHORITY: &str = "https://127.0.0.1:9/directory";

/// A box whose daemon is started again and again.
struct TestBox {
    home: tempfile::TempDir,
    binary: PathBuf,
    directory: &'static str,
    https: SocketAddr,
    hosts: usize,
}

/// A daemon; dropping it ends it.
struct Daemon(Child);

/// Takes every certificate: what is measured is the server.
#[derive(Debug)]
struct Anyone;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let binary = support::program();
    let hosts = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(HOSTS);
    let own = TestBox::new(&binary, "off", hosts);
    let kept = TestBox::new(&binary, AUTHORITY, hosts);
    let began = Instant::now();
    kept.fill();
    println!("{hosts} certificates put in {:.1} s", began.elapsed().as_secs_f64());
    let mut memory = Vec::new();
    for a_box in [&own, &kept] {
        runtime.block_on(a_box.route());
        memory.push(a_box.report());
    }
    let [own, kept] = memory[..] else { unreachable!("there are two boxes") };
    println!(
        "certificates: {:.1} MiB at rest, {:.1} MiB with all hosts asked for",
        kept.0 - own.0,
        kept.1 - own.1
    );
}

impl TestBox {
    fn new(binary: &Path, directory: &'static str, hosts: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let https = listener.local_addr().expect("it is bound");
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        Self { home, binary: binary.to_owned(), directory, https, hosts }
    }

    /// Puts a certificate for each host into the vault.
    fn fill(&self) {
        let key = BoxKey::open_or_create(&self.home.path().join("box.key")).expect("the home can be written");
        let vault = Vault::open(&self.home.path().join("certs"), key).expect("the home can be written");
        let ca_key = KeyPair::generate().expect("keys can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).expect("the key is good").pem();
        let issuer = Issuer::new(params, ca_key);
        for host in (0..self.hosts).map(host) {
            let key = KeyPair::generate().expect("keys can be made");
            let mut params = CertificateParams::new([host]).expect("the name is good");
            params.distinguished_name = DistinguishedName::new();
            let chain = params.signed_by(&key, &issuer).expect("the key is good").pem() + &ca;
            let chain = Chain::from_pem(&chain, &key.serialize_pem()).expect("it was just made");
            let source = Source::Acme { authority: "127.0.0.1".to_owned() };
            vault.put(&chain, source).expect("the disk has room");
        }
    }

    /// Makes an app that has all hosts.
    async fn route(&self) {
        let daemon = self.start().0;
        let request = UpstreamsRequest {
            upstreams: vec!["http://127.0.0.1:9".to_owned()],
            hosts: (0..self.hosts).map(host).collect(),
            ..UpstreamsRequest::default()
        };
        let client = Client::unix(self.home.path().join("minipaas.sock"));
        while client.connect().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let app = "bench".parse().expect("it is a name");
        client.put_upstreams(&app, &request).await.expect("the daemon takes it");
        daemon.stop();
    }

    /// Memory at rest and with all hosts asked for, in MiB.
    fn report(&self) -> (f64, f64) {
        let mut times: Vec<_> = (0..STARTS)
            .map(|_| {
                let (daemon, took) = self.start();
                daemon.stop();
                took
            })
            .collect();
        times.sort_unstable();
        let (daemon, _) = self.start();
        thread::sleep(SETTLE);
        let rest = daemon.memory();
        for host in (0..self.hosts).map(host) {
            self.shake_hands(&host).expect("every host is served");
        }
        let asked = daemon.memory();
        println!(
            "{:<36} start: median {:>4} ms   {rest:>5.1} MiB at rest   {asked:>5.1} MiB with all hosts asked for",
            self.directory,
            times[STARTS / 2].as_millis(),
        );
        daemon.stop();
        (rest, asked)
    }

    /// A daemon, and how long it took until a handshake was done.
    fn start(&self) -> (Daemon, Duration) {
        let began = Instant::now();
        let log = fs::File::create(self.home.path().join("bench.log")).expect("the home can be written");
        let daemon = Command::new(&self.binary)
            .args(["server", "--http", "127.0.0.1:0", "--https", &self.https.to_string()])
            .args(["--acme-directory", self.directory, "--access-log", "off", "--home"])
            .arg(self.home.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("minipaas runs");
        let daemon = Daemon(daemon);
        // `localhost` is served before there is any route.
        while self.shake_hands("bench.localhost").is_err() {
            assert!(began.elapsed() < START_TIMEOUT, "see {}", self.home.path().join("bench.log").display());
            thread::sleep(Duration::from_millis(1));
        }
        (daemon, began.elapsed())
    }

    fn shake_hands(&self, host: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.https)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS needs")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).expect("it is a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("the configuration is good");
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(())
    }
}

impl Daemon {
    /// What no file backs, in MiB.
    fn memory(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("the daemon runs");
        let line = text.lines().find(|line| line.starts_with("RssAnon")).expect("the kernel tells it");
        let kib: f64 =
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("it is a number");
        kib / 1024.0
    }

    /// Ends it in good order, so that what it has published is what it begins with.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.0.wait().expect("it is a child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended by then, unless something failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn host(number: usize) -> String {
    format!("host-{number}.example.com")
}
