use std::time::Duration;

use http::Response;
use minipaas::policy::{Balance, Ejection};
use minipaas::proxy::ProxyConfig;

use super::{BLOG, with_policy};
use crate::support::backend::{Backend, Builder, full};
use crate::support::client::{Client, Raw, get};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

const HOUR: Duration = Duration::from_secs(3600);
/// How many failures in a row these policies bear.
const FAILURES: usize = 3;

fn failing() -> Builder {
    Backend::answering(|_| async { Response::builder().status(500).body(full("oh no")).unwrap() })
}

async fn ejecting(base: Duration, backends: &[&Backend]) -> TestProxy {
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let route = proxy.route(BLOG, backends);
    proxy.publish([with_policy(route, |policy| {
        policy.balance = Balance::RoundRobin;
        policy.ejection = Ejection { failures: FAILURES as u32, base, max: base, slow_start: Duration::ZERO };
    })]);
    proxy
}

#[tokio::test]
async fn an_instance_that_errs_in_a_row_is_left_alone() {
    let (bad, good) = (failing().start().await, Backend::replying("good").start().await);
    let proxy = ejecting(HOUR, &[&bad, &good]).await;
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..20 {
        client.send(get(BLOG, "/")).await;
    }
    assert_eq!((bad.seen().len(), good.seen().len()), (FAILURES, 20 - FAILURES));
    assert!(proxy.upstream().is_ejected());
    assert_eq!(proxy.upstream().ejections(), 1);
    let told: Vec<_> = proxy.routes.snapshot().upstreams.iter().map(|upstream| upstream.is_ejected).collect();
    assert_eq!(told, [true, false]);
}

#[tokio::test]
async fn an_instance_that_refuses_connections_is_left_alone() {
    let (gone, good) = (Backend::refusing().await, Backend::replying("good").start().await);
    let proxy = ejecting(HOUR, &[&gone, &good]).await;
    for _ in 0..20 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, "good");
    }
    assert!(proxy.upstream().is_ejected());
}

#[tokio::test]
async fn an_instance_whose_responses_break_off_is_left_alone() {
    let broken = Backend::speaking(|stream| async move {
        let mut raw = Raw(stream);
        raw.until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    });
    let (broken, good) = (broken.start().await, Backend::replying("good").start().await);
    let proxy = ejecting(HOUR, &[&broken, &good]).await;
    let upstream = proxy.upstream();
    for _ in 0..20 {
        let _ = Client::connect(proxy.http).await.try_send(get(BLOG, "/")).await;
        eventually("the request is uncounted", || upstream.is_idle()).await;
    }
    assert_eq!(broken.connections(), FAILURES);
}

#[tokio::test]
async fn the_last_instance_is_never_left_alone() {
    let bad = failing().start().await;
    let proxy = ejecting(HOUR, &[&bad]).await;
    for _ in 0..20 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.status, 500);
    }
    assert_eq!(proxy.upstream().ejections(), 0);
}

#[tokio::test]
async fn when_all_are_ejected_all_are_used() {
    let (one, two) = (failing().start().await, failing().start().await);
    let proxy = ejecting(HOUR, &[&one, &two]).await;
    for _ in 0..20 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.status, 500, "the app's own answer");
    }
    assert_eq!((one.seen().len(), two.seen().len()), (10, 10));
}

#[tokio::test]
async fn an_ejected_instance_comes_back() {
    let (bad, good) = (failing().start().await, Backend::replying("good").start().await);
    let proxy = ejecting(Duration::from_millis(1), &[&bad, &good]).await;
    let mut client = Client::connect(proxy.http).await;
    while bad.seen().len() < 3 * FAILURES {
        client.send(get(BLOG, "/")).await;
    }
    assert!(proxy.upstream().ejections() >= 2);
}
