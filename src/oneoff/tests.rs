//! Runs on the scripted engine: what is known of them, and how they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{LiveRun, RUNS_OF_APP_MAX, Run, RunError, Runs};
use crate::engine::fake::{Behaviour, FakeEngine};
use crate::engine::{Engine, Image, OneOffKind};
use crate::name::{AppName, BoxId, InstanceId, ReleaseId};
use crate::plan::OneOffSpec;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn app() -> AppName {
    "shop".parse().unwrap()
}

/// An engine on which detached and attached runs go on until they are ended, and the runs on it.
fn world() -> (FakeEngine, Runs, OneOffSpec) {
    let engine = FakeEngine::new(BoxId::from_bits(1));
    for kind in ["shop/attached", "shop/detached"] {
        engine.behave(kind, Behaviour::default());
    }
    let ids = Arc::new(AtomicU32::new(7));
    let runs = Runs::new(
        Arc::new(engine.clone()),
        Arc::new(move || InstanceId::from_bits(ids.fetch_add(9000, Ordering::SeqCst))),
        80,
    );
    let image = Image {
        id: String::new(),
        exposed_ports: Vec::new(),
        has_healthcheck: false,
        has_command: true,
        ..Image::default()
    };
    let spec = OneOffSpec {
        release: ReleaseId::FIRST,
        image: engine.add_image("shop:1", image),
        argv: Some(vec!["migrate".to_owned(), "s3cret".to_owned()]),
        env: [("A".to_owned(), "1".to_owned())].into(),
        secrets: Default::default(),
        links: Default::default(),
        memory: None,
        cpu: None,
        stop_grace: Duration::from_secs(1),
    };
    (engine, runs, spec)
}

async fn attached(runs: &Runs, spec: &OneOffSpec) -> Result<Run, RunError> {
    runs.attached(&app(), spec, false, true).await.map(|(run, _)| run)
}

#[tokio::test(start_paused = true)]
async fn a_run_is_known_while_it_goes_on_and_goes_when_it_is_dropped() {
    let (engine, runs, spec) = world();
    let run = attached(&runs, &spec).await.unwrap();
    let [live]: [LiveRun; 1] = runs.of_app(&app()).try_into().unwrap();
    assert_eq!(live.labels.slot.to_string(), "run.1007");
    assert_eq!((live.kind, live.program.as_deref()), (OneOffKind::Attached, Some("migrate")));
    assert!(runs.knows(&live.labels.instance) && live.container.is_some());
    let made = &engine.containers_ever()[0];
    assert_eq!(made.spec.env["MINIPAAS_INSTANCE"], "run.1007");
    assert!(!made.container.is_instance() && made.spec.volumes.is_empty());
    drop(run);
    runs.watch().wait_for(std::collections::BTreeMap::is_empty).await.unwrap();
    assert!(engine.containers().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn numbers_are_not_given_twice_and_not_without_end() {
    let (_engine, runs, spec) = world();
    let mut all = Vec::new();
    for _ in 0..RUNS_OF_APP_MAX {
        all.push(attached(&runs, &spec).await.unwrap());
    }
    let mut slots: Vec<_> = all.iter().map(|run| run.labels().slot.clone()).collect();
    slots.dedup();
    assert_eq!(slots.len(), RUNS_OF_APP_MAX);
    let error = attached(&runs, &spec).await.err().unwrap();
    assert_eq!(error.to_string(), "app `shop` has 20 runs that go on, which is the most there may be");
    // A release does not wait for them.
    assert_eq!(runs.of_release(&app(), &spec).await.unwrap().labels().slot.to_string(), "release.1");
    all.clear();
    runs.watch().wait_for(std::collections::BTreeMap::is_empty).await.unwrap();
    assert!(attached(&runs, &spec).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_leaves_nothing() {
    let (engine, runs, spec) = world();
    engine.fail_next(crate::engine::fake::Operation::Start, crate::engine::fake::Fault::DiskFull);
    assert!(attached(&runs, &spec).await.is_err());
    assert!(runs.of_app(&app()).is_empty() && engine.containers().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_detached_run_goes_at_its_end_and_is_taken_up_by_the_next_daemon() {
    let (engine, runs, spec) = world();
    let labels = runs.detached(&app(), &spec, HOUR).await.unwrap();
    let [container] = <[_; 1]>::try_from(engine.containers().await.unwrap()).unwrap();
    assert!(runs.adopt(container.clone()).is_some(), "it is known");

    let next = Runs::new(Arc::new(engine.clone()), Arc::new(|| InstanceId::from_bits(1)), 80);
    assert!(next.adopt(container).is_none());
    assert!(next.knows(&labels.instance));
    assert!(engine.kill(&labels.instance, 3));
    next.watch().wait_for(std::collections::BTreeMap::is_empty).await.unwrap();
    assert!(engine.containers().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_daemons_end_is_the_end_of_attached_runs_alone() {
    let (_engine, runs, spec) = world();
    runs.detached(&app(), &spec, HOUR).await.unwrap();
    let run = attached(&runs, &spec).await.unwrap();
    let closing = runs.closing();
    let attending = tokio::spawn(async move {
        closing.cancelled().await;
        run.end().await;
    });
    runs.finish().await;
    attending.await.unwrap();
    assert_eq!(runs.of_app(&app()).len(), 1);
    assert!(matches!(attached(&runs, &spec).await, Err(RunError::Closing)));
}
