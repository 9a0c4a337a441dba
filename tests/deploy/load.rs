//! Deploys in a row under load: no request fails, no connection is cut, every WebSocket gets its goodbye.
//!
//! `MINIPAAS_DEPLOYS=200 cargo test deploys_under_load -- --nocapture` prints the figures of a longer run, and with
//! `MINIPAAS_PACE_MS=1` its clients send as fast as they are answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use super::command::{Running, until};
use super::release::TestApp;
use super::world::TestBox;
use crate::support::client::{Client, get, tls};

/// Deploys, where `MINIPAAS_DEPLOYS` does not say.
const DEPLOYS: usize = 20;
const HTTP_CLIENTS: usize = 64;
const SOCKETS: usize = 16;
/// Between two requests of one client, where `MINIPAAS_PACE_MS` does not say. All together some hundreds a second: a debug
/// build keeps up.
const PACE_MS: u64 = 100;
/// What an app that says no goodbye waits from being asked to stop to dropping its sockets. Long enough to tell a goodbye
/// that the proxy said before from one that it said after.
const SILENT_DELAY: Duration = Duration::from_millis(300);
/// Clocks of two processes on one machine, and a log line on its way.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// What all clients of a kind saw.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    connections: usize,
    failures: Vec<String>,
    /// WebSockets that were ended.
    ended: Vec<Ended>,
}

/// A WebSocket that got a close frame.
#[derive(Debug)]
struct Ended {
    version: String,
    reason: String,
    at: SystemTime,
}

fn pace() -> Duration {
    let millis = std::env::var("MINIPAAS_PACE_MS").map_or(PACE_MS, |text| text.parse().expect("a number"));
    Duration::from_millis(millis)
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_under_load_drop_nothing() {
    let deploys = std::env::var("MINIPAAS_DEPLOYS").map_or(DEPLOYS, |text| text.parse().expect("a number"));
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&release(1)).await.success();
    let mut stops = follow_stops(&on).await;
    let ca = on.ca().await;

    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..HTTP_CLIENTS)
        .map(|number| {
            let (ca, stop) = ((number % 2 == 0).then(|| ca.clone()), stop.clone());
            let addr = if ca.is_some() { on.https() } else { on.http() };
            tokio::spawn(ask(addr, ca, stop))
        })
        .collect();
    let sockets: Vec<_> = (0..SOCKETS).map(|_| tokio::spawn(talk(on.http(), stop.clone()))).collect();

    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for number in 2..=deploys + 1 {
        let begun = Instant::now();
        project.deploy(&release(number)).await.success();
        slowest = slowest.max(begun.elapsed());
    }
    let took = start.elapsed();
    let last = format!("v{}", deploys + 1);
    on.settled(1, &last).await;
    stop.cancel();
    let (http, ws) = (gather(clients).await, gather(sockets).await);

    println!(
        "{deploys} deploys in {took:.1?} (slowest {slowest:.1?}): {} requests on {} connections, {} failed; \
         {} messages on {} WebSockets, {} ended by a close frame, {} otherwise",
        http.requests,
        http.connections,
        http.failures.len(),
        ws.requests,
        ws.connections,
        ws.ended.len(),
        ws.failures.len()
    );
    assert_eq!(http.failures, Vec::<String>::new());
    assert_eq!(ws.failures, Vec::<String>::new());
    // Each of them lived through every deploy: it was ended, and came back to the release after.
    assert!(ws.ended.len() >= SOCKETS, "{} were ended", ws.ended.len());
    until("every stop is told", || asked_to_stop(&stops).len() >= deploys).await;
    let asked = asked_to_stop(&stops);
    for ended in &ws.ended {
        let asked = asked.get(&ended.version).unwrap_or_else(|| panic!("{ended:?}: not asked to stop"));
        assert!(ended.at + CLOCK_SLACK >= *asked, "{ended:?}: asked to stop only at {asked:?}");
        if is_silent(&ended.version) {
            assert!(ended.at + CLOCK_SLACK >= *asked + SILENT_DELAY, "{ended:?}: {asked:?}");
        } else {
            assert_eq!(ended.reason, "stopping", "the app's own goodbye: {ended:?}");
        }
    }
    assert!(stops.is_running());
}

/// Every other release drops its sockets without a word, and the proxy has to say it.
fn release(number: usize) -> TestApp {
    let app = TestApp::version(&number.to_string())
        .table("[proxy]\nhttps_redirect = false")
        .table("[deploy]\ndrain = \"10s\"\nwebsocket_drain = \"1s\"");
    if is_silent(&number.to_string()) {
        app.env("WS_SILENT", "1").env("TERM_DELAY_MS", &SILENT_DELAY.as_millis().to_string())
    } else {
        app
    }
}

fn is_silent(version: &str) -> bool {
    version.parse::<usize>().expect("a number") % 2 == 0
}

/// Docker's word on when containers were asked to stop.
async fn follow_stops(on: &TestBox) -> Running {
    let mut command = Command::new("docker");
    command.args(["events", "--filter", &format!("label=minipaas.box={}", on.id().await)]);
    command.args(["--filter", "event=kill", "--since", "1m"]);
    command.args(["--format", "{{.TimeNano}} {{index .Actor.Attributes \"minipaas.release\"}}"]);
    Running::of(command)
}

/// When the instance of each version was asked to stop: the number of a release is its version.
fn asked_to_stop(stops: &Running) -> BTreeMap<String, SystemTime> {
    let mut asked = BTreeMap::new();
    for line in stops.stdout().lines() {
        let (nanos, release) = line.split_once(" v").expect("as the format says");
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.parse().expect("a number"));
        asked.entry(release.to_owned()).or_insert(at);
    }
    asked
}

async fn gather(tasks: Vec<tokio::task::JoinHandle<Seen>>) -> Seen {
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await.expect("a client does not panic");
        all.requests += seen.requests;
        all.connections += seen.connections;
        all.failures.extend(seen.failures);
        all.ended.extend(seen.ended);
    }
    all
}

/// Asks on one connection, for as long as the proxy keeps it.
async fn ask(addr: SocketAddr, ca: Option<CertificateDer<'static>>, stop: CancellationToken) -> Seen {
    const HOST: &str = "shop.localhost";
    let mut seen = Seen::default();
    let mut kept = None;
    let mut turns = tokio::time::interval(pace());
    while !stop.is_cancelled() {
        turns.tick().await;
        let mut client = match kept.take() {
            Some(client) => client,
            None => {
                seen.connections += 1;
                match &ca {
                    Some(ca) => Client::over(tls(addr, ca, HOST, "http/1.1").await).await,
                    None => Client::connect(addr).await,
                }
            }
        };
        seen.requests += 1;
        match client.try_send(get(HOST, "/")).await {
            Ok(reply) if reply.status == StatusCode::OK && reply.body.starts_with("version=") => {
                kept = (reply.header("connection") != Some("close")).then_some(client);
            }
            Ok(reply) => seen.failures.push(format!("{reply:?}")),
            Err(error) => seen.failures.push(format!("{error:?}")),
        }
    }
    seen
}

/// Talks on one WebSocket after the other.
async fn talk(addr: SocketAddr, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    while !stop.is_cancelled() {
        seen.connections += 1;
        match talk_once(addr, &stop, &mut seen.requests).await {
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
                ended = Some(Ended { version, reason: frame.reason.to_string(), at: SystemTime::now() });
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
