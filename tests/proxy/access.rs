use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::filter::LevelFilter;

use crate::support::backend::Backend;
use crate::support::client::{Raw, get};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

/// Of this test alone.
const HOST: &str = "logged.localhost";

/// All log lines of this process, as a writer collects them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Collects from now on. For all threads, because tracing remembers what another thread made of a place that logs.
    fn collect() -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .try_init()
            .unwrap();
        lines
    }

    /// The lines of the access log that have this host.
    fn of(&self, host: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let is_ours =
            |line: &&str| line.contains("minipaas::access") && line.contains(&format!("host={host:?}"));
        text.lines().filter(is_ours).map(str::to_owned).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_request_is_one_line_of_the_access_log() {
    let lines = Lines::collect();
    let (app, silent) = (
        Backend::replying("app").start().await,
        Backend::answering(|_| std::future::pending()).start().await,
    );
    let proxy = TestProxy::with_route(HOST, &[&app]).await;

    proxy.send(get(HOST, "/path?query")).await;
    eventually("a line is written", || lines.of(HOST).len() == 1).await;
    let line = &lines.of(HOST)[0];
    let id = app.seen()[0].header("x-request-id").unwrap().to_owned();
    for field in [
        "at=\"info\"",
        "method=\"GET\"",
        "path=\"/path?query\"",
        "host=\"logged.localhost\"",
        &format!("request_id=\"{id}\""),
        "fwd=127.0.0.1",
        "app=\"blog\"",
        "instance=\"00000001\"",
        "status=200",
        "bytes=3",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }

    proxy.publish([]);
    proxy.send(get(HOST, "/")).await;
    eventually("a line is written", || lines.of(HOST).len() == 2).await;
    let line = &lines.of(HOST)[1];
    assert!(line.contains("at=\"error\" code=\"no-route\"") && line.contains("status=404"), "{line}");

    proxy.publish([proxy.route(HOST, &[&silent])]);
    let mut client = Raw::connect(proxy.http).await;
    client.send("GET / HTTP/1.1\r\nHost: logged.localhost\r\n\r\n").await;
    eventually("the app got the request", || silent.seen().len() == 1).await;
    drop(client);
    eventually("a line is written", || lines.of(HOST).len() == 3).await;
    assert!(lines.of(HOST)[2].contains("status=499"));
}
