//! The test app itself: the tests of minipaas are worth what it does. As a process, and once as a container.

use std::{
    io::{BufRead, BufReader, Lines, Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio_tungstenite::tungstenite::{Message, WebSocket, client, protocol::frame::coding::CloseCode};

use crate::support::{
    container::Container,
    image::{test_app_binary, test_app_image},
};

/// No answer of the test app takes this long, whatever else runs here.
const ANSWER_MAX: Duration = Duration::from_secs(20);

#[test]
fn runs_as_a_container_at_its_bridge_address() {
    let container = Container::start(&test_app_image(), &["VERSION=v7", "PORT=3000"]);
    container.wait_for_line("listening on");
    let answer = get(&format!("{}:3000", container.addr()), "/");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-version: v7\r\n"), "{answer}");
    assert!(answer.contains("version=v7 instance="), "{answer}");
    assert_eq!(container.stop(), 0);
}

#[test]
fn answers_each_path() {
    let app = TestApp::start(&[("VERSION", "v1"), ("HOSTNAME", "web-1")]);
    for (path, status, body) in [
        ("/", 200, "version=v1 instance=web-1\n"),
        ("/up", 200, "ready"),
        ("/slow?ms=1", 200, "slow\n"),
        ("/stream?ms=2&chunks=2", 200, "8\r\nchunk 1\n\r\n8\r\nchunk 2\n\r\n0\r\n\r\n"),
        ("/status/418", 418, "status 418 I'm a teapot\n"),
        ("/half", 200, "ten bytes\n"),
        ("/nowhere", 404, "no such page\n"),
    ] {
        let answer = get(&app.addr, path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert_eq!(answer.split_once("\r\n\r\n").map(|(_, body)| body), Some(body), "{path}");
    }
    assert_eq!(get(&app.addr, "/cut"), "");
    let headers = get(&app.addr, "/headers?a=b");
    assert!(headers.contains("GET /headers?a=b HTTP/1.1\nhost: test\nconnection: close\n"), "{headers}");
    let echo = send(
        &app.addr,
        "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc",
    );
    assert!(echo.contains("abc"), "{echo}");
    let upload = send(
        &app.addr,
        "POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    );
    // 97 * 31 * 31 + 98 * 31 + 99
    assert!(upload.ends_with("bytes=3 sum=96354\n"), "{upload}");
    assert_eq!(app.stop().code(), Some(0));
}

#[test]
fn probe_fails_until_ready() {
    let app = TestApp::start(&[("READY_AFTER_MS", "3600000")]);
    let answer = get(&app.addr, "/up");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("warming up"), "{answer}");

    let app = TestApp::start(&[("PROBE_REDIRECT", "1")]);
    let answer = get(&app.addr, "/up");
    assert!(answer.contains("\r\nlocation: https://elsewhere.example/up\r\n"), "{answer}");
}

#[test]
fn finishes_requests_when_asked_to_stop() {
    let mut app = TestApp::start(&[]);
    let mut slow = connect(&app.addr);
    slow.write_all(b"GET /stream?ms=500&chunks=5 HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    app.wait_for_line("/stream");
    app.terminate();
    app.wait_for_line("asked to stop");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("chunk 5\n\r\n0\r\n\r\n"), "{answer}");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn closes_sockets_and_event_streams_when_asked_to_stop() {
    let mut app = TestApp::start(&[("VERSION", "v1")]);
    let mut socket = open_socket(&app.addr);
    socket.send(Message::text("hi")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("v1:hi"));
    let mut events = connect(&app.addr);
    events.write_all(b"GET /sse HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    app.wait_for_line("/sse");

    app.terminate();
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Away);
    drop(socket.read());
    let mut answer = String::new();
    events.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn silent_sockets_end_without_a_close_frame() {
    let app = TestApp::start(&[("WS_SILENT", "1")]);
    let mut socket = open_socket(&app.addr);
    socket.send(Message::text("hi")).unwrap();
    socket.read().unwrap();
    app.terminate();
    assert!(socket.read().is_err());
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn silent_event_streams_break_off() {
    let mut app = TestApp::start(&[("SSE_SILENT", "1")]);
    let mut events = connect(&app.addr);
    events.write_all(b"GET /sse HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    app.wait_for_line("/sse");
    app.terminate();
    let mut answer = String::new();
    events.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("\r\n0\r\n"), "{answer}");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn crashes_and_stays_when_told_to() {
    let mut crash = TestApp::spawn(&[("EXIT_AFTER_MS", "1"), ("EXIT_CODE", "3"), ("NO_LISTEN", "1")]);
    let mut stderr = String::new();
    crash.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((crash.wait().code(), stderr.as_str()), (Some(3), "boom: a fatal error\n"));

    let mut stubborn = TestApp::start(&[("IGNORE_TERM", "1")]);
    stubborn.terminate();
    stubborn.wait_for_line("asked to stop");
    assert!(get(&stubborn.addr, "/").starts_with("HTTP/1.1 200 "));
    stubborn.child.kill().unwrap();
    assert_eq!(stubborn.wait().signal(), Some(9));

    let mut slow = TestApp::spawn(&[("START_DELAY_MS", "3600000")]);
    // It handles signals before anything else, but not before it runs.
    slow.wait_for_line("test app");
    assert_eq!(slow.stop().code(), Some(0));
}

/// The test app as a process, on a free port. Dropping it kills it.
struct TestApp {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    addr: String,
}

impl TestApp {
    /// Starts it and waits until it listens.
    fn start(env: &[(&str, &str)]) -> Self {
        let mut app = Self::spawn(env);
        let line = app.wait_for_line("listening on");
        let (_, port) = line.rsplit_once(':').expect("it prints its address");
        app.addr = format!("127.0.0.1:{port}");
        app
    }

    fn spawn(env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(test_app_binary())
            .env_clear()
            .env("PORT", "0")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is built");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        Self { child, stdout, addr: String::new() }
    }

    fn wait_for_line(&mut self, text: &str) -> String {
        let mut lines = self.stdout.by_ref().map_while(Result::ok);
        lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("it ended without printing `{text}`"))
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    }

    fn stop(self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it can be waited for")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn connect(addr: &str) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a limit above zero");
    stream
}

/// Everything that comes back until the connection ends, chunk sizes included.
fn send(addr: &str, req: &str) -> String {
    let mut stream = connect(addr);
    stream.write_all(req.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in UTF-8, in time");
    answer
}

fn get(addr: &str, path: &str) -> String {
    send(addr, &format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))
}

fn open_socket(addr: &str) -> WebSocket<TcpStream> {
    client(format!("ws://{addr}/ws"), connect(addr)).expect("the handshake succeeds").0
}
