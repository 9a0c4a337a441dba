//! The contract of [`Engine`](minipaas::engine::Engine), a function a rule.

use std::io;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use minipaas::engine::{ContainerState, EngineError, LogQuery};
use tokio::time::{Instant, timeout};

use super::world::{DEADLINE, Program, World, app, labels, tar, until, words};

const FOLLOW: LogQuery = LogQuery { tail: None, since: None, follow: true };

pub(super) async fn a_container_is_created_then_runs_and_is_found_by_its_labels(world: &dyn World) {
    let engine = world.engine();
    let spec = world.spec("web.1", Program::Serve).await;
    let id = engine.create(&spec).await.unwrap();
    let created = engine.container(&id).await.unwrap().unwrap();
    assert_eq!((&created.labels, created.state), (&spec.labels, ContainerState::Created));
    engine.start(&id).await.unwrap();
    engine.start(&id).await.expect("starting what runs is no error");
    let found = engine.containers().await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].id == id && found[0].labels == spec.labels && found[0].is_running());
}

pub(super) async fn creating_the_same_instance_again_gives_the_same_container(world: &dyn World) {
    let spec = world.spec("web.1", Program::Serve).await;
    let first = world.engine().create(&spec).await.unwrap();
    assert_eq!(world.engine().create(&spec).await.unwrap(), first);
    assert_eq!(world.engine().containers().await.unwrap().len(), 1);
}

pub(super) async fn a_container_needs_an_image_that_is_there(world: &dyn World) {
    let mut spec = world.spec("web.1", Program::Serve).await;
    spec.image = format!("sha256:{}", "0".repeat(64));
    let error = world.engine().create(&spec).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains(&spec.image), "{error}");
    assert!(world.engine().image(&spec.image).await.unwrap().is_none());
}

pub(super) async fn containers_are_listed_in_the_order_of_their_labels(world: &dyn World) {
    for slot in ["worker.1", "web.2", "web.10", "web.1"] {
        let spec = world.spec(slot, Program::Serve).await;
        world.engine().create(&spec).await.unwrap();
    }
    let found = world.engine().containers().await.unwrap();
    let slots: Vec<String> = found.iter().map(|container| container.labels.slot.to_string()).collect();
    assert_eq!(slots, ["web.1", "web.2", "web.10", "worker.1"]);
}

pub(super) async fn another_box_sees_nothing(world: &dyn World) {
    let mut events = world.other_box().events().await.unwrap();
    let container = world.started(Program::Serve).await;
    assert!(world.other_box().containers().await.unwrap().is_empty());
    assert!(world.other_box().container(&container.id).await.unwrap().is_none());
    assert_eq!(world.other_box().remove_images(&app("shop")).await.unwrap(), 0);
    let volume = world.engine().ensure_volume(&app("shop"), "data").await.unwrap();
    assert!(world.other_box().remove_volumes(&app("shop")).await.unwrap().is_empty());
    assert_eq!(world.engine().remove_volumes(&app("shop")).await.unwrap(), [volume]);
    // Its own event comes first, so there was none of ours before it.
    let mut own = world.spec("web.1", Program::Serve).await;
    own.labels = labels("other", "web.1");
    let id = world.other_box().create(&own).await.unwrap();
    world.other_box().start(&id).await.unwrap();
    let first = timeout(DEADLINE, events.next()).await.unwrap().unwrap();
    assert_eq!(first.instance, own.labels.instance);
}

