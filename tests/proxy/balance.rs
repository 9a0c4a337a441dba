use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderValue, Response};
use minipaas::policy::Balance;
use minipaas::proxy::ProxyConfig;
use minipaas::traffic::STICKY_COOKIE;
use tokio::sync::Notify;

use super::{BLOG, taking_turns, with_policy};
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Reply, get, tls};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

/// Apps that answer with their name, and `/slow` not before they are told to.
async fn two_apps(go_on: &Arc<Notify>) -> [Backend; 2] {
    let start = |name: &'static str| {
        let go_on = Arc::clone(go_on);
        let app = Backend::answering(move |seen| {
            let go_on = Arc::clone(&go_on);
            async move {
                if seen.uri.path() == "/slow" {
                    go_on.notified().await;
                }
                Response::new(full(name))
            }
        });
        app.start()
    };
    [start("one").await, start("two").await]
}

async fn sticky() -> (TestProxy, [Backend; 2]) {
    let apps = two_apps(&Arc::default()).await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let route = proxy.route(BLOG, &[&apps[0], &apps[1]]);
    proxy.publish([with_policy(route, |policy| policy.balance = Balance::Sticky)]);
    (proxy, apps)
}

/// Sends a request with the cookie that this reply set.
async fn come_back(proxy: &TestProxy, reply: &Reply) -> Reply {
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap();
    with_cookie(proxy, cookie).await
}

async fn with_cookie(proxy: &TestProxy, cookie: &str) -> Reply {
    let mut request = get(BLOG, "/");
    request.headers_mut().insert(COOKIE, HeaderValue::try_from(cookie).unwrap());
    proxy.send(request).await
}

#[tokio::test]
async fn the_less_busy_instance_gets_the_request() {
    let go_on = Arc::default();
    let apps = two_apps(&go_on).await;
    let proxy = TestProxy::with_route(BLOG, &[&apps[0], &apps[1]]).await;
    let addr = proxy.http;
    let slow = tokio::spawn(async move { Client::connect(addr).await.send(get(BLOG, "/slow")).await });
    eventually("one is busy", || apps.iter().any(|app| !app.seen().is_empty())).await;
    let idle = if apps[0].seen().is_empty() { "one" } else { "two" };
    for _ in 0..20 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, idle);
    }
    go_on.notify_one();
    slow.await.unwrap();
}

#[tokio::test]
async fn equals_share_evenly() {
    let apps = two_apps(&Arc::default()).await;
    let proxy = TestProxy::with_route(BLOG, &[&apps[0], &apps[1]]).await;
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..400 {
        client.send(get(BLOG, "/")).await;
    }
    // 200 expected, with a deviation of 10.
    assert!((120..=280).contains(&apps[0].seen().len()), "{}", apps[0].seen().len());
}

#[tokio::test]
async fn round_robin_goes_on_across_publications() {
    let apps = two_apps(&Arc::default()).await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let route = taking_turns(proxy.route(BLOG, &[&apps[0], &apps[1]]));
    for _ in 0..10 {
        proxy.publish([route.clone()]);
        proxy.send(get(BLOG, "/")).await;
    }
    assert_eq!((apps[0].seen().len(), apps[1].seen().len()), (5, 5));
}

#[tokio::test]
async fn a_client_address_stays_with_its_instance() {
    let apps = two_apps(&Arc::default()).await;
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let route = proxy.route(BLOG, &[&apps[0], &apps[1]]);
    proxy.publish([with_policy(route, |policy| policy.balance = Balance::ClientIp)]);
    let first = proxy.send(get(BLOG, "/")).await.body;
    for _ in 0..20 {
        assert_eq!(proxy.send(get(BLOG, "/")).await.body, first);
    }
}

#[tokio::test]
async fn a_cookie_brings_a_client_back() {
    let (proxy, _apps) = sticky().await;
    let first = proxy.send(get(BLOG, "/")).await;
    for _ in 0..20 {
        let again = come_back(&proxy, &first).await;
        assert_eq!((&again.body, again.header("set-cookie")), (&first.body, None));
    }
}

#[tokio::test]
async fn the_cookie_is_the_proxys_alone_and_names_no_address() {
    let (proxy, apps) = sticky().await;
    let reply = proxy.send(get(BLOG, "/")).await;
    let cookie = reply.header("set-cookie").unwrap();
    let token = proxy.upstream().token().as_str().to_owned();
    assert_eq!(cookie.len(), format!("{STICKY_COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax").len());
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains(&apps[0].addr.port().to_string()), "{cookie}");
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    let reply = client.send(get(BLOG, "/")).await;
    assert!(reply.header("set-cookie").unwrap().ends_with("; SameSite=Lax; Secure"));
}

#[tokio::test]
async fn a_forged_cookie_is_as_good_as_none() {
    let (proxy, _apps) = sticky().await;
    for forged in ["0".repeat(32), "127.0.0.1:80".to_owned(), String::new()] {
        let reply = with_cookie(&proxy, &format!("{STICKY_COOKIE}={forged}")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("set-cookie").is_some());
    }
}

#[tokio::test]
async fn a_client_whose_instance_is_gone_gets_another_and_its_cookie() {
    let (proxy, apps) = sticky().await;
    let first = proxy.send(get(BLOG, "/")).await;
    let other = if first.body == "one" { &apps[1] } else { &apps[0] };
    let route = proxy.route(BLOG, &[other]);
    proxy.publish([with_policy(route, |policy| policy.balance = Balance::Sticky)]);
    let moved = come_back(&proxy, &first).await;
    assert_ne!(moved.body, first.body);
    assert_eq!(come_back(&proxy, &moved).await.header("set-cookie"), None);
}
