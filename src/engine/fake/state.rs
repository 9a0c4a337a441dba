//! What the scripted engine keeps, and how it changes. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::super::{
    BuildSpec, Container, ContainerEvent, ContainerSpec, ContainerState, EngineError, Image, LogLine, label,
};
use super::container::{Process, StoredContainer, line};
use super::{Behaviour, Biography, Change, Fault, Operation, ProbeAnswer, unreachable};
use crate::name::{AppName, BoxId, InstanceId};

/// How many events a slow reader may be behind before it misses some: as many as Docker keeps.
const EVENTS_MAX: usize = 256;
/// The exit code of a process that SIGKILL ended.
pub(super) const KILLED: i64 = 137;
/// The first address that is given to a container: 10.0.0.1.
const FIRST_ADDRESS: u32 = 0x0A00_0001;

#[derive(Debug)]
pub(super) struct State {
    began_at: Instant,
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    pub(super) faults: Vec<(Operation, Fault)>,
    pub(super) is_hanging: bool,
    /// Containers that are being started. An engine does one thing to a container at a time: a stop waits for the start.
    pub(super) starting: BTreeSet<String>,
    /// `None` while disconnected: dropping the sender is what ends the streams.
    events: Option<broadcast::Sender<(BoxId, ContainerEvent)>>,
    /// By reference.
    images: BTreeMap<String, StoredImage>,
    /// What builds and pulls give, by reference.
    described: BTreeMap<String, Image>,
    /// In the order of their making.
    containers: Vec<StoredContainer>,
    /// Whose they are, by name.
    volumes: BTreeMap<String, (BoxId, AppName)>,
    next_address: u32,
    pub(super) log: Vec<String>,
}

