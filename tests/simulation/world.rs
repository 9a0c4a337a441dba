//! An engine and a disk that outlive daemons, and a daemon to live on them.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use minipaas::controller::{
    CanaryChange, CanaryChanged, CanaryError, Change, Code, Command, Controller, Deploy, DeployError,
    DeployUpdate, Deployed, Parts, ProxyChange, ProxyError, ProxySettings, TrafficChange, TrafficError,
    UpstreamsError, last_table,
};
use minipaas::engine::fake::{FakeEngine, ProbeAnswer};
use minipaas::engine::{Container, Engine, Image};
use minipaas::external::{Health, Resolver, Surroundings, Wanted};
use minipaas::instance::Machinery;
use minipaas::logs::LogSink;
use minipaas::manifest::Source;
use minipaas::name::{AppName, BoxId, InstanceId, PathPrefix, ReleaseId};
use minipaas::oneoff::Runs;
use minipaas::people::Actor;
use minipaas::probe::{Passed, ProbeFailure, Prober, Question};
use minipaas::release::{Build, ReleaseState};
use minipaas::rollout::{Deps, Phase, Update};
use minipaas::route::Mode;
use minipaas::seal::BoxKey;
use minipaas::store::Store;
use minipaas::traffic::{self, Found, InFlight, Outcome, Refusal, Routes};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::invariants::Watcher;

/// Longer than every deadline, back-off and drain: what has not happened by then does not happen.
const SETTLE: Duration = Duration::from_secs(20 * 60);
/// To a server that runs elsewhere and back.
const ROUND_TRIP: Duration = Duration::from_millis(10);
/// Where apps come from unless a test says otherwise.
const ORIGIN: &str = "/home/ann/project";

/// What is left when a daemon is killed.
pub(super) struct World {
    engine: FakeEngine,
    /// Servers that run elsewhere.
    pub(super) network: Network,
    dir: tempfile::TempDir,
    /// How much virtual time has passed.
    elapsed: Duration,
    ids: u32,
}

/// A daemon that runs.
pub(super) struct Daemon {
    pub(super) controller: Controller,
    pub(super) routes: Routes,
    pub(super) engine: FakeEngine,
    pub(super) network: Network,
    pub(super) watcher: Watcher,
    store: Store,
    ids: Arc<std::sync::atomic::AtomicU32>,
}

/// A deploy that was asked for.
pub(super) struct StartedDeploy(mpsc::UnboundedReceiver<DeployUpdate>);

/// A deploy that is over.
pub(super) struct EndedDeploy {
    pub(super) result: Result<Deployed, DeployError>,
    pub(super) said: Vec<String>,
}

/// Requests, one after the other, until it is finished.
pub(super) struct Client {
    stop: CancellationToken,
    task: JoinHandle<u64>,
}

/// Probes containers on the engine, and everything else on the network.
struct FakeProber(FakeEngine, Network);

/// Servers that run elsewhere, and the names that they have.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<Mutex<Servers>>);

#[derive(Default)]
struct Servers {
    /// Whether a server answers.
    answers: BTreeMap<SocketAddr, bool>,
    names: BTreeMap<String, Vec<SocketAddr>>,
}

impl World {
    pub(super) fn new() -> Self {
        // The engine reads the clock of whichever runtime it is called on; it is made on one that never moves.
        let runtime = paused_runtime();
        let engine = runtime.block_on(async { FakeEngine::new(BoxId::from_bits(0)) });
        let network = Network::default();
        Self { engine, network, dir: tempfile::tempdir().unwrap(), elapsed: Duration::ZERO, ids: 0 }
    }

    /// Starts a daemon, lets it live as long as `script` takes, and kills it.
    pub(super) fn life<T>(&mut self, script: impl AsyncFnOnce(&mut Daemon) -> T) -> T {
        let runtime = paused_runtime();
        let (result, elapsed, ids) = runtime.block_on(async {
            let start = tokio::time::Instant::now();
            tokio::time::advance(self.elapsed).await;
            let mut daemon = Daemon::start(&self.engine, &self.network, self.dir.path(), self.ids).await;
            let result = script(&mut daemon).await;
            daemon.watcher.check();
            (result, start.elapsed(), daemon.ids.load(std::sync::atomic::Ordering::SeqCst))
        });
        // Every task ends here, wherever it is: nothing of the daemon gets to say goodbye.
        drop(runtime);
        self.elapsed = elapsed;
        self.ids = ids;
        result
    }
}

