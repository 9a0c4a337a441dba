//! Deploys in a row under load, all kinds of clients at once: nothing fails, no connection is cut, what cannot end by itself
//! is told goodbye.
//!
//! What counts as failed:
//!
//! - A *request* (http/1.1, https/1.1, h2): whatever is not the app's 200, whole. Its connection is never closed either.
//! - A *gRPC call*: whatever is not 200 with the body that was sent and the trailer `grpc-status: 0`.
//! - An *upload* (Content-Length, chunked, h2; some at once, some over half a second): whatever is not 200 with the length and the
//!   sum of what was sent. Each takes less than `drain`, so none may be cut.
//! - A *WebSocket*: an end without a close frame, one before its instance was asked to stop, one without the app's own reason
//!   where the app gives one; no new one after.
//! - An *event stream* (http/1.1, h2): no 200, an event that is missing or half, silence, an end before its instance was asked
//!   to stop, a broken end where the app ends its streams, an old release after the end. It is a request like any other: it
//!   lives until `drain` is over, when the app is asked to stop and ends it. What the app leaves open breaks off as its
//!   process ends, and must not look complete: the connection is closed in the middle of a chunk, or the stream is reset.
//!   `EventSource` connects again after either. The connection of a stream that ended in order, and every h2 connection,
//!   serves the next one.
//!
//! `MINIPAAS_DEPLOYS=200 cargo test deploys_under_load -- --nocapture` prints the figures of a longer run, and with
//! `MINIPAAS_PACE_MS=1` its clients send as fast as they are answered.

mod calls;
mod connection;
mod events;
mod requests;
mod sockets;
mod uploads;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::connection::Road;
use super::command::{Running, until};
use super::release::TestApp;
use super::world::TestBox;

/// Deploys, where `MINIPAAS_DEPLOYS` does not say.
const DEPLOYS: usize = 6;
/// Between two requests of one client, where `MINIPAAS_PACE_MS` does not say. All together some hundreds a second: a debug
/// build keeps up.
const PACE_MS: u64 = 100;
/// What the app that is served is called.
const HOST: &str = "shop.localhost";
/// What an app that says no goodbye waits from being asked to stop to dropping what is open. Long enough to tell a goodbye
/// that the proxy said before from one that it said after.
const SILENT_DELAY: Duration = Duration::from_millis(300);
/// Clocks of two processes on one machine, and a log line on its way.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// Clients that do the same.
struct Kind {
    name: &'static str,
    clients: Vec<JoinHandle<Seen>>,
    /// Connections beyond one a client that are in order.
    spare: Spare,
}

/// When a client may need another connection.
enum Spare {
    /// Never: one lasts through all deploys.
    None,
    /// After each end that an app left to break off.
    PerBroken,
    /// After each end.
    PerEnd,
}

/// What a client saw, or all of a kind.
#[derive(Debug, Default)]
struct Seen {
    /// Requests answered, messages or events received.
    done: usize,
    bytes: usize,
    connections: usize,
    slowest: Duration,
    failures: Vec<String>,
    /// What does not end by itself and was ended.
    ended: Vec<Ended>,
}

/// The end of a WebSocket or an event stream.
#[derive(Debug)]
struct Ended {
    version: String,
    how: How,
    at: SystemTime,
}

#[derive(Debug, PartialEq)]
enum How {
    /// A close frame with this reason.
    Closed(String),
    /// The end of a response.
    Complete,
    /// A response that broke off.
    Broken,
}

impl Seen {
    /// Notes how one exchange went, and hands on what it brought.
    fn note<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|failure| self.failures.push(failure)).ok()
    }

    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.bytes += other.bytes;
        self.connections += other.connections;
        self.slowest = self.slowest.max(other.slowest);
        self.failures.extend(other.failures);
        self.ended.extend(other.ended);
    }
}

