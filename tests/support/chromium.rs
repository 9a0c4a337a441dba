//! Debian's Chromium without a window, driven over the DevTools protocol, with a home and a profile that a test gives it.
//!
//! It asks whom to trust when it starts, so a test that changes that starts another one.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// It starts in two seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it has started.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Where it says how it is reached, in its profile: a port, and a path.
const ADDRESS_FILE: &str = "DevToolsActivePort";

/// A running browser with one page. Dropping it ends it and all its processes.
pub struct Chromium {
    process: Child,
    devtools: WebSocketStream<TcpStream>,
    session: String,
    last_id: u64,
    _profile: TempDir,
}

impl Chromium {
    /// A browser of the person whose home this is. `names` are those that lead to this machine.
    pub async fn start(home: &Path, names: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command.args(["--headless", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--host-resolver-rules=MAP {names} 127.0.0.1"));
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command
            .arg("about:blank")
            .env("HOME", home)
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The command is a script, and the browser is many processes: they end as one group.
        let mut process = command.process_group(0).spawn().expect("tests/prepare installs chromium");

        let deadline = Instant::now() + PATIENCE;
        let (port, path) = loop {
            let text = std::fs::read_to_string(profile.path().join(ADDRESS_FILE)).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n') {
                break (port.parse::<u16>().unwrap(), path.trim().to_owned());
            }
            assert!(process.try_wait().unwrap().is_none(), "chromium ended");
            assert!(Instant::now() < deadline, "chromium does not start");
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (devtools, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut browser = Self { process, devtools, session: String::new(), last_id: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Opens the page and waits until it is loaded; else why it is not, in the browser's words.
    pub async fn open(&mut self, url: &str) -> Result<(), String> {
        let answer = self.call("Page.navigate", json!({"url": url})).await;
        if let Some(error) = answer["errorText"].as_str() {
            return Err(error.to_owned());
        }
        let loaded = "document.readyState === 'complete' || new Promise(done => addEventListener('load', () => done(true)))";
        assert_eq!(self.evaluate(loaded).await, true, "{url}");
        Ok(())
    }

    /// What the script gives in the page, or its promise does.
    pub async fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].take()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.devtools.send(Message::text(message.to_string())).await.unwrap();
        let answered = async {
            loop {
                let message = self.devtools.next().await.expect("chromium goes on").unwrap();
                let mut answer: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                // The others are events.
                if answer["id"] == self.last_id {
                    assert!(answer["error"].is_null(), "{method}: {answer}");
                    return answer["result"].take();
                }
            }
        };
        timeout(PATIENCE, answered).await.expect("chromium answers")
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}
