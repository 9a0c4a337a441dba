//! What must hold for a cluster to take the objects, and to keep them apart: none replaces another, no selector finds another's
//! pods, and no two volumes are mounted at one place.

use std::collections::BTreeMap;

use super::error::ExportError;
use super::object::Object;
use super::subject::Subject;
use crate::environment::SECRETS_DIR;

/// No two objects of one kind have one name.
pub(super) fn names(objects: &[Object]) -> Result<(), ExportError> {
    let mut seen: BTreeMap<(&str, &str), &Object> = BTreeMap::new();
    for object in objects {
        if let Some(first) = seen.insert((object.kind(), object.name()), object) {
            return Err(ExportError::Collision {
                kind: object.kind().to_owned(),
                name: object.name().to_owned(),
                first: owner(first),
                second: owner(object),
            });
        }
    }
    Ok(())
}

/// No volume is mounted where the secret files are, or where a cluster mounts none.
pub(super) fn mounts(subject: &Subject) -> Result<(), ExportError> {
    let is_refused = |path: &str| path.contains(':') || path.trim_end_matches('/') == SECRETS_DIR;
    match subject.manifest.volumes.iter().find(|(_, volume)| is_refused(&volume.path)) {
        None => Ok(()),
        Some((name, volume)) => Err(ExportError::Mount {
            app: subject.app.clone(),
            volume: name.clone(),
            path: volume.path.clone(),
        }),
    }
}

/// No job's pods have the labels of a process type's.
pub(super) fn labels(subject: &Subject) -> Result<(), ExportError> {
    let manifest = &subject.manifest;
    match manifest.cron.iter().find(|(_, job)| manifest.processes.contains_key(&job.process)) {
        None => Ok(()),
        Some((name, job)) => Err(ExportError::Label {
            app: subject.app.clone(),
            process: job.process.to_string(),
            job: name.clone(),
        }),
    }
}

/// `app `shop`, `worker``: whose it is, and which part.
fn owner(object: &Object) -> String {
    let app = object.app.as_ref().map_or_else(|| "the export".to_owned(), |app| format!("app `{app}`"));
    match object.value["metadata"]["labels"]["app.kubernetes.io/component"].as_str() {
        Some(part) => format!("`{part}` of {app}"),
        None => app,
    }
}
