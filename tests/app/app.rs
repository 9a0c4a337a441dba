//! The paths: one function from a request to its response. `main` documents them.

use std::{convert::Infallible, fmt::Write as _, io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri, Version,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION},
};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{knobs::Knobs, socket};

/// Time between two events of `/sse`.
const TICK: Duration = Duration::from_millis(100);
/// Chunks of `/stream` when the request does not say.
const CHUNKS_DEFAULT: u32 = 10;

/// How a call ended.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A response's body, whole or streamed.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// Answers requests as its knobs say.
pub(crate) struct App {
    knobs: Knobs,
    version: HeaderValue,
}

impl App {
    pub(crate) fn new(knobs: Knobs) -> Self {
        let version = HeaderValue::from_str(&knobs.version).expect("VERSION can be sent as a header");
        Self { knobs, version }
    }

    /// The response to `req`, logged. An error closes the connection without one.
    ///
    /// What outlives its response, a WebSocket, runs on `sockets`. `stopping` is cancelled when the app is asked
    /// to stop.
    pub(crate) async fn answer(
        &self,
        req: Request<Incoming>,
        sockets: &TaskTracker,
        stopping: CancellationToken,
    ) -> io::Result<Response<Body>> {
        let asked = format!("{} {}", req.method(), req.uri());
        let mut res = self.route(req, sockets, stopping).await;
        match &mut res {
            Ok(res) => {
                res.headers_mut().insert("x-version", self.version.clone());
                println!("{asked} {}", res.status().as_u16());
            }
            Err(error) => println!("{asked} {error}"),
        }
        res
    }

    async fn route(
        &self,
        req: Request<Incoming>,
        sockets: &TaskTracker,
        stopping: CancellationToken,
    ) -> io::Result<Response<Body>> {
        let path = req.uri().path();
        if let Some(status) = path.strip_prefix("/status/").filter(|status| *status != "aggregate") {
            let status = status.parse().unwrap_or(StatusCode::BAD_REQUEST);
            return Ok(text(status, format!("status {status}\n")));
        }
        Ok(match path {
            "/" => {
                let Knobs { version, instance, .. } = &self.knobs;
                text(StatusCode::OK, format!("version={version} instance={instance}\n"))
            }
            "/up" => self.up(),
            "/slow" => {
                sleep(millis(req.uri())).await;
                text(StatusCode::OK, "slow\n")
            }
            "/stream" => chunks(millis(req.uri()), query(req.uri(), "chunks").unwrap_or(CHUNKS_DEFAULT)),
            "/echo" => echo(req),
            "/headers" => text(StatusCode::OK, head_as_text(&req)),
            "/cut" => return Err(io::Error::other("cut")),
            "/half" => half(),
            "/ws" => {
                let Knobs { version, drops_sockets, .. } = &self.knobs;
                socket::accept(req, version.clone(), *drops_sockets, stopping, sockets)
            }
            "/sse" => events(stopping, self.knobs.breaks_streams),
            "/grpc" => call(req.into_body()),
            "/grpc.health.v1.Health/Check" => self.grpc_health(),
            "/status/aggregate" => self.aggregate(),
            "/upload" => upload(req.into_body()).await?,
            _ => text(StatusCode::NOT_FOUND, "no such page\n"),
        })
    }

    /// As `grpc.health.v1` says it: 1 is SERVING, 2 NOT_SERVING.
    fn grpc_health(&self) -> Response<Body> {
        let status = if self.is_ready() { 1 } else { 2 };
        let message = Full::new(Bytes::from(vec![0, 0, 0, 0, 2, 8, status])).map_err(never);
        let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
        let trailers = async { Some(Ok(trailers)) };
        respond(StatusCode::OK, "application/grpc", BodyExt::boxed(message.with_trailers(trailers)))
    }

    /// As the health-checks API says it, always with 200.
    fn aggregate(&self) -> Response<Body> {
        let body = match (self.is_ready(), self.knobs.warns) {
            (false, _) => r#"["CRIT",{"description":"warming up","result":"CRIT","details":"not yet"}]"#,
            (true, true) => r#"["WARN",{"description":"disk","result":"WARN","details":"nearly full"}]"#,
            (true, false) => r#"["OK"]"#,
        };
        respond(StatusCode::OK, "application/json", Full::new(body.into()).map_err(never).boxed())
    }

