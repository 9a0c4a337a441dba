//! One upgraded connection, between a client's frames and a process or a port.
//!
//! Input and output go their ways independently: a process that does not read does not keep its output back, and a client
//! that does not read has its process wait. Whoever called learns whether the process ended, or the client went away. One that
//! may not go on ([`Lapse`]: its token ended, its role went) is told so, and has gone away.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::future::{BoxFuture, Fuse};
use futures_util::{FutureExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::failure::Refusal;
use super::lapse::Lapse;
use crate::api::frame::{Frame, FrameReader, FrameWriter, PROTOCOL};
use crate::api::{Failure, Started};
use crate::engine::{Attached, Connection, Control, EngineError, Piece, Signal, WindowSize};

/// Pieces of input that may wait for a process: 1 MiB.
const INPUTS_MAX: usize = 16;
/// How long a client may take from the upgrade to its first frame.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a client that may not go on may take to read why.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(5);
/// How much is read from a port at a time.
const READ_BYTES: usize = 32 * 1024;

/// A client's upgraded connection.
pub(super) struct Session {
    reader: FrameReader<ReadHalf<Connection>>,
    writer: FrameWriter<WriteHalf<Connection>>,
    /// Ends when the client may not go on, with why.
    lapsed: Fuse<BoxFuture<'static, Failure>>,
}

/// How a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process ended, and the client knows.
    Exited,
    /// The client went away, or was sent away.
    HungUp,
}

/// Whether the request asks for frames.
pub(super) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let asked = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    asked.is_some_and(|asked| asked.eq_ignore_ascii_case(PROTOCOL))
}

/// Answers that the connection carries frames from now on, and has `work` carry on with them, as long as the client may.
pub(super) fn upgrade<F>(
    mut request: Request<Body>,
    lapse: Lapse,
    work: impl FnOnce(Session) -> F + Send + 'static,
) -> Result<Response<Body>, Refusal>
where
    F: Future<Output = ()> + Send,
{
    if !is_upgrade(&request) {
        let message = format!("this route takes `Upgrade: {PROTOCOL}` alone");
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, Failure::new("bad-request", message)));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let lapsed = lapse.wait().boxed();
                work(Session::over(Box::pin(TokioIo::new(upgraded)), lapsed)).await;
            }
            Err(error) => tracing::debug!(%error, "a client left before its connection was upgraded"),
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, PROTOCOL)
        .body(Body::empty());
    Ok(response.expect("its parts are constants"))
}

impl Session {
    fn over(connection: Connection, lapsed: BoxFuture<'static, Failure>) -> Self {
        let (read, write) = tokio::io::split(connection);
        Self { reader: FrameReader::new(read), writer: FrameWriter::new(write), lapsed: lapsed.fuse() }
    }

    /// What is to be done; `None` when that is not said, which the client is told.
    pub(super) async fn begin<T: DeserializeOwned>(&mut self) -> Option<T> {
        let first = tokio::time::timeout(BEGIN_TIME_MAX, self.reader.next()).await;
        let problem = match first {
            Ok(Ok(Some(Frame::Begin(json)))) => match serde_json::from_slice(&json) {
                Ok(request) => return Some(request),
                Err(error) => format!("the request is not understood: {error}"),
            },
            Ok(Ok(Some(_))) => "the first frame is not `Begin`".to_owned(),
            // There is nobody to tell.
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "there was no request".to_owned(),
        };
        self.fail(Failure::new("bad-request", problem)).await;
        None
    }

    /// Says that it began. A client that is gone is noticed later.
    pub(super) async fn started(&mut self, started: &Started) {
        let _ = self.writer.send(Frame::Started(json(started))).await;
    }

    /// Says that it did not work, and ends.
    pub(super) async fn fail(&mut self, failure: Failure) {
        // A client that went away does not need to know.
        let _ = self.writer.send(Frame::Failed(json(&failure))).await;
        let _ = self.writer.finish().await;
    }

    /// Says why it does not go on, to a client that may be slow to hear it.
    async fn cut(&mut self, failure: Failure) {
        tracing::info!(code = failure.code, "a session is cut: its client may not go on");
        // Whoever does not read it notices the end of the connection.
        let _ = tokio::time::timeout(FAREWELL_TIME_MAX, self.fail(failure)).await;
    }

