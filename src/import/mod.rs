//! `minipaas import`: another tool's project as a `minipaas.toml`.
//!
//! ```text
//! files ─► a reader for each format ─► drafts and notes ─► TOML, checked by Manifest::parse ─► Import
//! ```
//!
//! A reader knows its tool's rules and makes a `draft` of a manifest for each app. Whatever a manifest has no word for becomes
//! a [`Note`]: nothing is dropped silently. A note is printed, and stands at the head of the manifest that it is about.
//! Values that look like secrets are in no manifest and no note; how to set them is.
//!
//! Pure: files come in through [`Files`], and whoever calls writes what comes out. Nothing is run, and no image looked at.

mod caprover;
mod compose;
mod data;
mod draft;
mod findings;
mod fly;
mod heroku;
mod kamal;
mod label;
mod node;
mod path;
mod secret;
mod words;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::manifest::{MANIFEST_FILE, Manifest, ManifestError, PROCFILE, Source};
use crate::name::AppName;

use draft::Draft;
use findings::Findings;

pub use findings::{Note, NoteKind, Place, Problem};

/// A project's files, by their paths from its folder; a path may lead out of it.
pub trait Files {
    /// The text of a file; `None` when there is no file of that name.
    ///
    /// # Errors
    ///
    /// A sentence: why it cannot be read.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
}

/// How a project is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `compose.yaml`.
    Compose,
    /// `fly.toml`.
    Fly,
    /// Kamal's `config/deploy.yml`.
    Kamal,
    /// `CapRover`'s `captain-definition`.
    CapRover,
    /// Heroku's `app.json`, with a `Procfile`.
    Heroku,
    /// A `Procfile` alone.
    Procfile,
}

/// What is to be known besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// The app's name, if the project's own is not wanted.
    pub app: Option<&'o AppName>,
    /// The name of the project's folder.
    pub folder: &'o str,
    /// Compose: profiles that are active.
    pub profiles: &'o [String],
    /// Compose: the file of variables in place of `.env`.
    pub env_file: Option<&'o str>,
    /// The variables of whoever imports.
    pub environment: &'o BTreeMap<String, String>,
}

/// What a project has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The files to write, by their paths below the output.
    pub files: BTreeMap<String, String>,
    /// The apps, the main one first.
    pub apps: Vec<ImportedApp>,
    /// What is to be known, in the order of the files.
    pub notes: Vec<Note>,
}

/// One app of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedApp {
    /// Its name, if the project gives it one.
    pub app: Option<String>,
    /// Its folder below the output; empty is the output itself.
    pub folder: String,
}

/// Why there is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// What is wrong with the project; never empty.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       "))]
    Problems(Vec<Problem>),
    /// The project is right and says what no manifest can.
    #[error("the manifest of {app} would be refused")]
    Refused {
        /// The app, or its folder.
        app: String,
        /// By which rules.
        #[source]
        error: ManifestError,
    },
}

// === impl Format ===

impl Format {
    /// In the order in which a folder is searched for them, with the names of their files.
    pub const ALL: [(Self, &'static [&'static str]); 6] = [
        (Self::Compose, &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]),
        (Self::Fly, &["fly.toml"]),
        (Self::Kamal, &["config/deploy.yml", "config/deploy.yaml"]),
        (Self::CapRover, &["captain-definition"]),
        (Self::Heroku, &["app.json"]),
        (Self::Procfile, &[PROCFILE]),
    ];

    /// The format of a file, by its name: what is no other is a compose file.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            "captain-definition" => Self::CapRover,
            "app.json" => Self::Heroku,
            PROCFILE => Self::Procfile,
            name if name.starts_with("fly.") && name.ends_with(".toml") => Self::Fly,
            name if name.starts_with("deploy.") && name.ends_with(".yml") => Self::Kamal,
            _ => Self::Compose,
        }
    }

    /// The first project of the folder, and its file.
    #[must_use]
    pub fn find(files: &dyn Files) -> Option<(Self, &'static str)> {
        let all = Self::ALL.iter().flat_map(|(format, names)| names.iter().map(|name| (*format, *name)));
        // What cannot be read is there, too, and told when it is read.
        all.into_iter().find(|(_, name)| !matches!(files.read(name), Ok(None)))
    }

    /// Its name, for people and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compose => "compose",
            Self::Fly => "fly",
            Self::Kamal => "kamal",
            Self::CapRover => "caprover",
            Self::Heroku => "heroku",
            Self::Procfile => "procfile",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Import ===

impl Import {
    /// Whether the project said something that the manifests do not.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.notes.iter().any(|note| note.kind == NoteKind::Lost)
    }
}