    fn is_ready(&self) -> bool {
        Instant::now() >= self.knobs.ready_at
    }

    fn up(&self) -> Response<Body> {
        if self.knobs.redirects_probe {
            let mut res = text(StatusCode::MOVED_PERMANENTLY, "");
            res.headers_mut().insert(LOCATION, HeaderValue::from_static("https://elsewhere.example/up"));
            res
        } else if !self.is_ready() {
            text(StatusCode::SERVICE_UNAVAILABLE, "warming up")
        } else {
            text(StatusCode::OK, "ready")
        }
    }
}

/// A whole response of plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", Full::new(body.into()).map_err(never).boxed())
}

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut res = Response::new(body);
    *res.status_mut() = status;
    res.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    res
}

fn chunks(total: Duration, count: u32) -> Response<Body> {
    let pause = total / count.max(1);
    let chunks = stream::unfold(1, move |chunk| async move {
        if chunk > count {
            return None;
        }
        sleep(pause).await;
        Some((Ok(frame(format!("chunk {chunk}\n"))), chunk + 1))
    });
    respond(StatusCode::OK, "text/plain", BodyExt::boxed(StreamBody::new(chunks)))
}

fn events(stopping: CancellationToken, breaks: bool) -> Response<Body> {
    let ticks = stream::unfold(Some((1_u64, stopping)), move |state| async move {
        let (tick, stopping) = state?;
        let stops = timeout(TICK, stopping.cancelled()).await.is_ok();
        match (stops, breaks) {
            (false, _) => Some((Ok(frame(format!("data: tick {tick}\n\n"))), Some((tick + 1, stopping)))),
            (true, false) => None,
            (true, true) => Some((Err(io::Error::other("stopping")), None)),
        }
    });
    respond(StatusCode::OK, "text/event-stream", BodyExt::boxed(StreamBody::new(ticks)))
}

/// Reads all, and says how much it was and what.
fn call(body: Incoming) -> Response<Body> {
    let status = async { Some(Ok(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]))) };
    respond(
        StatusCode::OK,
        "application/grpc",
        BodyExt::boxed(body.map_err(io::Error::other).with_trailers(status)),
    )
}

async fn upload(mut body: Incoming) -> io::Result<Response<Body>> {
    let (mut bytes, mut sum) = (0, 0_u32);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            bytes += data.len();
            sum = data.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        }
    }
    Ok(text(StatusCode::OK, format!("bytes={bytes} sum={sum}\n")))
}

fn echo(req: Request<Incoming>) -> Response<Body> {
    let (head, body) = req.into_parts();
    let mut res = Response::new(body.map_err(io::Error::other).boxed());
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        res.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    res
}

fn half() -> Response<Body> {
    let body = stream::unfold(0, |step| async move {
        if step == 0 {
            return Some((Ok(frame("ten bytes\n")), 1));
        }
        // hyper writes what it has when a body makes it wait; after an error it would not.
        yield_now().await;
        Some((Err(io::Error::other("half is enough")), step))
    });
    let mut res = respond(StatusCode::OK, "text/plain", BodyExt::boxed(StreamBody::new(body)));
    res.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("100"));
    res
}

/// The request's head, as it came over the wire but for the case of the names.
fn head_as_text(req: &Request<Incoming>) -> String {
    let version = if req.version() == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut text = format!("{} {} {version}\n", req.method(), req.uri());
    append_headers(&mut text, req.headers());
    text
}

fn append_headers(text: &mut String, headers: &HeaderMap) {
    for (name, value) in headers {
        writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))
            .expect("writing to a string cannot fail");
    }
}

fn frame(data: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(data.into())
}

/// The value of `key` in the query, if it is a number.
fn query(uri: &Uri, key: &str) -> Option<u32> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).find_map(|(_, value)| value.parse().ok())
}

fn millis(uri: &Uri) -> Duration {
    Duration::from_millis(query(uri, "ms").unwrap_or(0).into())
}

fn never(error: Infallible) -> io::Error {
    match error {}
}
