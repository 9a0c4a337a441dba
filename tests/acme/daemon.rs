//! A box as its owner runs it: the program itself, with Pebble for its authority and one app behind it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use minipaas::api::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep};
use tokio_rustls::client::TlsStream;

use crate::deploy::command::{PATIENCE, POLL_INTERVAL, Run, Running};
use crate::support::backend::Backend;
use crate::support::client::{Client, get, try_tls};
use crate::support::free_port;
use crate::support::pebble::{Options, Pebble};

/// What the app says.
pub(super) const BODY: &str = "hello from the app";
/// Between two looks at the certificates, each of which is a run of the program.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A box and its authority. The daemon is whatever [`AcmeBox::start`] has returned, and ends with it.
pub(super) struct AcmeBox {
    dir: TempDir,
    http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) pebble: Arc<Pebble>,
    /// Where the daemon is told that its authority is.
    directory: String,
    /// What the authority's certificates lead to; the box's own lead elsewhere.
    pub(super) root: CertificateDer<'static>,
    app: Backend,
}

impl AcmeBox {
    pub(super) async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let (http, https) = (free_port(), free_port());
        let mut options = Options::new(http, https);
        change(&mut options);
        let pebble = Arc::new(options.start().await);
        let root = pebble.issuing_root().await;
        let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
        let directory = pebble.directory.clone();
        let app = Backend::replying(BODY).start().await;
        Self { dir: tempfile::tempdir().unwrap(), http, https, pebble, directory, root, app }
    }

    /// The daemon asks here from its next start on.
    pub(super) fn set_directory(&mut self, directory: String) {
        self.directory = directory;
    }

    /// Starts the daemon, and returns once it serves. Nothing has been waited for but its port.
    pub(super) async fn start(&self, env: &[(&str, &str)]) -> Running {
        let mut daemon = self.command(&["server"], env);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.https).await.is_err() {
            assert!(daemon.is_running(), "the daemon ended:\n{}", daemon.stderr());
            assert!(Instant::now() < deadline, "the daemon never serves:\n{}", daemon.stderr());
            sleep(POLL_INTERVAL).await;
        }
        daemon
    }

    /// Starts the daemon, and returns once it takes commands.
    pub(super) async fn serve(&self, env: &[(&str, &str)]) -> Running {
        let mut daemon = self.start(env).await;
        self.ready(&mut daemon).await;
        daemon
    }

    /// Waits until the daemon takes commands.
    pub(super) async fn ready(&self, daemon: &mut Running) {
        let socket = self.dir.path().join("minipaas.sock");
        let deadline = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(daemon.is_running(), "the daemon ended:\n{}", daemon.stderr());
            assert!(Instant::now() < deadline, "the daemon takes no commands:\n{}", daemon.stderr());
            sleep(POLL_INTERVAL).await;
        }
    }

    pub(super) async fn run(&self, args: &[&str]) -> Run {
        self.command(args, &[]).finish().await
    }

    /// Has the app answer for these hosts.
    pub(super) async fn create(&self, app: &str, hosts: &[String]) {
        let upstream = format!("http://{}", self.app.addr);
        let mut args = vec!["apps", "create", app, "--upstream", &upstream];
        for host in hosts {
            args.extend(["--host", host]);
        }
        self.run(&args).await.success();
    }

    /// What `minipaas certs` tells of names that are an authority's, by name.
    pub(super) async fn certs(&self) -> BTreeMap<String, Certificate> {
        let run = self.run(&["certs", "--json"]).await.success();
        let all: Vec<Certificate> = serde_json::from_str(&run.stdout).unwrap();
        let ordered = all.into_iter().filter(|found| found.signer == "acme");
        ordered.map(|found| (found.name.clone(), found)).collect()
    }

    /// Waits until all of these names are `valid`, each with another certificate than it has in `before`; returns their ids.
    pub(super) async fn valid(
        &self,
        hosts: &[String],
        before: &BTreeMap<String, String>,
        patience: Duration,
    ) -> BTreeMap<String, String> {
        let deadline = Instant::now() + patience;
        loop {
            let certs = self.certs().await;
            if let Some(ids) = hosts.iter().map(|host| new_id(&certs, host, before)).collect() {
                return ids;
            }
            assert!(Instant::now() < deadline, "never valid: {certs:#?}\n{}", self.pebble.log());
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// A connection that is trusted for its certificate of the authority; the box's own is refused.
    pub(super) async fn connect(&self, host: &str, protocol: &str) -> io::Result<TlsStream<TcpStream>> {
        try_tls(self.https, &self.root, host, protocol).await
    }

    /// The certificate that a client gets now, which is a valid one of the authority's, with the app behind it.
    pub(super) async fn served(&self, host: &str) -> CertificateDer<'static> {
        let stream = self.connect(host, "http/1.1").await;
        let stream = stream.unwrap_or_else(|error| panic!("`{host}` is not served: {error}"));
        let leaf = leaf(&stream);
        assert_eq!(Client::over(stream).await.send(get(host, "/")).await.body, BODY);
        leaf
    }

    /// How many orders the authority has ever made.
    pub(super) fn orders(&self) -> usize {
        self.said("Added order")
    }

    /// How many accounts.
    pub(super) fn accounts(&self) -> usize {
        self.said("accounts in memory")
    }

    /// How often the authority has said this.
    pub(super) fn said(&self, text: &str) -> usize {
        self.pebble.log().lines().filter(|line| line.contains(text)).count()
    }

    /// The files of certificates that are kept.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("certs")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "pem")).collect()
    }

    fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minipaas"));
        command.args(args).current_dir(self.dir.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path()).env("MINIPAAS_HOME", self.dir.path());
        // Where no engine is: these apps need none.
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        command.env("MINIPAAS_HTTP", self.http.to_string()).env("MINIPAAS_HTTPS", self.https.to_string());
        command.env("MINIPAAS_ACME_DIRECTORY", &self.directory);
        command.env("MINIPAAS_ACME_ROOT", self.pebble.root_file());
        command.env("MINIPAAS_DNS", self.pebble.dns.to_string());
        command.env("MINIPAAS_LOG", "info,minipaas::access=warn");
        command.envs(env.iter().copied());
        Running::of(command)
    }
}

/// What the other side has shown.
pub(super) fn leaf(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A host and the id of its certificate, if that is valid and not the one before.
fn new_id(
    certs: &BTreeMap<String, Certificate>,
    host: &str,
    before: &BTreeMap<String, String>,
) -> Option<(String, String)> {
    let found = certs.get(host).filter(|found| found.state == "valid")?;
    let id = found.certificate.as_ref()?.id.clone();
    (before.get(host) != Some(&id)).then(|| (host.to_owned(), id))
}
