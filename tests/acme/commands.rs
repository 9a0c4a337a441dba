//! The real program beside an authority that sees it: every kind of proof, and what `minipaas certs` tells.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::expect;
use rustix::process::{Pid, Signal};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use super::secrets::{Secrets, check_home};
use super::*;
use crate::cli::command::{Folder, Run};
use crate::dns::named::{Named, SECRET};
use crate::support::backend::Backend;
use crate::support::client::{Client, get, try_tls};
use crate::support::{SOON, free_port, soon};

/// Between two looks at what the daemon does: another process, which nothing here could wait for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const KEY_ID: &str = "kid-1";
const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A box: its home, its settings, and its daemon if that runs.
pub(super) struct Program {
    pub(super) folder: Folder,
    pub(super) home: TempDir,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    /// What apps lead to.
    pub(super) app: Backend,
    settings: Vec<(String, String)>,
    daemon: Option<Child>,
}

/// Trusts what this CA has signed, for whatever host.
#[derive(Debug)]
struct SignedBy(CertificateDer<'static>);

impl Program {
    /// A box that is not started yet, and a way for an authority to see it.
    pub(super) async fn new() -> (Self, Options) {
        let (http, https) = (free_port(), free_port());
        let program = Self {
            folder: Folder::with([]),
            home: tempfile::tempdir().unwrap(),
            http,
            https,
            app: Backend::replying("app").start().await,
            settings: vec![
                ("MINIPAAS_HTTP".to_owned(), http.to_string()),
                ("MINIPAAS_HTTPS".to_owned(), https.to_string()),
                ("MINIPAAS_HTTP3".to_owned(), "false".to_owned()),
                ("MINIPAAS_LOG".to_owned(), "debug".to_owned()),
                ("DOCKER_HOST".to_owned(), "unix:///nonexistent/docker.sock".to_owned()),
            ],
            daemon: None,
        };
        (program, Options::new(http, https))
    }

    /// A box with an authority, started.
    pub(super) async fn with(change: impl FnOnce(&mut Options)) -> (Self, Arc<Pebble>) {
        let (mut program, mut options) = Self::new().await;
        change(&mut options);
        let pebble = Arc::new(options.start().await);
        program.trust(&[&pebble]);
        program.set("ACME_DIRECTORY", &pebble.directory);
        program.set("DNS", &pebble.dns.to_string());
        program.start().await;
        (program, pebble)
    }

    /// A setting, from the next start on.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let name = format!("MINIPAAS_{name}");
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
    }

    /// Believes that these authorities are who they say.
    pub(super) fn trust(&mut self, pebbles: &[&Pebble]) {
        let pem = |pebble: &&Pebble| {
            let der = BASE64_STANDARD.encode(&pebble.root);
            format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")
        };
        let path = self.write("roots.pem", &pebbles.iter().map(pem).collect::<String>());
        self.set("ACME_ROOT", &path);
    }

    /// A file beside the home, by its path.
    pub(super) fn write(&self, name: &str, text: &str) -> String {
        self.folder.write(name, text);
        self.folder.path().join(name).display().to_string()
    }

    pub(super) async fn start(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.home.path().join("daemon.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_minipaas"));
        command.arg("server").env_clear().kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("MINIPAAS_HOME", self.home.path());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.unwrap());
        let mut daemon = command.spawn().unwrap();
        let deadline = tokio::time::Instant::now() + SOON;
        while UnixStream::connect(self.home.path().join("minipaas.sock")).await.is_err() {
            assert!(daemon.try_wait().unwrap().is_none(), "the daemon has ended:\n{}", self.log());
            assert!(tokio::time::Instant::now() < deadline, "the daemon does not answer:\n{}", self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.daemon = Some(daemon);
    }

    pub(super) async fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        let pid = daemon.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        rustix::process::kill_process(pid.unwrap(), Signal::TERM).unwrap();
        soon(daemon.wait()).await.unwrap();
    }

    /// The daemon's process.
    pub(super) fn pid(&self) -> u32 {
        self.daemon.as_ref().and_then(Child::id).unwrap()
    }

    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// What the daemon has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("daemon.log")).unwrap()
    }

    /// A command, which does what it was told.
    pub(super) async fn run(&self, args: &str) -> Run {
        let run = self.try_run(args).await;
        assert_eq!(run.code, Some(0), "{args}: {}", run.text());
        run
    }

    pub(super) async fn try_run(&self, args: &str) -> Run {
        self.folder.start(self.home.path(), args, &[]).finish().await
    }

    /// An app at these hosts.
    pub(super) async fn create(&self, app: &str, hosts: &[&str]) {
        let hosts: String = hosts.iter().map(|host| format!(" --host {host}")).collect();
        self.run(&format!("apps create {app} --upstream http://{}{hosts}", self.app.addr)).await;
    }

    /// All that is told of a name, once nothing is under way for it.
    pub(super) async fn settled(&self, name: &str) -> Value {
        let deadline = tokio::time::Instant::now() + 3 * SOON;
        loop {
            let all: Value = serde_json::from_str(&self.run("certs --json").await.stdout).unwrap();
            let found = all.as_array().unwrap().iter().find(|found| found["name"] == name).cloned();
            let state = found.as_ref().and_then(|found| found["state"].as_str()).unwrap_or("absent");
            if !["absent", "waiting", "ordering", "renewing"].contains(&state) {
                return found.unwrap();
            }
            let is_late = tokio::time::Instant::now() >= deadline;
            assert!(!is_late, "`{name}` is {state} still:\n{}", self.log());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until a name has a certificate of an authority, and a client meets that.
    pub(super) async fn has_certificate(&self, name: &str, host: &str, pebble: &Pebble) -> Value {
        let found = self.settled(name).await;
        assert_eq!(found["state"], "valid", "{found}\n{}", self.log());
        let root = CertificateDer::from_pem_slice(pebble.issuing_root().await.as_bytes()).unwrap();
        self.meets(host, &root).await.unwrap();
        found
    }

    /// Why a name has none; a client meets one of the box's own meanwhile.
    pub(super) async fn has_none(&self, name: &str, host: &str) -> Value {
        let found = self.settled(name).await;
        assert_eq!(found["state"], "failed", "{found}\n{}", self.log());
        self.meets_box(host).await;
        found
    }

    /// A handshake and a request, by somebody who trusts this root alone.
    pub(super) async fn meets(&self, host: &str, root: &CertificateDer<'static>) -> std::io::Result<()> {
        let stream = try_tls(self.https, root, host, "http/1.1").await?;
        let mut client = Client::over(stream).await;
        assert_eq!(client.send(get(host, "/")).await.body, "app", "{host}");
        Ok(())
    }

    /// A request over a connection that the box's own CA has signed for. Nobody who checks its constraints would trust it.
    pub(super) async fn meets_box(&self, host: &str) -> Client {
        let ca = CertificateDer::from_pem_file(self.home.path().join("ca/ca.crt")).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().dangerous().with_custom_certificate_verifier(Arc::new(SignedBy(ca)));
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let stream = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut client = Client::over(soon(connector.connect(name, stream)).await.unwrap()).await;
        assert_eq!(client.send(get(host, "/")).await.body, "app", "{host}");
        client
    }

    /// A text without what differs from run to run.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut redacted = text.to_owned();
        for (addr, word) in [(self.http, "HTTP"), (self.https, "HTTPS")] {
            redacted = redacted.replace(&addr.port().to_string(), word);
        }
        let start = "(tried again in ";
        let mut from = 0;
        while let Some(at) = redacted[from..].find(start) {
            let at = from + at + start.len();
            let length = redacted[at..].find(')').unwrap();
            redacted.replace_range(at..at + length, "..");
            from = at;
        }
        redacted
    }
}