    /// Connects the client with the process until one of them ends, or the client may not go on.
    pub(super) async fn attend(&mut self, attached: Attached) -> Ending {
        let Attached { input, mut output, control } = attached;
        let (inputs, waiting) = mpsc::channel(INPUTS_MAX);
        // Dropped with this future: a process that does not read must not keep anybody.
        let feeding = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(feed(input, waiting)));
        let Self { reader, writer, lapsed } = self;
        let put_out = async {
            while let Some(piece) = output.next().await {
                let frame = match piece {
                    Ok(Piece::Stdout(bytes)) => Frame::Output(bytes),
                    Ok(Piece::Stderr(bytes)) => Frame::Errors(bytes),
                    Err(error) => {
                        tracing::debug!(%error, "the connection with a process broke");
                        break;
                    }
                };
                if writer.send(frame).await.is_err() {
                    return Ending::HungUp;
                }
            }
            let last = match control.exit_code().await {
                Ok(code) => Frame::Exit(i32::try_from(code).unwrap_or(i32::MAX)),
                Err(error) => Frame::Failed(json(&lost(error))),
            };
            let _ = writer.send(last).await;
            let _ = writer.finish().await;
            Ending::Exited
        };
        let ended = tokio::select! {
            ending = put_out => Ok(ending),
            () = take_in(reader, &control, inputs) => Ok(Ending::HungUp),
            failure = lapsed => Err(failure),
        };
        drop(feeding);
        match ended {
            Ok(ending) => ending,
            Err(failure) => {
                self.cut(failure).await;
                Ending::HungUp
            }
        }
    }

    /// Connects the client with a port until both have said all, or the client may not go on.
    pub(super) async fn forward(&mut self, connection: Connection) {
        let (mut from_port, mut to_port) = tokio::io::split(connection);
        let Self { reader, writer, lapsed } = self;
        let put_out = async {
            let mut buffer = bytes::BytesMut::new();
            loop {
                buffer.reserve(READ_BYTES);
                match from_port.read_buf(&mut buffer).await {
                    Ok(0) => return writer.send(Frame::OutputEnd).await.is_ok(),
                    Ok(_) if writer.send(Frame::Output(buffer.split().freeze())).await.is_ok() => {}
                    _ => return false,
                }
            }
        };
        let take_in = async {
            loop {
                match reader.next().await {
                    Ok(Some(Frame::Input(mut bytes))) => {
                        if to_port.write_all_buf(&mut bytes).await.is_err() {
                            return false;
                        }
                    }
                    Ok(Some(Frame::InputEnd)) => return to_port.shutdown().await.is_ok(),
                    _ => return false,
                }
            }
        };
        // One direction may end long before the other; a break of either ends both.
        let both = futures_util::future::try_join(async { put_out.await.then_some(()).ok_or(()) }, async {
            take_in.await.then_some(()).ok_or(())
        });
        let lapsed = tokio::select! {
            _ = both => None,
            failure = lapsed => Some(failure),
        };
        match lapsed {
            Some(failure) => self.cut(failure).await,
            None => drop(self.writer.finish().await),
        }
    }
}

/// Passes frames on until the client is gone.
async fn take_in(
    reader: &mut FrameReader<ReadHalf<Connection>>,
    control: &Arc<dyn Control>,
    inputs: mpsc::Sender<Bytes>,
) {
    let mut inputs = Some(inputs);
    loop {
        match reader.next().await {
            Ok(Some(Frame::Input(bytes))) => {
                if let Some(inputs) = &inputs {
                    // One that has closed its input may go on without it.
                    let _ = inputs.send(bytes).await;
                }
            }
            Ok(Some(Frame::InputEnd)) => inputs = None,
            Ok(Some(Frame::Resize { columns, rows })) => {
                if let Err(error) = control.resize(WindowSize { columns, rows }).await {
                    tracing::debug!(%error, "cannot resize a terminal");
                }
            }
            Ok(Some(Frame::Signal(name))) => match name.parse::<Signal>() {
                Ok(signal) => {
                    if let Err(error) = control.signal(signal).await {
                        tracing::warn!(%error, "a signal is not passed on");
                    }
                }
                Err(error) => tracing::debug!(%error, "a client sends what is no signal"),
            },
            Ok(Some(frame)) => tracing::debug!(?frame, "a frame that only a server sends"),
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a client's connection ended");
                return;
            }
        }
    }
}

