//! Clients that talk on one WebSocket after the other.

use std::net::SocketAddr;
use std::time::SystemTime;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use super::{Ended, How, Seen, pace};

/// Talks on one WebSocket after the other.
pub(super) async fn talk(addr: SocketAddr, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    while !stop.is_cancelled() {
        seen.connections += 1;
        match talk_once(addr, &stop, &mut seen.done).await {
            Ok(Some(ended)) => seen.ended.push(ended),
            Ok(None) => {}
            Err(error) => seen.failures.push(error),
        }
    }
    seen
}

/// Talks until the other side says goodbye; `None` when it is we who stop.
async fn talk_once(
    addr: SocketAddr,
    stop: &CancellationToken,
    messages: &mut usize,
) -> Result<Option<Ended>, String> {
    let failed = |error: Error| format!("{error:?}");
    let stream = TcpStream::connect(addr).await.map_err(|error| format!("connect: {error}"))?;
    let (mut socket, _) =
        tokio_tungstenite::client_async("ws://shop.localhost/ws", stream).await.map_err(failed)?;
    socket.send(Message::text("hello")).await.map_err(failed)?;
    let mut version = None;
    let mut turns = tokio::time::interval(pace());
    let mut is_open = true;
    let mut ended = None;
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            _ = turns.tick(), if is_open => {
                // The other side may be saying goodbye at this very moment; that is read next.
                match socket.send(Message::text("more")).await {
                    Ok(()) => {}
                    Err(Error::AlreadyClosed | Error::ConnectionClosed | Error::Protocol(_)) => is_open = false,
                    Err(Error::Io(_)) => is_open = false,
                    Err(error) => return Err(failed(error)),
                }
                continue;
            }
            message = socket.next() => message,
        };
        match message {
            Some(Ok(Message::Text(text))) => {
                *messages += 1;
                let (said, _) = text.split_once(':').ok_or("an echo has a version")?;
                version.get_or_insert_with(|| said.to_owned());
            }
            Some(Ok(Message::Close(frame))) => {
                let frame = frame.ok_or("a close frame without a code")?;
                if frame.code != CloseCode::Away {
                    return Err(format!("closed with {frame:?}"));
                }
                let version = version.clone().ok_or("ended before the first echo")?;
                ended = Some(Ended {
                    version,
                    how: How::Closed(frame.reason.to_string()),
                    at: SystemTime::now(),
                });
                is_open = false;
            }
            Some(Ok(other)) => return Err(format!("{other:?}")),
            // Whatever ends the connection after the goodbye is in order.
            Some(Err(_)) | None if ended.is_some() => return Ok(ended),
            Some(Err(error)) => return Err(failed(error)),
            None => return Err("ended without a close frame".to_owned()),
        }
    }
}