/// Reads a project. With `is_found` the file was found and not named, so that the project may name others instead.
///
/// # Errors
///
/// All problems of the project at once; or that it says what no manifest can.
pub fn import(
    format: Format,
    paths: &[String],
    is_found: bool,
    files: &dyn Files,
    options: &Options<'_>,
) -> Result<Import, ImportError> {
    let mut findings = Findings::default();
    let path = paths.first().map_or("", String::as_str);
    let drafts = match format {
        Format::Compose => compose::read(paths, is_found, files, options, &mut findings),
        Format::Fly => fly::read(path, files, options, &mut findings),
        Format::Kamal => kamal::read(path, files, options, &mut findings),
        Format::CapRover => caprover::read(path, files, options, &mut findings),
        Format::Heroku => heroku::read(path, files, options, &mut findings),
        Format::Procfile => heroku::read_procfile(path, files, options, &mut findings),
    };
    let Findings { mut problems, notes, .. } = findings;
    if !problems.is_empty() {
        for problem in &mut problems {
            problem.message = secret::unmasked(&problem.message).0;
        }
        problems.sort_by(|a, b| a.at.cmp(&b.at));
        problems.dedup();
        return Err(ImportError::Problems(problems));
    }
    finish(&drafts, path, notes, files)
}

/// Gives every draft its text, and every note its app.
fn finish(
    drafts: &[Draft],
    from: &str,
    mut notes: Vec<Note>,
    files: &dyn Files,
) -> Result<Import, ImportError> {
    for note in &mut notes {
        note.text = secret::unmasked(&note.text).0;
        let owner = drafts.iter().find(|draft| note.of.as_ref().is_some_and(|of| draft.parts.contains(of)));
        note.folder = owner.map(|draft| draft.folder.clone());
    }
    notes.sort_by(|a, b| a.at.cmp(&b.at));
    // An app is told once what several of its services say.
    let mut known = BTreeSet::new();
    notes.retain(|note| {
        known.insert((note.kind, note.folder.clone(), note.text.clone(), note.instead.clone()))
    });
    notes.extend(drafts.iter().flat_map(|draft| hidden(draft, from)));
    let configured = drafts.iter().filter(|draft| has_config(draft, &notes));
    let begin: Vec<Note> = configured.filter_map(|draft| make_app(draft, from)).collect();
    notes.splice(0..0, begin);
    let mut import = Import { files: BTreeMap::new(), apps: Vec::new(), notes: Vec::new() };
    let folders: BTreeSet<&str> = drafts.iter().map(|draft| draft.folder.as_str()).collect();
    for (at, draft) in drafts.iter().enumerate() {
        let is_about = |note: &&Note| match &note.folder {
            Some(folder) => *folder == draft.folder,
            // What is about no app stands in the first.
            None => at == 0,
        };
        let own: Vec<&Note> = notes.iter().filter(is_about).collect();
        let (text, _) = secret::unmasked(&write::manifest(draft, from, &own));
        let is_own = folders.len() == 1 && draft.folder.is_empty();
        let procfile = if is_own { files.read(PROCFILE).ok().flatten() } else { None };
        let source = Source { toml: Some(text.clone()), procfile, ..Source::default() };
        if let Err(error) = Manifest::parse(&source) {
            let app = draft
                .app
                .as_ref()
                .map_or_else(|| format!("folder `{}`", draft.folder), |app| format!("`{app}`"));
            return Err(ImportError::Refused { app, error });
        }
        import.files.insert(path::join(&draft.folder, MANIFEST_FILE), text);
        for (name, text) in &draft.files {
            import.files.insert(path::join(&draft.folder, name), secret::unmasked(text).0);
        }
        import.apps.push(ImportedApp { app: draft.app.clone(), folder: draft.folder.clone() });
    }
    import.notes = notes;
    Ok(import)
}

/// What stands where a secret would.
fn hidden(draft: &Draft, from: &str) -> Vec<Note> {
    let manifest = (MANIFEST_FILE.to_owned(), write::manifest(draft, from, &[]));
    let files = draft.files.iter().map(|(name, text)| (name.clone(), text.clone()));
    let texts = [manifest].into_iter().chain(files);
    let note = |file: &str, name: &str| Note {
        kind: NoteKind::Lost,
        at: Place::file(from),
        folder: Some(draft.folder.clone()),
        text: format!("`${{{name}}}` stands in `{file}` for a value that looks like a secret"),
        instead: Some(format!("have the command read the variable, with a shell, and set `{name}`")),
        of: None,
    };
    texts
        .flat_map(|(file, text)| {
            let (_, names) = secret::unmasked(&text);
            names.iter().map(|name| note(&file, name)).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether something is to be set before its first deploy.
fn has_config(draft: &Draft, notes: &[Note]) -> bool {
    let is_config =
        |note: &&Note| note.instead.as_ref().is_some_and(|text| text.contains("minipaas config set -a"));
    notes.iter().filter(is_config).any(|note| note.folder.as_ref() == Some(&draft.folder))
}

/// What has to be done before that.
fn make_app(draft: &Draft, from: &str) -> Option<Note> {
    let app = draft.app.as_ref()?;
    Some(Note {
        kind: NoteKind::ToDo,
        at: Place::file(from),
        folder: Some(draft.folder.clone()),
        text: format!("`minipaas apps create {app}` makes the app that `config set` is about"),
        instead: None,
        of: None,
    })
}
