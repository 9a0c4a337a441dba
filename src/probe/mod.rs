//! Asking an instance once whether it is ready, or alive.
//!
//! [`Prober`] is the seam between the real network and the simulation. A probe is one question with one answer; how often it
//! is asked, and how many answers make a verdict, is [`crate::instance`]'s business.
//!
//! A failure says what a person needs to mend it: the status, where a redirect leads, that nothing listens.

mod grpc;
mod hootsuite;
mod network;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::manifest::Check;

pub use network::NetworkProber;

/// What is asked, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The check.
    pub check: &'q Check,
    /// The container.
    pub container: &'q str,
    /// Where the process listens; `None` when it takes no requests.
    pub addr: Option<SocketAddr>,
    /// The host that an HTTP request names.
    pub host: &'q str,
    /// For everything together.
    pub timeout: Duration,
}

/// A probe that passed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed {
    /// What the instance complains of nevertheless.
    pub notice: Option<String>,
}

/// Why a probe did not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// Nothing listens on the port.
    #[error("nothing accepts connections on port {port}")]
    Refused {
        /// The port.
        port: u16,
    },
    /// No answer in time.
    #[error("{question} took longer than {limit:?}")]
    Timeout {
        /// What was asked: `GET /up`.
        question: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection could not be made, or broke.
    #[error("{question} failed: {reason}")]
    Connection {
        /// What was asked.
        question: String,
        /// The system's word.
        reason: String,
    },
    /// An HTTP status other than 2xx or 3xx.
    #[error("{question} returned {status}")]
    Status {
        /// What was asked.
        question: String,
        /// The status.
        status: u16,
    },
    /// An HTTP redirect.
    #[error(
        "{question} returned {status}, a redirect to `{location}`; probe a path that answers 2xx by itself"
    )]
    Redirect {
        /// What was asked.
        question: String,
        /// The status.
        status: u16,
        /// Where it leads.
        location: String,
    },
    /// The instance says itself that it is not well.
    #[error("{question} says {said}")]
    Reported {
        /// What was asked.
        question: String,
        /// In its words: `CRIT: the database is away`.
        said: String,
    },
    /// The answer is none of the protocol that the probe speaks.
    #[error("{question} returned what is no answer to it")]
    Unclear {
        /// What was asked.
        question: String,
    },
    /// The command said no.
    #[error("`{command}` exited with {code}{}", if output.is_empty() { String::new() } else { format!(": {output}") })]
    Command {
        /// The command.
        command: String,
        /// Its exit code.
        code: i64,
        /// The last line that it wrote.
        output: String,
    },
    /// The image's HEALTHCHECK.
    #[error("the image's HEALTHCHECK says {0}")]
    Docker(&'static str),
    /// The engine did not answer.
    #[error("the engine could not be asked: {0}")]
    Engine(String),
    /// The container has no address yet.
    #[error("the container has no address yet")]
    NoAddress,
}

/// Asks.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// One probe. Cancel-safe; leaves nothing behind.
    async fn probe(&self, question: Question<'_>) -> Result<Passed, ProbeFailure>;
}

impl Question<'_> {
    /// What is asked, for people.
    fn words(&self) -> String {
        match self.check {
            Check::Http { path, .. } | Check::Hootsuite { path, .. } => format!("GET {path}"),
            Check::Tcp { .. } => "connecting".to_owned(),
            Check::Command(command) => format!("`{command}`"),
            Check::Docker => "the HEALTHCHECK".to_owned(),
            Check::Grpc { service: None, .. } => "gRPC health".to_owned(),
            Check::Grpc { service: Some(service), .. } => format!("gRPC health of {service}"),
        }
    }
}
