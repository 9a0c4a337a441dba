//! An app that is only a route, on a box that has no engine at all.

use http::StatusCode;
use minipaas::api::App;

use super::command::until;
use super::traffic::{Polled, Poller};
use super::world::TestBox;
use crate::support::backend::Backend;

/// Where no engine is.
const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
const HOST: &str = "legacy.localhost";

async fn states(on: &TestBox) -> Vec<String> {
    let run = on.run(&["apps", "info", "legacy", "--json"]).await.success();
    let app: App = serde_json::from_str(&run.stdout).expect("an app and more");
    app.instances.into_iter().map(|instance| instance.state).collect()
}

/// How many requests of clients it got; probes have no client.
fn requests(backend: &Backend) -> usize {
    backend.seen().iter().filter(|seen| seen.header("x-forwarded-for").is_some()).count()
}

/// Polls until the states of the upstreams are these.
async fn polled_until(on: &TestBox, wanted: &[&str]) -> Polled {
    let poller = Poller::start(on, HOST).await;
    let deadline = tokio::time::Instant::now() + super::command::PATIENCE;
    loop {
        let found = states(on).await;
        if found == wanted {
            return poller.finish().await;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found:?} never became {wanted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_run_elsewhere_are_served_like_apps() {
    let on = TestBox::new();
    let daemon = on.serve(&NO_ENGINE).await;
    let first = Backend::replying("from=first").start().await;
    let second = Backend::replying("from=second").start().await;
    let urls = [first.addr, second.addr].map(|addr| format!("http://{addr}"));
    let create = ["apps", "create", "legacy", "--upstream", &urls[0], "--upstream", &urls[1]];
    let created = on.run(&create).await.success().saying(&["leads to 2 places, 2 of them ready"]);
    assert_eq!(created.stdout, format!("https://{HOST}:{}/\n", on.https().port()));

    let poller = Poller::start(&on, HOST).await;
    until("both are asked", || requests(&first) > 10 && requests(&second) > 10).await;
    poller.finish().await.only(&["from=first", "from=second"]);
    let seen = first.seen();
    let asked =
        seen.iter().rfind(|seen| seen.header("x-forwarded-for").is_some()).expect("a client's request");
    assert_eq!((asked.header("host"), asked.header("x-forwarded-proto")), (Some(HOST), Some("https")));

    let addr = second.addr;
    drop(second);
    polled_until(&on, &["ready", "unready"]).await.only(&["from=first", "from=second"]);
    let second = Backend::replying("from=second").start_at(addr).await;
    polled_until(&on, &["ready", "ready"]).await.only(&["from=first", "from=second"]);

    daemon.kill();
    let _daemon = on.serve(&NO_ENGINE).await;
    let before = [requests(&first), requests(&second)];
    let poller = Poller::start(&on, HOST).await;
    until("both are asked", || requests(&first) > before[0] && requests(&second) > before[1]).await;
    poller.finish().await.only(&["from=first", "from=second"]);

    let poller = Poller::start(&on, HOST).await;
    let third = Backend::replying("from=third").start().await;
    let url = format!("http://{}", third.addr);
    on.run(&["apps", "create", "legacy", "--upstream", &url, "--health", "/up"]).await.success();
    until("the new one is asked", || requests(&third) > 0).await;
    poller.finish().await.only(&["from=first", "from=second", "from=third"]);
    polled_until(&on, &["ready"]).await.only(&["from=third"]);

    let mistyped = ["apps", "create", "legacy", "--upstream", "http://nobody.invalid"];
    on.run(&mistyped)
        .await
        .ends_with(1)
        .saying(&["`legacy` stays as it is: `nobody.invalid`", "hint: `--force`"]);
    assert_eq!(on.get(HOST, "/").await.body, "from=third");
    let mut anyway = mistyped.to_vec();
    anyway.push("--force");
    on.run(&anyway).await.success().saying(&["leads to 0 places"]);
    while on.get(HOST, "/").await.status == StatusCode::OK {}
    assert_eq!(on.get(HOST, "/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    on.run(&["apps", "create", "legacy", "--upstream", &url]).await.success();
    while states(&on).await != ["ready"] {}

    let own = format!("http://{}", on.http());
    on.run(&["apps", "create", "loop", "--upstream", &own])
        .await
        .ends_with(1)
        .saying(&["is this box itself", "hint: name the address where the app itself listens"]);
    on.run(&["apps", "destroy", "legacy"]).await.ends_with(2).saying(&["`--yes` says so"]);
    let gone = on.run(&["apps", "destroy", "legacy", "-y"]).await.success();
    assert_eq!(gone.stdout, "`legacy` is gone: its upstream gets no requests any more\n");
    assert_eq!(on.get(HOST, "/").await.status, StatusCode::NOT_FOUND);
}
