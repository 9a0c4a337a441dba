//! Being connected with what the scripted engine runs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::super::{
    Attached, Connection, ContainerState, Control, Engine, EngineError, ExecSpec, LogQuery, Piece, Signal,
    WindowSize,
};
use super::FakeEngine;

/// How many bytes may be on their way to who sends them back.
const ECHO_BYTES_MAX: usize = 64 * 1024;

/// A container's process.
struct Process {
    engine: FakeEngine,
    container: String,
}

/// A command that has ended.
struct Done;

/// Waits for the end of a container's process.
pub(super) async fn exit_code(engine: &FakeEngine, container: &str) -> Result<i64, EngineError> {
    let mut changed = engine.shared.changed.subscribe();
    loop {
        match engine.lock().state_of(container) {
            Some(ContainerState::Exited { code, .. }) => return Ok(code),
            None => return Err(EngineError::NotFound { what: format!("container `{container}`") }),
            Some(ContainerState::Created | ContainerState::Running) => {}
        }
        if !engine.lock().is_connected() {
            return Err(super::unreachable("it is disconnected"));
        }
        // The sender lives as long as `engine`.
        let _ = changed.changed().await;
    }
}

/// What the container writes from now on, a line a piece.
pub(super) fn to_container(engine: FakeEngine, container: String) -> Attached {
    let (follower, id) = (engine.clone(), container.clone());
    let lines = stream::once(async move {
        let mut changed = follower.shared.changed.subscribe();
        while follower.lock().state_of(&id) == Some(ContainerState::Created) {
            // The sender lives as long as `follower`.
            let _ = changed.changed().await;
        }
        match follower.logs(&id, LogQuery { follow: true, ..LogQuery::default() }).await {
            Ok(lines) => lines,
            Err(_) => stream::empty().boxed(),
        }
    });
    let output = lines.flatten().map(|line| {
        let bytes = Bytes::from(format!("{}\n", line.text));
        Ok(if line.is_stderr { Piece::Stderr(bytes) } else { Piece::Stdout(bytes) })
    });
    Attached {
        input: Box::pin(tokio::io::sink()),
        output: output.boxed(),
        control: Arc::new(Process { engine, container }),
    }
}

pub(super) fn to_command(spec: &ExecSpec) -> Attached {
    let said = Bytes::from(format!("{}\n", spec.argv.join(" ")));
    Attached {
        input: Box::pin(tokio::io::sink()),
        output: stream::iter([Ok(Piece::Stdout(said))]).boxed(),
        control: Arc::new(Done),
    }
}

pub(super) fn to_echo() -> Connection {
    let (here, there) = tokio::io::duplex(ECHO_BYTES_MAX);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(there);
        // Ends with either side.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    Box::pin(here)
}

#[async_trait]
impl Control for Process {
    async fn resize(&self, _size: WindowSize) -> Result<(), EngineError> {
        Ok(())
    }

    async fn signal(&self, signal: Signal) -> Result<(), EngineError> {
        self.engine.change(|state| match signal {
            Signal::Kill => state.exit(&self.container, None, super::state::KILLED, false),
            _ => state.terminate(&self.container),
        });
        Ok(())
    }

    async fn exit_code(&self) -> Result<i64, EngineError> {
        exit_code(&self.engine, &self.container).await
    }
}

#[async_trait]
impl Control for Done {
    async fn resize(&self, _size: WindowSize) -> Result<(), EngineError> {
        Ok(())
    }

    async fn signal(&self, _signal: Signal) -> Result<(), EngineError> {
        Ok(())
    }

    async fn exit_code(&self) -> Result<i64, EngineError> {
        Ok(0)
    }
}
