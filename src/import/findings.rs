//! What an import finds on its way: where it stood, what is wrong, and what it could not take along.
//!
//! A reader goes on after a problem, so that all of them are told at once. [`Note`]s are no problems: they are printed, and
//! stand in the file that is written.

use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// From 1; 0 is the file as a whole.
    pub line: usize,
}

/// What is wrong with a project, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub at: Place,
    /// What is wrong, with the rule.
    pub message: String,
}

/// What a note is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// The project said it, and the manifest cannot.
    Lost,
    /// Somebody has to do it before the app runs as it did.
    ToDo,
    /// The project left it open, or says it otherwise than minipaas does.
    Choice,
}

/// Something that whoever imports a project is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is for.
    pub kind: NoteKind,
    /// Where it stands.
    pub at: Place,
    /// The app that it is about, by its folder below the output; `None` is all of them.
    pub folder: Option<String>,
    /// What it is about, and what it means.
    pub text: String,
    /// What to do about it.
    pub instead: Option<String>,
    /// Whose it was there, until it is known which app it belongs to.
    pub(super) of: Option<String>,
}

/// Everything that was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
    /// Whose notes are being made.
    of: Option<String>,
}

// === impl Place ===

impl Place {
    /// A file as a whole.
    pub(super) fn file(file: &str) -> Self {
        Self { file: Arc::from(file), line: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

impl NoteKind {
    /// As it is printed before a note, and named in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "not carried",
            Self::ToDo => "to do",
            Self::Choice => "choice",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)?;
        self.instead.as_ref().map_or(Ok(()), |instead| write!(f, "; {instead}"))
    }
}

// === impl Findings ===

impl Findings {
    /// From here on notes are about this part of the project.
    pub(super) fn about(&mut self, of: Option<&str>) {
        self.of = of.map(str::to_owned);
    }

    pub(super) fn problem(&mut self, at: &Place, message: impl Into<String>) {
        self.problems.push(Problem { at: at.clone(), message: message.into() });
    }

    pub(super) fn lost(&mut self, at: &Place, text: impl Into<String>, instead: &str) {
        self.note(NoteKind::Lost, at, text.into(), instead);
    }

    pub(super) fn task(&mut self, at: &Place, text: impl Into<String>, instead: &str) {
        self.note(NoteKind::ToDo, at, text.into(), instead);
    }

    pub(super) fn choice(&mut self, at: &Place, text: impl Into<String>, instead: &str) {
        self.note(NoteKind::Choice, at, text.into(), instead);
    }

    fn note(&mut self, kind: NoteKind, at: &Place, text: String, instead: &str) {
        let note = Note {
            kind,
            at: at.clone(),
            folder: None,
            text,
            instead: (!instead.is_empty()).then(|| instead.to_owned()),
            of: self.of.clone(),
        };
        // One anchor that ten services share says a thing once for each of them, not ten times for one.
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}
