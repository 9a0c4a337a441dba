//! What makes a folder of plain objects a base for kustomize.
//!
//! `images` names every image as it is: another tag or digest is a change of one line, here or in an overlay.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{File, head, yaml};
use crate::export::{Export, format::images};

/// The `kustomization.yaml` beside these files.
pub(super) fn kustomization(export: &Export, files: &[File]) -> File {
    let resources: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    let mut value = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    });
    let names: BTreeMap<String, Value> =
        images(export).iter().filter_map(|reference| image(reference)).collect();
    if !names.is_empty() {
        value["images"] = names.into_values().collect();
    }
    let text = head(&export.notes) + &yaml::document(&value, &[]);
    File { path: "kustomization.yaml".to_owned(), text, is_secret: false }
}

/// The entry that leaves an image as it is; none for one with both a tag and a digest, of which versions of kustomize keep
/// different parts.
fn image(reference: &str) -> Option<(String, Value)> {
    let is_tag = |tag: &str| !tag.contains('/');
    match reference.split_once('@') {
        Some((name, digest)) => {
            let has_tag = name.rsplit_once(':').is_some_and(|(_, tag)| is_tag(tag));
            (!has_tag).then(|| (name.to_owned(), json!({"name": name, "digest": digest})))
        }
        None => {
            let (name, tag) = reference.rsplit_once(':').filter(|(_, tag)| is_tag(tag))?;
            Some((name.to_owned(), json!({"name": name, "newTag": tag})))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_stays_what_it_is() {
        for (reference, expected) in [
            ("ghcr.io/x/y@sha256:00", Some(json!({"name": "ghcr.io/x/y", "digest": "sha256:00"}))),
            ("localhost:5000/y:1", Some(json!({"name": "localhost:5000/y", "newTag": "1"}))),
            ("localhost:5000/y", None),
            ("nginx:1@sha256:00", None),
        ] {
            assert_eq!(image(reference).map(|(_, entry)| entry), expected, "{reference}");
        }
    }
}
