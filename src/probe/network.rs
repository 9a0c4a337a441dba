//! Probes over the real network and the real engine.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use http_body_util::Empty;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{self, CONNECTION, HOST, LOCATION};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Passed, ProbeFailure, Prober, Question, grpc, hootsuite};
use crate::engine::{Engine, Health};
use crate::manifest::{Check, Command};

/// Who asks.
pub(super) const USER_AGENT: &str = concat!("minipaas/", env!("CARGO_PKG_VERSION"), " (probe)");

/// Asks by TCP, HTTP/1.1 and gRPC, and the engine for commands and HEALTHCHECKs.
pub struct NetworkProber {
    engine: Arc<dyn Engine>,
}

impl NetworkProber {
    /// A prober of containers on this engine.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    async fn ask(&self, question: Question<'_>) -> Result<Passed, ProbeFailure> {
        match question.check {
            Check::Tcp { port } => connect(&question, *port).await.map(drop)?,
            Check::Http { path, port } => get(&question, path, *port, |_| Box::pin(ready(()))).await?,
            Check::Command(command) => self.command(&question, command).await?,
            Check::Docker => self.docker(&question).await?,
            Check::Grpc { service, port } => return grpc::ask(&question, service.as_deref(), *port).await,
            Check::Hootsuite { path, port } => return hootsuite::ask(&question, path, *port).await,
        }
        Ok(Passed::default())
    }

    async fn command(&self, question: &Question<'_>, command: &Command) -> Result<(), ProbeFailure> {
        let done = self
            .engine
            .exec(question.container, &command.argv(), question.timeout)
            .await
            .map_err(|error| ProbeFailure::Engine(error.to_string()))?;
        if done.code == 0 {
            return Ok(());
        }
        let output =
            done.output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        Err(ProbeFailure::Command { command: command.to_string(), code: done.code, output })
    }

    async fn docker(&self, question: &Question<'_>) -> Result<(), ProbeFailure> {
        let found = self
            .engine
            .container(question.container)
            .await
            .map_err(|error| ProbeFailure::Engine(error.to_string()))?;
        match found.map(|container| container.health) {
            Some(Health::Healthy) => Ok(()),
            Some(Health::Starting) => Err(ProbeFailure::Docker("starting")),
            Some(Health::Unhealthy) => Err(ProbeFailure::Docker("unhealthy")),
            Some(Health::None) => Err(ProbeFailure::Docker("nothing: the image has none")),
            None => Err(ProbeFailure::Engine("the container is gone".to_owned())),
        }
    }
}

#[async_trait]
impl Prober for NetworkProber {
    async fn probe(&self, question: Question<'_>) -> Result<Passed, ProbeFailure> {
        tokio::time::timeout(question.timeout, self.ask(question)).await.unwrap_or_else(|_| {
            Err(ProbeFailure::Timeout { question: question.words(), limit: question.timeout })
        })
    }
}

/// Gets a page, and has `read` make something of a response that is 2xx.
pub(super) async fn get<T>(
    question: &Question<'_>,
    path: &str,
    port: Option<u16>,
    read: impl FnOnce(Response<Incoming>) -> BoxFuture<'static, T>,
) -> Result<T, ProbeFailure> {
    let failed = |error: hyper::Error| broken(question, error.to_string());
    let stream = connect(question, port).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let request = hyper::Request::get(path)
        .header(HOST, question.host)
        .header(header::USER_AGENT, USER_AGENT)
        // As the proxy says of a real request, so that an app that insists on https answers as it would to one.
        .header("x-forwarded-proto", "https")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(question, error.to_string()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        check(question, &response)?;
        Ok(read(response).await)
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    // The connection is driven here, not spawned: dropping the probe drops it.
    tokio::select! {
        read = &mut exchange => read,
        ended = &mut connection => {
            ended.map_err(failed)?;
            exchange.await
        }
    }
}

fn check(question: &Question<'_>, response: &Response<Incoming>) -> Result<(), ProbeFailure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let location = response
            .headers()
            .get(LOCATION)
            .map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return Err(ProbeFailure::Redirect { question: question.words(), status: status.as_u16(), location });
    }
    Err(ProbeFailure::Status { question: question.words(), status: status.as_u16() })
}

/// The exchange did not come to its end.
pub(super) fn broken(question: &Question<'_>, reason: String) -> ProbeFailure {
    ProbeFailure::Connection { question: question.words(), reason }
}

pub(super) async fn connect(question: &Question<'_>, port: Option<u16>) -> Result<TcpStream, ProbeFailure> {
    let mut addr: SocketAddr = question.addr.ok_or(ProbeFailure::NoAddress)?;
    if let Some(port) = port {
        addr.set_port(port);
    }
    TcpStream::connect(addr).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => ProbeFailure::Refused { port: addr.port() },
        _ => ProbeFailure::Connection {
            question: format!("connecting to port {}", addr.port()),
            reason: error.to_string(),
        },
    })
}
