//! The way out: what a box runs, as the objects of a Kubernetes cluster that behave the same there.
//!
//! [`export`] turns each [`Subject`] (an app's newest release that served, with everything that commands have set over it) into typed
//! [`Object`]s and [`Note`]s. It is pure, and deterministic: the same subjects and [`Options`] give the same bytes. What has no
//! counterpart on a cluster becomes a note, never silence. Later steps change or write the result and know nothing of apps: how
//! secrets are handed over, the formats yaml, kustomize and Helm, the check against a version's schema, and `--apply`.
//!
//! ```text
//!   Subject ─► workloads, config, jobs, routing … ─► Export { objects, notes } ─► secrets ─► yaml | kustomize | helm | apply
//! ```
//!
//! It does not ask the box or the cluster anything; whoever calls it has.

pub mod check;
mod collision;
mod config;
mod error;
pub mod format;
mod leftover;
mod names;
mod namespace;
mod object;
mod options;
mod routing;
pub mod secrets;
mod subject;
#[cfg(test)]
mod tests;
mod workload;

use std::collections::BTreeSet;

pub use error::ExportError;
pub use names::{CRON_NAME_LENGTH_MAX, Labels, NAME_LENGTH_MAX, Names};
pub use object::{Comment, Export, Note, NoteKind, Object, Sheet};
pub use options::{Entrance, Options, SecretMode, TlsSource, Version};
pub use subject::{External, Healthcheck, Image, Subject, Upstream};

/// Exports these apps, in the order of their names; those that are only routes after the others.
///
/// Each app's objects come in the order in which a cluster is to have them: what pods need, the release's own command, what runs,
/// and what leads to it.
///
/// # Errors
///
/// [`ExportError`]. What a cluster does otherwise is in the notes, and no error.
pub fn export(
    subjects: &[Subject],
    externals: &[External],
    options: &Options,
) -> Result<Export, ExportError> {
    if subjects.is_empty() && externals.is_empty() {
        return Err(ExportError::NoSubject);
    }
    if options.version < Version::OLDEST {
        return Err(ExportError::Version(options.version));
    }
    let mut export = Export::default();
    if let Some(namespace) = &options.namespace {
        export.objects.extend(namespace::object(namespace, subjects, options.version)?);
    }
    let mut sorted: Vec<_> = subjects.iter().collect();
    sorted.sort_by_key(|subject| &subject.app);
    for subject in sorted {
        collision::labels(subject)?;
        collision::mounts(subject)?;
        let mut sheet = Sheet::new(&subject.app);
        workload::add(subject, &mut sheet)?;
        routing::add(subject, options, &mut sheet);
        routing::add_policies(subjects, subject, options, &mut sheet);
        leftover::note(subject, subjects, &mut sheet);
        let part = sheet.finish();
        export.objects.extend(part.objects);
        export.notes.extend(part.notes);
    }
    let mut sorted: Vec<_> = externals.iter().collect();
    sorted.sort_by_key(|external| &external.app);
    for external in sorted {
        let mut sheet = Sheet::new(&external.app);
        routing::add_external(external, options, &mut sheet);
        let part = sheet.finish();
        export.objects.extend(part.objects);
        export.notes.extend(part.notes);
    }
    collision::names(&export.objects)?;
    if let Some(namespace) = &options.namespace {
        namespace::put_into(namespace, &mut export.objects);
    }
    // Several process types may have the same said of them.
    let mut said = BTreeSet::new();
    export.notes.retain(|note| said.insert((note.app.clone(), note.what.clone(), note.text.clone())));
    Ok(export)
}
