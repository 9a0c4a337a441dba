//! Many names at once, issued and renewed by an authority that refuses every other nonce, while clients use the box.
//!
//! What counts as failed: a request that is not the app's 200, whole; a connection that was kept and is closed; a handshake
//! that does not end with a certificate of the authority that is valid.
//!
//! `MINIPAAS_NAMES=100 cargo test under_load -- --nocapture` prints the figures of as many names.

use std::collections::{BTreeMap, HashSet};

use http::{Request, StatusCode, header};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

use super::daemon::{AcmeBox, BODY, leaf};
use super::*;
use crate::support::client::{Client, Client2, Reply, get};

/// Names, where `MINIPAAS_NAMES` does not say.
const NAMES: u32 = 20;
/// Connections that are kept from before the first renewal until after the last, of each protocol.
const KEPT: usize = 4;
/// Clients that open one connection after the other.
const COMERS: usize = 2;
/// Between two requests of a client. A debug build keeps up with all together.
const PACE: Duration = Duration::from_millis(50);
/// All of it takes a lifetime and what the orders need.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    handshakes: usize,
    slowest: Duration,
    certificates: HashSet<CertificateDer<'static>>,
    failures: Vec<String>,
}

impl Seen {
    fn note(&mut self, since: Instant, answer: hyper::Result<Reply>) -> bool {
        self.slowest = self.slowest.max(since.elapsed());
        let failure = match answer {
            Ok(reply) if reply.status != StatusCode::OK || reply.body != BODY => format!("{reply:?}"),
            Ok(reply) if reply.header("connection") == Some("close") => "it says goodbye".to_owned(),
            Ok(_) => {
                self.requests += 1;
                return true;
            }
            Err(error) => format!("{error:?}"),
        };
        self.failures.push(failure);
        false
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.handshakes += other.handshakes;
        self.slowest = self.slowest.max(other.slowest);
        self.certificates.extend(other.certificates);
        self.failures.extend(other.failures);
    }
}

/// Asks on one HTTP/1.1 connection for as long as that lasts.
async fn keep_http1(on: Arc<AcmeBox>, host: String, stop: CancellationToken) -> Seen {
    let mut seen = Seen { handshakes: 1, ..Seen::default() };
    let mut client = Client::over(on.connect(&host, "http/1.1").await.unwrap()).await;
    let mut turns = interval(PACE);
    while !stop.is_cancelled() {
        turns.tick().await;
        let since = Instant::now();
        if !seen.note(since, client.try_send(get(&host, "/")).await) {
            break;
        }
    }
    seen
}

/// The same on HTTP/2.
async fn keep_http2(on: Arc<AcmeBox>, host: String, stop: CancellationToken) -> Seen {
    let mut seen = Seen { handshakes: 1, ..Seen::default() };
    let mut client = Client2::over(on.connect(&host, "h2").await.unwrap()).await;
    let mut turns = interval(PACE);
    while !stop.is_cancelled() {
        turns.tick().await;
        let since = Instant::now();
        let request = Request::get(format!("https://{host}/")).body(Full::default()).unwrap();
        if !seen.note(since, client.try_send(request).await) {
            break;
        }
    }
    seen
}

/// Opens a connection for each request, to one host after the other.
async fn come(
    on: Arc<AcmeBox>,
    hosts: Vec<String>,
    made: watch::Sender<usize>,
    stop: CancellationToken,
) -> Seen {
    let mut seen = Seen::default();
    let mut turns = interval(PACE);
    for host in hosts.iter().cycle() {
        if stop.is_cancelled() {
            break;
        }
        turns.tick().await;
        let since = Instant::now();
        let stream = match on.connect(host, "http/1.1").await {
            Ok(stream) => stream,
            Err(error) => {
                seen.failures.push(format!("{host}: {error}"));
                continue;
            }
        };
        seen.handshakes += 1;
        seen.certificates.insert(leaf(&stream));
        let mut request = get(host, "/");
        request.headers_mut().insert(header::USER_AGENT, "comer".parse().unwrap());
        let answer = Client::over(stream).await.try_send(request).await;
        seen.note(since, answer);
        made.send_modify(|made| *made += 1);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_renewed_once_each_under_load_and_nothing_is_dropped() {
    let names = std::env::var("MINIPAAS_NAMES").map_or(NAMES, |names| names.parse().unwrap());
    let hosts: Vec<_> = (0..names).map(|name| format!("app-{name}.example.com")).collect();
    // What is renewed must not be due again before all are, however slowly the first were issued.
    let lifetime = 25 + names;
    let on = AcmeBox::new(|options| {
        options.nonces_refused = 50;
        options.lifetime = Some(lifetime);
    });
    let on = Arc::new(on.await);
    let _daemon = on.serve(&[]).await;

    let began = Instant::now();
    on.create("shop", &hosts).await;
    let first = on.valid(&hosts, &BTreeMap::new(), PATIENCE).await;
    println!("{names} names issued in {:.1?} by {} orders", began.elapsed(), on.orders());
    assert_eq!(on.orders(), hosts.len(), "one order a name");
    assert_eq!(on.accounts(), 1, "one account, though the first orders begin together");

    let stop = CancellationToken::new();
    let mut clients = Vec::new();
    for number in 0..KEPT {
        let host = |of: usize| hosts[(of * hosts.len()) / (2 * KEPT)].clone();
        clients.push(tokio::spawn(keep_http1(Arc::clone(&on), host(number), stop.clone())));
        clients.push(tokio::spawn(keep_http2(Arc::clone(&on), host(KEPT + number), stop.clone())));
    }
    let mut comers = Vec::new();
    for number in 0..COMERS {
        let mut hosts = hosts.clone();
        let first = number * hosts.len() / COMERS;
        hosts.rotate_left(first);
        let (made, progress) = watch::channel(0);
        comers.push(progress);
        clients.push(tokio::spawn(come(Arc::clone(&on), hosts, made, stop.clone())));
    }
    let second = on.valid(&hosts, &first, PATIENCE).await;
    let orders = on.orders();
    println!("{names} names renewed after {:.1?} by {} orders", began.elapsed(), orders - hosts.len());
    // Every host once more, with the new certificates.
    for progress in &mut comers {
        let goal = *progress.borrow() + hosts.len();
        timeout(PATIENCE, progress.wait_for(|made| *made >= goal)).await.unwrap().unwrap();
    }
    stop.cancel();
    let mut seen = Seen::default();
    for client in clients {
        seen.add(client.await.unwrap());
    }
    println!(
        "{} requests on {} connections, slowest {:.2?}; {} certificates seen; {} failed",
        seen.requests,
        seen.handshakes,
        seen.slowest,
        seen.certificates.len(),
        seen.failures.len()
    );
    assert_eq!(seen.failures, [""; 0]);
    assert_eq!(orders, 2 * hosts.len(), "one further order a name");
    assert_eq!(second.len(), hosts.len());
    assert!(seen.certificates.len() >= hosts.len(), "{}", seen.certificates.len());
    assert_eq!(on.files().len(), hosts.len(), "what was replaced is gone");
}
