//! Pages of other origins, answered in the app's place.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG};
use http::{Method, Request, Response};
use http_body_util::Full;
use minipaas::policy::{Cors, Credential, Policy};

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::get;
use crate::support::proxy::TestProxy;

const ORIGIN: &str = "https://app.example.com";

fn cors(origins: &[&str], credentials: bool) -> Option<Cors> {
    Some(Cors {
        origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        methods: vec![Method::PUT],
        headers: vec![CONTENT_TYPE, AUTHORIZATION],
        expose: vec![ETAG],
        credentials,
        max_age: Duration::from_secs(600),
    })
}

fn asking(method: Method, origin: &'static str) -> Request<Full<Bytes>> {
    let mut request = get(BLOG, "/");
    request.headers_mut().insert("origin", origin.parse().unwrap());
    if method == Method::OPTIONS {
        request.headers_mut().insert("access-control-request-method", "PUT".parse().unwrap());
    }
    *request.method_mut() = method;
    request
}

async fn app() -> Backend {
    let answer = |_| async {
        let response = Response::builder().header("access-control-allow-origin", "https://mine");
        response.header("vary", "cookie").body(full("app")).unwrap()
    };
    Backend::answering(answer).start().await
}

#[tokio::test]
async fn a_preflight_is_answered_without_the_app_and_before_the_password() {
    let app = app().await;
    let user = Credential { user: "u".to_owned(), hash: "none".to_owned() };
    let policy = Policy { cors: cors(&[ORIGIN], true), basic_auth: vec![user], ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    let reply = proxy.send(asking(Method::OPTIONS, ORIGIN)).await;
    assert_eq!(reply.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-methods", "GET, HEAD, POST, PUT"),
        ("access-control-allow-headers", "content-type, authorization"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let refused = proxy.send(asking(Method::OPTIONS, "https://evil.example")).await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (204, None));
    assert_eq!(refused.header("access-control-allow-methods"), None);
    let unauthorized = proxy.send(asking(Method::GET, ORIGIN)).await;
    assert_eq!(unauthorized.status, 401);
    assert_eq!(unauthorized.header("access-control-allow-origin"), Some(ORIGIN), "the page may read why");
    assert_eq!(app.seen().len(), 0);
}

#[tokio::test]
async fn the_apps_own_word_is_replaced() {
    let app = app().await;
    let policy = Policy { cors: cors(&[ORIGIN], false), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), ("https://evil.example", None)] {
        let reply = proxy.send(asking(Method::GET, origin)).await;
        assert_eq!(reply.body, "app");
        assert_eq!(reply.header("access-control-allow-origin"), allowed);
        assert_eq!(reply.headers.get_all("vary").iter().collect::<Vec<_>>(), ["cookie", "origin"]);
    }
    let policy = Policy { cors: cors(&["*"], false), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    let reply = proxy.send(asking(Method::GET, ORIGIN)).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-expose-headers"), Some("etag"));
}

#[tokio::test]
async fn a_plain_options_request_is_the_apps() {
    let app = app().await;
    let policy = Policy { cors: cors(&[ORIGIN], false), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy).await;
    let mut request = get(BLOG, "/");
    *request.method_mut() = Method::OPTIONS;
    assert_eq!(proxy.send(request).await.body, "app");
}
