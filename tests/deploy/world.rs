//! A box and its projects, as a person has them: a home, folders, and the `minipaas` command.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use minipaas::api::{App, AppState, Status};
use minipaas::store::{Lock, Store};
use rustix::process::{Pid, Signal};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::time::Instant;

use super::command::{PATIENCE, POLL_INTERVAL, Run, Running, until};
use super::release::TestApp;
use crate::support::client::{Client, Reply, get, tls};
use crate::support::docker::docker;
use crate::support::free_port;

/// A box of its own. Dropping it ends its daemon and removes everything that carries its id.
pub(super) struct TestBox {
    dir: TempDir,
    http: SocketAddr,
    https: SocketAddr,
    /// For every command and daemon.
    env: Vec<(String, String)>,
}

/// A folder that is deployed.
pub(super) struct Project<'b> {
    owner: &'b TestBox,
    pub(super) dir: PathBuf,
}

/// A container of the box, as Docker tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) release: String,
    pub(super) is_running: bool,
    /// When it was last started; another one after a restart.
    pub(super) started: String,
}

// === impl TestBox ===

impl TestBox {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for folder in ["home", "projects"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        Self { dir, http: free_port(), https: free_port(), env: Vec::new() }
    }

    /// With one more variable for the box's commands and daemon.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.https
    }

    /// An empty folder; the last part of its path is the app's name.
    pub(super) fn project(&self, path: &str) -> Project<'_> {
        let dir = self.dir.path().join("projects").join(path);
        fs::create_dir_all(&dir).expect("a folder");
        Project { owner: self, dir }
    }

    /// A copy of one of the examples.
    pub(super) fn example(&self, name: &str) -> Project<'_> {
        let project = self.project(name);
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        for file in fs::read_dir(&from).expect("the example is there") {
            let file = file.expect("a file");
            fs::copy(file.path(), project.dir.join(file.file_name())).expect("a copy");
        }
        project
    }

    /// Starts a command in a folder.
    pub(super) fn start(&self, dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Running {
        Running::of(self.command(dir, args, env))
    }

    /// A command in a folder, about to be started.
    pub(super) fn command(&self, dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minipaas"));
        command.args(args).current_dir(dir).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path()).env("MINIPAAS_HOME", self.home());
        command.env("MINIPAAS_HTTP", self.http.to_string()).env("MINIPAAS_HTTPS", self.https.to_string());
        // A failing test prints the log; its requests are counted by its clients.
        command.env("MINIPAAS_LOG", "info,minipaas::access=warn");
        command.envs(self.env.iter().cloned()).envs(env.iter().copied());
        command
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, args: &[&str]) -> Run {
        self.start(self.dir.path(), args, &[]).finish().await
    }

    /// Starts the daemon in the foreground, and returns when it answers.
    pub(super) async fn serve(&self, env: &[(&str, &str)]) -> Running {
        let mut server = self.start(self.dir.path(), &["server"], env);
        let socket = self.home().join("minipaas.sock");
        until("the daemon answers", || {
            assert!(server.is_running(), "the daemon ended:\n{}", server.stderr());
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        })
        .await;
        server
    }

    pub(super) async fn status(&self) -> Status {
        let run = self.run(&["status", "--json"]).await.success();
        serde_json::from_str(&run.stdout).expect("the status is JSON")
    }

    /// Waits until the app serves and nothing is under way.
    pub(super) async fn serving(&self, name: &str) -> App {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let apps = self.status().await.apps;
            let app = apps.into_iter().find(|app| app.name == name);
            if let Some(app) = &app
                && app.state == AppState::Serving
                && app.deploy.is_none()
                && app.instances.iter().all(|instance| instance.state == "ready")
            {
                return app.clone();
            }
            assert!(Instant::now() < deadline, "`{name}` never serves: {app:#?}");
        }
    }

    /// The box's id.
    pub(super) async fn id(&self) -> String {
        self.status().await.box_id
    }

    /// The box's CA, as `minipaas trust --print` gives it.
    pub(super) async fn ca(&self) -> CertificateDer<'static> {
        let pem = self.run(&["trust", "--print"]).await.success().stdout;
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
    }

    /// One request over https, verified against the box's CA.
    pub(super) async fn get(&self, host: &str, path: &str) -> Reply {
        let stream = tls(self.https, &self.ca().await, host, "http/1.1").await;
        Client::over(stream).await.send(get(host, path)).await
    }

    /// Every container of the box, those that ended, too.
    pub(super) async fn containers(&self) -> Vec<Container> {
        containers(&self.id().await)
    }

    /// Waits until there are exactly so many containers, all of this release.
    pub(super) async fn settled(&self, count: usize, release: &str) {
        let id = self.id().await;
        until(&format!("{count} containers, all of {release}"), || {
            let found = containers(&id);
            found.len() == count && found.iter().all(|found| found.is_running && found.release == release)
        })
        .await;
    }

    /// Ends the daemon the hard way, and waits until it has ended.
    pub(super) fn kill_daemon(&self) {
        let lock = self.home().join("minipaas.lock");
        let deadline = Instant::now() + PATIENCE;
        while let Some(pid) = Lock::holder(&lock) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.home().join("daemon.log")).unwrap_or_default();
            eprintln!("--- daemon.log\n{log}");
        }
        self.kill_daemon();
        if !self.home().join("store").exists() {
            return;
        }
        // Opened by nobody now, and the only place that knows the id for certain.
        let Ok(store) = Store::open(&self.home()) else { return };
        let filter = format!("label=minipaas.box={}", store.box_id());
        for (list, remove) in [
            (&["ps", "--all", "--quiet"][..], &["rm", "--force", "--volumes"][..]),
            (&["image", "ls", "--quiet"], &["image", "rm", "--force"]),
            (&["volume", "ls", "--quiet"], &["volume", "rm", "--force"]),
            (&["network", "ls", "--quiet"], &["network", "rm"]),
        ] {
            let listed = Command::new("docker").args(list).args(["--filter", &filter]).output();
            let Ok(listed) = listed else { continue };
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            let found: std::collections::BTreeSet<&str> = text.lines().collect();
            if !found.is_empty() {
                let _ = Command::new("docker").args(remove).args(found).output();
            }
        }
    }
}

