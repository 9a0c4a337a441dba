//! TCP ports: bytes both ways, and what becomes of connections when their instances change.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use minipaas::metrics::Metrics;
use minipaas::name::ReleaseId;
use minipaas::policy::ProxyVersion;
use minipaas::proxy::proxy_protocol::{Addresses, encode};
use minipaas::proxy::{AccessLog, ProxyConfig, Timeouts, Trust};
use minipaas::route::PortRoute;
use minipaas::traffic::Upstream;
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::access::Lines;
use crate::support::backend::Backend;
use crate::support::client::Raw;
use crate::support::proxy::TestProxy;
use crate::support::{eventually, free_port, soon};

/// A backend that says its name and then what it is sent, until it is sent no more.
async fn echo(name: &'static str) -> Backend {
    let script = move |mut stream: TcpStream| async move {
        let _ = stream.write_all(name.as_bytes()).await;
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    };
    Backend::speaking(script).start().await
}

/// A connection, once somebody listens.
async fn connect(addr: SocketAddr) -> Raw {
    let connected = async {
        loop {
            match TcpStream::connect(addr).await {
                Ok(stream) => return Raw(stream),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            }
            tokio::task::yield_now().await;
        }
    };
    soon(connected).await
}

async fn start() -> (TestProxy, SocketAddr) {
    (TestProxy::start(ProxyConfig::new("localhost")).await, free_port())
}

fn live(proxy: &TestProxy, port: &PortRoute) -> Arc<Upstream> {
    proxy.routes.upstream(&port.upstreams[0].instance).unwrap()
}

/// Checks that the connection ends, and not as if all had been said.
async fn check_reset(mut raw: Raw) {
    let mut rest = Vec::new();
    let error = soon(raw.0.read_to_end(&mut rest)).await.expect_err("a reset");
    assert_eq!((error.kind(), rest.as_slice()), (ErrorKind::ConnectionReset, &b""[..]));
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_end_is_passed_on() {
    let (proxy, addr) = start().await;
    let backend = Backend::speaking(|mut stream: TcpStream| async move {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all.reverse();
        stream.write_all(&all).await.unwrap();
    });
    let backend = backend.start().await;
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut raw = connect(addr).await;
    raw.0.write_all(&sent).await.unwrap();
    raw.0.shutdown().await.unwrap();
    let mut got = raw.rest().await;
    got.reverse();
    assert!(got == sent, "{} bytes of {}", got.len(), sent.len());
}

#[tokio::test]
async fn the_upstream_with_the_fewest_connections_is_next() {
    let (proxy, addr) = start().await;
    let (one, two) = (echo("one").await, echo("two").await);
    proxy.publish_ports([proxy.port(addr, &[&one, &two])]);
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut raw = connect(addr).await;
        raw.send("hi").await;
        raw.until("hi").await;
        open.push(raw);
    }
    assert_eq!((one.connections(), two.connections()), (3, 3));
}

#[tokio::test]
async fn an_upstream_that_refuses_is_left_for_another() {
    let (proxy, addr) = start().await;
    let (gone, well) = (Backend::refusing().await, echo("well").await);
    proxy.publish_ports([proxy.port(addr, &[&gone, &well])]);
    for _ in 0..4 {
        connect(addr).await.until("well").await;
    }
    proxy.publish_ports([proxy.port(addr, &[&gone])]);
    check_reset(connect(addr).await).await;
}

