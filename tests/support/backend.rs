//! Apps for the proxy to forward to: real sockets, scripted answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Whatever body an answer has.
pub type AnyBody = BoxBody<Bytes, Infallible>;
type Script = Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A running app. Dropping it closes its port and its connections.
pub struct Backend {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

/// An app that is not started yet.
pub struct Builder {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as the app got it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Backend {
    /// An app that answers every request with this text.
    pub fn replying(text: &'static str) -> Builder {
        Self::answering(move |_| async move { Response::new(full(text)) })
    }

    /// An app that answers each request, once it was read, by calling `answer`.
    pub fn answering<F>(answer: impl Fn(Seen) -> F + Clone + Send + Sync + 'static) -> Builder
    where
        F: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let script = move |stream: TcpStream| {
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, log) = (answer.clone(), Arc::clone(&log));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let seen =
                            Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body };
                        log.lock().unwrap().push(seen.clone());
                        Ok::<_, hyper::Error>(answer(seen).await)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        };
        Builder { seen, ..Self::speaking(script) }
    }

    /// An app that speaks HTTP/2 alone, with prior knowledge, and answers each request as its head has come.
    pub fn http2<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> Builder
    where
        F: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        Self::speaking(move |stream| {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            async move {
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
    }

    /// An app that does what `script` says with every connection.
    pub fn speaking<F>(script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Builder
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Builder { script: Arc::new(move |stream| Box::pin(script(stream))), seen: Arc::default() }
    }

    /// An address where nobody listens.
    pub async fn refusing() -> Self {
        let mut backend = Self::replying("never").start().await;
        backend._task = AbortOnDropHandle::new(tokio::spawn(async {}));
        // The port is closed once the accepting task is gone.
        while TcpStream::connect(backend.addr).await.is_ok() {}
        backend
    }

    /// The requests that were read so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Builder {
    pub async fn start(self) -> Backend {
        self.start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Where another one was before.
    pub async fn start_at(self, addr: SocketAddr) -> Backend {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, script) = (Arc::clone(&connections), self.script);
        let task = tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                running.spawn(script(stream));
                while running.try_join_next().is_some() {}
            }
        });
        Backend { addr, seen: self.seen, connections, _task: AbortOnDropHandle::new(task) }
    }
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A body that is known from the start.
pub fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).boxed()
}

/// A body that is sent piece by piece, and ends when the sender is dropped.
pub fn streaming() -> (mpsc::UnboundedSender<Frame<Bytes>>, AnyBody) {
    let (sender, mut frames) = mpsc::unbounded_channel();
    let frames = stream::poll_fn(move |cx| frames.poll_recv(cx).map(|frame| frame.map(Ok)));
    (sender, StreamBody::new(frames).boxed())
}
