//! Being connected with a process: one that a container was made for, or one that runs beside it.
//!
//! The connection is an upgraded request of our own, as the client library takes the first byte of a terminal's output for
//! the head of a frame when it is small enough. With a terminal the bytes come as they are; without one in frames, eight
//! bytes of head each: the stream's number, three zeroes, the length.
//!
//! The engine cannot send a signal to a command that runs beside a container's own. It is sent from here, where the
//! process can be seen from here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::exec::CreateExecOptions;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, ResizeExecOptionsBuilder,
    WaitContainerOptions,
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, kill_process};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::{Attached, Control, EngineError, ExecSpec, Piece, Signal, WindowSize};
use super::error::explain;
use super::{DockerEngine, Session};

/// How much is read at a time.
const READ_BYTES: usize = 32 * 1024;
/// The longest frame: engines send what they read at once, 32 KiB.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The head of a frame.
const HEAD_BYTES: usize = 8;
/// The stream's number of standard error.
const STDERR: u8 = 2;
/// Between two looks whether a command has ended whose output has.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long the first size of a window is tried to be set: it can only be once the process has begun.
const RESIZE_ATTEMPTS_MAX: usize = 25;

/// A container's own process.
struct OwnProcess {
    engine: Session,
    container: String,
}

/// A command beside it.
struct Beside {
    engine: Session,
    container: String,
    exec: String,
}

/// What comes in, and how much of it is understood.
struct Reader<R> {
    stream: R,
    buffer: BytesMut,
    has_tty: bool,
}

impl DockerEngine {
    pub(super) async fn attach_to_container(&self, container: &str) -> Result<Attached, EngineError> {
        let what = format!("container `{container}`");
        let action = format!("connect with {what}");
        let config = self.inspect(container).await?.and_then(|found| found.config);
        let config = config.ok_or_else(|| EngineError::NotFound { what: what.clone() })?;
        let has_tty = config.tty.unwrap_or_default();
        let has_stdin = u8::from(config.open_stdin.unwrap_or_default());
        let path =
            format!("/containers/{container}/attach?stream=true&stdin={has_stdin}&stdout=true&stderr=true");
        let body = json!({});
        let upgrade = self.transport.clone().upgraded(&path, &body);
        let upgraded = self.call(&action, &what, upgrade).await?;
        let control = OwnProcess { engine: self.session(), container: container.to_owned() };
        Ok(attached(upgraded, has_tty, Arc::new(control)))
    }

    pub(super) async fn execute_attached(
        &self,
        container: &str,
        spec: &ExecSpec,
    ) -> Result<Attached, EngineError> {
        let what = format!("container `{container}`");
        // Only the program: what follows it may be a secret.
        let action = format!("run `{}` in {what}", spec.argv.first().map_or("", String::as_str));
        let options = CreateExecOptions {
            cmd: Some(spec.argv.clone()),
            attach_stdin: Some(spec.has_stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.has_tty),
            ..Default::default()
        };
        let exec = self.call(&action, &what, self.client.create_exec(container, options)).await?.id;
        let path = format!("/exec/{exec}/start");
        let body = json!({ "Detach": false, "Tty": spec.has_tty });
        let upgraded = self.call(&action, &what, self.transport.clone().upgraded(&path, &body)).await?;
        let control = Beside { engine: self.session(), container: container.to_owned(), exec };
        Ok(attached(upgraded, spec.has_tty, Arc::new(control)))
    }

    pub(super) async fn wait_for(&self, container: &str) -> Result<(), EngineError> {
        self.session().exit_code(container).await.map(drop)
    }

    pub(super) fn session(&self) -> Session {
        Session { endpoint: self.endpoint.clone(), client: self.client.clone() }
    }
}

impl Session {
    async fn exit_code(&self, container: &str) -> Result<i64, EngineError> {
        let what = format!("container `{container}`");
        let end = self.client.wait_container(container, None::<WaitContainerOptions>);
        match std::pin::pin!(end).try_next().await {
            Ok(Some(ended)) => Ok(ended.status_code),
            // An exit code other than 0 comes as an error.
            Err(Error::DockerContainerWaitError { code, .. }) => Ok(code),
            Ok(None) => Err(EngineError::NotFound { what }),
            Err(error) => Err(self.explain(&format!("wait for {what}"), &what, error)),
        }
    }

    fn explain(&self, action: &str, what: &str, error: Error) -> EngineError {
        explain(&self.endpoint, action, what, error)
    }
}

#[async_trait]
impl Control for OwnProcess {
    async fn resize(&self, size: WindowSize) -> Result<(), EngineError> {
        let options =
            ResizeContainerTTYOptionsBuilder::default().w(size.columns.into()).h(size.rows.into()).build();
        let what = format!("container `{}`", self.container);
        retried(|| self.engine.client.resize_container_tty(&self.container, options.clone()))
            .await
            .map_err(|error| self.engine.explain("resize the terminal", &what, error))
    }

    async fn signal(&self, signal: Signal) -> Result<(), EngineError> {
        let name = signal.to_string();
        let options = KillContainerOptionsBuilder::default().signal(&name).build();
        match self.engine.client.kill_container(&self.container, Some(options)).await {
            // It is not running: not any more.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(self.engine.explain(
                &format!("send {signal}"),
                &format!("container `{}`", self.container),
                error,
            )),
        }
    }

    async fn exit_code(&self) -> Result<i64, EngineError> {
        self.engine.exit_code(&self.container).await
    }
}

