//! A real browser at a real box: what people see before and after `minipaas trust`.

use std::path::PathBuf;

use http::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;

use super::command::{Running, until};
use super::world::TestBox;
use crate::support::backend::{Backend, full};
use crate::support::chromium::Chromium;

const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
/// A public name, which the box's CA may not sign for.
const PUBLIC: &str = "bank.example.com";
const PAGE: &str = "<!doctype html><title>app</title><p>hello";
/// Sends a message to the app, and gives what comes back.
const ECHO: &str = "new Promise((done, failed) => {
    const socket = new WebSocket(`wss://${location.host}/echo`);
    socket.onopen = () => socket.send('ping');
    socket.onerror = () => failed(new Error('no websocket'));
    socket.onmessage = message => { done(message.data); socket.close(); };
})";

/// A box with an app, on a machine without a trust store of the system.
struct Site {
    on: TestBox,
    _daemon: Running,
    _app: Backend,
    _root: TempDir,
    log: PathBuf,
}

impl Site {
    async fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let log = root.path().join("access.log");
        let on = TestBox::new()
            .env("MINIPAAS_TRUST_ROOT", root.path().to_str().expect("UTF-8"))
            .env("MINIPAAS_ACCESS_LOG", log.to_str().expect("UTF-8"));
        let daemon = on.serve(&NO_ENGINE).await;
        let app = app().await;
        let upstream = format!("http://{}", app.addr);
        on.run(&["apps", "create", "hello", "--upstream", &upstream, "--host", PUBLIC]).await.success();
        Self { on, _daemon: daemon, _app: app, _root: root, log }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.on.https().port())
    }

    /// A browser of whoever uses the box.
    async fn browser(&self) -> Chromium {
        let home = self.on.home();
        Chromium::start(home.parent().expect("a folder"), "*.example.com").await
    }
}

/// Answers with a page, and echoes what comes over a WebSocket.
async fn app() -> Backend {
    let app = Backend::speaking(|stream| async move {
        let mut head = [0; 4096];
        let Ok(length) = stream.peek(&mut head).await else { return };
        if String::from_utf8_lossy(&head[..length]).to_lowercase().contains("\r\nupgrade: websocket\r\n") {
            use futures_util::{SinkExt as _, StreamExt as _};
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() && socket.send(message).await.is_err() {
                    break;
                }
            }
            return;
        }
        let page = service_fn(|_| async {
            // Each request has a connection of its own, so that its first bytes tell what it is.
            let page = Response::builder().header("content-type", "text/html").header("connection", "close");
            page.body(full(PAGE))
        });
        // A browser may hang up in the middle of anything.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), page).await;
    });
    app.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_opens_an_app_without_a_warning_while_the_box_is_trusted() {
    let site = Site::start().await;
    let app = site.url("hello.localhost");
    let refused = Err("net::ERR_CERT_AUTHORITY_INVALID".to_owned());
    assert_eq!(site.browser().await.open(&app).await, refused);

    let trusted = site.on.run(&["trust"]).await.success();
    // The browser has made it when it started.
    assert!(trusted.stdout.ends_with("/.local/share/pki/nssdb): installed\n"), "{}", trusted.stdout);
    let mut browser = site.browser().await;
    assert_eq!(browser.open(&app).await, Ok(()));
    assert_eq!(browser.evaluate("document.body.innerText").await, "hello");
    assert_eq!(browser.evaluate("isSecureContext").await, true);
    let protocol = "performance.getEntriesByType('navigation')[0].nextHopProtocol";
    assert_eq!(browser.evaluate(protocol).await, "h2");

    assert_eq!(browser.evaluate(ECHO).await, "ping");
    // A stream of the page's own connection, as RFC 8441 has it.
    until("the log tells of the socket", || {
        let log = std::fs::read_to_string(&site.log).unwrap_or_default();
        let socket = log.lines().find(|line| line.contains("path=\"/echo\""));
        socket.is_some_and(|line| line.contains("method=CONNECT") && line.contains("protocol=h2"))
    })
    .await;

    // It is served, and the box's CA may not sign for it.
    assert_eq!(browser.open(&site.url(PUBLIC)).await, Err("net::ERR_CERT_INVALID".to_owned()));
    drop(browser);

    site.on.run(&["untrust"]).await.success();
    assert_eq!(site.browser().await.open(&app).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_finds_the_trust_that_was_there_before_its_first_start() {
    let site = Site::start().await;
    let trusted = site.on.run(&["trust"]).await.success();
    assert!(trusted.stdout.ends_with("/.pki/nssdb): installed\n"), "{}", trusted.stdout);
    let mut browser = site.browser().await;
    assert_eq!(browser.open(&site.url("hello.localhost")).await, Ok(()));
    assert_eq!(browser.evaluate("document.title").await, "app");
}