/// Writes to a process what waits for it, and ends its input after the last.
async fn feed(
    mut input: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
    mut waiting: mpsc::Receiver<Bytes>,
) {
    while let Some(mut bytes) = waiting.recv().await {
        if input.write_all_buf(&mut bytes).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
    // One that does not read any more does not mind.
    let _ = input.shutdown().await;
}

fn lost(error: EngineError) -> Failure {
    match error {
        EngineError::NotFound { .. } => Failure::new("removed", "it was removed while it ran"),
        error => error.into(),
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("wire types hold only strings, numbers and lists").into()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures_util::stream;

    use super::*;

    /// A process that goes on for ever, and does not mind anything.
    struct Endless;

    #[async_trait]
    impl Control for Endless {
        async fn resize(&self, _: WindowSize) -> Result<(), EngineError> {
            Ok(())
        }

        async fn signal(&self, _: Signal) -> Result<(), EngineError> {
            Ok(())
        }

        async fn exit_code(&self) -> Result<i64, EngineError> {
            std::future::pending().await
        }
    }

    fn lapsing(soon: tokio::sync::oneshot::Receiver<()>) -> BoxFuture<'static, Failure> {
        async move {
            let _ = soon.await;
            Failure::new("token-expired", "the token has expired")
        }
        .boxed()
    }

    async fn code_of_last<R: tokio::io::AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> String {
        let mut last = None;
        while let Some(frame) = reader.next().await.unwrap() {
            last = Some(frame);
        }
        match last {
            Some(Frame::Failed(json)) => serde_json::from_slice::<Failure>(&json).unwrap().code,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn whoever_may_not_go_on_is_told_why_and_has_hung_up() {
        let (end, ended) = tokio::sync::oneshot::channel();
        let (client, server) = tokio::io::duplex(1 << 16);
        let mut session = Session::over(Box::pin(server), lapsing(ended));
        let pieces = stream::iter([Ok(Piece::Stdout(Bytes::from_static(b"$ ")))]).chain(stream::pending());
        let attached = Attached {
            input: Box::pin(tokio::io::sink()),
            output: pieces.boxed(),
            control: Arc::new(Endless),
        };
        let attending = tokio::spawn(async move { session.attend(attached).await });
        let mut reader = FrameReader::new(client);
        assert!(matches!(reader.next().await.unwrap(), Some(Frame::Output(bytes)) if bytes == "$ "));
        end.send(()).unwrap();
        assert_eq!(code_of_last(&mut reader).await, "token-expired");
        assert_eq!(attending.await.unwrap(), Ending::HungUp);
    }

    #[tokio::test]
    async fn a_forwarded_port_is_cut_as_well() {
        let (end, ended) = tokio::sync::oneshot::channel();
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut app, port) = tokio::io::duplex(1 << 16);
        let mut session = Session::over(Box::pin(server), lapsing(ended));
        let forwarding = tokio::spawn(async move { session.forward(Box::pin(port)).await });
        app.write_all(b"hello").await.unwrap();
        let mut reader = FrameReader::new(client);
        assert!(matches!(reader.next().await.unwrap(), Some(Frame::Output(bytes)) if bytes == "hello"));
        end.send(()).unwrap();
        assert_eq!(code_of_last(&mut reader).await, "token-expired");
        forwarding.await.unwrap();
        assert_eq!(app.read(&mut [0; 8]).await.unwrap(), 0, "the app's side is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_does_not_hold_the_end_up() {
        let (client, server) = tokio::io::duplex(16);
        let (end, ended) = tokio::sync::oneshot::channel();
        end.send(()).unwrap();
        let mut session = Session::over(Box::pin(server), lapsing(ended));
        let attached = Attached {
            input: Box::pin(tokio::io::sink()),
            output: stream::pending().boxed(),
            control: Arc::new(Endless),
        };
        let begun = tokio::time::Instant::now();
        assert_eq!(session.attend(attached).await, Ending::HungUp);
        assert_eq!(begun.elapsed(), FAREWELL_TIME_MAX);
        drop(client);
    }
}
