//! Hosts that are given to apps by command: at once, and through everything that happens to an app afterwards.

use http::StatusCode;
use minipaas::api::Domains;

use super::release::TestApp;
use super::traffic::Poller;
use super::world::TestBox;
use crate::support::backend::Backend;

/// Where no engine is.
const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];

async fn hosts(on: &TestBox, app: &str) -> Vec<String> {
    let run = on.run(&["domains", "-a", app, "--json"]).await.success();
    let found: Domains = serde_json::from_str(&run.stdout).expect("domains");
    found.domains.into_iter().map(|domain| format!("{} {}", domain.host, domain.from)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_of_a_route_are_served_at_once_and_after_a_restart() {
    let on = TestBox::new();
    let daemon = on.serve(&NO_ENGINE).await;
    let backend = Backend::replying("legacy").start().await;
    let url = format!("http://{}", backend.addr);
    on.run(&["apps", "create", "legacy", "--upstream", &url]).await.success();
    on.run(&["apps", "create", "other", "--upstream", &url, "--host", "taken.test"]).await.success();

    let add = ["domains:add", "shop.test", "*.wild.test", "bücher.test", "-a", "legacy"];
    let added = on.run(&add).await.success();
    assert_eq!(
        added.stdout,
        "shop.test leads to `upstream` of `legacy`\n*.wild.test leads to `upstream` of `legacy`\n\
         bücher.test (xn--bcher-kva.test) leads to `upstream` of `legacy`\n"
    );
    for host in ["shop.test", "a.wild.test", "xn--bcher-kva.test"] {
        assert_eq!(on.get(host, "/").await.body, "legacy", "{host}");
    }
    let again = on.run(&["domains", "add", "shop.test", "-a", "legacy"]).await.success();
    assert!(again.stdout.starts_with("shop.test was there already"), "{}", again.stdout);
    let listed = on.run(&["domains", "-a", "legacy"]).await.success().stdout;
    for text in ["legacy.localhost", "bücher.test (xn--bcher-kva.test)", "valid, local CA", "by "] {
        assert!(listed.contains(text), "`{text}` is not in:\n{listed}");
    }
    on.run(&["domains", "wait", "-a", "legacy"]).await.success();

    let refused = async |host: &str, app: &str, why: &str| {
        on.run(&["domains", "add", "fine.test", host, "-a", app]).await.ends_with(1).saying(&[why]);
    };
    refused("shop.test", "other", "app `legacy`").await;
    refused("taken.test", "legacy", "app `other`").await;
    refused("*", "legacy", "`*` is every host there is").await;
    refused("localhost", "legacy", "`localhost` is the box's own").await;
    refused("blog.localhost", "legacy", "is kept for an app named `blog`").await;
    on.run(&["domains", "add", "a_b.test", "-a", "legacy"]).await.ends_with(2).saying(&["has `_`"]);
    on.run(&["domains", "add", "x.test", "-a", "nobody"])
        .await
        .ends_with(1)
        .saying(&["there is no app `nobody`"]);
    assert_eq!(
        hosts(&on, "other").await,
        ["other.localhost app", "taken.test manifest"],
        "nothing by halves"
    );
    let another = ["apps", "create", "third", "--upstream", &url, "--host", "shop.test"];
    on.run(&another).await.ends_with(1).saying(&["`legacy`"]);

    on.run(&["proxy", "set", "canonical_host=\"shop.test\"", "-a", "legacy"]).await.success();
    on.run(&["domains", "remove", "shop.test", "-a", "legacy"])
        .await
        .ends_with(1)
        .saying(&["by `canonical_host`", "hint: take `canonical_host` back first"]);
    assert_eq!(on.get("a.wild.test", "/").await.status, StatusCode::PERMANENT_REDIRECT, "it is led on");
    on.run(&["proxy", "reset", "-a", "legacy"]).await.success();

    daemon.kill();
    let _daemon = on.serve(&NO_ENGINE).await;
    assert_eq!(on.get("a.wild.test", "/").await.body, "legacy");
    on.run(&["apps", "create", "legacy", "--upstream", &url, "--host", "old.test"]).await.success();
    assert_eq!(
        hosts(&on, "legacy").await,
        [
            "legacy.localhost app",
            "old.test manifest",
            "shop.test command",
            "xn--bcher-kva.test command",
            "*.wild.test command",
        ]
    );
    on.run(&["domains", "remove", "old.test", "-a", "legacy"])
        .await
        .ends_with(1)
        .saying(&["in its manifest"]);
    on.run(&["domains", "remove", "shop.test", "-a", "legacy"]).await.success();
    assert_eq!(on.get("a.wild.test", "/").await.body, "legacy");
    on.run(&["domains", "clear", "-a", "legacy"]).await.ends_with(2).saying(&["`--yes` says so"]);
    let cleared = on.run(&["domains", "clear", "-a", "legacy", "-y"]).await.success();
    assert_eq!(cleared.stdout, "2 domains removed from `legacy`\n");
    assert_eq!(hosts(&on, "legacy").await, ["legacy.localhost app", "old.test manifest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_of_an_app_survives_deploys_and_a_crash() {
    let on = TestBox::new();
    let project = on.project("shop");
    let first = on.serve(&[]).await;
    project.deploy(&TestApp::version("one")).await.success();
    let added = project.start(&["domains", "add", "shop.test"]).finish().await.success();
    assert_eq!(added.stdout, "shop.test leads to `web` of `shop`\n");
    let poller = Poller::start(&on, "shop.test").await;
    project.deploy(&TestApp::version("two")).await.success();
    poller.finish().await.only(&["version=one", "version=two"]);
    assert!(on.get("shop.test", "/").await.body.contains("version=two"));
    first.kill();

    let _daemon = on.serve(&[]).await;
    on.serving("shop").await;
    assert!(on.get("shop.test", "/").await.body.contains("version=two"));
    // What the manifest says of it goes before; taken out again, the command's word holds.
    let with_route = TestApp::version("three").table("[[route]]\nhost = \"shop.test\"");
    project.deploy(&with_route).await.success();
    assert_eq!(hosts(&on, "shop").await, ["shop.localhost app", "shop.test command"]);
    project.deploy(&TestApp::version("four")).await.success();
    assert!(on.get("shop.test", "/").await.body.contains("version=four"));
    project.start(&["domains", "remove", "shop.test"]).finish().await.success();
    assert_eq!(hosts(&on, "shop").await, ["shop.localhost app"]);
}