pub(super) async fn an_address_is_there_while_the_container_runs(world: &dyn World) {
    let mut spec = world.spec("web.1", Program::Serve).await;
    spec.port = Some(3000);
    let id = world.engine().create(&spec).await.unwrap();
    let addr = async || world.engine().container(&id).await.unwrap().unwrap().addr;
    assert_eq!(addr().await, None);
    world.engine().start(&id).await.unwrap();
    assert!(addr().await.is_some());
    world.engine().stop(&id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(addr().await, None);
}

pub(super) async fn an_exit_keeps_its_code(world: &dyn World) {
    let container = world.started(Program::Exit("bye", 3)).await;
    let ended = until(world.engine(), &container.id, |now| !now.is_running()).await;
    assert_eq!(ended.state, ContainerState::Exited { code: 3, is_out_of_memory: false });
}

pub(super) async fn a_stopped_container_can_be_started_again(world: &dyn World) {
    let container = world.started(Program::Serve).await;
    world.engine().stop(&container.id, Duration::from_secs(1)).await.unwrap();
    world.engine().start(&container.id).await.unwrap();
    assert!(world.engine().container(&container.id).await.unwrap().unwrap().is_running());
}

pub(super) async fn stop_returns_as_soon_as_the_process_has_ended(world: &dyn World) {
    let container = world.started(Program::Serve).await;
    let before = Instant::now();
    world.engine().stop(&container.id, Duration::from_secs(60)).await.unwrap();
    assert!(before.elapsed() < DEADLINE);
    let ended = world.engine().container(&container.id).await.unwrap().unwrap();
    assert_eq!(ended.state, ContainerState::Exited { code: 143, is_out_of_memory: false });
}

pub(super) async fn stop_kills_after_the_grace(world: &dyn World) {
    let container = world.started(Program::IgnoreTerm).await;
    wait_for_line_unless_silent(world, &container.id).await;
    let before = Instant::now();
    world.engine().stop(&container.id, Duration::from_millis(1500)).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(1500), "{:?}", before.elapsed());
    let ended = world.engine().container(&container.id).await.unwrap().unwrap();
    assert_eq!(ended.state, ContainerState::Exited { code: 137, is_out_of_memory: false });
}

pub(super) async fn what_is_gone_can_be_stopped_and_removed(world: &dyn World) {
    let engine = world.engine();
    let container = world.started(Program::Serve).await;
    for _ in 0..2 {
        engine
            .remove(&container.id)
            .await
            .expect("a running container is removed, a missing one is no error");
        assert!(engine.container(&container.id).await.unwrap().is_none());
    }
    engine.stop(&container.id, Duration::from_secs(1)).await.unwrap();
    let error = engine.start(&container.id).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
}

pub(super) async fn events_tell_of_start_exit_and_removal(world: &dyn World) {
    let engine = world.engine();
    let spec = world.spec("web.1", Program::Serve).await;
    let id = engine.create(&spec).await.unwrap();
    for step in ["start", "exit", "removal"] {
        let mut events = engine.events().await.unwrap();
        match step {
            "start" => engine.start(&id).await.unwrap(),
            "exit" => engine.stop(&id, Duration::from_secs(1)).await.unwrap(),
            _ => engine.remove(&id).await.unwrap(),
        }
        let event = timeout(DEADLINE, events.next()).await.expect(step).expect(step);
        assert_eq!(event.instance, spec.labels.instance, "{step}");
    }
}

pub(super) async fn events_between_subscribing_and_reading_are_not_lost(world: &dyn World) {
    let mut events = world.engine().events().await.unwrap();
    let container = world.started(Program::Serve).await;
    let event = timeout(DEADLINE, events.next()).await.unwrap().unwrap();
    assert_eq!(event.instance, container.labels.instance);
}

pub(super) async fn a_log_has_the_newest_lines(world: &dyn World) {
    let container = world.started(Program::Say(&["one", "two", "three"])).await;
    // Whatever is written is in the log once somebody who follows has seen it.
    let followed = world.engine().logs(&container.id, FOLLOW).await.unwrap();
    let seen: Vec<String> =
        timeout(DEADLINE, followed.take(3).map(|line| line.text).collect()).await.unwrap();
    assert_eq!(seen, ["one", "two", "three"]);
    let query = LogQuery { tail: Some(2), ..LogQuery::default() };
    let lines: Vec<_> = world.engine().logs(&container.id, query).await.unwrap().collect().await;
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["two", "three"]);
    assert!(lines.iter().all(|line| !line.is_stderr) && lines[0].at <= lines[1].at);
}

pub(super) async fn a_followed_log_ends_with_the_container(world: &dyn World) {
    let container = world.started(Program::Exit("bye", 0)).await;
    let lines = world.engine().logs(&container.id, FOLLOW).await.unwrap();
    let texts: Vec<String> = timeout(DEADLINE, lines.map(|line| line.text).collect()).await.unwrap();
    assert_eq!(texts, ["bye"]);
}

pub(super) async fn a_log_of_no_container_is_an_error(world: &dyn World) {
    let error = world.engine().logs("nothing-here", FOLLOW).await.err().expect("there is no such container");
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
}

pub(super) async fn a_command_needs_a_running_container(world: &dyn World) {
    let engine = world.engine();
    let container = world.started(Program::Serve).await;
    let run = async || engine.exec(&container.id, &words(&["true"]), DEADLINE).await;
    assert_eq!(run().await.unwrap().code, 0);
    engine.stop(&container.id, Duration::from_secs(1)).await.unwrap();
    assert!(matches!(run().await.unwrap_err(), EngineError::Refused { .. }));
    engine.remove(&container.id).await.unwrap();
    assert!(matches!(run().await.unwrap_err(), EngineError::NotFound { .. }));
}

