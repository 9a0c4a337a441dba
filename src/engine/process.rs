//! Processes in containers that somebody is connected with, and what marks a container as a single run.
//!
//! An [`Attached`] process has three parts that live as long as they are held: where its input goes, what it writes, and a
//! [`Control`] over it. Dropping them hangs up and leaves the process as it is. With a terminal both of its outputs are one.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use super::EngineError;

/// A connection to a port of a container.
pub type Connection = Pin<Box<dyn Duplex>>;

/// What bytes go through both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Marks a container as a run of one command, which is no instance of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOff {
    /// What it is for.
    pub kind: OneOffKind,
    /// Whether its process has a terminal.
    pub has_tty: bool,
    /// Whether its process is given input.
    pub has_stdin: bool,
}

/// What a one-off container is for, and so when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneOffKind {
    /// Somebody is connected with it; without them it goes.
    Attached,
    /// It runs by itself, until this time in milliseconds since the Unix epoch at most.
    Detached {
        /// When it is stopped.
        until: u64,
    },
    /// It is a release's own command; it goes with the rollout.
    Release,
    /// It is a job that runs at times; it goes with the daemon, which alone knows what for.
    Job,
}

/// The size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// A signal that is passed on to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Its terminal is gone.
    Hup,
    /// Ctrl-C.
    Int,
    /// Ctrl-\.
    Quit,
    /// It is to end.
    Term,
    /// It ends.
    Kill,
    /// What the program makes of it.
    Usr1,
    /// What the program makes of it.
    Usr2,
}

/// Not the name of a signal that is passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signal `{0}` is not passed on; use HUP, INT, QUIT, TERM, KILL, USR1 or USR2")]
pub struct NoSuchSignal(String);

/// A command that is run inside a container, beside what runs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Whether it has a terminal.
    pub has_tty: bool,
    /// Whether it is given input.
    pub has_stdin: bool,
}

/// Something that a process wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// To standard output, or to its terminal.
    Stdout(Bytes),
    /// To standard error.
    Stderr(Bytes),
}

/// A process and the connection with it.
pub struct Attached {
    /// Its standard input; shutting it down ends that.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes; ends when it does.
    pub output: BoxStream<'static, io::Result<Piece>>,
    /// What else can be done with it.
    pub control: Arc<dyn Control>,
}

/// What can be done with a process beside writing to it.
#[async_trait]
pub trait Control: Send + Sync {
    /// Says that its terminal's window has this size. It must have been started.
    async fn resize(&self, size: WindowSize) -> Result<(), EngineError>;

    /// Sends it a signal. One that has ended is no error.
    async fn signal(&self, signal: Signal) -> Result<(), EngineError>;

    /// Waits for its end; the exit code, which is 128 + signal when it was killed.
    async fn exit_code(&self) -> Result<i64, EngineError>;
}

impl OneOffKind {
    /// The word for it, in labels and lists.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Detached { .. } => "detached",
            Self::Release => "release",
            Self::Job => "job",
        }
    }

    /// Reads it back; a text that is none counts as attached, which nobody misses.
    pub(super) fn from_labels(kind: &str, until: Option<&str>) -> Self {
        match (kind, until.and_then(|until| until.parse().ok())) {
            ("detached", Some(until)) => Self::Detached { until },
            ("release", _) => Self::Release,
            ("job", _) => Self::Job,
            _ => Self::Attached,
        }
    }
}

impl Signal {
    const ALL: [Self; 7] = [Self::Hup, Self::Int, Self::Quit, Self::Term, Self::Kill, Self::Usr1, Self::Usr2];

    /// Its name without `SIG`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        }
    }
}

impl FromStr for Signal {
    type Err = NoSuchSignal;

    fn from_str(text: &str) -> Result<Self, NoSuchSignal> {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        let found = Self::ALL.into_iter().find(|signal| signal.as_str() == name);
        found.ok_or_else(|| NoSuchSignal(text.to_owned()))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_signals_read_back_as_they_are_written() {
        for kind in [OneOffKind::Attached, OneOffKind::Detached { until: 7 }, OneOffKind::Release] {
            assert_eq!(OneOffKind::from_labels(kind.as_str(), Some("7")), kind);
        }
        assert_eq!(OneOffKind::from_labels("detached", None), OneOffKind::Attached);
        for signal in Signal::ALL {
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
        assert!("STOP".parse::<Signal>().is_err());
    }
}