// === impl Project ===

impl Project<'_> {
    pub(super) fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    pub(super) fn manifest(self, text: &str) -> Self {
        self.file("minipaas.toml", text)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.dir.join(path), text).expect("a file");
    }

    /// Replaces a text in a file, which must be there.
    pub(super) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.dir.join(path)).expect("a file");
        assert!(text.contains(from), "`{path}` has no `{from}`");
        self.write(path, &text.replace(from, to));
    }

    /// Deploys this version of the test app.
    pub(super) async fn deploy(&self, app: &TestApp) -> Run {
        self.write("minipaas.toml", &app.toml());
        self.up().await
    }

    pub(super) async fn up(&self) -> Run {
        self.start_up().finish().await
    }

    pub(super) fn start_up(&self) -> Running {
        self.start(&["up"])
    }

    pub(super) fn start(&self, args: &[&str]) -> Running {
        self.owner.start(&self.dir, args, &[])
    }
}

/// Every container of the box with this id.
pub(super) fn containers(id: &str) -> Vec<Container> {
    let filter = format!("label=minipaas.box={id}");
    let ids = docker(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    let format =
        "{{.Id}} {{index .Config.Labels \"minipaas.release\"}} {{.State.Running}} {{.State.StartedAt}}";
    let mut found: Vec<_> = ids
        .lines()
        .filter_map(|id| {
            // One that was removed since is none.
            let output = Command::new("docker").args(["inspect", "--format", format, id]).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            let mut words = text.split_whitespace().map(str::to_owned);
            Some(Container {
                id: words.next()?,
                release: words.next()?,
                is_running: words.next()? == "true",
                started: words.next()?,
            })
        })
        .collect();
    found.sort();
    found
}
