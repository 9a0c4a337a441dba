//! `[volume.NAME]`: claims, and how pods mount them.
//!
//! On the box every instance of every process type shares an app's volumes, and jobs have none. One pod alone can have a volume
//! of one node (`ReadWriteOnce`); several need storage that nodes share (`ReadWriteMany`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Draft;
use super::autoscale::Scale;
use crate::export::names::NAME_LENGTH_MAX;
use crate::export::object::{NoteKind, Object, Sheet};
use crate::manifest::Manifest;

/// What is asked for: a volume of the box has no size of its own.
const SIZE_DEFAULT: &str = "1Gi";

/// Adds the claims.
pub(super) fn add(draft: &Draft<'_>, sheet: &mut Sheet<'_>) {
    let is_shared = is_shared(&draft.subject.manifest);
    let mode = if is_shared { "ReadWriteMany" } else { "ReadWriteOnce" };
    for name in draft.subject.manifest.volumes.keys() {
        let claim = PersistentVolumeClaim {
            metadata: draft.metadata(claim_name(draft, name), Some(name)),
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec![mode.to_owned()]),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([(
                        "storage".to_owned(),
                        Quantity(SIZE_DEFAULT.to_owned()),
                    )])),
                    limits: None,
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        };
        let mut object = Object::new(&draft.subject.app, &claim)
            .comment("/spec/resources/requests/storage", "a guess: a volume of the box has no size");
        if is_shared {
            object = object.comment("/spec/accessModes", "several pods use it, as instances did on the box");
        }
        sheet.add(object);
        let what = format!("[volume.{name}]");
        sheet.note(
            NoteKind::Todo,
            &what,
            format!(
                "asks for {SIZE_DEFAULT}, which is a guess, and begins empty: set `resources.requests.storage`, and copy what is \
                 on the box before the app starts"
            ),
        );
        if is_shared {
            sheet.note(
                NoteKind::Todo,
                what,
                "several pods share it, which needs `ReadWriteMany` storage: set a `storageClassName` that has it, or keep to one \
                 process type with one instance",
            );
        }
    }
}

/// The volumes of a process type's pods.
pub(super) fn mounts(draft: &Draft<'_>) -> Vec<(Volume, VolumeMount)> {
    let mounted = draft.subject.manifest.volumes.iter().map(|(name, volume)| {
        let source =
            PersistentVolumeClaimVolumeSource { claim_name: claim_name(draft, name), read_only: None };
        // Apart from the volume of the secret files.
        let name = format!("volume-{name}");
        let name = if name.len() > NAME_LENGTH_MAX { claim_name(draft, &name) } else { name };
        let mount =
            VolumeMount { name: name.clone(), mount_path: volume.path.clone(), ..VolumeMount::default() };
        (Volume { name, persistent_volume_claim: Some(source), ..Volume::default() }, mount)
    });
    mounted.collect()
}

fn claim_name(draft: &Draft<'_>, volume: &str) -> String {
    draft.names.part(volume, NAME_LENGTH_MAX)
}

/// Whether more than one pod has an app's volumes at a time.
fn is_shared(manifest: &Manifest) -> bool {
    manifest.processes.values().map(|process| Scale::of(process).most()).sum::<u32>() > 1
}