/// sled lets go of its file on a thread of its own, a moment after the runtime of the last life is gone.
fn open(dir: &std::path::Path) -> Store {
    let deadline = std::time::SystemTime::now() + Duration::from_secs(10);
    loop {
        match Store::open(dir) {
            Ok(store) => return store.sealed_with(BoxKey::new(&[7; 32])),
            Err(error) => assert!(
                std::time::SystemTime::now() < deadline,
                "{error}: {:?}",
                std::error::Error::source(&error)
            ),
        }
        std::thread::yield_now();
    }
}

/// The image that an app with this manifest is deployed with.
pub(super) fn image_of(app: &str, toml: &str) -> String {
    let sum = toml.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("{app}:{sum}")
}

fn image() -> Image {
    Image {
        id: "sha256:0".to_owned(),
        exposed_ports: vec![3000],
        has_healthcheck: false,
        has_command: true,
        ..Image::default()
    }
}

fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

impl Daemon {
    async fn start(engine: &FakeEngine, network: &Network, dir: &std::path::Path, first_id: u32) -> Self {
        let store = open(dir);
        let engine = engine.for_box(store.box_id().clone());
        let routes = Routes::new();
        if let Some(table) = store.route_table().unwrap() {
            routes.publish(last_table(&store.snapshot().await.unwrap(), &table, "localhost"));
        }
        let watcher = Watcher::new(&routes, &engine);
        let (changes_tx, changes) = mpsc::unbounded_channel();
        let (requests_tx, requests) = mpsc::unbounded_channel();
        let machinery = Machinery {
            engine: Arc::new(engine.clone()),
            prober: Arc::new(FakeProber(engine.clone(), network.clone())),
            changes: changes_tx,
            logs: LogSink::nowhere(),
            http_port: 80,
        };
        let ids = Arc::new(std::sync::atomic::AtomicU32::new(first_id));
        let next = Arc::clone(&ids);
        let new_id: Arc<dyn Fn() -> InstanceId + Send + Sync> =
            Arc::new(move || InstanceId::from_bits(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)));
        let deps = Deps {
            machinery,
            store: store.clone(),
            runs: Runs::new(Arc::new(engine.clone()), Arc::clone(&new_id), 80),
            routes: routes.clone(),
            ids: new_id,
            requests: requests_tx,
            reporter: minipaas::events::Reporter::default(),
        };
        let own = Arc::new(["0.0.0.0:80", "0.0.0.0:443"].map(|addr| addr.parse().unwrap()));
        let surroundings = Surroundings { resolver: Arc::new(network.clone()), own };
        let parts = Parts { deps, requests, changes, domain: "localhost".to_owned(), surroundings };
        let controller = Controller::start(parts, CancellationToken::new()).await.unwrap();
        Self { controller, routes, engine, network: network.clone(), watcher, store, ids }
    }

    /// Waits until the daemon has taken up what runs.
    pub(super) async fn recovered(&self) {
        let mut view = self.controller.watch();
        view.wait_for(|view| view.engine.is_recovered).await.unwrap();
    }

    pub(super) async fn deploy(&mut self, app: &str, toml: &str) -> Result<Deployed, DeployError> {
        self.deploy_from(ORIGIN, app, toml).await
    }

    pub(super) async fn deploy_from(
        &mut self,
        origin: &str,
        app: &str,
        toml: &str,
    ) -> Result<Deployed, DeployError> {
        let started = self.start_deploy_from(origin, app, toml).await;
        let ended = started.ended().await;
        self.watcher.check();
        ended.result
    }

    pub(super) async fn start_deploy(&mut self, app: &str, toml: &str) -> StartedDeploy {
        self.start_deploy_from(ORIGIN, app, toml).await
    }

    async fn start_deploy_from(&mut self, origin: &str, app: &str, toml: &str) -> StartedDeploy {
        let code = Code {
            source: Source { toml: Some(toml.to_owned()), ..Source::default() },
            build: Build {
                image: self.engine.add_image(&image_of(app, toml), image()),
                reference: image_of(app, toml),
                content: None,
                exposed_ports: vec![3000],
                has_healthcheck: false,
                has_command: true,
            },
            origin: origin.to_owned(),
            take_over: false,
            revision: None,
        };
        self.start_change(app, Change::Code(Box::new(code))).await
    }

    pub(super) async fn start_change(&mut self, app: &str, change: Change) -> StartedDeploy {
        let mut view = self.controller.watch();
        // With the engine away nothing is recovered, and a deploy is to be refused, not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(5), view.wait_for(|view| view.engine.is_recovered))
            .await;
        let (updates, said) = mpsc::unbounded_channel();
        let deploy = Deploy { app: app.parse().unwrap(), change, by: Actor::named("ann"), updates };
        self.controller.send(Command::Deploy(deploy)).await.unwrap();
        StartedDeploy(said)
    }

    pub(super) async fn start_down(
        &self,
        app: &str,
    ) -> oneshot::Receiver<Result<minipaas::controller::Downed, minipaas::controller::DownError>> {
        self.recovered().await;
        let (reply, done) = oneshot::channel();
        self.controller
            .send(Command::Down { app: app.parse().unwrap(), volumes: true, reply })
            .await
            .unwrap();
        done
    }

    pub(super) async fn cancel(&self, app: &str, release: u64) {
        let release = ReleaseId::from_number(release).unwrap();
        self.controller.send(Command::Cancel { app: app.parse().unwrap(), release }).await.unwrap();
    }

    pub(super) async fn traffic(&self, app: &str, change: TrafficChange) -> Result<Mode, TrafficError> {
        let (reply, done) = oneshot::channel();
        self.controller.send(Command::Traffic { app: app.parse().unwrap(), change, reply }).await.unwrap();
        done.await.unwrap()
    }

    /// Makes an app that is only a route, or has it lead somewhere else.
    pub(super) async fn lead(&self, app: &str, upstreams: &[&str]) -> Result<(), UpstreamsError> {
        let wanted = Wanted {
            upstreams: upstreams.iter().map(|text| text.parse().unwrap()).collect(),
            hosts: Vec::new(),
            path: PathPrefix::root(),
            health: Health::Tcp,
            source: Source::default(),
        };
        let (reply, done) = oneshot::channel();
        self.controller.send(Command::Upstreams { app: app.parse().unwrap(), wanted, reply }).await.unwrap();
        done.await.unwrap()
    }

    pub(super) async fn proxy(
        &self,
        app: &str,
        change: Option<ProxyChange>,
    ) -> Result<ProxySettings, ProxyError> {
        let (reply, done) = oneshot::channel();
        self.controller.send(Command::Proxy { app: app.parse().unwrap(), change, reply }).await.unwrap();
        done.await.unwrap()
    }

    pub(super) async fn canary(&self, app: &str, change: CanaryChange) -> Result<CanaryChanged, CanaryError> {
        let (reply, done) = oneshot::channel();
        self.controller.send(Command::Canary { app: app.parse().unwrap(), change, reply }).await.unwrap();
        done.await.unwrap()
    }

    /// Has every instance behind the host answer so often well and so often with a failure, as the proxy would note it.
    pub(super) fn answer(&self, host: &str, well: u32, failing: u32) {
        for instance in self.upstreams(host) {
            let upstream = self.routes.upstream(&instance).unwrap();
            (0..well).for_each(|_| upstream.report(Outcome::Ok));
            (0..failing).for_each(|_| upstream.report(Outcome::ServerError));
        }
    }

    /// Lets everything happen that is going to.
    pub(super) async fn settle(&mut self) {
        tokio::time::sleep(SETTLE).await;
        self.watcher.check();
    }

    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + SETTLE;
        while !is_so(self) {
            assert!(tokio::time::Instant::now() < deadline, "it never came to be that {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.watcher.check();
        }
    }

    /// From now on whoever stores this phase goes no further; what was stored is all that the next life finds.
    pub(super) fn halt_at(&self, phase: Phase) {
        self.store.halt_at(phase.as_str());
    }

    /// Waits until a rollout is on disk in this phase.
    pub(super) async fn until_phase(&self, phase: Phase) {
        let deadline = tokio::time::Instant::now() + SETTLE;
        loop {
            let found = self.store.snapshot().await.unwrap().rollouts;
            if found.iter().any(|rollout| rollout.phase == phase) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "no rollout was ever {phase:?}: {found:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn kill(&mut self, app: &str, slot: &str) {
        let view = self.controller.view();
        let app = view.apps.iter().find(|known| known.name.as_str() == app).unwrap();
        let instance = app.instances.iter().find(|known| known.slot.to_string() == slot).unwrap();
        let id = instance.id.clone().expect("the engine was asked");
        self.engine.kill(&id, 1);
        self.until("the dead instance is out of rotation", |daemon| {
            let live = daemon.routes.load();
            !live
                .table()
                .routes()
                .iter()
                .flat_map(|route| &route.upstreams)
                .any(|upstream| upstream.instance == id)
        })
        .await;
    }

    /// The instances behind a host.
    pub(super) fn upstreams(&self, host: &str) -> Vec<InstanceId> {
        let live = self.routes.load();
        let route =
            live.table().find(host, "/").map(|(_, route)| route.upstreams.clone()).unwrap_or_default();
        route.into_iter().map(|upstream| upstream.instance).collect()
    }

    pub(super) fn serving_release(&self, app: &str) -> String {
        let view = self.controller.view();
        let app = view.apps.iter().find(|known| known.name.as_str() == app).unwrap();
        app.release.map(|release| release.to_string()).unwrap_or_default()
    }

    pub(super) async fn releases(&self, app: &str) -> Vec<String> {
        let snapshot = self.store.snapshot().await.unwrap();
        let ours = snapshot.releases.iter().filter(|release| release.app.as_str() == app);
        ours.map(|release| format!("{} {}", release.id, release.state)).collect()
    }

    /// Why a release failed.
    pub(super) async fn failure(&self, app: &str, release: u64) -> String {
        let snapshot = self.store.snapshot().await.unwrap();
        let mut found = snapshot.releases.into_iter();
        let found = found.find(|one| one.app.as_str() == app && one.id.number() == release).unwrap();
        let ReleaseState::Failed { reason } = found.state else { panic!("{found:?}") };
        reason
    }

    pub(super) async fn containers(&self) -> Vec<Container> {
        self.engine.containers().await.unwrap()
    }

    /// Whether requests to a host wait for an instance now.
    pub(super) fn is_held(&self, host: &str) -> bool {
        self.routes.load().table().find(host, "/").is_some_and(|(_, route)| route.is_held)
    }

    pub(super) fn was_held(&self, app: &str) -> bool {
        self.watcher.was_held(&app.parse().unwrap())
    }

    /// A request that is in flight until it is dropped, or the daemon dies.
    pub(super) fn hold_request(&self, host: &str) -> InFlight {
        pick(self.routes.load().find(host, "/").unwrap()).expect("an instance is ready")
    }

    pub(super) fn client(&self, host: &str) -> Client {
        let (routes, engine, host) = (self.routes.clone(), self.engine.clone(), host.to_owned());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut requests = 0;
            while !stopped.is_cancelled() {
                let request = claim(&routes, &host).await;
                tokio::time::sleep(Duration::from_millis(40)).await;
                super::invariants::not_stopped_under(&request, &engine);
                requests += 1;
            }
            requests
        });
        Client { stop, task }
    }

    /// One container for each slot of each of these apps, no other, and all of them in the table.
    pub(super) async fn check_settled(&mut self, apps: &[&str]) {
        let view = self.controller.view();
        let mut expected = BTreeMap::new();
        for app in &view.apps {
            for instance in &app.instances {
                let Some(id) = instance.id.clone() else { continue };
                expected.insert(id, (app.name.clone(), instance.state));
            }
        }
        let running: Vec<_> = self.containers().await;
        for container in &running {
            assert!(
                expected.contains_key(&container.labels.instance),
                "orphan {:?} in {:?}",
                container,
                self.engine.log()
            );
        }
        for name in apps {
            let name: AppName = name.parse().unwrap();
            let app = view.apps.iter().find(|app| app.name == name).unwrap();
            assert!(!app.instances.is_empty());
            for instance in &app.instances {
                assert_eq!(instance.state, "ready", "{name}: {instance:?}");
                assert_eq!(Some(instance.release), app.release);
            }
            assert_eq!(self.upstreams(&format!("{name}.localhost")).len(), app.instances.len());
            assert!(app.deploy.is_none());
            assert!(!self.is_held(&format!("{name}.localhost")), "{name}: requests wait for nothing");
        }
        assert!(self.store.snapshot().await.unwrap().rollouts.is_empty(), "a rollout never ended");
    }
}

