//! The WebSocket at `/ws`: echoes texts, and says goodbye when the app stops.

use std::io;

use futures_util::{SinkExt, StreamExt};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::app::{Body, text};

/// How long a client may take to answer the close frame.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Answers the handshake, and serves the socket on `sockets` until either side ends it.
pub(crate) fn accept(
    mut req: Request<Incoming>,
    version: String,
    drops: bool,
    stopping: CancellationToken,
    sockets: &TaskTracker,
) -> Response<Body> {
    let Some(key) = req.headers().get(SEC_WEBSOCKET_KEY) else {
        return text(StatusCode::BAD_REQUEST, "this is a WebSocket\n");
    };
    let accepted =
        HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header value");
    let upgrade = hyper::upgrade::on(&mut req);
    sockets.spawn(async move {
        let ended = serve(upgrade, &version, drops, stopping).await;
        println!("socket {}", ended.map_or_else(|error| error.to_string(), |()| "closed".to_owned()));
    });

    let mut res = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = res.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    res
}

async fn serve(
    upgrade: OnUpgrade,
    version: &str,
    drops: bool,
    stopping: CancellationToken,
) -> Result<(), Error> {
    let upgraded = upgrade.await.map_err(|error| Error::Io(io::Error::other(error)))?;
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    loop {
        let message = tokio::select! {
            () = stopping.cancelled() => break,
            message = socket.next() => message,
        };
        match message.transpose()? {
            Some(Message::Text(text)) => socket.send(Message::text(format!("{version}:{text}"))).await?,
            Some(Message::Binary(data)) => socket.send(Message::Binary(data)).await?,
            // The library answers pings and close frames itself.
            Some(_) => {}
            None => return Ok(()),
        }
    }
    if drops { Ok(()) } else { say_goodbye(socket).await }
}

async fn say_goodbye(mut socket: WebSocketStream<TokioIo<Upgraded>>) -> Result<(), Error> {
    let frame = CloseFrame { code: CloseCode::Away, reason: "stopping".into() };
    socket.close(Some(frame)).await?;
    // The connection is closed in order once the client has answered; what it still sends before is dropped.
    let answered = async { while let Some(Ok(_)) = socket.next().await {} };
    drop(timeout(CLOSE_MAX, answered).await);
    Ok(())
}
