use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use http::{Method, Request, Response};
use minipaas::policy::{PageKey, Policy, Timeouts};
use minipaas::proxy::ProxyConfig;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::get;
use crate::support::proxy::TestProxy;

const FORMATS: [(&str, &str); 3] = [
    ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
    ("application/json", "application/json"),
    ("*/*", "text/plain; charset=utf-8"),
];

/// Asks in each format and returns the bodies, after checking what they have in common.
async fn pages(proxy: &TestProxy, host: &str, status: u16, code: &str) -> [String; 3] {
    let mut bodies = Vec::new();
    for (accept, content_type) in FORMATS {
        let mut request = get(host, "/");
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        let reply = proxy.send(request).await;
        assert_eq!(reply.status, status, "{accept}");
        assert_eq!(reply.header("content-type"), Some(content_type));
        assert_eq!(reply.header("retry-after"), (status == 503).then_some("1"));
        let id = reply.header("x-request-id").unwrap();
        assert!(reply.body.contains(id), "{}", reply.body);
        bodies.push(reply.body);
    }
    let json: serde_json::Value = serde_json::from_str(&bodies[1]).unwrap();
    assert_eq!(json["error"]["status"], status);
    assert_eq!(json["error"]["code"], code);
    assert_eq!(bodies[2].lines().count(), 1);
    bodies.try_into().unwrap()
}

#[tokio::test]
async fn an_unknown_host_is_404() {
    let proxy = TestProxy::start(ProxyConfig::new("box.example.com")).await;
    let [html, _, text] = pages(&proxy, "nobody.example.com", 404, "no-route").await;
    assert!(html.contains("<h1><small>404 Not Found</small>No app answers at this address</h1>"), "{html}");
    assert!(text.starts_with("404: no app answers at this address. ") && text.contains(".box.example.com"));
}

#[tokio::test]
async fn an_app_without_a_ready_instance_is_503() {
    let proxy = TestProxy::with_route(BLOG, &[]).await;
    let [html, _, text] = pages(&proxy, BLOG, 503, "not-ready").await;
    assert!(html.contains("(<code>blog</code>)") && text.contains("`minipaas ps -a blog`"));
}

#[tokio::test]
async fn visitors_read_nothing_that_is_for_who_runs_the_box() {
    let mut config = ProxyConfig::new("box.example.com");
    config.trust.proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxy = TestProxy::start(config).await;
    proxy.publish([proxy.route(BLOG, &[])]);
    for accept in FORMATS.map(|(accept, _)| accept) {
        for (client, is_told) in [("203.0.113.9", false), ("127.0.0.1", true)] {
            let mut request = get(BLOG, "/");
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
            request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static(client));
            let body = proxy.send(request).await.body;
            assert_eq!(body.contains("blog"), is_told, "{client}: {body}");
            assert_eq!(body.contains("minipaas ps"), is_told && accept != "application/json", "{body}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_instance_is_502() {
    let gone = Backend::refusing().await;
    let proxy = TestProxy::with_route(BLOG, &[&gone]).await;
    pages(&proxy, BLOG, 502, "unreachable").await;
}

#[tokio::test]
async fn a_silent_instance_is_504() {
    let silent = Backend::answering(|_| std::future::pending()).start().await;
    let timeouts = Timeouts { first_byte: Duration::from_millis(50), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let mut route = proxy.route(BLOG, &[&silent]);
    route.policy = Arc::new(Policy { timeouts, https_redirect: false, ..Policy::default() });
    proxy.publish([route]);
    pages(&proxy, BLOG, 504, "response-timeout").await;
    assert_eq!(silent.seen().len(), 3, "what was sent is not sent again");
    assert_eq!(proxy.upstream().in_flight(), 0);
}

#[tokio::test]
async fn a_page_for_head_has_its_length_and_no_body() {
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let mut request: Request<_> = get(BLOG, "/");
    *request.method_mut() = Method::HEAD;
    let reply = proxy.send(request).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (404, ""));
    assert_ne!(reply.header("content-length"), Some("0"));
}

#[tokio::test]
async fn an_apps_own_errors_pass_unchanged() {
    let app = Backend::answering(|_| async {
        Response::builder().status(503).header("retry-after", "9").body(full("mine")).unwrap()
    });
    let app = app.start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let reply = proxy.send(get(BLOG, "/")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after"), reply.body.as_str()),
        (503, Some("9"), "mine")
    );
}

#[tokio::test]
async fn an_apps_own_page_is_shown_for_the_proxys_errors_alone() {
    let app =
        Backend::answering(|_| async { Response::builder().status(503).body(full("the app's")).unwrap() });
    let app = app.start().await;
    let page = "<p>{status}: tell us {request_id}, {status}</p>";
    let policy = Policy { error_pages: [(PageKey::Status(503), page.into())].into(), ..Policy::default() };
    let proxy = TestProxy::with_policy(BLOG, &[&app], policy.clone()).await;
    assert_eq!(proxy.send(get(BLOG, "/")).await.body, "the app's");
    let proxy = TestProxy::with_policy(BLOG, &[], policy).await;
    for (accept, content_type) in FORMATS {
        let mut request = get(BLOG, "/");
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        let reply = proxy.send(request).await;
        let id = reply.header("x-request-id").unwrap();
        if content_type == "application/json" {
            assert!(reply.body.contains("\"code\":\"not-ready\""), "{}", reply.body);
        } else {
            assert_eq!(reply.body, format!("<p>503: tell us {id}, 503</p>"));
            assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        }
    }
}
