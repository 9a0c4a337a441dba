//! The stand-in's answers, as another client understands them: a real `kubectl apply --server-side` does to it what ours does.

use std::path::{Path, PathBuf};
use std::process::Command;

use minipaas::kubernetes::Options;
use serde_json::json;

use super::world::{Shop, Told, World, changed};

/// Where `tests/prepare` puts it.
fn kubectl() -> PathBuf {
    // This very test binary is `target/<profile>/deps/all-<hash>`.
    let here = std::env::current_exe().unwrap();
    here.ancestors().nth(3).unwrap().join("testbed/kubernetes/bin/kubectl")
}

/// Runs it beside other things, as the stand-in runs in this process; gives its exit code and all that it wrote.
async fn run(world: &World, args: &[&str], objects: &Shop) -> (i32, String) {
    // It keeps its token to itself where there is no TLS.
    world.server.state().is_open = true;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    let documents: Vec<String> = objects.objects.iter().map(ToString::to_string).collect();
    std::fs::write(&file, documents.join("\n---\n")).unwrap();
    let mut command = Command::new(kubectl());
    command.arg("--kubeconfig").arg(world.kubeconfig()).args(args).arg("-f").arg(&file);
    command.env("HOME", Path::new(folder.path()));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("no kubectl here; run `tests/prepare`");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

const APPLY: [&str; 4] = ["apply", "--server-side", "--field-manager=minipaas", "--validate=false"];

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_make_the_same_objects() {
    let (ours, theirs) = (World::new().await, World::new().await);
    // What is written as text belongs to nobody; ours writes data.
    let mut shop = Shop::release(1).set("Secret", "/data", json!({ "A": "eA==" }));
    for object in &mut shop.objects {
        object.as_object_mut().unwrap().remove("stringData");
    }
    ours.apply(&shop).await.unwrap();
    let (code, said) = run(&theirs, &APPLY, &shop).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("deployment.apps/shop serverside-applied"), "{said}");
    for object in &shop.objects {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let made = [&ours, &theirs].map(|world| {
            let mut made = world.server.object(kind, name).unwrap();
            made.as_object_mut().unwrap().remove("status");
            for field in ["uid", "resourceVersion"] {
                made["metadata"].as_object_mut().unwrap().remove(field);
            }
            made
        });
        assert_eq!(made[0], made[1]);
    }
    // Neither finds anything to do after the other.
    let applied = theirs.apply(&shop).await.unwrap();
    assert_eq!(changed(&applied.changes), [""; 0]);
    let before = ours.server.object("Deployment", "shop");
    assert_eq!(run(&ours, &APPLY, &shop).await.0, 0);
    assert_eq!(ours.server.object("Deployment", "shop"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_meet_the_same_conflict() {
    let world = World::new().await;
    let other = Shop::release(1).set("ConfigMap", "/data/LOG_LEVEL", "debug");
    let config: Vec<_> =
        other.objects.iter().filter(|object| object["kind"] == "ConfigMap").cloned().collect();
    let config = Shop { objects: config };
    world.apply_with(&Shop::release(1), Options::default(), &Told::default()).await.unwrap();
    let (code, said) =
        run(&world, &["apply", "--server-side", "--field-manager=ops", "--validate=false"], &config).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("conflict with \"minipaas\"") && said.contains(".data.LOG_LEVEL"), "{said}");
    assert_eq!(world.server.object("ConfigMap", "shop").unwrap()["data"]["LOG_LEVEL"], "info");
}
