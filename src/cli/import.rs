//! `minipaas import`: another tool's project as a `minipaas.toml`.
//!
//! The project's files are read here, with limits, and what it becomes is decided in [`crate::import`]. Files that are there
//! already are replaced by `--yes` alone, or when somebody says so. What is not carried goes to standard error.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Session;
use super::args::ImportArgs;
use super::failure::{Failure, Kind};
use super::output::Answer;
use crate::import::{Files, Format, Import, ImportError, Note, NoteKind, Options, import};
use crate::manifest::MANIFEST_FILE;

/// A project's file is written by people.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How often files are read: `include` and `extends` may name many, and one of them many times.
const READS_MAX: u32 = 1_000;

/// The files of a folder, and those that its project names elsewhere.
#[derive(Debug)]
struct Folder {
    dir: PathBuf,
    reads: Cell<u32>,
}

/// Where a project is.
#[derive(Debug)]
struct Found {
    format: Format,
    folder: Folder,
    /// By their paths from the folder.
    files: Vec<String>,
    /// Whether nobody named the file.
    is_found: bool,
}

pub(crate) fn run(session: &Session, args: &ImportArgs) -> Result<(), Failure> {
    let found = find(&args.paths)?;
    let env_file = args.env_file.as_deref().map(|path| found.folder.name(path)).transpose()?;
    let name =
        found.folder.dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let options = Options {
        app: session.globals.app.as_ref(),
        folder: &name,
        profiles: &args.profiles,
        env_file: env_file.as_deref(),
        environment: &session.env.variables,
    };
    let made =
        import(found.format, &found.files, found.is_found, &found.folder, &options).map_err(failure)?;
    let lost = made.notes.iter().filter(|note| note.kind == NoteKind::Lost).count();
    let is_refused = args.strict && lost > 0;
    let output = args.output.clone().unwrap_or_else(|| found.folder.dir.clone());
    if !args.dry_run && !is_refused {
        write(session, &output, &made)?;
    }
    for note in &made.notes {
        session.out.notice(format_args!("{}: {note}", note.kind.as_str()));
    }
    let is_written = !args.dry_run && !is_refused;
    if session.out.is_json() {
        session.out.json(&shown(&found, &made, is_written))?;
    } else if args.dry_run {
        print(session, &made)?;
    } else if is_written {
        for path in made.files.keys() {
            session.out.line(output.join(path).display())?;
        }
        session.out.notice(next(&output, &made));
    }
    if is_refused {
        let things = if lost == 1 { "1 thing is".to_owned() } else { format!("{lost} things are") };
        let error = format!("{things} not carried, and nothing was written");
        return Err(Failure::failed(error).hint("leave out `--strict` to write the rest"));
    }
    Ok(())
}

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() > READS_MAX {
            return Err(format!("the project reads more than {READS_MAX} files"));
        }
        let full = self.dir.join(path);
        let unreadable = |error: io::Error| format!("cannot read `{path}`: {error}");
        match std::fs::metadata(&full) {
            // Also a pipe, which would wait for a writer.
            Ok(metadata) if !metadata.is_file() => return Ok(None),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error)),
        }
        let mut bytes = Vec::new();
        let file = File::open(&full).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("`{path}` is larger than {} KiB", FILE_BYTES_MAX / 1024));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| format!("`{path}` is not UTF-8"))
    }
}

impl Folder {
    fn new(dir: &Path) -> Result<Self, Failure> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let dir = canonical(dir)?;
        Ok(Self { dir, reads: Cell::new(0) })
    }

    /// A file by its path from the folder, or from the root if it is elsewhere.
    fn name(&self, file: &Path) -> Result<String, Failure> {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name =
            file.file_name().ok_or_else(|| Failure::usage(format!("`{}` is no file", file.display())))?;
        let full = canonical(parent)?.join(name);
        let path = full.strip_prefix(&self.dir).unwrap_or(&full);
        match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Failure::usage(format!("the path `{}` is not UTF-8", path.display()))),
        }
    }
}

