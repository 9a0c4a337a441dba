//! No line lost, none doubled, whatever ends and begins again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tempfile::TempDir;

use super::*;
use crate::engine::fake::FakeEngine;
use crate::engine::{ContainerSpec, Image};
use crate::logs::{Budget, Item, Query, Source};
use crate::name::{AppName, BoxId, InstanceId, ReleaseId};

/// Longer than anything here takes, in time that is paused.
const PATIENCE: Duration = Duration::from_secs(600);

struct Fake(FakeEngine);

#[async_trait]
impl Containers for Fake {
    async fn logs(
        &self,
        container: &str,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, EngineError> {
        self.0.logs(container, query).await
    }

    async fn is_running(&self, container: &str) -> Result<Option<bool>, EngineError> {
        Ok(self.0.container(container).await?.map(|container| container.is_running()))
    }
}

struct World {
    dir: TempDir,
    engine: FakeEngine,
    container: ContainerId,
}

/// A daemon's part in it.
struct Daemon {
    logs: Logs,
    collector: Collector,
}

fn app() -> AppName {
    "shop".parse().unwrap()
}

fn instance() -> InstanceId {
    InstanceId::from_bits(1)
}

impl World {
    async fn new() -> Self {
        let engine = FakeEngine::new(BoxId::from_bits(1));
        let image = Image {
            id: String::new(),
            exposed_ports: vec![],
            has_healthcheck: false,
            has_command: true,
            ..Image::default()
        };
        let spec = ContainerSpec {
            labels: Labels {
                app: app(),
                release: ReleaseId::FIRST,
                slot: "web.1".parse().unwrap(),
                instance: instance(),
            },
            image: engine.add_image("shop:1", image),
            argv: None,
            env: Default::default(),
            files: Default::default(),
            links: Default::default(),
            one_off: None,
            port: None,
            more_ports: Vec::new(),
            memory: None,
            cpu: None,
            volumes: Default::default(),
            stop_grace: Duration::from_secs(1),
        };
        let container = engine.create(&spec).await.unwrap();
        engine.start(&container).await.unwrap();
        Self { dir: tempfile::tempdir().unwrap(), engine, container }
    }

    async fn daemon(&self) -> Daemon {
        let logs = Logs::open(self.dir.path().to_owned(), Budget::default());
        let collector = Collector::new(logs.clone(), Arc::new(Fake(self.engine.clone())));
        let daemon = Daemon { logs, collector };
        daemon.collect(self).await;
        daemon
    }

    fn say(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            assert!(self.engine.say(&instance(), number % 3 == 0, &number.to_string()));
        }
    }
}

impl Daemon {
    async fn collect(&self, world: &World) {
        if let Some(container) = world.engine.container(&world.container).await.unwrap() {
            self.collector.seen(&container);
        }
    }

    /// Waits until this is what the app has written, each stream for itself.
    async fn keeps(&self, numbers: std::ops::Range<u32>) {
        let source = Some(Source::App);
        let query = Query { follow: true, tail: Some(10_000), source, ..Query::of(app()) };
        let mut lines = self.logs.read(query);
        let expected = |is_stderr: bool| {
            numbers.clone().filter(|number| (number % 3 == 0) == is_stderr).collect::<Vec<_>>()
        };
        let mut found = Vec::new();
        let reading = async {
            while found.len() < numbers.len() {
                found.extend(lines.recv().await.expect("it goes on"));
            }
        };
        let result = tokio::time::timeout(PATIENCE, reading).await;
        let of = |wanted: bool| {
            let lines = found.iter().map(|item| match item {
                Item::Line(line) => line,
                Item::Skipped(_) => panic!("nothing is skipped"),
            });
            lines
                .filter(|line| line.is_stderr == wanted)
                .map(|line| line.text.parse().unwrap())
                .collect::<Vec<u32>>()
        };
        assert_eq!((of(false), of(true)), (expected(false), expected(true)));
        result.expect("all lines come");
    }

    /// As `kill -9` ends it: what was not written is gone.
    async fn kill(self) {
        self.collector.stop();
        // Both in one process: the one that ended must not write any more.
        self.logs.sink().finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_of_the_daemon_lose_and_double_nothing() {
    let world = World::new().await;
    world.say(0..10);
    let first = world.daemon().await;
    first.keeps(0..10).await;
    world.say(10..30);
    first.kill().await;
    world.say(30..50);
    let second = world.daemon().await;
    second.keeps(0..50).await;
    second.kill().await;
    let third = world.daemon().await;
    world.say(50..60);
    third.keeps(0..60).await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_goes_away_and_comes_back_loses_nothing() {
    let world = World::new().await;
    let daemon = world.daemon().await;
    world.say(0..10);
    daemon.keeps(0..10).await;
    world.engine.disconnect();
    world.say(10..20);
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.say(20..30);
    world.engine.reconnect();
    daemon.keeps(0..30).await;
    world.say(30..40);
    daemon.keeps(0..40).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_words_are_kept_before_a_container_is_removed() {
    let world = World::new().await;
    let daemon = world.daemon().await;
    world.say(0..2000);
    world.engine.kill(&instance(), 1);
    daemon.collector.removing(&world.container).await;
    world.engine.remove(&world.container).await.unwrap();
    daemon.keeps(0..2000).await;
    daemon.logs.sink().finish().await;
    let shelf = daemon.logs.journal.shelf(&app()).unwrap();
    assert_eq!(shelf.position(&instance()), None, "nobody asks for it again");
}

#[tokio::test(start_paused = true)]
async fn one_that_ended_while_nobody_looked_is_read_once() {
    let world = World::new().await;
    world.say(0..10);
    world.engine.kill(&instance(), 1);
    let daemon = world.daemon().await;
    daemon.keeps(0..10).await;
    for _ in 0..3 {
        daemon.collect(&world).await;
    }
    daemon.kill().await;
    let next = world.daemon().await;
    next.keeps(0..10).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_started_again_is_followed_again() {
    let world = World::new().await;
    let daemon = world.daemon().await;
    world.say(0..10);
    world.engine.kill(&instance(), 1);
    daemon.keeps(0..10).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.engine.start(&world.container).await.unwrap();
    daemon.collect(&world).await;
    world.say(10..20);
    daemon.keeps(0..20).await;
}
