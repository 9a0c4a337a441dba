//! Passwords.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use minipaas::policy::{Credential, Policy};

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::get;
use crate::support::proxy::TestProxy;

/// `Basic` and `alice:wonderland`.
const ALICE: &str = "Basic YWxpY2U6d29uZGVybGFuZA==";
/// `Basic` and `alice:wrong`.
const WRONG: &str = "Basic YWxpY2U6d3Jvbmc=";
/// `Basic` and `bob:wonderland`.
const BOB: &str = "Basic Ym9iOndvbmRlcmxhbmQ=";

async fn proxy(app: &Backend) -> TestProxy {
    // The lowest cost that there is, so that the tests need not wait.
    let hash = bcrypt::hash("wonderland", 4).unwrap();
    let alice = Credential { user: "alice".to_owned(), hash: hash.replacen("$2b$", "$2y$", 1) };
    TestProxy::with_policy(BLOG, &[app], Policy { basic_auth: vec![alice], ..Policy::default() }).await
}

fn with(authorization: &'static str) -> Request<Full<Bytes>> {
    let mut request = get(BLOG, "/");
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    request
}

#[tokio::test]
async fn nobody_comes_in_without_the_password() {
    let app = Backend::replying("app").start().await;
    let proxy = proxy(&app).await;
    for request in [get(BLOG, "/"), with(WRONG), with(BOB), with("Bearer x"), with("Basic !")] {
        let reply = proxy.send(request).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"blog\", charset=\"UTF-8\""));
    }
    let mut two = with(ALICE);
    two.headers_mut().append("authorization", ALICE.parse().unwrap());
    assert_eq!(proxy.send(two).await.status, 401, "which of the two is meant cannot be told");
    assert_eq!(app.seen().len(), 0);
}

#[tokio::test]
async fn the_password_lets_in_and_stays_outside() {
    let app = Backend::replying("app").start().await;
    let proxy = proxy(&app).await;
    for _ in 0..3 {
        assert_eq!(proxy.send(with(ALICE)).await.body, "app");
        assert_eq!(proxy.send(with(WRONG)).await.status, 401);
    }
    assert!(app.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn a_new_password_ends_the_old_one() {
    let app = Backend::replying("app").start().await;
    let proxy = proxy(&app).await;
    assert_eq!(proxy.send(with(ALICE)).await.body, "app");
    let mut route = proxy.route(BLOG, &[&app]);
    let alice = Credential { user: "alice".to_owned(), hash: bcrypt::hash("wrong", 4).unwrap() };
    let policy = Policy { https_redirect: false, basic_auth: vec![alice], ..Policy::default() };
    route.policy = policy.into();
    proxy.publish([route]);
    assert_eq!(proxy.send(with(ALICE)).await.status, 401);
    assert_eq!(proxy.send(with(WRONG)).await.body, "app");
}
