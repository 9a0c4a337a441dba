//! What an apply does, in which order, and what it does not do once something has failed.

use minipaas::kubernetes::{ApplyError, Options};
use serde_json::json;

use super::controllers::Behaviour;
use super::world::{Shop, Told, World, changed, outcomes};
use crate::support::soon;

#[tokio::test]
async fn what_pods_need_comes_first_then_the_job_then_the_rest() {
    let world = World::new().await;
    let told = Told::default();
    let applied = world.apply_with(&Shop::release(1), Options::default(), &told).await.unwrap();
    let kinds = [
        "ServiceAccount shop",
        "ConfigMap shop",
        "Secret shop",
        "Service shop",
        "Job shop-release-v1",
        "Ingress shop",
        "Deployment shop",
    ];
    assert_eq!(world.writes(), kinds.map(|kind| format!("PATCH {kind}")));
    assert_eq!(outcomes(&applied.changes), kinds.map(|kind| format!("{kind} created")));
    let lines = told.lines();
    let steps: Vec<_> = lines.iter().filter(|line| !line.starts_with([' ', '!'])).collect();
    assert_eq!(
        steps,
        [
            "apply 4 objects: ServiceAccount, ConfigMap, Secret, Service",
            "release Job `shop-release-v1`",
            "apply 2 objects: Ingress, Deployment",
            "rollout shop",
        ]
    );
    assert!(lines.contains(&"  migrated".to_owned()), "what the job wrote is told: {lines:?}");
    let deployment = world.server.object("Deployment", "shop").unwrap();
    assert_eq!(deployment["status"]["availableReplicas"], 2, "it is waited for");
}

#[tokio::test]
async fn the_second_time_nothing_changes() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    let objects = |world: &World| {
        let state = world.server.state();
        state.objects.iter().map(|(key, stored)| (key.clone(), stored.value.clone())).collect::<Vec<_>>()
    };
    let before = objects(&world);
    let told = Told::default();
    let applied = world.apply_with(&Shop::release(1), Options::default(), &told).await.unwrap();
    assert_eq!(changed(&applied.changes), [""; 0]);
    assert_eq!(objects(&world), before, "to the version");
}

#[tokio::test]
async fn a_new_release_changes_what_differs() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    let next = Shop::release(2).set("Secret", "/stringData", json!({ "API_KEY": "correct-horse" }));
    let applied = world.apply(&next).await.unwrap();
    assert_eq!(
        changed(&applied.changes),
        [
            "Secret shop changed",
            "Job shop-release-v2 created",
            "Deployment shop changed",
            "Job shop-release-v1 pruned"
        ]
    );
    // Base64 of `correct-horse`, and not the key that was taken out.
    let secret = world.server.object("Secret", "shop").unwrap();
    assert_eq!(secret["data"], json!({ "API_KEY": "Y29ycmVjdC1ob3JzZQ==" }));
}

#[tokio::test]
async fn a_job_that_fails_ends_it_before_anything_new_serves() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    world.writes();
    let job = "shop-release-v2";
    world.server.state().behaviours.insert(job.to_owned(), Behaviour::Crashes("no such table\ngoodbye"));
    let error = world.apply(&Shop::release(2)).await.unwrap_err();
    let ApplyError::JobFailed { trouble: Some(trouble), .. } = &error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), "Job `shop-release-v2` failed: BackoffLimitExceeded");
    assert_eq!(trouble.log, ["no such table", "goodbye"]);
    assert!(error.hints()[0].contains("the release before this one goes on serving"), "{:?}", error.hints());
    let writes = world.writes();
    assert_eq!(writes.last().unwrap(), "PATCH Job shop-release-v2", "{writes:?}");
    let image = "/spec/template/spec/containers/0/image";
    let deployment = world.server.object("Deployment", "shop").unwrap();
    assert_eq!(deployment.pointer(image).unwrap(), "ghcr.io/acme/shop:v1");

    // Once it can work, it is run anew.
    world.server.state().behaviours.remove(job);
    let applied = world.apply(&Shop::release(2)).await.unwrap();
    let expected = ["Job shop-release-v2 changed", "Deployment shop changed", "Job shop-release-v1 pruned"];
    assert_eq!(changed(&applied.changes), expected);
    assert!(world.writes().contains(&"DELETE Job shop-release-v2".to_owned()));
}

