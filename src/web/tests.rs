//! Requests to small servers on ports of their own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use expect_test::{Expect, expect};

use super::*;

/// Answers one connection with `response`, and gives back what was asked.
fn server(response: impl Into<Vec<u8>>) -> (SocketAddr, thread::JoinHandle<String>) {
    let response = response.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Small requests come in one piece, as does the first word of TLS.
        let mut asked = [0; 4096];
        let count = stream.read(&mut asked).unwrap();
        // Who has read enough hangs up.
        let _ = stream.write_all(&response);
        String::from_utf8_lossy(&asked[..count]).into_owned()
    });
    (addr, asked)
}

async fn get(url: &str) -> Result<Response<Bytes>, WebError> {
    let client = Client::new(&Settings::default()).unwrap();
    client.send(Request::get(url).body(Bytes::new()).unwrap()).await
}

async fn check_error(url: &str, expected: Expect) -> WebError {
    let error = get(url).await.unwrap_err();
    expected.assert_eq(&error.to_string());
    error
}

#[tokio::test]
async fn a_response_comes_whole_and_a_redirect_is_one() {
    let (addr, asked) =
        server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 4\r\n\r\nmore");
    let response = get(&format!("http://{addr}/path?query")).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(response.body(), "more");
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("GET /path?query HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(concat!("user-agent: minipaas/", env!("CARGO_PKG_VERSION"), "\r\n")), "{asked}");
}

#[tokio::test]
async fn a_large_response_is_not_read_to_its_end() {
    let mut response = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    response.resize(response.len() + limits::BODY_BYTES_MAX + 1, b'x');
    let (addr, _) = server(response);
    let expected = expect!["the response of `127.0.0.1` is larger than 1048576 bytes"];
    assert!(!check_error(&format!("http://{addr}/"), expected).await.is_unreachable());
}

#[tokio::test]
async fn what_is_no_http_is_said() {
    let (addr, _) = server("SSH-2.0-OpenSSH_9.2\r\n");
    let expected = expect!["the connection to `127.0.0.1` broke: invalid HTTP version parsed"];
    assert!(check_error(&format!("http://{addr}/"), expected).await.is_unreachable());
    let (addr, _) = server("HTTP/1.1 400 Bad Request\r\n\r\n");
    let expected =
        expect!["the connection to `127.0.0.1` broke: received corrupt message of type InvalidContentType"];
    check_error(&format!("https://{addr}/"), expected).await;
}

#[tokio::test]
async fn nobody_listens() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let expected = expect!["cannot reach `127.0.0.1`: Connection refused (os error 111)"];
    assert!(check_error(&format!("http://{addr}/"), expected).await.is_unreachable());
}

#[tokio::test]
async fn only_http_is_spoken() {
    check_error("/path", expect!["`/path` is no address that begins with http:// or https:// and a host"])
        .await;
    check_error(
        "ftp://host/",
        expect!["`ftp://host/` is no address that begins with http:// or https:// and a host"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_keeps_silent_is_too_slow() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(&Settings::default()).unwrap().with_time_max(Duration::from_millis(50));
    let request =
        Request::get(format!("http://{}/", listener.local_addr().unwrap())).body(Bytes::new()).unwrap();
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.to_string(), "`127.0.0.1` did not answer within 50ms");
    assert!(error.is_unreachable());
}

#[test]
fn a_root_must_be_a_certificate() {
    let settings = Settings { extra_roots: vec![vec![1, 2, 3].into()], ..Settings::default() };
    let error = Client::new(&settings).unwrap_err();
    assert_eq!(error.to_string(), "an additional root is no certificate that can be trusted");
}