fn pick(found: Found<'_>) -> Result<InFlight, Refusal> {
    let headers = http::HeaderMap::new();
    found.pick(&traffic::Client { ip: Ipv4Addr::LOCALHOST.into(), headers: &headers }, None)
}

/// As the proxy does: pick, and look at the table again when it has moved on.
async fn claim(routes: &Routes, host: &str) -> InFlight {
    let mut changed = routes.subscribe();
    loop {
        let live = changed.borrow_and_update().clone();
        let found = live.find(host, "/").expect("the app has a route");
        if let Ok(request) = pick(found) {
            return request;
        }
        assert!(
            found.route.is_held || routes.load().table() != live.table(),
            "no instance for a request to {host}"
        );
        if routes.load().table() == live.table() {
            changed.changed().await.unwrap();
        }
    }
}

impl Network {
    /// From now on this server answers, or does not.
    pub(super) fn answers(&self, addr: &str, does: bool) {
        self.0.lock().unwrap().answers.insert(addr.parse().unwrap(), does);
    }

    /// From now on the name has these addresses; without any it is not found.
    pub(super) fn name(&self, name: &str, addrs: &[&str]) {
        let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        self.0.lock().unwrap().names.insert(name.to_owned(), addrs);
    }
}

#[async_trait]
impl Resolver for Network {
    async fn resolve(&self, name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let addrs = self.0.lock().unwrap().names.get(name).cloned().unwrap_or_default();
        if addrs.is_empty() { Err(io::Error::other("no such name")) } else { Ok(addrs) }
    }
}

