//! Stands between the box and the authority, and does what a test wants with some of the requests.
//!
//! The authority builds its addresses of what the request says, so they all lead here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::support::backend::{AnyBody, Backend, Seen};
use crate::support::pebble::Pebble;

/// A way to the authority.
pub(super) struct Gate {
    addr: SocketAddr,
    _backend: Backend,
    _tls: AbortOnDropHandle<()>,
    inner: Arc<Inner>,
}

/// What becomes of a request.
pub(super) enum Act {
    /// The authority answers it.
    Pass,
    /// The authority never hears of it, and nobody answers.
    Hold,
    /// The authority does it, and nobody answers.
    Swallow,
    /// This is the answer.
    Say(Response<Bytes>),
}

type Rule = Box<dyn FnMut(&Seen) -> Act + Send>;

struct Inner {
    pebble: Arc<Pebble>,
    rule: Mutex<Rule>,
    /// How many requests were held or swallowed.
    stuck: watch::Sender<usize>,
}

impl Gate {
    pub(super) async fn start(pebble: &Arc<Pebble>) -> Self {
        let inner = Arc::new(Inner {
            pebble: Arc::clone(pebble),
            rule: Mutex::new(Box::new(|_| Act::Pass)),
            stuck: watch::channel(0).0,
        });
        let answering = Arc::clone(&inner);
        let answer = move |seen| {
            let inner = Arc::clone(&answering);
            async move { inner.answer(seen).await }
        };
        let backend = Backend::answering(answer).start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let tls = tokio::spawn(unwrap_tls(listener, TlsAcceptor::from(pebble.tls()), backend.addr));
        Self { addr, _backend: backend, _tls: AbortOnDropHandle::new(tls), inner }
    }

    pub(super) fn directory(&self) -> String {
        format!("https://{}/dir", self.addr)
    }

    /// What becomes of requests from now on.
    pub(super) fn set(&self, rule: impl FnMut(&Seen) -> Act + Send + 'static) {
        *self.inner.rule.lock().unwrap() = Box::new(rule);
    }

    /// How many requests were held or swallowed so far.
    pub(super) fn stuck_count(&self) -> usize {
        *self.inner.stuck.borrow()
    }

    /// Waits until a further request is held or swallowed.
    pub(super) async fn stuck(&self) {
        let mut stuck = self.inner.stuck.subscribe();
        stuck.borrow_and_update();
        stuck.changed().await.unwrap();
    }
}

impl Inner {
    async fn answer(&self, seen: Seen) -> Response<AnyBody> {
        let act = (self.rule.lock().unwrap())(&seen);
        let response = match act {
            Act::Say(response) => response,
            Act::Pass => self.forward(seen).await,
            Act::Swallow => {
                self.forward(seen).await;
                self.stuck.send_modify(|count| *count += 1);
                std::future::pending().await
            }
            Act::Hold => {
                self.stuck.send_modify(|count| *count += 1);
                std::future::pending().await
            }
        };
        response.map(|body| Full::new(body).boxed())
    }

    async fn forward(&self, seen: Seen) -> Response<Bytes> {
        let authority = self.pebble.directory.strip_suffix("/dir").unwrap();
        let mut request = Request::new(seen.body);
        *request.uri_mut() = format!("{authority}{}", seen.uri).parse().unwrap();
        *request.method_mut() = seen.method;
        *request.headers_mut() = seen.headers;
        let mut response = self.pebble.web.send(request).await.unwrap();
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        response
    }
}

/// Hands what comes over TLS on without it.
async fn unwrap_tls(listener: TcpListener, tls: TlsAcceptor, to: SocketAddr) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let tls = tls.clone();
        tokio::spawn(async move {
            // Who has heard enough hangs up.
            if let Ok(mut stream) = tls.accept(stream).await {
                let mut onward = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            }
        });
    }
}

/// A refusal as ACME has it.
pub(super) fn problem(status: u16, kind: &str, detail: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
    let response =
        Response::builder().status(status).header(header::CONTENT_TYPE, "application/problem+json");
    response.body(body.to_string().into()).unwrap()
}
