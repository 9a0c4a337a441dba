//! `minipaas export`: apps as objects of a Kubernetes cluster.
//!
//! ```text
//!   args ─► gather: the box's answer ─► Subjects ─► export ─► secrets ─► Gathered ─► text, files or JSON
//!           (subject)                              └───────── pure ─────────┘       (write)
//! ```
//!
//! Standard output has the objects and nothing else. What could not be carried over goes to standard error, and into the texts as
//! comments. Values of secrets are asked of the box only where the result has them, and go to nowhere that others can read.

mod gather;
mod subject;
mod write;

use serde::Serialize;
use serde_json::Value;

use super::Session;
use super::args::{ExportArgs, FormatArg, SecretsArg};
use super::failure::Failure;
use crate::export::format::{self, Format};
use crate::export::{Note, NoteKind};

pub(crate) use gather::{Gathered, gather};

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Written<'a> {
    /// What was made, unless it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<&'a Value>>,
    /// What was written, below the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<&'a str>>,
    notes: Vec<NoteResult<'a>>,
}

/// One note with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct NoteResult<'a> {
    app: &'a str,
    /// `dropped`, `changed` or `todo`.
    kind: &'static str,
    what: &'a str,
    text: &'a str,
}

/// Exports, and prints or writes what comes of it.
pub(crate) async fn run(session: &Session, args: &ExportArgs) -> Result<(), Failure> {
    let out = session.out;
    let folder = args.output.as_deref().filter(|dir| dir.as_os_str() != "-");
    let has_secrets = args.secrets == SecretsArg::Inline;
    check(args, folder.is_none(), has_secrets, out.is_json())?;
    if let Some(folder) = folder.filter(|_| has_secrets) {
        write::check_private(folder)?;
    }
    let Gathered { export, .. } = gather(session, args).await?;
    if !out.is_json() {
        format::notes(&export.notes).iter().for_each(|line| out.notice(line));
    }
    let dropped = export.notes.iter().filter(|note| note.kind == NoteKind::Dropped).count();
    if args.strict && dropped > 0 {
        let things = if dropped == 1 { "1 thing".to_owned() } else { format!("{dropped} things") };
        return Err(Failure::failed(format!("{things} could not be carried over, and `--strict` wants all"))
            .hint("without `--strict` the rest is written, with what is missing as comments"));
    }
    let notes = export.notes.iter().map(note).collect();
    match folder {
        Some(folder) => {
            let files = format::files(&export, args.format.into());
            write::write(session, folder, &files)?;
            if out.is_json() {
                let files = Some(files.iter().map(|file| file.path.as_str()).collect());
                out.json(&Written { objects: None, files, notes })?;
            } else {
                out.notice(format_args!("{} files are in `{}`", files.len(), folder.display()));
            }
        }
        None if out.is_json() => {
            let objects = Some(export.objects.iter().map(|object| &object.value).collect());
            out.json(&Written { objects, files: None, notes })?;
        }
        None => out.bytes(format::stream(&export).as_bytes())?,
    }
    Ok(())
}

/// Refuses what cannot be, before anything is asked of the box.
fn check(args: &ExportArgs, is_stdout: bool, has_secrets: bool, is_json: bool) -> Result<(), Failure> {
    if is_stdout && args.format != FormatArg::Yaml && !is_json {
        return Err(Failure::usage(
            "kustomize and helm are folders of files, and no text for standard output",
        )
        .hint("`-o DIR` names the folder"));
    }
    if has_secrets && is_stdout && is_json {
        return Err(Failure::usage("`--json` shows no values of secrets")
            .hint("`-o DIR` writes them to files that nobody else can read"));
    }
    if has_secrets && is_stdout {
        write::check_stdout()?;
    }
    Ok(())
}

fn note(note: &Note) -> NoteResult<'_> {
    NoteResult {
        app: note.app.as_str(),
        kind: match note.kind {
            NoteKind::Dropped => "dropped",
            NoteKind::Changed => "changed",
            NoteKind::Todo => "todo",
        },
        what: &note.what,
        text: &note.text,
    }
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Yaml => Self::Yaml,
            FormatArg::Kustomize => Self::Kustomize,
            FormatArg::Helm => Self::Helm,
        }
    }
}