#[tokio::test]
async fn a_swap_moves_new_connections_and_lets_the_old_ones_end() {
    let (proxy, addr) = start().await;
    let (old, new) = (echo("old").await, echo("new").await);
    let old_port = PortRoute { drain: Duration::ZERO, ..proxy.port(addr, &[&old]) };
    proxy.publish_ports([old_port.clone()]);
    let mut before = connect(addr).await;
    before.until("old").await;

    // Not ready for a while: the connection stays.
    proxy.publish_ports([PortRoute { upstreams: Vec::new(), ..old_port.clone() }]);
    before.send("still").await;
    before.until("still").await;

    let mut new_port = PortRoute { drain: Duration::from_secs(300), ..proxy.port(addr, &[&new]) };
    new_port.upstreams[0].release = ReleaseId::FIRST.next();
    let live = live(&proxy, &old_port);
    proxy.publish_ports([new_port.clone()]);
    assert_eq!(before.rest().await, b"", "its drain, which was none, is over");
    let mut after = connect(addr).await;
    after.until("new").await;
    assert_eq!(soon(live.drain_upgraded(Duration::from_secs(10))).await.cut, 0);

    let mut third_port = proxy.port(addr, &[&old]);
    third_port.upstreams[0].release = ReleaseId::FIRST.next().next();
    proxy.publish_ports([third_port]);
    connect(addr).await.until("old").await;
    after.send("hello").await;
    after.until("hello").await;
}

#[tokio::test]
async fn a_drain_waits_for_connections_and_its_farewell_ends_them() {
    let (proxy, addr) = start().await;
    let backend = echo("app").await;
    let port = proxy.port(addr, &[&backend]);
    proxy.publish_ports([port.clone()]);
    let mut raw = connect(addr).await;
    raw.until("app").await;
    let live = live(&proxy, &port);
    assert_eq!(live.drain(Duration::from_secs(10)).await.cut, 0);
    assert_eq!(live.drain_upgraded(Duration::from_millis(20)).await.cut, 1);
    raw.send("hello").await;
    raw.until("hello").await;
    live.close_upgraded();
    assert_eq!(raw.rest().await, b"");
    eventually("uncounted", || live.is_idle()).await;
}

#[tokio::test]
async fn without_a_ready_instance_connections_are_reset_or_held() {
    let (proxy, addr) = start().await;
    let backend = echo("app").await;
    proxy.publish_ports([proxy.port(addr, &[])]);
    check_reset(connect(addr).await).await;
    proxy.publish_ports([PortRoute { is_held: true, ..proxy.port(addr, &[]) }]);
    let mut held = connect(addr).await;
    held.send("first").await;
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    held.until("appfirst").await;
}