pub(super) async fn an_image_is_found_by_tag_and_id(world: &dyn World) {
    let id = world.image("shop").await;
    let tag = world.build_spec("shop", "1").tag;
    let image = world.engine().image(&tag).await.unwrap().expect("it was built");
    assert_eq!(image.id, id);
    assert!(image.has_command && !image.has_healthcheck);
    assert_eq!(world.engine().image(&id).await.unwrap(), Some(image));
    assert_eq!(world.engine().image("minipaas-test/nothing:1").await.unwrap(), None);
}

pub(super) async fn removing_an_image_leaves_one_in_use(world: &dyn World) {
    let engine = world.engine();
    let container = world.started(Program::Serve).await;
    let tag = world.build_spec("shop", "1").tag;
    engine.remove_image(&tag).await.expect("one in use is no error");
    assert_eq!(engine.remove_images(&app("shop")).await.unwrap(), 0);
    assert!(engine.image(&tag).await.unwrap().is_some());
    engine.remove(&container.id).await.unwrap();
    for _ in 0..2 {
        engine.remove_image(&tag).await.expect("a missing one is no error");
        assert!(engine.image(&tag).await.unwrap().is_none());
    }
}

pub(super) async fn an_app_loses_its_own_images_only(world: &dyn World) {
    world.image("shop").await;
    let kept = world.image("blog").await;
    assert_eq!(world.engine().remove_images(&app("shop")).await.unwrap(), 1);
    assert_eq!(world.engine().remove_images(&app("shop")).await.unwrap(), 0);
    assert!(world.engine().image(&world.build_spec("shop", "1").tag).await.unwrap().is_none());
    assert!(world.engine().image(&kept).await.unwrap().is_some());
}

pub(super) async fn an_app_loses_its_own_volumes_only(world: &dyn World) {
    let engine = world.engine();
    let data = engine.ensure_volume(&app("shop"), "data").await.unwrap();
    assert_eq!(engine.ensure_volume(&app("shop"), "data").await.unwrap(), data, "it is there already");
    assert_eq!(data, format!("minipaas-{}-shop-data", world.owner()));
    let cache = engine.ensure_volume(&app("shop"), "cache").await.unwrap();
    let kept = engine.ensure_volume(&app("blog"), "data").await.unwrap();

    let mut spec = world.spec("web.1", Program::Serve).await;
    spec.volumes.insert(data.clone(), "/data".to_owned());
    let id = engine.create(&spec).await.unwrap();
    assert!(engine.container(&id).await.unwrap().unwrap().has_volume);
    let without = engine.create(&world.spec("web.2", Program::Serve).await).await.unwrap();
    assert!(!engine.container(&without).await.unwrap().unwrap().has_volume);
    let error = engine.remove_volumes(&app("shop")).await.unwrap_err();
    assert!(matches!(error, EngineError::Refused { .. }), "{error}");
    engine.remove(&id).await.unwrap();
    engine.remove(&without).await.unwrap();
    engine.ensure_volume(&app("shop"), "cache").await.unwrap();
    assert_eq!(engine.remove_volumes(&app("shop")).await.unwrap(), [cache, data]);
    assert!(engine.remove_volumes(&app("shop")).await.unwrap().is_empty());
    assert_eq!(engine.remove_volumes(&app("blog")).await.unwrap(), [kept]);
}

pub(super) async fn a_context_that_cannot_be_read_is_the_reason(world: &dyn World) {
    let broken = stream::once(async { Err(io::Error::other("the file shrank")) });
    let context = tar(&[("Dockerfile", b"FROM scratch\n")]).chain(broken).boxed();
    let error = world.engine().build(&world.build_spec("shop", "1"), context, &|_| {}).await.unwrap_err();
    assert!(matches!(&error, EngineError::Context(io) if io.to_string() == "the file shrank"), "{error:?}");
}

/// The scripted engine's programs are deaf from the start; a real one needs a moment, and says so.
async fn wait_for_line_unless_silent(world: &dyn World, container: &str) {
    let mut lines = world.engine().logs(container, FOLLOW).await.unwrap();
    let _ = timeout(Duration::from_secs(5), lines.next()).await;
}
