//! `minipaas export`: what runs on the box, as objects of a cluster.
//!
//! What the objects are like is tested where they are made; here it is that the box's own facts get there, that nobody gets what
//! is not theirs, and what is written where.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::people::Laptop;
use super::release::TestApp;
use super::world::TestBox;

const SECRET: &str = "hunter2-is-not-shown";

/// A box with an app `shop` that has been scaled, given a host and a secret; and `blog`, to which nothing was deployed.
async fn shop(on: &TestBox) {
    let app = TestApp::version("one")
        .table("[cron.report]\nschedule = \"0 3 * * *\"\ncommand = \"report\"")
        .table("[proxy]\nretries = 1");
    on.project("shop").deploy(&app).await.success();
    on.run(&["apps", "create", "blog"]).await.success();
    let secret = format!("TOKEN={SECRET}");
    for args in [
        &["config", "set", "--secret", "--export", &secret, "-a", "shop"][..],
        &["config", "set", "GREETING=hello", "-a", "shop"],
        &["limits", "set", "web=128M", "-a", "shop"],
        &["scale", "web=2", "-a", "shop"],
        &["domains", "add", "shop.example.com", "-a", "shop"],
        &["proxy", "set", "body_max=5M", "-a", "shop"],
    ] {
        on.run(args).await.success();
    }
}