impl StartedDeploy {
    pub(super) async fn ended(mut self) -> EndedDeploy {
        let mut said = Vec::new();
        while let Some(update) = self.0.recv().await {
            match update {
                DeployUpdate::Ended(result) => return EndedDeploy { result, said },
                DeployUpdate::Rollout(Update::Notice(notice)) => said.push(notice),
                DeployUpdate::Rollout(Update::Log(line)) => said.push(format!("log {line}")),
                DeployUpdate::Rollout(Update::Step { step, detail }) => said.push(format!("{step} {detail}")),
                DeployUpdate::Accepted(release) => said.push(format!("accepted {release}")),
            }
        }
        panic!("the deploy never ended: {said:?}");
    }
}

impl Client {
    pub(super) async fn finish(self) {
        self.stop.cancel();
        assert!(self.task.await.unwrap() > 0);
    }
}

#[async_trait]
impl Prober for FakeProber {
    async fn probe(&self, question: Question<'_>) -> Result<Passed, ProbeFailure> {
        let addr = question.addr.ok_or(ProbeFailure::NoAddress)?;
        if question.container.is_empty() {
            tokio::time::sleep(ROUND_TRIP).await;
            let answers = self.1.0.lock().unwrap().answers.get(&addr).copied();
            return if answers == Some(true) {
                Ok(Passed::default())
            } else {
                Err(ProbeFailure::Refused { port: addr.port() })
            };
        }
        match self.0.answers(addr) {
            Some(ProbeAnswer::Ready) => Ok(Passed::default()),
            Some(ProbeAnswer::NotReady) => {
                Err(ProbeFailure::Status { question: "GET /".to_owned(), status: 503 })
            }
            Some(ProbeAnswer::Refused) | None => Err(ProbeFailure::Refused { port: addr.port() }),
        }
    }
}
