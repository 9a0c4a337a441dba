//! Why a command did not do what it was asked to: for the exit code, and for a person to read.
//!
//! Every module's error becomes a [`Failure`] here, with the hints that only the command line knows (which command helps).
//! [`Failure`] prints itself as text; colours and the stream are the output's.

use std::fmt;
use std::io;
use std::process::ExitCode;

use anyhow::anyhow;

use crate::api;
use crate::api::client::{BoxUrlError, ClientError};
use crate::builder::context::ContextError;
use crate::builder::detect::DetectError;
use crate::builder::ignore::IgnoreError;
use crate::config::ConfigError;
use crate::manifest::ManifestError;
use crate::watch::WatchError;

/// The codes of the API that mean something here.
const CODE_MANIFEST: &str = "manifest";
const CODE_ENGINE: &str = "engine-unreachable";
const CODE_NOT_FOUND: &str = "not-found";
const CODE_NO_CERTIFICATE: &str = "no-certificate";
/// The code of a build whose log tells more than the failure.
pub(crate) const CODE_BUILD: &str = "build-failed";

/// What kind of failure it is: what the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was asked for wrongly: exit code 2, as clap's.
    Usage,
    /// It was tried and did not work: 1.
    Failed,
    /// The daemon or the engine does not answer: 3.
    Unreachable,
    /// Somebody typed Ctrl-C: 130.
    Interrupted,
    /// Nobody reads the result any more: 0.
    Closed,
    /// A command that was run for somebody ended so: its own code.
    PassedOn(u8),
}

/// A command's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What did not work, and why; `None` says nothing: the person knows.
    pub(crate) error: Option<anyhow::Error>,
    /// The culprit's last lines, under a title.
    pub(crate) log: Option<LogTail>,
    /// What to do next.
    pub(crate) hints: Vec<String>,
}

/// The last lines of something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogTail {
    /// `the build`.
    pub(crate) of: String,
    pub(crate) lines: Vec<String>,
}

/// The result could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result")]
pub(crate) struct OutputError(#[from] io::Error);

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: Some(error.into()), log: None, hints: Vec::new() }
    }

    /// It was tried and did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, anyhow!(message.into()))
    }

    /// It was asked for wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, anyhow!(message.into()))
    }

    /// The daemon or the engine does not answer.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, anyhow!(message.into()))
    }

    /// What was run ended with this code, which becomes ours.
    pub(crate) fn exited(code: i64, message: impl Into<String>) -> Self {
        Self::new(Kind::PassedOn(u8::try_from(code).unwrap_or(1)), anyhow!(message.into()))
    }

    /// Ctrl-C, when something is to be said about what it left behind.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, anyhow!(message.into()))
    }

    /// Ctrl-C, when it simply ends the command.
    pub(crate) fn silently_interrupted() -> Self {
        Self { kind: Kind::Interrupted, error: None, log: None, hints: Vec::new() }
    }

    /// A command that was run for somebody ended with this code, and has said what there is to say.
    pub(crate) fn passed_on(code: u8) -> Self {
        Self { kind: Kind::PassedOn(code), error: None, log: None, hints: Vec::new() }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn with_log(mut self, of: impl Into<String>, lines: Vec<String>) -> Self {
        self.log = (!lines.is_empty()).then(|| LogTail { of: of.into(), lines });
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Closed => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 3,
            Kind::Interrupted => 130,
            Kind::PassedOn(code) => code,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = &self.error else { return Ok(()) };
        writeln!(f, "error: {error}")?;
        for cause in error.chain().skip(1) {
            writeln!(f, "  caused by: {cause}")?;
        }
        if let Some(LogTail { of, lines }) = &self.log {
            writeln!(f, "  last lines of {of}:")?;
            for line in lines {
                writeln!(f, "    {line}")?;
            }
        }
        if !self.hints.is_empty() {
            writeln!(f)?;
        }
        for hint in &self.hints {
            writeln!(f, "hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<api::Failure> for Failure {
    fn from(failure: api::Failure) -> Self {
        let kind = match failure.code.as_str() {
            CODE_MANIFEST => Kind::Usage,
            CODE_ENGINE => Kind::Unreachable,
            _ => Kind::Failed,
        };
        let mut outside_in = std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>();
        let innermost = outside_in.pop().unwrap_or_default();
        let error = outside_in.into_iter().rev().fold(anyhow!(innermost), anyhow::Error::context);
        let mut hints = failure.hints;
        if hints.is_empty() && failure.code == CODE_NOT_FOUND {
            hints.push("`minipaas apps` lists the apps of this box".to_owned());
        }
        if hints.is_empty() && failure.code == CODE_NO_CERTIFICATE {
            hints.push("`minipaas certs` lists those of this box".to_owned());
        }
        if hints.is_empty() && failure.code == CODE_ENGINE {
            hints.push("`minipaas doctor` looks for the reason".to_owned());
        }
        let of = if failure.code == CODE_BUILD { "the build" } else { "its log" };
        Self { kind, error: Some(error), log: None, hints }.with_log(of, failure.log)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Failed(failure) => failure.into(),
            ClientError::Upload(error) => error.into(),
            ClientError::Unreachable { ref source, .. } => {
                let hint = match source.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "the daemon is another user's: set `MINIPAAS_HOME` to a folder of yours for a box of your own"
                    }
                    _ => "start it with `minipaas up` in a project's folder, or with `minipaas server`",
                };
                Self::new(Kind::Unreachable, error).hint(hint)
            }
            ClientError::RemoteUnreachable { .. } => Self::new(Kind::Unreachable, error)
                .hint("`minipaas remotes` lists the boxes that are known here"),
            ClientError::Untrusted { ref url, .. } => {
                let hint = format!("if it has a new certificate, `minipaas login {url}` shows it and asks");
                Self::new(Kind::Failed, error).hint(hint)
            }
            ClientError::CutOff { .. } | ClientError::Late { .. } => Self::new(Kind::Unreachable, error)
                .hint("its log may say why: `daemon.log` in its home, or `journalctl -u minipaas`"),
            ClientError::TooOld { .. } => Self::new(Kind::Failed, error).hint(concat!(
                "this is minipaas ",
                env!("CARGO_PKG_VERSION"),
                "; upgrade the box to it"
            )),
            ClientError::Protocol { .. } => Self::new(Kind::Failed, error)
                .hint("the daemon may be of another version: `minipaas doctor` compares them"),
        }
    }
}

