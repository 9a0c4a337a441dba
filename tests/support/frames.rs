//! An HTTP/2 client that sends whatever frames a test makes, and knows no rule.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::tls;
use super::proxy::TestProxy;
use super::soon;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
/// The flags of a whole request without a body.
pub const WHOLE: u8 = END_STREAM | 4;
pub const END_STREAM: u8 = 1;

/// A connection of frames.
pub struct Frames(TlsStream<TcpStream>);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frames {
    /// Connects and says these settings.
    pub async fn connect(proxy: &TestProxy, host: &str, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self(tls(proxy.https, &proxy.root, host, "h2").await);
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        frames.send(&frame(SETTINGS, 0, 0, &payload)).await.unwrap();
        frames
    }

    /// Writes these bytes; fails once the other side has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        soon(async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        })
        .await
    }

    /// The next frame; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        soon(async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, _, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame { kind, stream: u32::from_be_bytes(stream), payload })
        })
        .await
    }

    /// Sends these bytes again and again until the connection ends, without reading; panics after `count_max` times.
    pub async fn flood(&mut self, bytes: &[u8], count_max: usize) {
        for _ in 0..count_max {
            if self.send(bytes).await.is_err() {
                return;
            }
        }
        panic!("the connection took all of it");
    }

    /// The error that the other side ends the connection with; `None` when it does without.
    pub async fn go_away(&mut self) -> Option<u32> {
        let mut error = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GO_AWAY {
                error = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        error
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a GET of `/`: indexed fields, and the authority as a literal.
pub fn get_block(host: &str) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    [&[0x82, 0x87, 0x84, 0x01, length], host.as_bytes()].concat()
}
