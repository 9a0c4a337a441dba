//! An export as texts of files: yaml, kustomize, Helm.
//!
//! ```text
//!   Export ─► files(Format) ─► File { path, text } …       stream() ─► one text of all objects
//!                │
//!                ├─ Yaml       one file an object kind, numbered in the order in which they are applied
//!                ├─ Kustomize  the same, and a kustomization.yaml that lists them and names the images
//!                └─ Helm       Chart.yaml, values.yaml, templates/ with what is often changed taken from the values
//! ```
//!
//! The texts are those that a person would write: keys in the order of the handbook (`order`), block style, comments beside
//! what they are about (`yaml`), quotes where an older parser would read something else (`scalar`). The same export gives the
//! same bytes. Every text begins with [`MARK`], so that a later export knows which files are its own.
//!
//! Nothing is written here, and nothing is known of what the objects mean beyond what Helm's values name.

mod helm;
mod kustomize;
mod order;
mod scalar;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::secrets::PLACEHOLDER;
use super::{Export, Note, NoteKind, Object};

pub use yaml::document;

/// The first line of every text.
pub const MARK: &str = "# Written by `minipaas export`, which writes it anew each time.";
/// Comments are not longer, with their indentation.
const COMMENT_WIDTH: usize = 116;

/// In which form an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Plain objects.
    #[default]
    Yaml,
    /// A base for kustomize.
    Kustomize,
    /// A Helm chart.
    Helm,
}

/// A file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Below the folder of the export, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
    /// Whether there are values of secrets in it: nobody else may read it.
    pub is_secret: bool,
}

/// All files of an export, in the order of their paths.
#[must_use]
pub fn files(export: &Export, format: Format) -> Vec<File> {
    let mut files = match format {
        Format::Yaml => {
            let mut files = plain(export);
            if let Some(first) = files.first_mut() {
                first.text = first.text.replacen(&format!("{MARK}\n"), &head(&export.notes), 1);
            }
            files
        }
        Format::Kustomize => {
            let mut files = plain(export);
            files.push(kustomize::kustomization(export, &files));
            files
        }
        Format::Helm => helm::chart(export),
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// All objects as one text, in the order in which they are applied.
#[must_use]
pub fn stream(export: &Export) -> String {
    let mut text = head(&export.notes);
    for object in &export.objects {
        text.push_str("---\n");
        text.push_str(&document(&object.value, &object.comments));
    }
    text
}

/// The notes as lines for a person, one app after the other: what is dropped first.
#[must_use]
pub fn notes(notes: &[Note]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut apps: Vec<_> = notes.iter().map(|note| &note.app).collect();
    apps.dedup();
    for app in apps {
        for (kind, title) in [
            (NoteKind::Dropped, "not carried over"),
            (NoteKind::Changed, "carried over otherwise"),
            (NoteKind::Todo, "to do"),
        ] {
            let of_kind: Vec<_> = notes.iter().filter(|note| note.app == *app && note.kind == kind).collect();
            if !of_kind.is_empty() {
                lines.push(format!("{app}: {title}"));
                lines.extend(of_kind.into_iter().map(|note| format!("  - {}: {}", note.what, note.text)));
            }
        }
    }
    lines
}

/// One file an object kind.
fn plain(export: &Export) -> Vec<File> {
    let mut kinds: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for object in &export.objects {
        kinds.entry(file_name(object.kind())).or_default().push(object);
    }
    kinds
        .into_iter()
        .map(|(path, objects)| {
            let mut text = format!("{MARK}\n");
            for object in &objects {
                text.push_str("---\n");
                text.push_str(&document(&object.value, &object.comments));
            }
            File { path, text, is_secret: objects.iter().any(|object| has_values(object)) }
        })
        .collect()
}

/// Whether there is something in a Secret that nobody else may read.
fn has_values(object: &Object) -> bool {
    let parts = ["data", "stringData"].map(|part| object.value.get(part).and_then(Value::as_object));
    object.kind() == "Secret" && parts.into_iter().flatten().flatten().any(|(_, value)| value != PLACEHOLDER)
}

/// What stands at the top of an export: whose it is, and what was not carried over.
fn head(notes: &[Note]) -> String {
    let mut text = format!("{MARK}\n");
    for line in self::notes(notes) {
        if !line.starts_with(' ') {
            text.push_str("#\n");
        }
        yaml::comment(&mut text, 0, &line);
    }
    text
}

/// The images of all containers, each once.
fn images(export: &Export) -> BTreeSet<&str> {
    let containers = export.objects.iter().flat_map(|object| helm::containers(&object.value));
    containers.filter_map(|(_, container)| container["image"].as_str()).collect()
}

/// `80-deployment.yaml`: in the order in which `kubectl apply -f DIR` takes them.
fn file_name(kind: &str) -> String {
    let rank = match kind {
        "Namespace" => 0,
        "ServiceAccount" => 10,
        "ConfigMap" => 20,
        "Secret" | "SealedSecret" | "ExternalSecret" => 30,
        "PersistentVolumeClaim" => 40,
        "NetworkPolicy" => 50,
        "Service" => 60,
        "Job" => 70,
        "Deployment" | "StatefulSet" => 80,
        "CronJob" => 81,
        "HorizontalPodAutoscaler" | "PodDisruptionBudget" => 85,
        _ => 90,
    };
    let mut name = format!("{rank:02}-");
    let mut was_lower = false;
    for c in kind.chars() {
        if c.is_uppercase() && was_lower {
            name.push('-');
        }
        was_lower = c.is_lowercase();
        let _ = write!(name, "{}", c.to_ascii_lowercase());
    }
    name + ".yaml"
}

#[cfg(test)]
mod tests;