#[tokio::test]
async fn ports_open_and_close_with_the_table() {
    let (proxy, addr) = start().await;
    let other = free_port();
    let backend = echo("app").await;
    let (port, other_port) = (proxy.port(addr, &[&backend]), proxy.port(other, &[&backend]));
    proxy.publish_ports([port.clone()]);
    let mut open = connect(addr).await;
    open.until("app").await;
    proxy.publish_ports([other_port]);
    connect(other).await.until("app").await;
    let refused = async { while TcpStream::connect(addr).await.is_ok() {} };
    soon(refused).await;
    open.send("hello").await;
    open.until("hello").await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_tried_again() {
    let (proxy, addr) = start().await;
    let backend = echo("app").await;
    let taken = TcpListener::bind(addr).await.unwrap();
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    drop(taken);
    connect(addr).await.until("app").await;
}

#[tokio::test]
async fn silence_is_limited() {
    let timeouts = Timeouts { port_idle: Duration::from_millis(100), ..Timeouts::default() };
    let proxy = TestProxy::start(ProxyConfig { timeouts, ..ProxyConfig::new("localhost") }).await;
    let addr = free_port();
    let backend = echo("app").await;
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    let mut raw = connect(addr).await;
    raw.until("app").await;
    let start = tokio::time::Instant::now();
    assert_eq!(raw.rest().await, b"");
    assert!(start.elapsed() >= Duration::from_millis(90), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_upstream_that_breaks_off_does_not_look_finished() {
    let (proxy, addr) = start().await;
    let backend = Backend::speaking(|mut stream: TcpStream| async move {
        // A reset overtakes bytes that were not read yet: the client asks once it has them.
        stream.write_all(b"half").await.unwrap();
        stream.read_u8().await.unwrap();
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let backend = backend.start().await;
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    let mut raw = connect(addr).await;
    raw.until("half").await;
    raw.send("?").await;
    check_reset(raw).await;
}

#[tokio::test]
async fn the_app_is_told_who_is_connected() {
    let (proxy, addr) = start().await;
    let backend = echo("").await;
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        proxy.publish_ports([PortRoute { send_proxy: Some(version), ..proxy.port(addr, &[&backend]) }]);
        let mut raw = connect(addr).await;
        raw.send("hello").await;
        let expected = encode(version, Addresses { from: raw.0.local_addr().unwrap(), to: addr });
        let mut got = vec![0; expected.len() + 5];
        soon(raw.0.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, [&expected[..], b"hello"].concat(), "the backend sends back all that it gets");
    }
}

#[tokio::test]
async fn a_trusted_proxy_in_front_says_who_is_connected() {
    let trust = Trust { proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Trust::default() };
    let proxy = TestProxy::start(ProxyConfig { trust, ..ProxyConfig::new("localhost") }).await;
    let addr = free_port();
    let backend = echo("").await;
    let port = proxy.port(addr, &[&backend]);
    let port = PortRoute { accept_proxy: true, send_proxy: Some(ProxyVersion::V1), ..port };
    proxy.publish_ports([port]);
    let said = Addresses { from: "192.0.2.1:4711".parse().unwrap(), to: "192.0.2.2:5432".parse().unwrap() };
    let mut raw = connect(addr).await;
    raw.0.write_all(&encode(ProxyVersion::V2, said)).await.unwrap();
    raw.send("hello").await;
    raw.until("PROXY TCP4 192.0.2.1 192.0.2.2 4711 5432\r\nhello").await;
    let mut raw = connect(addr).await;
    raw.send("hello without a header").await;
    raw.rest().await;
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn connections_are_counted_and_logged_as_requests_are() {
    let (lines, mut config) = (Lines::default(), ProxyConfig::new("localhost"));
    config.access_log = Some(AccessLog::to(lines.clone(), &Metrics::default()).unwrap());
    let proxy = TestProxy::start(config).await;
    let addr = free_port();
    let backend = echo("app").await;
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    let mut raw = connect(addr).await;
    raw.send("hello").await;
    raw.until("apphello").await;
    let port = || proxy.routes.snapshot().ports[0].clone();
    assert_eq!((port().listen, port().opened, port().open, port().duration.count()), (addr.port(), 1, 1, 0));
    drop(raw);
    let line = lines.last_of(1).await;
    let field = |name: &str| line.get(name).map_or("", String::as_str);
    for (name, expected) in [
        ("at", "info"),
        ("code", ""),
        ("method", "TCP"),
        ("port", &*addr.port().to_string()),
        ("fwd", "127.0.0.1"),
        ("app", "blog"),
        ("instance", "web.1"),
        ("release", "v1"),
        ("bytes_in", "5"),
        ("bytes", "8"),
        ("protocol", "tcp"),
    ] {
        assert_eq!(field(name), expected, "{name}: {line:?}");
    }
    assert_eq!((port().open, port().failed, port().duration.count()), (0, 0, 1));
    assert_eq!((port().bytes_in, port().bytes_out), (5, 8));

    proxy.publish_ports([proxy.port(addr, &[])]);
    check_reset(connect(addr).await).await;
    let line = lines.last_of(2).await;
    assert_eq!(
        (line["at"].as_str(), line["code"].as_str(), line["app"].as_str()),
        ("error", "not-ready", "blog")
    );
    assert_eq!((port().opened, port().failed, port().open), (2, 1, 0));
    let text = proxy.routes.snapshot().to_text();
    let labels = format!("{{app=\"blog\",port=\"{}\"}}", addr.port());
    for sample in ["tcp_connections_total", "tcp_connection_duration_seconds_count"] {
        let count = if sample == "tcp_connections_total" { 2 } else { 1 };
        assert!(text.contains(&format!("minipaas_{sample}{labels} {count}")), "{text}");
    }
}

#[tokio::test]
async fn shutdown_ends_connections() {
    let (proxy, addr) = start().await;
    let backend = echo("app").await;
    proxy.publish_ports([proxy.port(addr, &[&backend])]);
    let mut raw = connect(addr).await;
    raw.until("app").await;
    assert_eq!(soon(proxy.stop(Duration::from_secs(5))).await.cut, 0);
    assert_eq!(raw.rest().await, b"");
}