impl Kind {
    fn new<F>(name: &'static str, spare: Spare, count: usize, client: impl Fn(usize) -> F) -> Self
    where
        F: Future<Output = Seen> + Send + 'static,
    {
        Self { name, spare, clients: (0..count).map(|number| tokio::spawn(client(number))).collect() }
    }

    /// Checks what the clients saw once they are done, and prints it.
    async fn check(self, deploys: usize, asked: &BTreeMap<String, SystemTime>) {
        let Self { name, clients, spare } = self;
        let count = clients.len();
        let mut seen = Seen::default();
        for client in clients {
            seen.add(client.await.expect("a client does not panic"));
        }
        let Seen { done, bytes, connections, slowest, failures, ended } = seen;
        println!(
            "{name}: {done} done, {:.1} MiB, slowest {slowest:.2?}, {connections} connections of {count} clients, \
             {} ended, {} failed",
            bytes as f64 / f64::from(1 << 20),
            ended.len(),
            failures.len()
        );
        assert_eq!(failures, Vec::<String>::new(), "{name}");
        assert!(done >= count * deploys, "{name}: {done} done");
        let broken = ended.iter().filter(|ended| ended.how == How::Broken).count();
        let spare = match spare {
            Spare::None => 0,
            Spare::PerBroken => broken,
            Spare::PerEnd => ended.len(),
        };
        assert!(connections <= count + spare, "{name}: {connections} connections");
        if ended.is_empty() {
            return;
        }
        // Each of them lived through every deploy: it was ended, and came back to the release after.
        assert!(ended.len() >= count, "{name}: {} were ended", ended.len());
        for ended in &ended {
            check_end(ended, asked);
        }
    }
}

fn check_end(ended: &Ended, asked: &BTreeMap<String, SystemTime>) {
    let asked = *asked.get(&ended.version).unwrap_or_else(|| panic!("{ended:?}: not asked to stop"));
    assert!(ended.at + CLOCK_SLACK >= asked, "{ended:?}: asked to stop only at {asked:?}");
    if is_silent(&ended.version) {
        assert!(ended.at + CLOCK_SLACK >= asked + SILENT_DELAY, "{ended:?}: {asked:?}");
        assert_ne!(ended.how, How::Complete, "the app did not end it: {ended:?}");
    } else if let How::Closed(reason) = &ended.how {
        assert_eq!(reason, "stopping", "the app's own goodbye: {ended:?}");
    } else {
        assert_eq!(ended.how, How::Complete, "the app ended it: {ended:?}");
    }
}

fn pace() -> Duration {
    Duration::from_millis(setting("MINIPAAS_PACE_MS", PACE_MS))
}

fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_under_load_drop_nothing() {
    let deploys = setting("MINIPAAS_DEPLOYS", DEPLOYS);
    let on = TestBox::new();
    let project = on.project("shop");
    project.deploy(&release(1)).await.success();
    let mut stops = follow_stops(&on).await;

    let stop = CancellationToken::new();
    let kinds = start_clients(&on, &stop).await;
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for number in 2..=deploys + 1 {
        let begun = Instant::now();
        project.deploy(&release(number)).await.success();
        slowest = slowest.max(begun.elapsed());
    }
    let took = start.elapsed();
    on.settled(1, &format!("v{}", deploys + 1)).await;
    stop.cancel();
    println!("{deploys} deploys in {took:.1?}, the slowest in {slowest:.1?}");
    until("every stop is told", || asked_to_stop(&stops).len() >= deploys).await;
    let asked = asked_to_stop(&stops);
    for kind in kinds {
        kind.check(deploys, &asked).await;
    }
    assert!(stops.is_running());
}

async fn start_clients(on: &TestBox, stop: &CancellationToken) -> Vec<Kind> {
    let ca = on.ca().await;
    let http = Road::http(on.http());
    let https = Road::https(on.https(), ca.clone());
    let h2 = Road::h2(on.https(), ca);
    let ask = |road: &Road, at_once| {
        let (road, stop) = (road.clone(), stop.clone());
        move |_| requests::ask(road.clone(), at_once, stop.clone())
    };
    let send = |road: &Road, has_length| {
        let (road, stop) = (road.clone(), stop.clone());
        move |number| uploads::send(road.clone(), has_length, number, stop.clone())
    };
    let call = {
        let (road, stop) = (h2.clone(), stop.clone());
        move |_| calls::call(road.clone(), stop.clone())
    };
    let listen = |road: &Road| {
        let (road, stop) = (road.clone(), stop.clone());
        move |_| events::listen(road.clone(), stop.clone())
    };
    let talk = {
        let (addr, stop) = (on.http(), stop.clone());
        move |_| sockets::talk(addr, stop.clone())
    };
    vec![
        Kind::new("requests, http/1.1", Spare::None, 24, ask(&http, 1)),
        Kind::new("requests, https/1.1", Spare::None, 16, ask(&https, 1)),
        Kind::new("requests, h2", Spare::None, 4, ask(&h2, 8)),
        Kind::new("uploads, http/1.1 with a length", Spare::None, 4, send(&http, true)),
        Kind::new("uploads, https/1.1 chunked", Spare::None, 4, send(&https, false)),
        Kind::new("uploads, h2", Spare::None, 4, send(&h2, false)),
        Kind::new("gRPC calls, h2", Spare::None, 4, call),
        Kind::new("WebSockets", Spare::PerEnd, 16, talk),
        Kind::new("event streams, http/1.1", Spare::PerBroken, 8, listen(&http)),
        Kind::new("event streams, h2", Spare::None, 8, listen(&h2)),
    ]
}

/// Every other release drops what is open without a word; of WebSockets the proxy has to say it.
fn release(number: usize) -> TestApp {
    let app = TestApp::version(&number.to_string())
        .table("[proxy]\nhttps_redirect = false")
        .table("[deploy]\ndrain = \"5s\"\nwebsocket_drain = \"1s\"");
    if is_silent(&number.to_string()) {
        let delay = SILENT_DELAY.as_millis().to_string();
        app.env("WS_SILENT", "1").env("SSE_SILENT", "1").env("TERM_DELAY_MS", &delay)
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
