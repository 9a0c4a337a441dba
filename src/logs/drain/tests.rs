//! Drains to real listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::super::{Budget, Line, Source, Speaker, Voice};
use super::*;
use crate::tls::LocalCa;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    _dir: TempDir,
    logs: Logs,
    store: Store,
    drains: Drains,
}

fn app() -> AppName {
    "shop".parse().unwrap()
}

fn key() -> BoxKey {
    BoxKey::new(&[7; 32])
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let logs = Logs::open(dir.path().join("logs"), Budget::default());
        let drains = Drains::open(logs.clone(), store.clone(), key()).await.unwrap();
        Self { _dir: dir, logs, store, drains }
    }

    async fn add(&self, url: &str) -> DrainView {
        let made = self.drains.add(&app(), url.parse().unwrap()).await.unwrap();
        // It begins with what comes after it has its place.
        let place = self.drains.place(&app(), &made.id);
        eventually("the drain has its place", || place.exists()).await;
        made
    }

    fn say(&self, text: &str) {
        self.logs.sink().say(&app(), Voice::Build, text);
    }
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// One octet-counted message.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut length = 0;
    loop {
        match stream.read_u8().await.unwrap() {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.unwrap();
    String::from_utf8(message).unwrap()
}

/// The message without its time.
fn timeless(message: &str) -> String {
    let mut words: Vec<&str> = message.split(' ').collect();
    words.remove(1);
    words.join(" ")
}

#[tokio::test]
async fn a_datagram_a_line() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let world = World::new().await;
    world.add(&format!("syslog://{}", socket.local_addr().unwrap())).await;
    world.say("one\ntwo");
    let mut buffer = [0; 2048];
    for expected in ["<158>1 shop minipaas build - - one", "<158>1 shop minipaas build - - two"] {
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(timeless(std::str::from_utf8(&buffer[..length]).unwrap()), expected);
    }
    eventually("both count", || world.drains.of(&app())[0].status.sent == 2).await;
}

#[tokio::test]
async fn a_server_that_comes_back_gets_what_it_has_missed() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let world = World::new().await;
    world.add(&format!("syslog+tcp://{addr}")).await;
    world.say("while it was away");
    eventually("the failure is told", || world.drains.of(&app())[0].status.error.is_some()).await;
    let listener = TcpListener::bind(addr).await.unwrap();
    let accepted = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut stream = accepted.0;
    assert_eq!(timeless(&frame(&mut stream).await), "<158>1 shop minipaas build - - while it was away");
    drop(stream);
    world.say("after a hang-up");
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    assert_eq!(timeless(&frame(&mut stream).await), "<158>1 shop minipaas build - - after a hang-up");
    eventually("it does well", || {
        let status = &world.drains.of(&app())[0].status;
        status.sent == 2 && status.error.is_none() && status.failing_since.is_none()
    })
    .await;
}

fn acceptor(ca: &LocalCa) -> TlsAcceptor {
    let leaf = ca.leaf("localhost").unwrap().certified;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(leaf)));
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn over_tls_the_certificate_must_be_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let ca = LocalCa::open_or_create(dir.path(), &key(), &["localhost"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(&ca);
    let served = tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(tcp).await {
                return frame(&mut stream).await;
            }
        }
    });
    let url: DrainUrl = format!("syslog+tls://localhost:{port}").parse().unwrap();
    let web = web::Client::new(&web::Settings::default()).unwrap();
    let speaker = Arc::new(Speaker::of_box(Source::Build, None));
    let line = Line { at: 0, is_stderr: false, is_cut: false, speaker, text: "over TLS".to_owned() };
    let lines = [line];
    let connection = |tls| Connection::new(app(), "1".to_owned(), url.clone(), web.clone(), tls);
    let error = connection(connection::tls_config()).send(&lines).await.unwrap_err();
    assert!(error.to_string().contains("cannot speak TLS with `localhost`"), "{error}");
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().der().clone()).unwrap();
    let trusting = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = connection(Arc::new(trusting));
    connection.send(&lines).await.unwrap();
    let message = timeout(PATIENCE, served).await.unwrap().unwrap();
    assert_eq!(message, "<158>1 1970-01-01T00:00:00.000000Z shop minipaas build - - over TLS");
}