fn find<'a>(result: &'a Value, kind: &str) -> &'a Value {
    let objects = result["objects"].as_array().expect("objects");
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {result}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_have_set_is_exported() {
    let on = TestBox::new();
    shop(&on).await;
    let run = on.run(&["export", "-a", "shop", "--json", "--namespace", "prod"]).await.success();
    let result: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let web = find(&result, "Deployment");
    assert_eq!(web["spec"]["replicas"], 2);
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["memory"], "128Mi");
    let config = &find(&result, "ConfigMap")["data"];
    assert_eq!((&config["GREETING"], &config["VERSION"]), (&"hello".into(), &"one".into()));
    assert_eq!(config["MINIPAAS_RELEASE"], "v4");
    assert_eq!(find(&result, "Secret")["stringData"]["TOKEN"], "REPLACE_ME");
    let ingress = find(&result, "Ingress");
    assert!(ingress["spec"].to_string().contains("shop.example.com"), "{ingress}");
    assert_eq!(ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"], "5m");
    assert_eq!(find(&result, "CronJob")["metadata"]["namespace"], "prod");
    assert!(result["notes"].as_array().is_some_and(|notes| notes.iter().any(|note| note["kind"] == "todo")));
    assert!(!run.stdout.contains(SECRET));

    // The same twice, as one text with its notes on top, which are said, too.
    let first = on.run(&["export", "shop"]).await.success();
    let again = on.run(&["export", "-a", "shop"]).await.success();
    assert_eq!(first.stdout, again.stdout);
    assert!(first.stdout.starts_with("# Written by `minipaas export`"), "{}", first.stdout);
    let first = first.saying(&["shop: to do", "kubectl create secret generic shop"]);
    first.printing(&["# shop: to do", "kind: Deployment"]);

    // A job that is suspended stays so.
    on.run(&["cron", "suspend", "report", "-a", "shop"]).await.success();
    let run = on.run(&["export", "shop", "--json"]).await.success();
    let result: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(find(&result, "CronJob")["spec"]["suspend"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_is_named() {
    let on = TestBox::new();
    shop(&on).await;
    on.run(&["export", "-a", "nothing"]).await.ends_with(1).saying(&["there is no app `nothing`"]);
    on.run(&["export", "-a", "blog"])
        .await
        .ends_with(1)
        .saying(&["app `blog` has no release that serves", "`minipaas up` in its folder deploys it"]);
    // Of all, what cannot be is left out, and said.
    let run = on.run(&["export", "--all"]).await.success().printing(&["kind: Deployment"]);
    run.saying(&["blog: not carried over", "the app: app `blog` has no release that serves"]);
    let folder = on.home().join("strict");
    let folder = folder.to_str().expect("UTF-8");
    on.run(&["export", "--all", "--strict", "-o", folder])
        .await
        .ends_with(1)
        .saying(&["could not be carried over, and `--strict` wants all"]);
    assert!(!fs::exists(folder).expect("a look"), "nothing was written");

    on.run(&["export", "shop", "--kubernetes", "1.20"]).await.ends_with(2).saying(&["too old"]);
    on.run(&["export", "shop", "--kubernetes", "new"])
        .await
        .ends_with(2)
        .saying(&["no version of Kubernetes"]);
    on.run(&["export", "shop", "--ingress", "No Class"]).await.ends_with(2).saying(&["lower-case letters"]);
    on.run(&["export", "shop", "--format", "helm"]).await.ends_with(2).saying(&["`-o DIR` names the folder"]);
    on.run(&["export", "shop", "--secrets", "sealed"]).await.ends_with(2).saying(&["--sealed-cert"]);
    on.run(&["export", "shop", "--secrets", "external"]).await.ends_with(2).saying(&["--secret-store"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_ours_or_stay_as_they_are() {
    let on = TestBox::new();
    shop(&on).await;
    let folder = on.home().join("out");
    let out = folder.to_str().expect("UTF-8");
    let names = || {
        let entries =
            fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        names
    };
    on.run(&["export", "shop", "-o", out, "--format", "kustomize"]).await.success();
    assert!(names().contains(&"kustomization.yaml".to_owned()), "{:?}", names());
    // What the next one does not make goes; what is somebody's own stays.
    fs::write(folder.join("own.yaml"), "kind: List\n").expect("a file");
    on.run(&["export", "shop", "-o", out]).await.success().saying(&["files are in"]);
    assert!(!names().contains(&"kustomization.yaml".to_owned()), "{:?}", names());
    assert!(names().contains(&"own.yaml".to_owned()), "{:?}", names());

    let deployment = folder.join("80-deployment.yaml");
    let before = fs::read_to_string(&deployment).expect("the Deployment");
    fs::write(&deployment, "kind: List\n").expect("a file");
    on.run(&["export", "shop", "-o", out]).await.ends_with(1).saying(&["no export wrote it", "`--yes`"]);
    assert_eq!(fs::read_to_string(&deployment).expect("the file"), "kind: List\n");
    on.run(&["export", "shop", "-o", out, "--yes"]).await.success();
    assert_eq!(fs::read_to_string(&deployment).expect("the file"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_go_to_closed_files_alone_and_are_noted() {
    let on = TestBox::new();
    shop(&on).await;
    let inline = ["export", "shop", "--secrets", "inline"];
    on.run(&[&inline[..], &["--json"]].concat()).await.ends_with(2).saying(&["`--json` shows no values"]);
    // What a command prints here goes to a file that others can read.
    on.run(&inline).await.ends_with(2).saying(&["others can read the file that standard output goes to"]);
    let open = on.home().join("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, Permissions::from_mode(0o755)).expect("it is ours");
    let run = on.run(&[&inline[..], &["-o", open.to_str().expect("UTF-8")]].concat()).await;
    run.ends_with(2).saying(&["everybody can read", "chmod 700"]);

    let folder = on.home().join("closed");
    on.run(&[&inline[..], &["-o", folder.to_str().expect("UTF-8")]].concat()).await.success();
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("30-secret.yaml"))), (0o700, 0o600));
    let in_others = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, SECRET);
    for path in in_others {
        let text = fs::read_to_string(&path).expect("a text");
        let is_secret = path.ends_with("30-secret.yaml");
        assert_eq!(text.contains(SECRET) || text.contains(&encoded), is_secret, "{}", path.display());
    }
    let events = on.run(&["events", "-a", "shop"]).await.success().printing(&["secrets-exported"]);
    assert!(!events.stdout.contains(SECRET));
    let log = fs::read_to_string(on.home().join("daemon.log")).expect("the log");
    assert!(!log.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn config_is_for_collaborators_and_secrets_for_owners() {
    let on = TestBox::new();
    shop(&on).await;
    let bob = Laptop::joins(&on, &["bob"]).await;
    bob.run(&["export", "-a", "shop"]).await.ends_with(1).saying(&["there is no app `shop`"]);
    let all = bob.run(&["export", "--all"]).await.ends_with(2);
    assert!(!all.stdout.contains("shop") && !all.stderr.contains("shop"), "{}", all.stderr);

    on.run(&["access", "add", "bob", "--role", "viewer", "-a", "shop"]).await.success();
    let needed = "`bob` is viewer of `shop`, and this needs collaborator";
    bob.run(&["export", "-a", "shop"]).await.ends_with(1).saying(&[needed]);
    on.run(&["access", "add", "bob", "-a", "shop"]).await.success();
    bob.run(&["export", "-a", "shop"]).await.success().printing(&["kind: Deployment"]);
    let needed = "`bob` is collaborator of `shop`, and this needs owner";
    let folder = on.home().join("bobs");
    let inline = ["export", "shop", "--secrets", "inline", "-o", folder.to_str().expect("UTF-8")];
    bob.run(&inline).await.ends_with(1).saying(&[needed]);
    on.run(&["access", "add", "bob", "--role", "owner", "-a", "shop"]).await.success();
    bob.run(&inline).await.success();
    assert!(folder.join("30-secret.yaml").exists());
}
