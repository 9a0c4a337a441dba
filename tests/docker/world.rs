//! An engine to try a rule on, and programs to run there.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use minipaas::engine::docker::{DockerEngine, find_endpoints};
use minipaas::engine::fake::{Behaviour, FakeEngine};
use minipaas::engine::{BuildSpec, Container, ContainerSpec, ContextStream, Engine, Labels, label};
use minipaas::name::{AppName, BoxId, InstanceId, ReleaseId};

/// How long a real engine may take to do what it was asked for.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Of which the test image is made.
const BUSYBOX: &str = "/bin/busybox";

/// What a container does in a test.
pub(super) enum Program {
    /// Serves an empty directory over HTTP on port 3000 until it is stopped.
    Serve,
    /// Writes these lines and waits to be stopped.
    Say(&'static [&'static str]),
    /// Writes this line and ends with this code.
    Exit(&'static str, i64),
    /// Waits to be killed.
    IgnoreTerm,
}

/// Where a rule is tried.
#[async_trait]
pub(super) trait World: Sync {
    /// The engine, as our box sees it.
    fn engine(&self) -> &dyn Engine;

    /// The engine, as another box sees it.
    fn other_box(&self) -> &dyn Engine;

    /// The box.
    fn owner(&self) -> &BoxId;

    /// The id of an image of the app `app` that [`Program`]s run on; made when it is not there.
    async fn image(&self, app: &str) -> String;

    /// Makes containers of this specification run a program.
    fn run(&self, spec: &mut ContainerSpec, program: Program);

    /// A container of the app `shop` that runs a program.
    async fn spec(&self, slot: &str, program: Program) -> ContainerSpec {
        let mut spec = ContainerSpec {
            labels: labels("shop", slot),
            image: self.image("shop").await,
            argv: None,
            env: BTreeMap::new(),
            port: None,
            more_ports: Vec::new(),
            memory: None,
            cpu: None,
            volumes: BTreeMap::new(),
            stop_grace: Duration::from_secs(1),
            one_off: None,
        };
        self.run(&mut spec, program);
        spec
    }

    /// The same, made and started.
    async fn started(&self, program: Program) -> Container {
        let spec = self.spec("web.1", program).await;
        let id = self.engine().create(&spec).await.unwrap();
        self.engine().start(&id).await.unwrap();
        self.engine().container(&id).await.unwrap().unwrap()
    }

    /// What to build to get the test image.
    fn build_spec(&self, app: &str, tag: &str) -> BuildSpec {
        BuildSpec {
            tag: format!("minipaas-test/{}-{app}:{tag}", self.owner()),
            dockerfile: "Dockerfile".to_owned(),
            args: BTreeMap::new(),
            target: None,
            labels: [(label::BOX, self.owner().to_string()), (label::APP, app.to_owned())]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
        }
    }
}

/// The scripted engine.
pub(super) struct FakeWorld {
    owner: BoxId,
    engine: FakeEngine,
    other: FakeEngine,
}

/// The engine that this machine has. Dropping it removes everything that carries the box's label.
pub(super) struct DockerWorld {
    pub(super) engine: DockerEngine,
    other: DockerEngine,
}

#[async_trait]
impl World for FakeWorld {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn other_box(&self) -> &dyn Engine {
        &self.other
    }

    fn owner(&self) -> &BoxId {
        &self.owner
    }

    async fn image(&self, app: &str) -> String {
        self.engine.build(&self.build_spec(app, "1"), tar(&[]), &|_| {}).await.unwrap()
    }

    fn run(&self, spec: &mut ContainerSpec, program: Program) {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let behaviour = match program {
            Program::Serve => Behaviour::default(),
            Program::Say(lines) => Behaviour { says: owned(lines), ..Default::default() },
            Program::Exit(line, code) => Behaviour {
                says: owned(&[line]),
                exits_after: Some((Duration::from_millis(10), code)),
                ..Default::default()
            },
            Program::IgnoreTerm => Behaviour { ignores_term: true, ..Default::default() },
        };
        self.engine.behave(spec.labels.app.as_str(), behaviour);
    }
}

impl FakeWorld {
    pub(super) fn new() -> Self {
        let engine = FakeEngine::new(BoxId::from_bits(1));
        Self { owner: BoxId::from_bits(1), other: engine.for_box(BoxId::from_bits(2)), engine }
    }
}

#[async_trait]
impl World for DockerWorld {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn other_box(&self) -> &dyn Engine {
        &self.other
    }

    fn owner(&self) -> &BoxId {
        self.engine.owner()
    }

    async fn image(&self, app: &str) -> String {
        self.engine.build(&self.build_spec(app, "1"), busybox_context(), &|_| {}).await.unwrap()
    }

    fn run(&self, spec: &mut ContainerSpec, program: Program) {
        spec.argv = Some(match program {
            Program::Serve => words(&["httpd", "-f", "-p", "3000", "-h", "/www"]),
            Program::Say(lines) => shell(&format!("printf '%s\\n' {}; exec sleep 1000", lines.join(" "))),
            Program::Exit(line, code) => shell(&format!("echo {line}; exit {code}")),
            Program::IgnoreTerm => shell("trap '' TERM; echo ready; while :; do sleep 1000; done"),
        });
    }
}

