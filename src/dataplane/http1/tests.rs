//! The client against bytes as they come: framing, reuse, limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::decode::{Decoder, Piece};
use super::{Answer, Connection, Error, RequestBody, ResponseBody, encode, head};

const PATIENCE: Duration = Duration::from_secs(10);

fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/x?y=1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// A connection, and the other end of it.
async fn connected() -> (Box<Connection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = Connection::connect(listener.local_addr().unwrap()).await.unwrap();
    (connection, listener.accept().await.unwrap().0)
}

/// What comes of a GET that is answered with these bytes; `ends` closes the connection after them.
async fn answered(answer: &[u8], ends: bool) -> Result<Response<ResponseBody>, Error> {
    let (connection, mut server) = connected().await;
    server.write_all(answer).await.unwrap();
    if ends {
        server.shutdown().await.unwrap();
    }
    let answer = connection.exchange(&parts("GET", &[]), &mut RequestBody::Empty, PATIENCE).await?;
    // Kept open for as long as the test looks at the body.
    std::mem::forget(server);
    match answer {
        Answer::Response(response) => Ok(response),
        Answer::Switched(..) => panic!("switched"),
    }
}

async fn text(response: Response<ResponseBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

#[test]
fn a_head_is_written_as_it_is_told_and_framed_by_its_body() {
    let full = |text: &'static str| RequestBody::new(http_body_util::Full::new(Bytes::from(text)));
    for (method, headers, body, expected) in [
        ("GET", vec![("host", "h")], RequestBody::Empty, "GET /x?y=1 HTTP/1.1\r\nhost: h\r\n\r\n"),
        ("POST", vec![], RequestBody::Empty, "POST /x?y=1 HTTP/1.1\r\ncontent-length: 0\r\n\r\n"),
        ("POST", vec![], full("abc"), "POST /x?y=1 HTTP/1.1\r\ncontent-length: 3\r\n\r\n"),
        (
            "POST",
            vec![("transfer-encoding", "gzip")],
            full("abc"),
            "POST /x?y=1 HTTP/1.1\r\ncontent-length: 3\r\n\r\n",
        ),
        (
            "GET",
            vec![("a", "1"), ("a", "2")],
            RequestBody::Empty,
            "GET /x?y=1 HTTP/1.1\r\na: 1\r\na: 2\r\n\r\n",
        ),
    ] {
        let mut out = BytesMut::new();
        encode::request(&parts(method, &headers), &body, &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }
}

#[test]
fn a_body_ends_where_its_framing_says_however_it_is_cut() {
    for (head, body, expected) in [
        ("content-length: 5\r\n", "hellomore", Some("hello")),
        ("content-length: 5\r\ncontent-length: 5\r\n", "hello", Some("hello")),
        ("content-length: 5, 5\r\n", "hello", Some("hello")),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", Some("hello")),
        ("transfer-encoding: chunked\r\n", "2;a=b\r\nhe\r\n3 \r\nllo\r\n0\r\nx: y\r\n\r\n", Some("hello")),
        ("transfer-encoding: chunked\r\ncontent-length: 2\r\n", "5\r\nhello\r\n0\r\n\r\n", Some("hello")),
        ("transfer-encoding: chunked\r\n", "5\r\nhelloo\r\n0\r\n\r\n", None),
        ("transfer-encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n", None),
        ("transfer-encoding: chunked\r\n", "-5\r\nhello\r\n0\r\n\r\n", None),
        ("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", None),
        ("content-length: 5\r\ncontent-length: 6\r\n", "hello", None),
        ("content-length: +5\r\n", "hello", None),
    ] {
        for step in 1..=body.len() {
            let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
            let mut response = head::parse(&mut BytesMut::from(text.as_str())).unwrap().unwrap();
            let outcome = Decoder::of(&Method::GET, &mut response).and_then(|mut decoder| {
                let (mut input, mut found) = (BytesMut::new(), String::new());
                for piece in body.as_bytes().chunks(step) {
                    input.extend_from_slice(piece);
                    while let Some(piece) = decoder.next(&mut input)? {
                        if let Piece::Data(data) = piece {
                            found.push_str(std::str::from_utf8(&data).unwrap());
                        }
                    }
                }
                assert!(decoder.is_done(), "{head}{body} by {step}");
                Ok(found)
            });
            assert_eq!(outcome.ok().as_deref(), expected, "{head}{body} by {step}");
        }
    }
}

#[tokio::test]
async fn a_complete_response_frees_its_connection() {
    let mut response = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false).await.unwrap();
    assert!(response.body_mut().take_connection().is_none(), "the body was not read yet");
    let body = response.body_mut();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "ok");
    assert!(body.take_connection().is_some_and(|connection| connection.is_open()));
}

#[tokio::test]
async fn a_connection_is_not_used_again_when_the_upstream_ends_it_or_says_too_much() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ] {
        let mut response = answered(answer.as_bytes(), false).await.unwrap();
        assert!(response.body_mut().take_connection().is_none(), "{answer}");
    }
    let response = answered(b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 0\r\n\r\n", false);
    assert!(response.await.unwrap().body_mut().take_connection().is_some());
}

#[tokio::test]
async fn a_body_without_length_ends_with_its_connection() {
    assert_eq!(text(answered(b"HTTP/1.1 200 OK\r\n\r\nhello", true).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_an_error() {
    for answer in ["content-length: 9\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let response = answered(format!("HTTP/1.1 200 OK\r\n{answer}").as_bytes(), true).await.unwrap();
        assert!(matches!(response.into_body().collect().await, Err(Error::Io(_))), "{answer}");
    }
    assert!(matches!(answered(b"", true).await, Err(Error::Closed)));
    assert!(matches!(answered(b"HTTP/1.1 200", true).await, Err(Error::Invalid(_))));
    assert!(matches!(answered(b"SSH-2.0-OpenSSH\r\n", true).await, Err(Error::Invalid(_))));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(70_000));
    assert!(matches!(answered(long.as_bytes(), true).await, Err(Error::HeadTooLarge)));
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let answer =
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(text(answered(answer, false).await.unwrap()).await, "ok");
}

#[tokio::test]
async fn a_body_waits_for_the_100_that_its_client_waits_for() {
    let (connection, mut server) = connected().await;
    let body = http_body_util::Full::new(Bytes::from("body"));
    let exchange = tokio::spawn(async move {
        let head = parts("POST", &[("expect", "100-continue")]);
        connection.exchange(&head, &mut RequestBody::new(body), PATIENCE).await
    });
    let mut seen = vec![0; 1024];
    let count = server.read(&mut seen).await.unwrap();
    assert!(seen[..count].ends_with(b"\r\n\r\n"), "the head alone");
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    let mut body = [0; 4];
    server.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"body");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(matches!(exchange.await.unwrap(), Ok(Answer::Response(response)) if response.status() == 204));
}

#[tokio::test(start_paused = true)]
async fn a_silent_upstream_is_waited_for_no_longer_than_said() {
    let (connection, _server) = connected().await;
    let began = tokio::time::Instant::now();
    let outcome = connection.exchange(&parts("GET", &[]), &mut RequestBody::Empty, PATIENCE).await;
    assert!(matches!(outcome, Err(Error::Silent)));
    assert!(began.elapsed() >= PATIENCE);
}

#[tokio::test]
async fn a_status_without_a_body_has_no_length() {
    let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n";
    assert!(answered(answer, false).await.unwrap().headers().is_empty());
}
