use minipaas::policy::{Balance, Policy};
use minipaas::proxy::ProxyConfig;

use super::{BLOG, with_policy};
use crate::support::backend::Backend;
use crate::support::client::{get, post};
use crate::support::proxy::TestProxy;

async fn with_retries(retries: u32, backends: &[&Backend]) -> TestProxy {
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let route = proxy.route(BLOG, backends);
    proxy.publish([with_policy(route, |policy: &mut Policy| {
        policy.balance = Balance::RoundRobin;
        policy.retries = retries;
        policy.ejection.failures = 0;
    })]);
    proxy
}

#[tokio::test]
async fn a_policy_without_retries_has_none() {
    let (gone, app) = (Backend::refusing().await, Backend::replying("app").start().await);
    let proxy = with_retries(0, &[&gone, &app]).await;
    let mut failed = 0;
    for _ in 0..4 {
        failed += usize::from(proxy.send(get(BLOG, "/")).await.status == 502);
    }
    assert_eq!(failed, 2);
}

#[tokio::test]
async fn a_request_is_sent_again_as_often_as_its_policy_says() {
    let (gone, app) = (Backend::refusing().await, Backend::replying("app").start().await);
    let proxy = with_retries(3, &[&gone, &gone, &gone, &app]).await;
    for _ in 0..4 {
        assert_eq!(proxy.send(post(BLOG, "/", "body")).await.body, "app");
    }
    assert_eq!(app.seen().len(), 4);
}

#[tokio::test]
async fn retries_are_a_share_of_the_requests() {
    let (gone, app) = (Backend::refusing().await, Backend::replying("app").start().await);
    let proxy = with_retries(1, &[&gone, &app]).await;
    let mut failed = 0;
    for _ in 0..400 {
        failed += u64::from(proxy.send(get(BLOG, "/")).await.status == 502);
    }
    let live = proxy.routes.load();
    let retries = live.find(BLOG, "/").unwrap().state().budget().retries();
    assert!(failed > 0, "{retries} retries");
    assert_eq!(app.seen().len() as u64, 400 - failed, "each request is answered once, or fails");
    assert!(retries >= 30, "{retries}: a few are always allowed");
}
