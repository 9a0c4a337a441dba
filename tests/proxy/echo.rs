//! Random exchanges: every body comes back as it was sent, in its order, however both sides frame and cut it.

use std::io;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, split,
};
use tokio::net::TcpStream;

use super::BLOG;
use crate::support::backend::Backend;
use crate::support::client::tls;
use crate::support::proxy::TestProxy;
use crate::support::soon;

/// Connections, every other one over TLS.
const CONNECTIONS: u64 = 100;
/// Requests that a connection sends ahead.
const REQUESTS_MAX: usize = 8;

/// Random numbers, the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    /// Often nothing or little, at times much.
    fn body(&mut self) -> Vec<u8> {
        let largest = [1, 64, 8 * 1024, 200 * 1024][self.below(4)];
        let (length, first) = (self.below(largest), self.below(256));
        (0..length).map(|at| (first + at / 7) as u8).collect()
    }

    fn chunked(&mut self, mut body: &[u8]) -> Vec<u8> {
        let (mut bytes, largest) = (Vec::new(), [256, 4096, 64 * 1024][self.below(3)]);
        while !body.is_empty() {
            let chunk;
            (chunk, body) = body.split_at(1 + self.below(body.len().min(largest)));
            bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    /// Writes all of it, in pieces.
    async fn send(&mut self, stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
        let largest = [1024, 16 * 1024, 256 * 1024][self.below(3)];
        while !bytes.is_empty() {
            let piece;
            (piece, bytes) = bytes.split_at(1 + self.below(bytes.len().min(largest)));
            stream.write_all(piece).await?;
            stream.flush().await?;
        }
        Ok(())
    }
}

/// The head, in small letters, and the body; `None` at the end of the connection.
async fn read_message(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let (mut head, mut body) = (String::new(), Vec::new());
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await.ok()?;
            let length = usize::from_str_radix(size.trim_end(), 16).expect("a size and nothing else");
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            assert!(chunk.ends_with(b"\r\n"));
            if length == 0 {
                break;
            }
            body.extend(&chunk[..length]);
        }
    }
    Some((head, body))
}

/// An app that answers each body with itself: with its length, in chunks, or up to the end of the connection.
async fn echo(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = read_message(&mut stream).await {
        let number: u64 = head.split(' ').nth(1).unwrap()[1..].parse().unwrap();
        let mut dice = Dice(number);
        let kind = dice.below(3);
        let (framing, body) = match kind {
            0 => (format!("content-length: {}\r\n", body.len()), body),
            1 => ("transfer-encoding: chunked\r\n".to_owned(), dice.chunked(&body)),
            _ => (String::new(), body),
        };
        let head = format!("HTTP/1.1 200 OK\r\nx-number: {number}\r\n{framing}\r\n");
        let answer = [head.into_bytes(), body].concat();
        if dice.send(&mut stream, &answer).await.is_err() || kind == 2 {
            return;
        }
    }
}

/// Sends some requests at once, and reads their answers meanwhile.
async fn talk(stream: impl AsyncRead + AsyncWrite, connection: u64) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ connection);
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..=dice.below(REQUESTS_MAX) {
        let (number, body) = (1 + dice.below(1 << 40), dice.body());
        let method = ["GET", "POST", "PUT", "DELETE"][dice.below(4)];
        let (framing, sent) = match dice.below(2) {
            _ if body.is_empty() => (String::new(), Vec::new()),
            0 => (format!("Content-Length: {}\r\n", body.len()), body.clone()),
            _ => ("Transfer-Encoding: chunked\r\n".to_owned(), dice.chunked(&body)),
        };
        let head = format!("{method} /{number} HTTP/1.1\r\nHost: {BLOG}\r\nX-Empty:\r\n{framing}\r\n");
        bytes.extend([head.into_bytes(), sent].concat());
        expected.push((number, body));
    }
    let (read, mut write) = split(stream);
    let mut read = BufReader::new(read);
    let send = async { dice.send(&mut write, &bytes).await.unwrap() };
    let receive = async {
        for (number, body) in &expected {
            let (head, echoed) = read_message(&mut read).await.expect("an answer");
            let mark = format!("http/1.1 200 ok\r\nx-number: {number}\r\n");
            assert!(head.starts_with(&mark), "connection {connection}, {number}: {head}");
            assert!(echoed == *body, "connection {connection}, {number}: {head}");
        }
    };
    soon(async { tokio::join!(send, receive) }).await;
}

#[tokio::test]
async fn every_body_comes_back_as_it_was_sent_and_in_its_order() {
    let app = Backend::speaking(echo).start().await;
    let proxy = TestProxy::with_route(BLOG, &[&app]).await;
    for connection in 0..CONNECTIONS {
        if connection % 2 == 0 {
            talk(TcpStream::connect(proxy.http).await.unwrap(), connection).await;
        } else {
            talk(tls(proxy.https, &proxy.root, BLOG, "http/1.1").await, connection).await;
        }
    }
}