#[async_trait]
impl Control for Beside {
    async fn resize(&self, size: WindowSize) -> Result<(), EngineError> {
        let options = ResizeExecOptionsBuilder::default().w(size.columns.into()).h(size.rows.into()).build();
        retried(|| self.engine.client.resize_exec(&self.exec, options.clone()))
            .await
            .map_err(|error| self.engine.explain("resize the terminal", "the command", error))
    }

    async fn signal(&self, signal: Signal) -> Result<(), EngineError> {
        let action = format!("send {signal}");
        let found = self.engine.client.inspect_exec(&self.exec).await;
        let found = found.map_err(|error| self.engine.explain(&action, "the command", error))?;
        if found.running != Some(true) {
            return Ok(());
        }
        let pid = found.pid.filter(|pid| is_seen_from_here(*pid, &self.container));
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let message = "the engine cannot, and its processes are not to be seen from here";
        let Some(pid) = pid else {
            return Err(EngineError::Refused { action, message: message.to_owned() });
        };
        match kill_process(pid, number(signal)) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(EngineError::Refused { action, message: error.to_string() }),
        }
    }

    async fn exit_code(&self) -> Result<i64, EngineError> {
        loop {
            let found = self.engine.client.inspect_exec(&self.exec).await;
            let found =
                found.map_err(|error| self.engine.explain("ask how it ended", "the command", error))?;
            // The engine closes the output a moment before it notes the end.
            if found.running != Some(true) {
                return Ok(found.exit_code.unwrap_or_default());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

impl<R: AsyncRead + Unpin + Send + 'static> Reader<R> {
    fn pieces(self) -> BoxStream<'static, io::Result<Piece>> {
        stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(piece) => Some((Ok(piece?), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.understood()? {
                return Ok(Some(piece));
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    fn understood(&mut self) -> io::Result<Option<Piece>> {
        if self.has_tty {
            return Ok((!self.buffer.is_empty()).then(|| Piece::Stdout(self.buffer.split().freeze())));
        }
        let Some(head) = self.buffer.get(..HEAD_BYTES) else { return Ok(None) };
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let is_stderr = head[0] == STDERR;
        if head[0] > STDERR || length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the engine sent no frame"));
        }
        if self.buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        let bytes: Bytes = self.buffer.split_to(length).freeze();
        Ok(Some(if is_stderr { Piece::Stderr(bytes) } else { Piece::Stdout(bytes) }))
    }
}

fn attached(upgraded: hyper::upgrade::Upgraded, has_tty: bool, control: Arc<dyn Control>) -> Attached {
    let (stream, input) = tokio::io::split(TokioIo::new(upgraded));
    let reader = Reader { stream, buffer: BytesMut::new(), has_tty };
    Attached { input: Box::pin(input), output: reader.pieces(), control }
}

/// Asks again while the process has not begun.
async fn retried<F: Future<Output = Result<(), Error>>>(mut call: impl FnMut() -> F) -> Result<(), Error> {
    for _ in 1..RESIZE_ATTEMPTS_MAX {
        if call().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    call().await
}

/// Whether the process of this number here is one of the container: an engine elsewhere has numbers of its own.
fn is_seen_from_here(pid: i64, container: &str) -> bool {
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    pid > 0 && !container.is_empty() && cgroup.contains(container)
}

fn number(signal: Signal) -> rustix::process::Signal {
    use rustix::process::Signal as Number;
    match signal {
        Signal::Hup => Number::HUP,
        Signal::Int => Number::INT,
        Signal::Quit => Number::QUIT,
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
        Signal::Usr1 => Number::USR1,
        Signal::Usr2 => Number::USR2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pieces(has_tty: bool, chunks: &[&[u8]]) -> Vec<Result<Piece, io::ErrorKind>> {
        let mut builder = Vec::new();
        chunks.iter().for_each(|chunk| builder.extend_from_slice(chunk));
        let reader = Reader { stream: io::Cursor::new(builder), buffer: BytesMut::new(), has_tty };
        reader.pieces().map(|piece| piece.map_err(|error| error.kind())).collect().await
    }

    fn out(bytes: &'static [u8]) -> Result<Piece, io::ErrorKind> {
        Ok(Piece::Stdout(Bytes::from_static(bytes)))
    }

    #[tokio::test]
    async fn frames_tell_the_streams_apart_and_a_terminal_has_none() {
        let frames: [&[u8]; 2] = [b"\x01\0\0\0\0\0\0\x02hi", b"\x02\0\0\0\0\0\0\x01!"];
        let stderr = Ok(Piece::Stderr(Bytes::from_static(b"!")));
        assert_eq!(pieces(false, &frames).await, [out(b"hi"), stderr]);
        assert_eq!(pieces(true, &[b"\x01\0\0\0 as it is"]).await, [out(b"\x01\0\0\0 as it is")]);
    }

    #[tokio::test]
    async fn what_is_no_frame_or_half_of_one_is_an_error() {
        assert_eq!(pieces(false, &[b"plain text"]).await, [Err(io::ErrorKind::InvalidData)]);
        assert_eq!(pieces(false, &[b"\x01\0\0\0\0\0\0\x05hi"]).await, [Err(io::ErrorKind::UnexpectedEof)]);
    }
}
