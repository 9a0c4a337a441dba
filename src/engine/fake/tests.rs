//! What a script can do with the engine and its containers.

use std::time::Duration;

use expect_test::expect;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::*;
use crate::engine::{Engine, Health, Labels};
use crate::name::{InstanceId, ReleaseId};

const SECOND: Duration = Duration::from_secs(1);

fn engine() -> FakeEngine {
    FakeEngine::new(BoxId::from_bits(1))
}

fn image() -> Image {
    Image {
        id: String::new(),
        exposed_ports: vec![3000],
        has_healthcheck: true,
        has_command: true,
        ..Image::default()
    }
}

fn instance(number: u32) -> InstanceId {
    InstanceId::from_bits(number)
}

async fn started(engine: &FakeEngine, number: u32) -> String {
    let spec = ContainerSpec {
        labels: Labels {
            app: "shop".parse().unwrap(),
            release: ReleaseId::FIRST,
            slot: format!("web.{number}").parse().unwrap(),
            instance: instance(number),
        },
        image: engine.add_image("shop:1", image()),
        argv: None,
        env: Default::default(),
        files: std::collections::BTreeMap::new(),
        port: Some(3000),
        more_ports: Vec::new(),
        memory: None,
        cpu: None,
        volumes: Default::default(),
        links: Default::default(),
        stop_grace: SECOND,
        one_off: None,
    };
    let id = engine.create(&spec).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

async fn now(engine: &FakeEngine, id: &str) -> Container {
    engine.container(id).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_the_story() {
    let engine = engine();
    engine.behave(
        "shop:1",
        Behaviour {
            start_delay: Duration::from_millis(250),
            exits_after: Some((2 * SECOND, 1)),
            ..Default::default()
        },
    );
    let first = started(&engine, 1).await;
    tokio::time::sleep(3 * SECOND).await;
    engine.behave("shop:1", Behaviour { ignores_term: true, ..Default::default() });
    let second = started(&engine, 2).await;
    engine.stop(&second, 10 * SECOND).await.unwrap();
    engine.remove(&first).await.unwrap();
    expect![[r#"
        0.000s create shop-v1-web-1-00000001
        0.250s start shop-v1-web-1-00000001
        2.250s exit shop-v1-web-1-00000001 1
        3.250s create shop-v1-web-2-00000002
        3.250s start shop-v1-web-2-00000002
        3.250s stop shop-v1-web-2-00000002
        13.250s exit shop-v1-web-2-00000002 137
        13.250s remove shop-v1-web-1-00000001"#]]
    .assert_eq(&engine.log().join("\n"));
    let ever = engine.containers_ever();
    assert!(ever[0].is_removed && !ever[1].is_removed);
    assert_eq!(ever[1].history.last(), Some(&(Duration::from_millis(13_250), Change::Exited { code: 137 })));
}

#[tokio::test(start_paused = true)]
async fn an_address_answers_as_the_process_behind_it_does() {
    let engine = engine();
    engine.behave("shop", Behaviour { ready_after: Some(SECOND), ..Default::default() });
    let id = started(&engine, 1).await;
    let addr = now(&engine, &id).await.addr.unwrap();
    assert_eq!(addr.to_string(), "10.0.0.1:3000");
    assert_eq!(engine.answers(addr), Some(ProbeAnswer::NotReady));
    assert_eq!(now(&engine, &id).await.health, Health::Starting);
    let mut events = engine.events().await.unwrap();
    assert_eq!(events.next().await.unwrap().instance, instance(1));
    assert_eq!(engine.answers(addr), Some(ProbeAnswer::Ready));
    assert_eq!(now(&engine, &id).await.health, Health::Healthy);
    assert_eq!(engine.listening_ports(&id).await, [3000]);
    assert!(engine.kill(&instance(1), 9) && !engine.kill(&instance(1), 9));
    assert_eq!(engine.answers(addr), None);

    engine.behave("shop", Behaviour { listens_on: Some(8080), ..Default::default() });
    let other = started(&engine, 2).await;
    let addr = now(&engine, &other).await.addr.unwrap();
    assert_eq!(engine.answers(addr), Some(ProbeAnswer::Refused));
    assert_eq!(engine.listening_ports(&other).await, [8080]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_engine_answers_once_it_is_released() {
    let engine = engine();
    engine.hang(true);
    assert!(timeout(60 * SECOND, engine.info()).await.is_err());
    let release = async {
        tokio::time::sleep(SECOND).await;
        engine.hang(false);
    };
    let before = Instant::now();
    let (info, ()) = tokio::join!(engine.info(), release);
    assert!(info.is_ok() && before.elapsed() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_engine_ends_its_streams_and_its_containers_live_on() {
    let engine = engine();
    let id = started(&engine, 1).await;
    let mut events = engine.events().await.unwrap();
    engine.disconnect();
    assert_eq!(events.next().await, None);
    assert!(matches!(engine.containers().await.unwrap_err(), EngineError::Unreachable { .. }));
    engine.reconnect();
    assert!(now(&engine, &id).await.is_running());
    let mut events = engine.events().await.unwrap();
    assert!(engine.kill_for_memory(&instance(1)));
    assert_eq!(events.next().await.unwrap().instance, instance(1));
}

#[tokio::test(start_paused = true)]
async fn faults_happen_once_and_in_order() {
    let engine = engine();
    engine.fail_next(Operation::Info, Fault::DiskFull);
    engine.fail_next(Operation::Info, Fault::Refused("no".to_owned()));
    assert!(matches!(engine.info().await.unwrap_err(), EngineError::DiskFull { .. }));
    assert_eq!(engine.info().await.unwrap_err().to_string(), "cannot say what it is: no");
    assert!(engine.info().await.is_ok());
}