#[derive(Debug)]
struct StoredImage {
    image: Image,
    labels: BTreeMap<String, String>,
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began_at: now,
            behaviours: BTreeMap::new(),
            faults: Vec::new(),
            is_hanging: false,
            starting: BTreeSet::new(),
            events: Some(broadcast::Sender::new(EVENTS_MAX)),
            images: BTreeMap::new(),
            described: BTreeMap::new(),
            containers: Vec::new(),
            volumes: BTreeMap::new(),
            next_address: FIRST_ADDRESS,
            log: Vec::new(),
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.events = None;
    }

    pub(super) fn connect(&mut self) {
        self.events.get_or_insert_with(|| broadcast::Sender::new(EVENTS_MAX));
    }

    pub(super) fn is_connected(&self) -> bool {
        self.events.is_some()
    }

    pub(super) fn subscribe(&self) -> Result<broadcast::Receiver<(BoxId, ContainerEvent)>, EngineError> {
        self.events
            .as_ref()
            .map(broadcast::Sender::subscribe)
            .ok_or_else(|| unreachable("it is disconnected"))
    }

    /// The fault that is due for this operation.
    pub(super) fn take_fault(&mut self, operation: Operation) -> Option<Fault> {
        let index = self.faults.iter().position(|(due, _)| *due == operation)?;
        Some(self.faults.remove(index).1)
    }

    pub(super) fn note(&mut self, text: &str) {
        let at = self.began_at.elapsed();
        self.log.push(format!("{}.{:03}s {text}", at.as_secs(), at.subsec_millis()));
    }

    // Images

    pub(super) fn add_image(&mut self, reference: &str, image: Image) -> String {
        let image = Image { id: image_id(reference), ..image };
        self.described.insert(reference.to_owned(), image.clone());
        self.store_image(reference, BTreeMap::new())
    }

    pub(super) fn build(&mut self, spec: &BuildSpec) -> String {
        self.note(&format!("build {}", spec.tag));
        self.store_image(&spec.tag, spec.labels.clone())
    }

    pub(super) fn pull(&mut self, reference: &str) {
        self.note(&format!("pull {reference}"));
        self.store_image(reference, BTreeMap::new());
    }

    /// The digest that a registry would give.
    pub(super) fn push(&mut self, image: &str, reference: &str) -> Result<String, EngineError> {
        let what = || format!("image `{image}`");
        let id = self.image(image).map(|image| image.id.clone());
        let id = id.ok_or_else(|| EngineError::NotFound { what: what() })?;
        self.note(&format!("push {reference}"));
        Ok(image_id(&format!("pushed {id}")))
    }

    fn store_image(&mut self, reference: &str, labels: BTreeMap<String, String>) -> String {
        let image = self.described.get(reference).cloned().unwrap_or_else(|| Image {
            id: image_id(reference),
            exposed_ports: Vec::new(),
            has_healthcheck: false,
            has_command: true,
            ..Image::default()
        });
        let id = image.id.clone();
        self.images.insert(reference.to_owned(), StoredImage { image, labels });
        id
    }

    pub(super) fn image(&self, reference: &str) -> Option<&Image> {
        self.images
            .iter()
            .find(|(tag, stored)| *tag == reference || stored.image.id == reference)
            .map(|(_, stored)| &stored.image)
    }

    pub(super) fn remove_image(&mut self, reference: &str) -> bool {
        let Some(id) = self.image(reference).map(|image| image.id.clone()) else { return false };
        if self.containers.iter().any(|container| !container.is_removed && container.spec.image == id) {
            return false;
        }
        self.note(&format!("remove-image {reference}"));
        self.images.retain(|tag, stored| tag != reference && stored.image.id != reference);
        true
    }

    pub(super) fn remove_images(&mut self, owner: &BoxId, app: &AppName) -> usize {
        let is_ours = |stored: &StoredImage| {
            stored.labels.get(label::BOX).map(String::as_str) == Some(owner.as_str())
                && stored.labels.get(label::APP).map(String::as_str) == Some(app.as_str())
        };
        let ours = self.images.iter().filter(|(_, stored)| is_ours(stored));
        let tags: Vec<String> = ours.map(|(tag, _)| tag.clone()).collect();
        tags.iter().filter(|tag| self.remove_image(tag)).count()
    }

    // Volumes

    pub(super) fn ensure_volume(&mut self, owner: &BoxId, app: &AppName, name: &str) {
        if !self.volumes.contains_key(name) {
            self.note(&format!("create-volume {name}"));
            self.volumes.insert(name.to_owned(), (owner.clone(), app.clone()));
        }
    }

    pub(super) fn remove_volumes(
        &mut self,
        owner: &BoxId,
        app: &AppName,
    ) -> Result<Vec<String>, EngineError> {
        let ours = self.volumes.iter().filter(|(_, (o, a))| o == owner && a == app);
        let names: Vec<String> = ours.map(|(name, _)| name.clone()).collect();
        for name in &names {
            let is_used = |c: &StoredContainer| !c.is_removed && c.spec.volumes.contains_key(name);
            if self.containers.iter().any(is_used) {
                let action = format!("remove volume `{name}`");
                return Err(EngineError::Refused { action, message: "volume is in use".to_owned() });
            }
            self.volumes.remove(name);
            self.note(&format!("remove-volume {name}"));
        }
        Ok(names)
    }

    // Containers

    pub(super) fn create(&mut self, owner: &BoxId, spec: &ContainerSpec) -> Result<String, EngineError> {
        let name = spec.labels.container_name();
        let action = format!("create container `{name}`");
        if let Some(there) =
            self.containers.iter().find(|c| !c.is_removed && c.spec.labels.container_name() == name)
        {
            let is_same = there.owner == *owner && there.spec.labels == spec.labels;
            let taken = || EngineError::Refused { action, message: format!("the name `{name}` is in use") };
            return is_same.then(|| there.id.clone()).ok_or_else(taken);
        }
        let Some(image) = self.image(&spec.image).map(|image| image.id.clone()) else {
            return Err(EngineError::NotFound { what: format!("image `{}`", spec.image) });
        };
        let id = format!("{:x}", Sha256::digest(format!("{owner}/{name}/{}", self.containers.len())));
        self.note(&format!("create {name}"));
        self.containers.push(StoredContainer {
            owner: owner.clone(),
            id: id.clone(),
            spec: ContainerSpec { image, ..spec.clone() },
            state: ContainerState::Created,
            is_removed: false,
            process: None,
            runs: 0,
            lines: Vec::new(),
            history: vec![(self.began_at.elapsed(), Change::Created)],
        });
        Ok(id)
    }

    /// What this container's process will do, and whether it runs already.
    pub(super) fn behaviour(&self, id: &str) -> Result<(Behaviour, bool), EngineError> {
        let spec = &self.get(id)?.spec;
        let tags = self.images.iter().filter(|(_, stored)| stored.image.id == spec.image).map(|(tag, _)| tag);
        let is_running = self.get(id)?.process.is_some();
        if let Some(one_off) = &spec.one_off {
            let key = format!("{}/{}", spec.labels.app, one_off.kind.as_str());
            let ends = Behaviour { exits_after: Some((Duration::ZERO, 0)), ..Behaviour::default() };
            return Ok((self.behaviours.get(&key).cloned().unwrap_or(ends), is_running));
        }
        let behaviour = tags
            .map(String::as_str)
            .chain([spec.image.as_str(), spec.labels.app.as_str()])
            .find_map(|key| self.behaviours.get(key))
            .cloned();
        Ok((behaviour.unwrap_or_default(), is_running))
    }

    /// Starts it; the number of this run.
    pub(super) fn start(&mut self, id: &str, behaviour: Behaviour) -> Result<u32, EngineError> {
        let (now, at) = (Instant::now(), self.began_at.elapsed());
        let ip = Ipv4Addr::from_bits(self.next_address);
        let container = self.get_mut(id)?;
        if container.process.is_some() {
            return Ok(container.runs);
        }
        container.runs += 1;
        container.state = ContainerState::Running;
        container.history.push((at, Change::Started));
        let said = behaviour.says.iter().map(|text| line(at, false, text));
        container.lines.extend(said);
        container.process = Some(Process { behaviour, started_at: now, ip, is_ailing: false });
        let (run, name) = (container.runs, container.spec.labels.container_name());
        self.next_address += 1;
        self.note(&format!("start {name}"));
        self.emit(id);
        Ok(run)
    }

    /// Sends SIGTERM; whether the process goes on.
    pub(super) fn terminate(&mut self, id: &str) -> bool {
        let at = self.began_at.elapsed();
        let Ok(container) = self.get_mut(id) else { return false };
        let Some(process) = &container.process else { return false };
        let ignores_term = process.behaviour.ignores_term;
        container.history.push((at, Change::Terminated));
        let name = container.spec.labels.container_name();
        self.note(&format!("stop {name}"));
        if !ignores_term {
            self.exit(id, None, 143, false);
        }
        ignores_term
    }

    /// Ends the process of this container, if it runs (still, or still for the `run`th time).
    pub(super) fn exit(&mut self, id: &str, run: Option<u32>, code: i64, is_out_of_memory: bool) -> bool {
        let at = self.began_at.elapsed();
        let Ok(container) = self.get_mut(id) else { return false };
        if container.process.is_none() || run.is_some_and(|run| run != container.runs) {
            return false;
        }
        container.process = None;
        container.state = ContainerState::Exited { code, is_out_of_memory };
        container.history.push((at, Change::Exited { code }));
        let name = container.spec.labels.container_name();
        self.note(&format!("exit {name} {code}"));
        self.emit(id);
        true
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.exit(id, None, KILLED, false);
        let at = self.began_at.elapsed();
        let Ok(container) = self.get_mut(id) else { return };
        container.is_removed = true;
        container.history.push((at, Change::Removed));
        let name = container.spec.labels.container_name();
        self.note(&format!("remove {name}"));
        self.emit(id);
    }

    pub(super) fn kill(&mut self, instance: &InstanceId, code: i64, is_out_of_memory: bool) -> bool {
        let found =
            self.containers.iter().find(|c| c.process.is_some() && c.spec.labels.instance == *instance);
        let Some(id) = found.map(|container| container.id.clone()) else { return false };
        self.exit(&id, None, code, is_out_of_memory)
    }

    pub(super) fn ail(&mut self, instance: &InstanceId, is_ailing: bool) -> bool {
        let at = self.began_at.elapsed();
        let is_it = |c: &&mut StoredContainer| c.process.is_some() && c.spec.labels.instance == *instance;
        let Some(container) = self.containers.iter_mut().find(is_it) else { return false };
        if is_ailing {
            container.history.push((at, Change::Ailed));
        }
        if let Some(process) = &mut container.process {
            process.is_ailing = is_ailing;
        }
        true
    }

    pub(super) fn say(&mut self, instance: &InstanceId, is_stderr: bool, text: &str) -> bool {
        let at = self.began_at.elapsed();
        let is_it = |c: &&mut StoredContainer| !c.is_removed && c.spec.labels.instance == *instance;
        let Some(container) = self.containers.iter_mut().find(is_it) else { return false };
        container.lines.push(line(at, is_stderr, text));
        true
    }

    /// Tells the readers of events to look at this container again.
    pub(super) fn emit(&self, id: &str) {
        let Some(container) = self.containers.iter().rev().find(|container| container.id == id) else {
            return;
        };
        let event = ContainerEvent { instance: container.spec.labels.instance.clone() };
        if let Some(events) = &self.events {
            // Nobody has to listen.
            let _ = events.send((container.owner.clone(), event));
        }
    }

    /// The lines of a container from the `from`th on, and whether there may be more.
    pub(super) fn lines(&self, id: &str, from: usize) -> (Vec<LogLine>, bool) {
        let Ok(container) = self.get(id) else { return (Vec::new(), false) };
        (container.lines.iter().skip(from).cloned().collect(), container.process.is_some())
    }

    pub(super) fn is_there(&self, id: &str) -> Result<(), EngineError> {
        self.get(id).map(|_| ())
    }

    /// Whether the process of this container is ready now; `None` when none runs.
    pub(super) fn is_ready(&self, id: &str) -> Option<bool> {
        self.get(id).ok()?.process.as_ref().map(Process::is_ready)
    }

    /// What this container does; `None` when it is gone.
    pub(super) fn state_of(&self, id: &str) -> Option<ContainerState> {
        self.get(id).ok().map(|container| container.state)
    }

    pub(super) fn listening_port(&self, id: &str) -> Option<u16> {
        self.get(id).ok()?.listening_port()
    }

    pub(super) fn container(&self, owner: &BoxId, id: &str) -> Option<Container> {
        self.get(id).ok().filter(|container| container.owner == *owner).map(|found| self.view(found))
    }

    pub(super) fn containers(&self, owner: &BoxId) -> Vec<Container> {
        let ours = self.containers.iter().filter(|c| !c.is_removed && c.owner == *owner);
        let mut ours: Vec<Container> = ours.map(|container| self.view(container)).collect();
        ours.sort_by(|a, b| a.labels.cmp(&b.labels));
        ours
    }

    pub(super) fn biographies(&self) -> Vec<Biography> {
        let tell = |container: &StoredContainer| Biography {
            container: self.view(container),
            spec: container.spec.clone(),
            is_removed: container.is_removed,
            history: container.history.clone(),
        };
        self.containers.iter().map(tell).collect()
    }

    pub(super) fn answers(&self, addr: SocketAddr) -> Option<ProbeAnswer> {
        let mut containers = self.containers.iter();
        containers.find(|c| c.process.as_ref().is_some_and(|p| p.ip == addr.ip()))?.answer(addr.port())
    }

    fn view(&self, container: &StoredContainer) -> Container {
        let image = self.image(&container.spec.image);
        container.view(image.is_some_and(|image| image.has_healthcheck))
    }

    fn get(&self, id: &str) -> Result<&StoredContainer, EngineError> {
        self.containers.iter().find(|c| !c.is_removed && c.id == id).ok_or_else(|| not_there(id))
    }

    fn get_mut(&mut self, id: &str) -> Result<&mut StoredContainer, EngineError> {
        self.containers.iter_mut().find(|c| !c.is_removed && c.id == id).ok_or_else(|| not_there(id))
    }
}

fn image_id(reference: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(reference))
}

fn not_there(id: &str) -> EngineError {
    EngineError::NotFound { what: format!("container `{id}`") }
}