#[tokio::test]
async fn a_job_that_has_run_is_left_and_one_of_another_text_is_made_anew() {
    let world = World::new().await;
    world.apply(&Shop::release(1)).await.unwrap();
    let uid =
        |world: &World| world.server.object("Job", "shop-release-v1").unwrap()["metadata"]["uid"].clone();
    let first = uid(&world);
    world.apply(&Shop::release(1)).await.unwrap();
    assert_eq!(uid(&world), first);
    let other = Shop::release(1).set("Job", "/spec/template/spec/containers/0/command", json!(["other"]));
    let applied = world.apply(&other).await.unwrap();
    assert_eq!(changed(&applied.changes), ["Job shop-release-v1 changed"]);
    assert_ne!(uid(&world), first);
}

#[tokio::test]
async fn a_rollout_that_fails_says_what_its_pods_say() {
    let world = World::new().await;
    for (behaviour, reason, log) in [
        (Behaviour::Waits("ImagePullBackOff", "no such image"), "ImagePullBackOff: no such image", vec![]),
        (Behaviour::Crashes("no PORT"), "CrashLoopBackOff: back-off restarting", vec!["no PORT".to_owned()]),
    ] {
        world.server.state().behaviours.insert("shop".to_owned(), behaviour);
        let told = Told::default();
        // Another text for each, as what has failed stays.
        let shop =
            Shop::release(1).set("Deployment", "/spec/template/spec/containers/0/command", json!([reason]));
        let error = world.apply_with(&shop, Options::default(), &told).await.unwrap_err();
        let ApplyError::RolloutFailed { reason: late, troubles, .. } = &error else { panic!("{error:?}") };
        assert_eq!(late, "made no progress within 600s");
        assert!(troubles[0].to_string().ends_with(reason), "{troubles:?}");
        assert_eq!(troubles[0].log, log);
        let notice = format!("! {}", troubles[0]);
        assert!(told.lines().contains(&notice), "it is told before the deadline: {:?}", told.lines());
        let undo = "`kubectl -n prod rollout undo deployment/shop` takes the new release back";
        assert!(error.hints().contains(&undo.to_owned()), "{:?}", error.hints());
    }
}

#[tokio::test]
async fn what_was_applied_stays_when_it_is_given_up() {
    let world = World::new().await;
    world.server.state().behaviours.insert("shop".to_owned(), Behaviour::Hangs);
    let told = Told::default();
    let shop = Shop::release(1);
    let applying = world.apply_with(&shop, Options::default(), &told);
    let waits = async {
        while !told.lines().iter().any(|line| line.contains("of 2 new pods")) {
            tokio::task::yield_now().await;
        }
    };
    soon(async {
        tokio::select! {
            done = applying => panic!("{done:?}"),
            () = waits => {}
        }
    })
    .await;
    assert!(world.server.object("Deployment", "shop").is_some());
    // And the next one goes on from there.
    world.server.state().behaviours.clear();
    let applied = world.apply(&shop).await.unwrap();
    assert_eq!(changed(&applied.changes), [""; 0]);
    assert_eq!(world.server.object("Deployment", "shop").unwrap()["status"]["availableReplicas"], 2);
}

#[tokio::test]
async fn a_namespace_of_the_export_is_made_first() {
    let world = World::new().await;
    let mut shop = Shop::release(1)
        .with(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "new" } }));
    for object in shop.objects.iter_mut().filter(|object| object["kind"] != "Namespace") {
        object["metadata"]["namespace"] = "new".into();
    }
    let applied = world.apply(&shop).await.unwrap();
    assert_eq!(outcomes(&applied.changes)[0], "Namespace new created");
    assert_eq!(applied.changes[1].object.namespace.as_deref(), Some("new"));
    assert!(changed(&world.apply(&shop).await.unwrap().changes).is_empty());
}
