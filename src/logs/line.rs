//! One line of an app's stream, and who says it.
//!
//! Every line has a *speaker*: an instance of the app (`app[web.1]`), or the box on the app's behalf (`minipaas[router]`,
//! `minipaas[web.1]`). Lines of one speaker share it, so that a line costs its text and little more.

use std::fmt;
use std::sync::Arc;

use crate::name::{InstanceId, ReleaseId};

/// The longest text that is one line; what is longer goes on in the next one. As Docker's are put together up to this.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What kind of speaker says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The app: its instances, and what was run once in its name.
    App,
    /// The proxy: a line for each request.
    Router,
    /// The log of a build.
    Build,
    /// What became of releases.
    Release,
    /// What the box does with instances, and everything else that it has to say.
    Platform,
}

/// Who says a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Speaker {
    /// What kind it is.
    pub source: Source,
    /// What stands in the brackets: `web.1`, `router`.
    pub process: String,
    /// The release that it is about, if it is about one.
    pub release: Option<ReleaseId>,
    /// The instance that wrote the line.
    pub instance: Option<InstanceId>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// Whether it went to standard error.
    pub is_stderr: bool,
    /// Whether it goes on in the next one of its speaker.
    pub is_cut: bool,
    /// Who says it.
    pub speaker: Arc<Speaker>,
    /// Without its end; at most [`TEXT_BYTES_MAX`].
    pub text: String,
}

impl Source {
    /// All.
    pub const ALL: [Self; 5] = [Self::App, Self::Router, Self::Build, Self::Release, Self::Platform];

    /// As it is typed and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Router => "router",
            Self::Build => "build",
            Self::Release => "release",
            Self::Platform => "platform",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// What stands before the brackets.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Router | Self::Build | Self::Release | Self::Platform => "minipaas",
        }
    }
}

impl Speaker {
    /// One that is no instance: the process is the source's own name.
    #[must_use]
    pub fn of_box(source: Source, release: Option<ReleaseId>) -> Self {
        Self { source, process: source.as_str().to_owned(), release, instance: None }
    }
}

/// `app[web.1]`.
impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.source.program(), self.process)
    }
}

/// Cuts a text into pieces of at most [`TEXT_BYTES_MAX`], between characters.
pub(super) fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while text.len() > TEXT_BYTES_MAX {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        pieces.push(&text[..end]);
        text = &text[end..];
    }
    pieces.push(text);
    pieces
}
