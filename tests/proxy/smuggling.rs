//! Requests that two parsers could read in two ways: each is refused, or reaches the app in the one form that is left.
//!
//! The table in `docs/http.md` says the same in words.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Version;
use minipaas::proxy::{ProxyConfig, Timeouts};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::{Client2, Raw, get, tls};
use crate::support::proxy::TestProxy;

/// What the proxy says of each request itself.
const OURS: [&str; 7] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
    "x-request-start",
    "forwarded",
];

/// An app that reads strictly and keeps the bytes: the request line, the sorted header lines, the body with its framing.
async fn recording() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&requests);
    let app = Backend::speaking(move |stream| {
        let log = Arc::clone(&log);
        async move {
            let mut stream = BufReader::new(stream);
            while let Some(request) = read_request(&mut stream).await {
                log.lock().unwrap().push(request);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    (app.start().await, requests)
}

async fn read_request(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<String> {
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let first = lines.remove(0);
    let mut lines: Vec<_> = lines
        .into_iter()
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            format!("{}: {value}", name.to_lowercase())
        })
        .filter(|line| !OURS.iter().any(|name| line.starts_with(&format!("{name}:"))))
        .collect();
    lines.sort();
    let mut body = Vec::new();
    if let Some(length) = lines.iter().find_map(|line| line.strip_prefix("content-length: ")) {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if lines.iter().any(|line| line == "transfer-encoding: chunked") {
        loop {
            let size = read_line(stream).await?;
            let length = usize::from_str_radix(&size, 16).expect("a size and nothing else");
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            assert!(chunk.ends_with(b"\r\n"));
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    Some(format!("{first} | {} | {}", lines.join(" | "), String::from_utf8(body).unwrap()))
}

/// A line that ends as it must, without its end.
async fn read_line(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok().filter(|length| *length > 0)?;
    let line = String::from_utf8(line).unwrap();
    let line = line.strip_suffix("\r\n").expect("a line ends with CR LF");
    assert!(!line.contains('\r'), "{line:?}");
    Some(line.to_owned())
}

/// Sends these bytes and returns the status line, and what the app got.
async fn exchange(bytes: &[u8]) -> (String, Vec<String>) {
    let (app, requests) = recording().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut raw = Raw::connect(proxy.http).await;
    // A refusal may come, and close the connection, before all was written.
    let _ = raw.0.write_all(bytes).await;
    let reply = raw.rest().await;
    let status = String::from_utf8_lossy(&reply).lines().next().unwrap_or_default().to_owned();
    let requests = requests.lock().unwrap().clone();
    (status, requests)
}

/// The head is completed with a request line, a good host, and a wish to end.
async fn refused(status: u16, head_and_body: &str) {
    let what = head_and_body.escape_debug().to_string();
    let (answer, requests) = exchange(head_and_body.as_bytes()).await;
    let is_refused = answer.starts_with("HTTP/1.") && answer[8..].starts_with(&format!(" {status} "));
    assert!(is_refused && requests.is_empty(), "{what}: {answer:?}, {requests:?}");
}

async fn normalised(head_and_body: &str, expected: &str) {
    let what = head_and_body.escape_debug().to_string();
    let (answer, requests) = exchange(head_and_body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{what}: {answer:?}");
    assert_eq!(requests, [expected], "{what}");
}

/// A POST with these header lines, each with its end, and this body. Whatever is left over would be another request.
fn posting(headers: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn lengths_that_disagree_or_are_none_are_refused() {
    for lengths in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
    ] {
        refused(400, &posting(lengths, "abc")).await;
    }
    normalised(
        &posting("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        "POST /a HTTP/1.1 | content-length: 3 | host: blog.localhost | abc",
    )
    .await;
}

#[tokio::test]
async fn transfer_codings_other_than_chunked_once_are_refused() {
    for codings in [
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding:\r\n",
    ] {
        refused(400, &posting(codings, "3\r\nabc\r\n0\r\n\r\n")).await;
    }
    refused(400, "POST /a HTTP/1.0\r\nHost: blog.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
    let chunked = "POST /a HTTP/1.1 | host: blog.localhost | transfer-encoding: chunked | abc";
    for codings in ["Transfer-Encoding: chunked\r\n", "Transfer-Encoding:\t ChunkED \t\r\n"] {
        normalised(&posting(codings, "3\r\nabc\r\n0\r\n\r\n"), chunked).await;
    }
}

#[tokio::test]
async fn a_length_beside_a_coding_is_refused() {
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        refused(400, &posting(headers, "3\r\nabc\r\n0\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn chunks_that_are_none_break_the_request() {
    for body in [
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "-1\r\nabc",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3\r\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3\r\nabc\r\n0\r\nX-A: b\n\r\n",
        "3\r\nabc\r\n0\r\nX-A: b\n\nGET /smuggled HTTP/1.1\r\nHost: blog.localhost\r\n\r\n",
    ] {
        let (answer, requests) = exchange(posting("Transfer-Encoding: chunked\r\n", body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer:?}");
        assert!(requests.is_empty(), "{body:?}: {requests:?}");
    }
    let endless = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(20_000));
    let (answer, requests) = exchange(posting("Transfer-Encoding: chunked\r\n", &endless).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && requests.is_empty(), "{answer:?}");
    normalised(
        &posting("Transfer-Encoding: chunked\r\n", "3;name=value\r\nabc\r\n0\r\n\r\n"),
        "POST /a HTTP/1.1 | host: blog.localhost | transfer-encoding: chunked | abc",
    )
    .await;
}

#[tokio::test]
async fn heads_that_can_be_read_in_two_ways_are_refused() {
    for request in [
        "GET / HTTP/1.1\r\nHost : blog.localhost\r\n\r\n",
        "GET / HTTP/1.1\nHost: blog.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\nX-A: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\n\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-A: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: blog.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-A: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-A: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nX A: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-A\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\n: b\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: blog.localhost\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: blog.localhost\r\n\r\n",
        "GET / http/1.1\r\nHost: blog.localhost\r\n\r\n",
    ] {
        refused(400, request).await;
    }
}

#[tokio::test]
async fn a_request_has_one_valid_host() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost\r\nHost: blog.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost, evil\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost/evil\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@blog.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost:80:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: blog.localhost:evil\r\n\r\n",
        "GET http://blog.localhost/ HTTP/1.1\r\nHost: evil.localhost\r\n\r\n",
        "GET http://evil.localhost/ HTTP/1.1\r\nHost: blog.localhost\r\n\r\n",
        "GET http://blog.localhost:81/ HTTP/1.1\r\nHost: blog.localhost\r\n\r\n",
        "GET http://user@blog.localhost/ HTTP/1.1\r\nHost: user@blog.localhost\r\n\r\n",
    ] {
        let head = head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        refused(400, &head).await;
    }
    let expected = "GET /a?b HTTP/1.1 | host: blog.localhost | ";
    let absolute =
        "GET http://blog.localhost/a?b HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n";
    normalised(absolute, expected).await;
}

#[tokio::test]
async fn an_http2_request_has_one_host_too() {
    let (app, requests) = recording().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    let mut client = Client2::over(tls(proxy.https, &proxy.root, BLOG, "h2").await).await;
    for (host, status) in [("evil.localhost", 400), (BLOG, 200)] {
        let mut request = get(host, "https://blog.localhost/");
        *request.version_mut() = Version::HTTP_2;
        assert_eq!(client.send(request).await.status, status, "{host}");
    }
    assert_eq!(requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn heads_have_a_size() {
    let long = "x".repeat(20_000);
    refused(414, &format!("GET /{long} HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n")).await;
    let large = "x".repeat(70_000);
    refused(431, &format!("GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-A: {large}\r\n\r\n")).await;
    let many = "X-A: b\r\n".repeat(100);
    refused(431, &format!("GET / HTTP/1.1\r\nHost: blog.localhost\r\n{many}\r\n")).await;
    refused(405, "CONNECT blog.localhost:443 HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n")
        .await;
}

#[tokio::test]
async fn what_follows_a_refused_request_is_not_read() {
    let request = "GET / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: x\r\n\r\n";
    refused(400, &format!("{request}GET /smuggled HTTP/1.1\r\nHost: blog.localhost\r\n\r\n")).await;
    let coding = posting(
        "Transfer-Encoding: gzip, chunked\r\n",
        "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: blog.localhost\r\n\r\n",
    );
    refused(400, &coding.replacen("Connection: close\r\n", "", 1)).await;
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let timeouts = Timeouts { head: Duration::from_millis(50), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    let mut raw = Raw::connect(proxy.http).await;
    raw.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-Slow: ").await;
    raw.rest().await;
    let mut silent = Raw::connect(proxy.http).await;
    assert!(silent.rest().await.is_empty());
}
