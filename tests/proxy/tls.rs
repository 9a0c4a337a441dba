use std::sync::Arc;

use http::{HeaderValue, header};
use tokio::io::AsyncWriteExt;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client, Client2, get, post, tls};
use crate::support::proxy::TestProxy;
use crate::support::{SOON, soon};

#[tokio::test]
async fn http1_is_spoken_over_tls() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    assert_eq!(client.send(get(BLOG, "/")).await.body, "app");
    assert_eq!(app.seen()[0].header("x-forwarded-proto"), Some("https"));
    assert_eq!(app.seen()[0].header("x-forwarded-port"), Some("443"));
}

#[tokio::test]
async fn http2_becomes_http1_for_the_app() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    let mut request = get("ignored", "https://blog.localhost:8443/a?b");
    request.headers_mut().remove(header::HOST);
    for crumb in ["a=1", "b=2"] {
        request.headers_mut().append(header::COOKIE, HeaderValue::from_static(crumb));
    }
    assert_eq!(client.send(request).await.body, "app");
    let seen = &app.seen()[0];
    assert_eq!(seen.uri, "/a?b");
    assert_eq!(seen.header("host"), Some("blog.localhost:8443"));
    assert_eq!(seen.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);

    let mut upload = post("ignored", "https://blog.localhost/", "body");
    upload.headers_mut().remove(header::HOST);
    assert_eq!(client.send(upload).await.body, "app");
    assert_eq!(app.seen()[1].body, "body");
}

#[tokio::test]
async fn an_https_route_is_not_redirected_again() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut route = proxy.route(BLOG, &[&app]);
    route.policy = Arc::default();
    proxy.publish([route]);
    let mut client = Client::over(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await).await;
    assert_eq!(client.send(get(BLOG, "/")).await.body, "app");
}

#[tokio::test]
async fn a_shutdown_says_goaway() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    client.send(get(BLOG, "https://blog.localhost/")).await;
    assert_eq!(proxy.stop(SOON).await.cut, 0);
    client.closed().await;
}

#[tokio::test]
async fn what_is_not_tls_does_not_disturb() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut noise = tokio::net::TcpStream::connect(proxy.https).await.unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut raw = crate::support::client::Raw(noise);
    soon(raw.rest()).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    assert_eq!(client.send(get(BLOG, "https://blog.localhost/")).await.body, "app");
}