impl DockerWorld {
    pub(super) async fn new() -> Self {
        assert!(Path::new(BUSYBOX).exists(), "there is no {BUSYBOX}; run `tests/prepare`");
        Self { engine: connect(random_box()).await, other: connect(random_box()).await }
    }
}

impl Drop for DockerWorld {
    fn drop(&mut self) {
        let owners = [self.engine.owner().clone(), self.other.owner().clone()];
        // A thread, because this may be dropped by a panic inside of a runtime.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(remove_everything(&owners));
        });
        let is_clean = cleaning.join().is_ok();
        assert!(is_clean || std::thread::panicking(), "could not remove what the test made");
    }
}

/// Connects to the engine of this machine.
pub(super) async fn connect(owner: BoxId) -> DockerEngine {
    let home = std::env::var("HOME").unwrap_or_default();
    let endpoints = find_endpoints(&|key| std::env::var(key).ok(), Path::new(&home));
    match DockerEngine::connect_first(&owner, &endpoints).await {
        Ok(engine) => engine,
        Err(error) => panic!("{error}; run `tests/prepare`"),
    }
}

/// Names for a container that no other has.
pub(super) fn labels(app: &str, slot: &str) -> Labels {
    static INSTANCES: AtomicU32 = AtomicU32::new(0);
    let number = INSTANCES.fetch_add(1, Ordering::Relaxed);
    Labels {
        app: app.parse().unwrap(),
        release: ReleaseId::FIRST,
        slot: slot.parse().unwrap(),
        instance: InstanceId::from_bits(random_bits() ^ number),
    }
}

pub(super) fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn shell(script: &str) -> Vec<String> {
    words(&["sh", "-c", script])
}

/// A build context of these files, by path.
pub(super) fn tar(files: &[(&str, &[u8])]) -> ContextStream {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    let pieces: Vec<io::Result<Bytes>> = archive
        .into_inner()
        .unwrap()
        .chunks(64 * 1024)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces).boxed()
}

/// The context of an image with all of busybox, and `last` as the end of its Dockerfile.
pub(super) fn busybox_context_with(last: &str) -> ContextStream {
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"/bin\"]\n\
         RUN mkdir -p /www /tmp && echo hello > /www/index.html\n{last}\n"
    );
    let busybox = std::fs::read(BUSYBOX).unwrap();
    tar(&[("Dockerfile", dockerfile.as_bytes()), ("busybox", &busybox)])
}

pub(super) fn busybox_context() -> ContextStream {
    busybox_context_with("EXPOSE 3000/tcp 53/udp\nCMD [\"sleep\", \"1000\"]")
}

/// Waits until a container is as it should be, by looking again at every event.
pub(super) async fn until(
    engine: &dyn Engine,
    container: &str,
    is_so: impl Fn(&Container) -> bool + Send,
) -> Container {
    let wait = async {
        let mut events = engine.events().await.unwrap();
        loop {
            let now = engine.container(container).await.unwrap().expect("the container is there");
            if is_so(&now) {
                return now;
            }
            events.next().await.expect("the engine does not go away");
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the container got there in time")
}

/// Tries again until it works: for what no engine tells of.
pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(mut attempt: impl FnMut() -> F) -> T {
    let tries = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(value) = attempt().await {
                return value;
            }
        }
    };
    tokio::time::timeout(DEADLINE, tries).await.expect("it happened in time")
}

fn random_bits() -> u32 {
    u32::try_from(RandomState::new().hash_one(std::process::id()) >> 32).unwrap()
}

fn random_box() -> BoxId {
    BoxId::from_bits(random_bits())
}

async fn remove_everything(owners: &[BoxId]) {
    let docker = Docker::connect_with_defaults().unwrap();
    let filters =
        |owner: &BoxId| HashMap::from([("label".to_owned(), vec![format!("{}={owner}", label::BOX)])]);
    // All containers first: one box's may be of the other's image.
    for owner in owners {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters(owner)).build();
        for container in docker.list_containers(Some(options)).await.unwrap() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            docker.remove_container(&container.id.unwrap(), Some(options)).await.unwrap();
        }
    }
    for owner in owners {
        let options = ListVolumesOptionsBuilder::default().filters(&filters(owner)).build();
        for volume in docker.list_volumes(Some(options)).await.unwrap().volumes.unwrap_or_default() {
            docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await.unwrap();
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters(owner)).build();
        for network in docker.list_networks(Some(options)).await.unwrap() {
            docker.remove_network(&network.id.unwrap()).await.unwrap();
        }
        let options = ListImagesOptionsBuilder::default().filters(&filters(owner)).build();
        for image in docker.list_images(Some(options)).await.unwrap() {
            let tags: Vec<String> =
                image.repo_tags.into_iter().filter(|tag| !tag.contains("<none>")).collect();
            for name in if tags.is_empty() { vec![image.id] } else { tags } {
                docker.remove_image(&name, None::<RemoveImageOptions>, None).await.unwrap();
            }
        }
    }
}
