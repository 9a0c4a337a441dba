//! What must hold between the objects of an export: none replaces another, and no selector finds another's pods.

use std::collections::BTreeMap;

use super::error::ExportError;
use super::object::Object;
use super::subject::Subject;

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
