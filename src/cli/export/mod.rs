//! `minipaas export`: apps as objects of a Kubernetes cluster.
//!
//! ```text
//!   args ─► gather: the box's answer ─► Subjects ─► export ─► secrets ─► Export ─┬─► text, files or JSON (write)
//!           (subject)        (pushed, if wanted)  └───────── pure ─────────┘     ├─► what a version would refuse (check)
//!                                                                                └─► a cluster (apply)
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
use super::interrupt::Interrupts;
use super::progress::ProgressView;
use super::{apply, check, push};
use crate::export::format::{self, Format};
use crate::export::{Export, Note, NoteKind, Subject, Version};

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

/// Exports, and does with it what is wanted: prints it, writes it, checks it, or applies it to a cluster.
pub(crate) async fn run(
    session: &Session,
    args: &ExportArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    args.cluster.check()?;
    let version = args.check.map(|version| version.or(args.kubernetes).unwrap_or(Version::OLDEST));
    let is_written = version.is_none() && !args.cluster.is_wanted();
    if is_written {
        check_output(session, args)?;
    } else if args.cluster.is_wanted() && args.secrets() == SecretsArg::Template {
        return Err(Failure::usage("Secrets without values would take away those that the cluster has")
            .hint("with a cluster, `--secrets` is inline, sealed or external"));
    }
    let export = interrupts.or(export(session, args), Failure::silently_interrupted).await?;
    if let Some(version) = version {
        return check::run(session.out, &export.objects, version);
    }
    if args.cluster.is_wanted() {
        return apply::apply(session, &export, args.namespace.as_deref(), &args.cluster, interrupts).await;
    }
    write(session, args, &export)
}

/// The export, after its images were pushed if that is wanted. Its notes are told.
async fn export(session: &Session, args: &ExportArgs) -> Result<Export, Failure> {
    let out = session.out;
    let mut asked = gather::ask(session, args).await?;
    if args.push {
        push_images(session, args, &mut asked.subjects).await?;
    }
    let export = asked.export()?;
    if !out.is_json() {
        format::notes(&export.notes).iter().for_each(|line| out.notice(line));
    }
    let dropped = export.notes.iter().filter(|note| note.kind == NoteKind::Dropped).count();
    if args.strict && dropped > 0 {
        let things = if dropped == 1 { "1 thing".to_owned() } else { format!("{dropped} things") };
        return Err(Failure::failed(format!("{things} could not be carried over, and `--strict` wants all"))
            .hint("without `--strict` the rest is written, with what is missing as comments"));
    }
    Ok(export)
}

/// Pushes the images that no registry has, and names them by what the registry says.
async fn push_images(session: &Session, args: &ExportArgs, subjects: &mut [Subject]) -> Result<(), Failure> {
    let registry = push::registry(args.registry.as_deref())?;
    let credentials = push::credentials(session, &registry).await?;
    let mut view = ProgressView::new(session.out);
    for subject in subjects.iter_mut().filter(|subject| subject.image.pinned.is_none()) {
        let (app, release) = (&subject.app, subject.release);
        match push::push(session, app, release, &registry, credentials.as_ref(), &mut view).await {
            Ok(pushed) => subject.image.pinned = Some(pushed.pinned()),
            Err(failure) => {
                view.fail();
                return Err(failure);
            }
        }
    }
    view.finish();
    Ok(())
}

fn write(session: &Session, args: &ExportArgs, export: &Export) -> Result<(), Failure> {
    let out = session.out;
    let notes = export.notes.iter().map(note).collect();
    match args.folder() {
        Some(folder) => {
            let files = format::files(export, args.format.into());
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
        None => out.bytes(format::stream(export).as_bytes())?,
    }
    Ok(())
}

/// Refuses what cannot be written so, before anything is asked of the box.
fn check_output(session: &Session, args: &ExportArgs) -> Result<(), Failure> {
    let (is_stdout, is_json) = (args.folder().is_none(), session.out.is_json());
    let has_secrets = args.secrets() == SecretsArg::Inline;
    if let Some(folder) = args.folder().filter(|_| has_secrets) {
        write::check_private(folder)?;
    }
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
