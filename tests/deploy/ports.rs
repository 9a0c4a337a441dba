//! TCP ports of apps, from the manifest to the container.

use std::net::{SocketAddr, TcpListener};

use super::release::TestApp;
use super::world::TestBox;
use crate::support::client::Raw;
use crate::support::free_port;

/// A version of the test app whose second port is at this address.
fn app(version: &str, addr: SocketAddr, drain: &str) -> TestApp {
    let port = addr.port();
    TestApp::version(version)
        .env("TCP_PORT", "7000")
        .table(&format!("[[port]]\nport = {port}\ntarget = 7000\ndrain = \"{drain}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_leads_to_the_newest_release_and_the_old_one_drains() {
    let on = TestBox::new();
    let project = on.project("shop");
    let addr = free_port();
    let daemon = on.serve(&[]).await;
    let said = format!("TCP port {} -> web:7000", addr.port());
    project.deploy(&app("one", addr, "1m")).await.success().saying(&[&said]);
    on.run(&["ps"]).await.success().saying(&[&format!("tcp port of `shop`: {} -> web:7000", addr.port())]);
    let listed = on.run(&["status"]).await.success().stdout;
    assert!(listed.contains(&format!(", tcp {}", addr.port())), "{listed}");
    let mut old = Raw::connect(addr).await;
    old.until("one\n").await;

    project.deploy(&app("two", addr, "1s")).await.success().saying(&["v2 of `shop` serves"]);
    old.send("still here").await;
    old.until("still here").await;
    let mut new = Raw::connect(addr).await;
    new.until("two\n").await;
    drop(old);
    on.settled(1, "v2").await;
    let metrics = on.run(&["metrics", "-a", "shop"]).await.success().stdout;
    assert!(metrics.contains("CONNECTIONS") && metrics.contains(&addr.port().to_string()), "{metrics}");

    // The table of the last daemon is served before the engine is asked for anything.
    daemon.kill();
    let _daemon = on.serve(&[]).await;
    Raw::connect(addr).await.until("two\n").await;

    let mut cut = Raw::connect(addr).await;
    cut.until("two\n").await;
    project.deploy(&app("three", addr, "1s")).await.success();
    assert_eq!(cut.rest().await, b"", "a second after the swap");
    on.settled(1, "v3").await;
    on.run(&["down", "shop"]).await.success();
    assert!(TcpListener::bind(addr).is_ok(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_cannot_be_had_leaves_the_old_release_serving() {
    let on = TestBox::new();
    let project = on.project("shop");
    let (addr, other) = (free_port(), free_port());
    project.deploy(&app("one", addr, "1s")).await.success();
    let taken = TcpListener::bind(other).expect("a free port");
    let refused = project.deploy(&app("two", other, "1s")).await.ends_with(1);
    refused.saying(&[
        &format!("error: port {} is taken by `", other.port()),
        "hint: choose another port in its [[port]] table",
    ]);
    on.project("thief").deploy(&app("thief", addr, "1s")).await.ends_with(1).saying(&[
        &format!("error: port {} already leads to app `shop`", addr.port()),
        "hint: choose another port in its [[port]] table, or `minipaas down shop`",
    ]);
    let box_port = on.https();
    project.deploy(&app("two", box_port, "1s")).await.ends_with(1).saying(&[
        &format!("error: port {} is the box's own", box_port.port()),
        "hint: choose another port in its [[port]] table",
    ]);
    drop(taken);
    Raw::connect(addr).await.until("one\n").await;
    assert_eq!(on.serving("shop").await.release.as_deref(), Some("v1"));
}