/// The project that the arguments mean.
fn find(paths: &[PathBuf]) -> Result<Found, Failure> {
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    if first.is_dir() {
        if paths.len() > 1 {
            return Err(Failure::usage("a folder stands alone; name the files that are to be merged"));
        }
        let folder = Folder::new(first)?;
        let Some((format, file)) = Format::find(&folder) else {
            let names: Vec<_> = Format::ALL.iter().map(|(_, names)| names[0]).collect();
            let error = format!("there is no project of another tool in `{}`", folder.dir.display());
            return Err(Failure::usage(error)
                .hint(format!("a project is one of {}; or name its file", names.join(", "))));
        };
        return Ok(Found { format, folder, files: vec![file.to_owned()], is_found: true });
    }
    let format = Format::of(&first.to_string_lossy());
    let parent = first.parent().unwrap_or(Path::new(""));
    // Kamal's is in a folder of the project's.
    let is_below = format == Format::Kamal
        && parent.components().next_back() == Some(Component::Normal("config".as_ref()));
    let folder = Folder::new(if is_below { parent.parent().unwrap_or(Path::new("")) } else { parent })?;
    if paths.len() > 1 && format != Format::Compose {
        return Err(Failure::usage("only compose files are merged; name one file"));
    }
    let files = paths.iter().map(|path| folder.name(path)).collect::<Result<_, _>>()?;
    Ok(Found { format, folder, files, is_found: false })
}

fn canonical(dir: &Path) -> Result<PathBuf, Failure> {
    dir.canonicalize()
        .with_context(|| format!("cannot look into `{}`", dir.display()))
        .map_err(|error| Failure::new(Kind::Usage, error))
}

fn failure(error: ImportError) -> Failure {
    match &error {
        ImportError::Problems(_) => Failure::new(Kind::Usage, error),
        ImportError::Refused { .. } => Failure::new(Kind::Failed, error),
    }
}

/// Writes all of the files, or asks first where one is there.
fn write(session: &Session, output: &Path, made: &Import) -> Result<(), Failure> {
    let is_there = |path: &&String| output.join(path).symlink_metadata().is_ok();
    let there: Vec<_> = made.files.keys().filter(is_there).map(|path| format!("`{path}`")).collect();
    if !there.is_empty() {
        let names = there.join(", ");
        let question = format!("{names} would be replaced in `{}`. Go on?", output.display());
        match session.out.ask(&question) {
            Answer::Yes => {}
            Answer::No => return Err(Failure::failed("nothing was written")),
            Answer::Nobody => {
                let verb = if there.len() == 1 { "is" } else { "are" };
                let error = format!("{names} {verb} there already, and nothing was written");
                return Err(Failure::usage(error)
                    .hint("add `--yes` to replace what is there, or `-o DIR` to write elsewhere"));
            }
        }
    }
    for (path, text) in &made.files {
        let full = output.join(path);
        let failed = |error: io::Error| {
            let error = anyhow::Error::new(error).context(format!("cannot write `{}`", full.display()));
            Failure::new(Kind::Failed, error)
        };
        if let Some(parent) = full.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&full, text).map_err(failed)?;
    }
    Ok(())
}

/// The texts as they would be written, under their names if there are several.
fn print(session: &Session, made: &Import) -> Result<(), Failure> {
    let is_alone = made.files.len() == 1;
    for (at, (path, text)) in made.files.iter().enumerate() {
        if !is_alone {
            let gap = if at == 0 { "" } else { "\n" };
            session.out.line(format_args!("{gap}--- {path}"))?;
        }
        session.out.bytes(text.as_bytes())?;
    }
    Ok(())
}

/// What to type next.
fn next(output: &Path, made: &Import) -> String {
    let up = |folder: &str| {
        let dir = if folder.is_empty() { output.to_owned() } else { output.join(folder) };
        format!("minipaas up {}", dir.display())
    };
    let commands: Vec<_> = made.apps.iter().map(|app| up(&app.folder)).collect();
    let are_left = made.notes.iter().any(|note| note.kind == NoteKind::ToDo);
    let after = if are_left { "next, after what is to do" } else { "next" };
    format!("{after}: {}", commands.join("; "))
}

fn shown(found: &Found, made: &Import, is_written: bool) -> Value {
    let folder = |folder: &str| if folder.is_empty() { ".".to_owned() } else { folder.to_owned() };
    let apps: Vec<_> = made
        .apps
        .iter()
        .map(|app| {
            let path = Path::new(&app.folder).join(MANIFEST_FILE);
            json!({"app": app.app, "folder": folder(&app.folder), "manifest": path.display().to_string()})
        })
        .collect();
    let note = |note: &Note| {
        json!({
            "kind": note.kind.as_str(),
            "file": &*note.at.file,
            "line": if note.at.line == 0 { Value::Null } else { note.at.line.into() },
            "folder": note.folder.as_deref().map(folder),
            "text": note.text,
            "instead": note.instead,
        })
    };
    json!({
        "format": found.format.as_str(),
        "sources": found.files,
        "apps": apps,
        "files": made.files,
        "notes": made.notes.iter().map(note).collect::<Vec<_>>(),
        "written": is_written,
    })
}
