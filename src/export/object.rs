//! What an export consists of: objects, what is said beside them, and what could not be carried.

use k8s_openapi::Resource;
use serde::Serialize;
use serde_json::Value;

use crate::name::AppName;

/// Everything that was exported.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Export {
    /// In the order in which they are applied: what others refer to comes first.
    pub objects: Vec<Object>,
    /// In the order of the apps, then of the manifest.
    pub notes: Vec<Note>,
}

/// One object of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Whose it is; `None`: all apps'.
    pub app: Option<AppName>,
    /// As the API takes it, with `apiVersion` and `kind`.
    pub value: Value,
    /// What a reader is told of the choices that were made.
    pub comments: Vec<Comment>,
}

/// One remark beside a part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The part, as a JSON pointer (RFC 6901); empty: the whole object.
    pub at: String,
    /// One line, without `#`.
    pub text: String,
}

/// Something that a cluster does otherwise, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whose it is.
    pub app: AppName,
    /// How bad it is.
    pub kind: NoteKind,
    /// What it is about, as the manifest or a command names it: `[proxy] rate_limit`.
    pub what: String,
    /// What becomes of it, and what to do instead.
    pub text: String,
}

/// How far a thing was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// Not at all. `--strict` fails.
    Dropped,
    /// Nearly: another number, another place.
    Changed,
    /// Wholly, but somebody has to do something before it works.
    Todo,
}

/// What the parts of an app's export are put into.
#[derive(Debug)]
pub struct Sheet<'a> {
    app: &'a AppName,
    export: Export,
}

// === impl Object ===

impl Object {
    /// This resource, of this app.
    ///
    /// # Panics
    ///
    /// Never: every type of the API serialises to JSON, whatever it holds.
    #[must_use]
    pub fn new<R: Resource + Serialize>(app: &AppName, resource: &R) -> Self {
        let value = serde_json::to_value(resource).expect("an object of the API is JSON");
        Self { app: Some(app.clone()), value, comments: Vec::new() }
    }

    /// This object, of a kind that has no type here (`HTTPRoute`, `SealedSecret`); it has `apiVersion` and `kind`.
    #[must_use]
    pub fn untyped(app: &AppName, value: Value) -> Self {
        Self { app: Some(app.clone()), value, comments: Vec::new() }
    }

    /// With a remark beside the part at this JSON pointer.
    #[must_use]
    pub fn comment(mut self, at: &str, text: impl Into<String>) -> Self {
        self.comments.push(Comment { at: at.to_owned(), text: text.into() });
        self
    }

    /// `Deployment`, `Service`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }
}

// === impl Sheet ===

impl<'a> Sheet<'a> {
    /// An empty one.
    #[must_use]
    pub fn new(app: &'a AppName) -> Self {
        Self { app, export: Export::default() }
    }

    /// Puts an object on it.
    pub fn add(&mut self, object: Object) {
        self.export.objects.push(object);
    }

    /// Says what could not be carried, wholly or at all.
    pub fn note(&mut self, kind: NoteKind, what: impl Into<String>, text: impl Into<String>) {
        let note = Note { app: self.app.clone(), kind, what: what.into(), text: text.into() };
        self.export.notes.push(note);
    }

    /// What is on it.
    #[must_use]
    pub fn finish(self) -> Export {
        self.export
    }
}
