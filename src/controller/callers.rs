//! Which containers there are to call others, and what each may call, for the table that the proxy reads.
//!
//! What the engine lists is believed, whatever a container is for: an instance that is not ready yet may call, and so may the
//! container of a one-off command. A container that did something is forgotten until the next listing, a moment later: the
//! engine gives its address to the next one as soon as it ended, and nobody may call in another's name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::app::App;
use super::task::Task;
use crate::engine::Container;
use crate::manifest::Manifest;
use crate::name::{AppName, InstanceId, ReleaseId};
use crate::route::{Bridge, Caller, Callers};

/// What is known of the containers.
#[derive(Default)]
pub(super) struct Containers {
    bridge: Option<Bridge>,
    running: BTreeMap<InstanceId, (IpAddr, AppName, ReleaseId)>,
    /// What releases say; a release never changes.
    links: BTreeMap<(AppName, ReleaseId), Arc<BTreeSet<AppName>>>,
}

impl Containers {
    /// Notes the network that all of them are on.
    pub(super) fn note_bridge(&mut self, bridge: Bridge) {
        self.bridge = Some(bridge);
    }

    /// Notes all that there are.
    pub(super) fn note(&mut self, listed: &[Container]) {
        let running = listed.iter().filter(|container| container.is_running());
        self.running = running
            .filter_map(|found| {
                let labels = &found.labels;
                Some((labels.instance.clone(), (found.ip?, labels.app.clone(), labels.release)))
            })
            .collect();
        let running: BTreeSet<_> = self.running.values().map(|(_, app, release)| (app, *release)).collect();
        self.links.retain(|(app, release), _| running.contains(&(app, *release)));
    }

    /// Forgets one that may have ended.
    pub(super) fn forget(&mut self, instance: &InstanceId) {
        self.running.remove(instance);
    }

    fn callers(&mut self, apps: &BTreeMap<AppName, App>) -> Callers {
        let Self { bridge, running, links } = self;
        let known = running.values().filter_map(|(addr, name, release)| {
            let release = apps.get(name)?.releases.get(release)?;
            let links = links.entry((name.clone(), release.id)).or_insert_with(|| {
                let manifest = Manifest::parse(&release.source);
                let links = manifest.map(|(manifest, _)| manifest.links).unwrap_or_default();
                Arc::new(links.into_iter().map(|link| link.app).collect())
            });
            Some((*addr, Caller { app: name.clone(), links: Arc::clone(links) }))
        });
        Callers { bridge: *bridge, known: known.collect() }
    }
}

impl Task {
    /// The callers of the next table. Until the engine has listed anything, those that the last process knew.
    pub(super) fn callers(&mut self) -> Arc<Callers> {
        let before = self.table.callers();
        if !self.engine.is_recovered {
            return Arc::clone(before);
        }
        let now = self.containers.callers(&self.apps);
        if now == **before { Arc::clone(before) } else { Arc::new(now) }
    }
}
