//! The real program, run in a project folder of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::daemon::FakeDaemon;

/// Longer than any command takes here; one that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder to run the program in.
pub(crate) struct Folder {
    dir: TempDir,
}

/// How a run ended, with paths replaced.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run that goes on.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What was read of it so far.
    seen: String,
    /// Paths, and what stands for them.
    redactions: Vec<(String, &'static str)>,
}

impl Folder {
    /// A folder named `shop` with these files.
    pub(crate) fn with<const N: usize>(files: [(&str, &str); N]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("shop")).expect("a folder");
        let folder = Self { dir };
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    /// Where it is.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("shop")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.dir.path().join("shop").join(path), text).expect("a file");
    }

    pub(crate) async fn run(&self, daemon: &FakeDaemon, args: &str) -> Run {
        self.start(daemon.home(), args, &[]).finish().await
    }

    /// The same, with this on its standard input.
    pub(crate) async fn run_with(&self, daemon: &FakeDaemon, args: &str, input: &str) -> Run {
        let file = self.dir.path().join("input");
        std::fs::write(&file, input).expect("a file");
        let file = std::fs::File::open(&file).expect("a file");
        self.start_with(daemon.home(), args, &[], file.into()).finish().await
    }

    pub(crate) fn start(&self, home: &Path, args: &str, variables: &[(&str, &str)]) -> Running {
        self.start_with(home, args, variables, Stdio::null())
    }

    fn start_with(&self, home: &Path, args: &str, variables: &[(&str, &str)], input: Stdio) -> Running {
        let dir = self.dir.path().join("shop");
        let mut command = Command::new(env!("CARGO_BIN_EXE_minipaas"));
        command.args(args.split_whitespace()).current_dir(&dir).env_clear().kill_on_drop(true);
        command.env("MINIPAAS_HOME", home).env("HOME", self.dir.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(variables.iter().copied());
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let canonical = dir.canonicalize().expect("a folder");
        let redactions = vec![
            (home.display().to_string(), "[HOME]"),
            (canonical.display().to_string(), "[DIR]"),
            (dir.display().to_string(), "[DIR]"),
        ];
        Running { child, stderr, seen: String::new(), redactions }
    }
}

impl Running {
    /// Waits until a line on standard error has this text.
    pub(crate) async fn says(&mut self, text: &str) {
        let wait = async {
            loop {
                let start = self.seen.len();
                let read = self.stderr.read_line(&mut self.seen).await.expect("UTF-8");
                assert!(read > 0, "`{text}` was not said:\n{}", self.seen);
                if self.seen[start..].contains(text) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it is said in time");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("it runs"), signal).expect("it is ours");
    }

    /// What was said so far.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    /// Waits until standard output has this text. What was read is not in the run's result.
    pub(crate) async fn says_on_stdout(&mut self, text: &str) {
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        let mut seen = Vec::new();
        let wait = async {
            while !String::from_utf8_lossy(&seen).contains(text) {
                assert!(stdout.read_buf(&mut seen).await.expect("a pipe") > 0, "`{text}` was not said");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it is said in time");
    }

    /// Reads no more of standard output: a closed pipe.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    pub(crate) async fn finish(mut self) -> Run {
        let mut stdout = String::new();
        let out = self.child.stdout.take();
        let reading = async {
            if let Some(mut out) = out {
                out.read_to_string(&mut stdout).await.expect("UTF-8");
            }
        };
        let saying = self.stderr.read_to_string(&mut self.seen);
        let both = async { tokio::join!(reading, saying) };
        let ((), said) = tokio::time::timeout(PATIENCE, both).await.expect("it ends in time");
        said.expect("UTF-8");
        let status = self.child.wait().await.expect("it ended");
        let redact =
            |text: String| self.redactions.iter().fold(text, |text, (path, name)| text.replace(path, name));
        Run { code: status.code(), stdout: redact(stdout), stderr: redact(self.seen) }
    }
}

impl Run {
    /// Everything, as a test compares it.
    pub(crate) fn text(&self) -> String {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        format!("exit: {code}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}