impl ServerCertVerifier for SignedBy {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
        let (_, ca) = X509Certificate::from_der(&self.0).unwrap();
        match leaf.verify_signature(Some(ca.public_key())) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(rustls::Error::General(format!("{} is not the box: {error}", leaf.issuer()))),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 alone".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A hook that changes the DNS of an authority.
fn hook(program: &Program, pebble: &Pebble) -> String {
    let script = format!(
        "#!/bin/sh\ncase $1 in\nadd) what=set-txt body=\"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" ;;\n\
         remove) what=clear-txt body=\"{{\\\"host\\\":\\\"$2.\\\"}}\" ;;\nesac\nexec curl -sf -d \"$body\" http://{}/$what\n",
        pebble.dns_management()
    );
    let path = program.write("hook", &script);
    std::fs::set_permissions(Path::new(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_proved_by_http_01_and_told_of() {
    let (program, pebble) = Program::with(|options| options.lifetime = Some(90 * 24 * 60 * 60)).await;
    program.create("blog", &["blog.example.com"]).await;
    let found = program.has_certificate("blog.example.com", "blog.example.com", &pebble).await;
    assert!(pebble.log().contains("validate w/ HTTP"), "{}", pebble.log());
    assert_eq!((&found["signer"], &found["problem"]), (&"acme".into(), &Value::Null));
    expect![[r#"
        NAME              STATE  SIGNED BY            VALID FOR  ID                APPS
        blog.example.com  valid  127.0.0.1:PORT/dir  89d        [THE-ID--------]  blog
        blog.localhost    valid  the box              -          -                 blog
        localhost         valid  the box              -          -                 minipaas
    "#]]
    .assert_eq(
        &program
            .run("certs")
            .await
            .stdout
            .replace(pebble.directory.split([':', '/']).nth(4).unwrap(), "PORT")
            .replace(found["certificate"]["id"].as_str().unwrap(), "[THE-ID--------]"),
    );
    let info = program.run("certs info blog.example.com").await.stdout;
    for row in ["state      valid", "names      blog.example.com", "key        ecdsa", "renewal    20"] {
        assert!(info.contains(row), "{row}:\n{info}");
    }

    let before = found["certificate"]["id"].clone();
    expect!["`blog.example.com` is being ordered; `minipaas certs` tells how it goes\n"]
        .assert_eq(&program.run("certs renew blog.example.com").await.stderr);
    let after = program.settled("blog.example.com").await;
    assert_ne!(after["certificate"]["id"], before);
    let dir = std::fs::read_dir(program.home.path().join("certs")).unwrap();
    let kept = dir.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ext| ext == "pem"));
    assert_eq!(kept.count(), 1, "the one that was replaced is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_proved_by_tls_alpn_01_where_port_80_is_closed() {
    let closed = nobody().await;
    let (program, pebble) = Program::with(|options| options.ports.0 = closed.port()).await;
    program.create("blog", &["blog.example.com"]).await;
    program.has_certificate("blog.example.com", "blog.example.com", &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_proves_wildcards_and_those_of_the_box() {
    let (mut program, pebble) = Program::with(|_| {}).await;
    program.set("ACME_DNS", "hook");
    let credentials = format!("# by hand\nexport HOOK_COMMAND=\"{}\"\n", hook(&program, &pebble));
    let path = program.write("dns.env", &credentials);
    program.set("ACME_DNS_FILE", &path);
    program.set("DOMAIN", "apps.example.org");
    program.restart().await;
    program.create("blog", &["*.example.com"]).await;
    program.create("shop", &[]).await;
    program.has_certificate("*.example.com", "any.example.com", &pebble).await;
    let own = program.has_certificate("*.apps.example.org", "shop.apps.example.org", &pebble).await;
    assert_eq!(own["apps"], serde_json::json!(["blog", "shop"]));
    let info = program.run("certs info shop.apps.example.org").await.stdout;
    assert!(info.starts_with("NAME       *.apps.example.org"), "{info}");
    // Of a host that shares a certificate, that one is meant.
    let renewed = program.run("certs renew blog.apps.example.org").await.stderr;
    assert!(renewed.starts_with("`*.apps.example.org` is being ordered"), "{renewed}");
    program.settled("*.apps.example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc_2136_proves_names_and_a_wrong_or_missing_key_is_told() {
    let named = Named::start().await;
    let (mut program, mut options) = Program::new().await;
    options.resolver = Some(named.addr);
    let pebble = Arc::new(options.start().await);
    program.trust(&[&pebble]);
    program.set("ACME_DIRECTORY", &pebble.directory);
    program.set("DNS", &named.addr.to_string());
    program.set("ACME_DNS", "rfc2136");
    let path = program.folder.path().join("dns.env").display().to_string();
    program.set("ACME_DNS_FILE", &path);
    program.set("DOMAIN", "box.example.net");

    // Without the file the daemon serves, and says what it lacks.
    program.start().await;
    program.create("blog", &["blog.example.com"]).await;
    let found = program.has_none("blog.example.com", "blog.example.com").await;
    assert_eq!(found["problem"]["kind"], "dns-settings");
    expect!["cannot read `[DIR]/dns.env`, which `acme_dns_file` names: No such file or directory (os error 2); then start the daemon again"].assert_eq(found["problem"]["message"].as_str().unwrap());
    program.stop().await;

    let credentials = |secret: &str| {
        format!("RFC2136_NAMESERVER={}\nRFC2136_TSIG_KEY=acme\nRFC2136_TSIG_SECRET={secret}\n", named.addr)
    };
    std::fs::write(&path, "RFC2136_TSIG_KEY=acme\n").unwrap();
    program.start().await;
    let found = program.has_none("blog.example.com", "blog.example.com").await;
    expect!["DNS provider `rfc2136` needs `RFC2136_NAMESERVER`, as in `RFC2136_NAMESERVER=ns1.example.com:53`; put it in the file that `acme_dns_file` names, or in the daemon's environment; then start the daemon again"].assert_eq(found["problem"]["message"].as_str().unwrap());
    program.stop().await;

    let wrong = "AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKA=";
    std::fs::write(&path, credentials(wrong)).unwrap();
    program.start().await;
    let found = program.has_none("blog.example.com", "blog.example.com").await;
    assert_eq!(found["problem"]["kind"], "responder");
    let message = found["problem"]["message"].as_str().unwrap();
    expect!["PEBBLE: the answer to dns-01 at `_acme-challenge.blog.example.com` cannot be given: DNS provider `rfc2136` refused to add the TXT record of `_acme-challenge.blog.example.com`: `SERVER` answered BADSIG, its secret of that key is another; check `RFC2136_TSIG_KEY`, `RFC2136_TSIG_SECRET` and `RFC2136_TSIG_ALGORITHM`, and that the server allows this key to update TXT records there"].assert_eq(
        &message.replace(&named.addr.to_string(), "SERVER").replace(&pebble.directory[8..], "PEBBLE"),
    );
    program.stop().await;

    std::fs::write(&path, credentials(SECRET)).unwrap();
    program.start().await;
    program.run("certs renew blog.example.com").await;
    program.has_certificate("blog.example.com", "blog.example.com", &pebble).await;
    program.stop().await;
    let mut secrets = Secrets::default();
    for secret in [SECRET, wrong] {
        secrets.add_text("the DNS credential", secret);
        secrets.add("the DNS credential", &BASE64_STANDARD.decode(secret).unwrap());
    }
    assert!(check_home(program.home.path(), &secrets) > 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_made_elsewhere_is_used() {
    let (mut program, pebble) = Program::with(|options| options.eab = Some((KEY_ID, KEY))).await;
    program.create("blog", &["blog.example.com"]).await;
    let found = program.has_none("blog.example.com", "blog.example.com").await;
    assert_eq!(found["problem"]["kind"], "eab-required");
    let path = program.write("eab", &format!("# of the test\n{} {KEY_ID} {KEY}\n", pebble.directory));
    program.set("ACME_EAB_FILE", &path);
    program.restart().await;
    program.run("certs renew blog.example.com").await;
    program.has_certificate("blog.example.com", "blog.example.com", &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_authority_is_asked_where_the_first_is_down() {
    let (mut program, pebble) = Program::with(|_| {}).await;
    let closed = nobody().await;
    program.set("ACME_DIRECTORY", &format!("https://{closed}/dir,{}", pebble.directory));
    program.restart().await;
    program.create("blog", &["blog.example.com"]).await;
    let found = program.has_certificate("blog.example.com", "blog.example.com", &pebble).await;
    assert_eq!(found["authority"], pebble.directory["https://".len()..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_changes_its_authority_orders_anew_and_drops_the_old_certificate() {
    let (mut program, staging) = Program::with(|_| {}).await;
    program.create("blog", &["blog.example.com"]).await;
    let before = program.has_certificate("blog.example.com", "blog.example.com", &staging).await;
    // Of shorter life than what it replaces.
    let options = Options { lifetime: Some(24 * 60 * 60), ..Options::new(program.http, program.https) };
    let production = Arc::new(options.start().await);
    program.trust(&[&production]);
    program.set("ACME_DIRECTORY", &production.directory);
    program.restart().await;
    let deadline = tokio::time::Instant::now() + SOON;
    while program.settled("blog.example.com").await["certificate"]["id"] == before["certificate"]["id"] {
        assert!(tokio::time::Instant::now() < deadline, "{}", program.log());
    }
    let after = program.has_certificate("blog.example.com", "blog.example.com", &production).await;
    assert_eq!(after["authority"], production.directory["https://".len()..]);
    let gone = before["certificate"]["id"].as_str().unwrap();
    let gone = program.home.path().join(format!("certs/{gone}.pem"));
    crate::support::eventually("the old one is dropped", || !gone.exists()).await;
    program.restart().await;
    program.has_certificate("blog.example.com", "blog.example.com", &production).await;
}
