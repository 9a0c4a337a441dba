//! Too many clients, clients that stop, and a process that runs out of file descriptors: others wait, nobody crashes.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use http::Response;
use minipaas::proxy::{ProxyConfig, Timeouts};
use minipaas::route::Route;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::BLOG;
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Raw, get};
use crate::support::proxy::TestProxy;
use crate::support::{eventually, soon};

/// Where the app is of the process that has few file descriptors.
const APP_VARIABLE: &str = "MINIPAAS_TEST_APP";

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let long = &*"0123456789abcdef".repeat(1_000_000).leak();
    let app = Backend::answering(move |_| async move { Response::new(full(long)) }).start().await;
    let timeouts = Timeouts { write: Duration::from_millis(300), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    eventually("the response has begun", || proxy.upstream().in_flight() == 1).await;
    eventually("its request is uncounted", || proxy.upstream().is_idle()).await;
    assert!(client.rest().await.len() < long.len(), "the response was cut");
}

#[tokio::test]
async fn further_clients_wait_until_a_connection_ends() {
    let app = Backend::replying("app").start().await;
    let proxy = TestProxy::start(ProxyConfig { connections_max: 2, ..ProxyConfig::new("localhost") }).await;
    proxy.publish([proxy.route(BLOG, &[&app])]);
    // The plain listener and that of TLS each hold a place for whoever comes next.
    let mut first = Client::connect(proxy.http).await;
    assert_eq!(first.send(get(BLOG, "/")).await.body, "app");
    let mut second = Raw::connect(proxy.http).await;
    second.send("GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n").await;
    assert_eq!(first.send(get(BLOG, "/")).await.body, "app");
    assert_eq!(app.seen().len(), 2, "the second waits");
    drop(first);
    second.until("app").await;
}

#[tokio::test]
async fn a_request_that_finds_too_many_waiting_is_told_so() {
    let app = Backend::replying("app").start().await;
    let config = ProxyConfig { held_requests_max: 1, ..ProxyConfig::new("localhost") };
    let proxy = TestProxy::start(config).await;
    proxy.publish([Route { is_held: true, ..proxy.route(BLOG, &[]) }]);
    let waiting = async { proxy.send(get(BLOG, "/")).await };
    let refused = async {
        eventually("one waits", || proxy.routes.snapshot().routes[0].held == 1).await;
        let mut request = get(BLOG, "/");
        request.headers_mut().insert("accept", "application/json".parse().unwrap());
        let refused = proxy.send(request).await;
        proxy.publish([proxy.route(BLOG, &[&app])]);
        refused
    };
    let (waited, refused) = tokio::join!(waiting, refused);
    assert_eq!(waited.body, "app");
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
    assert!(refused.body.contains("hold-full"), "{}", refused.body);
}

#[tokio::test]
async fn a_process_without_file_descriptors_goes_on_once_it_has_some() {
    let app = Backend::replying("app").start().await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "proxy::crowds::with_few_descriptors", "--ignored", "--nocapture"])
        .env(APP_VARIABLE, app.addr.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut logged = BufReader::new(child.stderr.take().unwrap()).lines();
    let addr = loop {
        let line = soon(said.next_line()).await.unwrap().expect("it says where it listens");
        if let Some((_, addr)) = line.split_once("listening at ") {
            break addr.trim().parse().unwrap();
        }
    };
    let mut early = Client::connect(addr).await;
    assert_eq!(early.send(get(BLOG, "/")).await.body, "app");
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(addr).await.unwrap());
    }
    let mut complaints = 0;
    while complaints == 0 {
        let line = soon(logged.next_line()).await.unwrap().expect("it complains");
        complaints += usize::from(line.contains("cannot accept connections"));
    }
    // What is open is served, on the connection to the app that is open; whoever needs another one is told.
    assert_eq!(early.send(get(BLOG, "/")).await.body, "app");
    drop(crowd);
    let mut late = Client::connect(addr).await;
    assert_eq!(late.send(get(BLOG, "/")).await.body, "app");
    drop(child.stdin.take());
    let mut rest = String::new();
    soon(logged.into_inner().read_to_string(&mut rest)).await.unwrap();
    complaints += rest.matches("cannot accept connections").count();
    assert_eq!(complaints, 1, "{rest}");
    assert!(soon(child.wait()).await.unwrap().success());
}

/// The child of the test above; by itself it does nothing.
#[tokio::test]
#[ignore = "a part of another test, in a process of its own"]
async fn with_few_descriptors() {
    let Ok(addr) = std::env::var(APP_VARIABLE) else { return };
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
    let mut app = Backend::replying("never").start().await;
    app.addr = addr.parse().unwrap();
    proxy.publish([proxy.route(BLOG, &[&app])]);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 16), ..limit }).unwrap();
    println!("listening at {}", proxy.http);
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await.unwrap().unwrap();
}