impl From<BoxUrlError> for Failure {
    fn from(error: BoxUrlError) -> Self {
        Self::new(Kind::Usage, error)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self::new(Kind::Usage, error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Kind::Usage, error)
    }
}

impl From<DetectError> for Failure {
    fn from(error: DetectError) -> Self {
        Self::new(Kind::Usage, error)
    }
}

impl From<IgnoreError> for Failure {
    fn from(error: IgnoreError) -> Self {
        Self::new(Kind::Usage, error)
    }
}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        Self::new(Kind::Failed, error)
    }
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        let hint = error.hint();
        let failure = Self::new(Kind::Failed, error);
        hint.into_iter().fold(failure, Failure::hint)
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        match error.0.kind() {
            io::ErrorKind::BrokenPipe => {
                Self { kind: Kind::Closed, error: None, log: None, hints: Vec::new() }
            }
            _ => Self::new(Kind::Failed, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn whole_failure_reads_as_the_style_says() {
        let mut failure = api::Failure::new("not-ready", "release v42 of `blog` was not ready within 30s")
            .caused_by("`web.1` GET /up returned 503 (12 probes)")
            .caused_by("the database is away")
            .hinted("v41 is still serving; see `minipaas logs blog --release v42`")
            .hinted("look at `/up`");
        failure.log = vec!["listening".to_owned(), "no database".to_owned()];
        expect![[r#"
            error: release v42 of `blog` was not ready within 30s
              caused by: `web.1` GET /up returned 503 (12 probes)
              caused by: the database is away
              last lines of its log:
                listening
                no database

            hint: v41 is still serving; see `minipaas logs blog --release v42`
            hint: look at `/up`
        "#]]
        .assert_eq(&Failure::from(failure).to_string());
    }

    #[test]
    fn failure_without_hints_is_short() {
        assert_eq!(Failure::failed("no").to_string(), "error: no\n");
        assert_eq!(Failure::silently_interrupted().to_string(), "");
    }

    #[test]
    fn exit_codes_tell_the_kinds_apart() {
        let check = |failure: Failure, expected: u8| {
            assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", ExitCode::from(expected)));
        };
        let of_code = |code| Failure::from(ClientError::Failed(api::Failure::new(code, "no")));
        check(of_code("internal"), 1);
        check(of_code("not-found"), 1);
        check(of_code("manifest"), 2);
        check(of_code("engine-unreachable"), 3);
        check(ManifestError { problems: Vec::new() }.into(), 2);
        let away = io::Error::from(io::ErrorKind::NotFound);
        check(ClientError::Unreachable { path: "/x".into(), source: away }.into(), 3);
        check(Failure::interrupted("stopped"), 130);
        check(OutputError(io::ErrorKind::BrokenPipe.into()).into(), 0);
        check(OutputError(io::ErrorKind::StorageFull.into()).into(), 1);
    }
}
