//! How long the commands take that people type all day, on a box of 100 apps.
//!
//!     cargo bench --profile dev --bench latency
//!
//! The build for a box is measured, or what `MINIPAAS_BENCH` names: from the start of the process to its end, and for `logs -f`
//! to the first line that it prints. The apps are routes to one upstream, so that no engine is needed; the box has none. The
//! goal is 50 ms for a command, and 100 ms for the first line. Of 50 times the p99 is the longest.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use support::Bench;
use tokio::time::Instant;

const APPS: usize = 100;
/// The app that the commands are about.
const APP: &str = "app-50";
/// One more, that could be deployed to: a route has no config.
const EMPTY_APP: &str = "empty";
const RUNS: usize = 50;
const COMMAND_GOAL: Duration = Duration::from_millis(50);
const FIRST_LINE_GOAL: Duration = Duration::from_millis(100);
/// Requests that the app's log tells of.
const REQUESTS: usize = 20;
/// For the log to tell of a request.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    let upstream = format!("http://{}", upstream());
    let bench = Bench::start_without_engine();
    for number in 1..=APPS {
        succeed(&bench, &["apps", "create", &format!("app-{number}"), "--upstream", &upstream]);
    }
    succeed(&bench, &["apps", "create", EMPTY_APP]);
    succeed(&bench, &["config", "set", "-a", EMPTY_APP, "GREETING=hello"]);
    let status = succeed(&bench, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("`--json` prints JSON");
    for _ in 0..REQUESTS {
        request(&status);
    }
    let began = Instant::now();
    while succeed(&bench, &["logs", "-a", APP, "-n", "100"]).lines().count() < REQUESTS {
        assert!(began.elapsed() < LINE_TIMEOUT, "the log does not tell of the requests");
        thread::sleep(Duration::from_millis(20));
    }

    println!("{APPS} apps, {RUNS} runs each");
    for args in [&["ps", "-a", APP][..], &["ps"], &["status"], &["config", "-a", EMPTY_APP]] {
        let times = (0..RUNS).map(|_| {
            let began = Instant::now();
            succeed(&bench, args);
            began.elapsed()
        });
        report(&args.join(" "), times.collect(), COMMAND_GOAL);
    }
    let args = ["logs", "-a", APP, "-f", "-n", "10"];
    let times = (0..RUNS).map(|_| first_line(&bench, &args));
    report(&args.join(" "), times.collect(), FIRST_LINE_GOAL);
}

/// What it prints.
fn succeed(bench: &Bench, args: &[&str]) -> String {
    let output = bench.minipaas(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// How long the command takes until it has printed a line.
fn first_line(bench: &Bench, args: &[&str]) -> Duration {
    let began = Instant::now();
    let mut child = bench.command(args).stdout(Stdio::piped()).spawn().expect("minipaas runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it can be read");
    let took = began.elapsed();
    assert!(!line.is_empty(), "{args:?} ended without a line");
    child.kill().expect("it is a child");
    child.wait().expect("it is a child");
    took
}

fn report(what: &str, mut times: Vec<Duration>, goal: Duration) {
    times.sort_unstable();
    let millis =
        |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "{what:<24} median {:>6.1} ms   p99 {:>6.1} ms   goal {} ms",
        millis(50),
        millis(99),
        goal.as_millis()
    );
}

/// A request to the app; that it is sent on to https is enough for the log.
fn request(status: &serde_json::Value) {
    let [http, domain] = ["http", "domain"].map(|key| status[key].as_str().expect("the status tells it"));
    let mut stream = TcpStream::connect(http).expect("the proxy listens");
    let head = format!("GET / HTTP/1.1\r\nHost: {APP}.{domain}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the proxy reads");
    stream.read_to_end(&mut Vec::new()).expect("the proxy answers");
}

/// Answers every connection's first request, and closes it.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    addr
}

fn answer(mut stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    // Whoever is gone does not need it.
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
}