/// Answers requests with these statuses, one after the other; what each had sent.
async fn http(statuses: &'static [u16]) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut requests = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                length.is_some_and(|length| body.len() >= length.parse::<usize>().unwrap())
            };
            while !is_whole(&request) {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap();
                assert!(length > 0, "the request was cut off");
                request.extend_from_slice(&buffer[..length]);
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            requests.push(String::from_utf8(request).unwrap());
        }
        requests
    });
    (addr, served)
}

#[tokio::test]
async fn requests_are_repeated_until_they_are_taken() {
    let (addr, served) = http(&[503, 200]).await;
    let world = World::new().await;
    let made = world.add(&format!("http://ann:s%33cret@{addr}/in?token=t0ken")).await;
    assert_eq!(made.url, format!("http://ann:***@{addr}/in?token=***"));
    world.say("one\ntwo");
    let requests = timeout(PATIENCE, served).await.unwrap().unwrap();
    for request in &requests {
        assert!(request.starts_with("POST /in?token=t0ken HTTP/1.1\r\n"), "{request}");
        let head = request.to_lowercase();
        assert!(
            head.contains("content-type: application/logplex-1\r\nlogplex-msg-count: 2\r\n"),
            "{request}"
        );
        // `ann:s3cret`
        assert!(request.contains("Basic YW5uOnMzY3JldA=="), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(body.contains(" shop minipaas build - one") && body.ends_with(" build - two"), "{body}");
    }
    assert_eq!(requests.len(), 2);
    eventually("it is told as sent", || world.drains.of(&app())[0].status.sent == 2).await;
    assert_eq!(world.drains.of(&app())[0].status.error, None);
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped_and_counted() {
    let (addr, served) = http(&[400]).await;
    let world = World::new().await;
    world.add(&format!("http://{addr}")).await;
    world.say("one");
    timeout(PATIENCE, served).await.unwrap().unwrap();
    eventually("it is told as dropped", || world.drains.of(&app())[0].status.dropped == 1).await;
    let status = &world.drains.of(&app())[0].status;
    assert_eq!(status.error.as_deref(), Some("`127.0.0.1` answers with 400 Bad Request"));
}

#[tokio::test]
async fn drains_are_kept_sealed_and_go_on_where_they_stopped() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let World { _dir, logs, store, drains } = World::new().await;
    let url = format!("https://ann:s3cret@{}", socket.local_addr().unwrap());
    let https = drains.add(&app(), url.parse().unwrap()).await.unwrap();
    assert!(matches!(drains.add(&app(), url.parse().unwrap()).await, Err(DrainError::Twice { .. })));
    let udp: DrainUrl = format!("syslog://{}", socket.local_addr().unwrap()).parse().unwrap();
    let made = drains.add(&app(), udp.clone()).await.unwrap();
    let place = drains.place(&app(), &made.id);
    eventually("the drain has its place", || place.exists()).await;
    drop(drains);
    logs.sink().say(&app(), Voice::Build, "said while no drain ran");
    logs.sink().finish().await;
    for record in store.drains().await.unwrap() {
        assert!(!String::from_utf8_lossy(&record.url).contains("s3cret"));
    }
    let again = Drains::open(logs.clone(), store.clone(), key()).await.unwrap();
    assert_eq!(again.of(&app()).len(), 2);
    let mut buffer = [0; 2048];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..length].ends_with(b"said while no drain ran"));
    again.remove(&app(), &https.id).await.unwrap();
    again.remove(&app(), udp.secret()).await.unwrap();
    assert!(again.of(&app()).is_empty() && store.drains().await.unwrap().is_empty());
    let error = again.remove(&app(), "https://ann:s3cret@elsewhere.example").await.unwrap_err();
    assert_eq!(error.to_string(), "`shop` has no drain `https://ann:***@elsewhere.example`");
}
