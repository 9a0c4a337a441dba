//! How much one client may ask.

use std::time::Duration;

use minipaas::policy::{Policy, RateLimit};

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::get;
use crate::support::proxy::TestProxy;

fn policy(requests: u32, burst: u32) -> Policy {
    let rate_limit = Some(RateLimit { requests, per: Duration::from_secs(3600), burst });
    Policy { rate_limit, https_redirect: false, ..Policy::default() }
}

#[tokio::test]
async fn who_asks_too_much_is_told_when_to_come_again() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy(36, 3)).await;
    for _ in 0..3 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, "app");
    }
    let reply = proxy.send(get(BLOG, "/")).await;
    assert_eq!(reply.status, 429);
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((90..=100).contains(&wait), "{wait}");
    assert_eq!(app.seen().len(), 3);
}

#[tokio::test]
async fn a_deploy_gives_nobody_a_new_allowance() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy(1, 1)).await;
    assert_eq!(proxy.send(get(BLOG, "/")).await.status, 200);
    for (requests, status) in [(1, 429), (2, 200)] {
        let mut route = proxy.route(BLOG, &[&app]);
        route.policy = policy(requests, 1).into();
        proxy.publish([route]);
        assert_eq!(proxy.send(get(BLOG, "/")).await.status, status, "{requests} an hour");
    }
}
