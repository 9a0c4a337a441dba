//! The engine goes away in the middle of a deploy, and comes back.
//!
//! On an engine of the test's own, which nothing else uses: its own folders, containerd and address range, and without
//! rules in the machine's packet filter. Only root can run one; for others there is nothing to test here.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::command::{Running, until};
use super::release::TestApp;
use super::traffic::Poller;
use super::world::TestBox;
use crate::support::image::test_app_image;

/// For the networks of its boxes; Docker's own defaults are in 172.16.0.0/12 and 192.168.0.0/16.
const ADDRESSES: &str = "base=10.213.0.0/16,size=24";

/// An engine of its own. Dropping it removes its containers and ends it.
struct PrivateEngine {
    dir: TempDir,
    running: Option<Running>,
}

impl PrivateEngine {
    /// Starts an engine that has the test app's image and nothing else.
    async fn start() -> Self {
        let mut engine = Self { dir: tempfile::tempdir().expect("a temporary directory"), running: None };
        engine.run();
        until("the engine answers", || engine.docker(&["version"]).is_some()).await;
        let image = tokio::task::block_in_place(test_app_image);
        let mut save = Command::new("docker")
            .args(["save", &image])
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker runs");
        let archive = save.stdout.take().expect("it is piped");
        let load = engine.command(&["load"]).stdin(archive).output().expect("docker runs");
        assert!(save.wait().expect("it ends").success() && load.status.success(), "{load:?}");
        engine
    }

    fn run(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new("dockerd");
        command.arg("--host").arg(self.url());
        command.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        command.arg("--pidfile").arg(path("pid"));
        command.args(["--bridge=none", "--iptables=false", "--default-address-pool", ADDRESSES]);
        self.running = Some(Running::of(command));
    }

    /// Ends the engine the hard way, and with it its containerd. Its containers do not notice.
    async fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
        let file = self.dir.path().join("exec/containerd/containerd.pid");
        let pid = std::fs::read_to_string(&file).expect("containerd has a pid file");
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        until("containerd has ended", || {
            !std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
        })
        .await;
        // Where nobody waits for orphans, the next engine would take what is left of the process for a containerd.
        std::fs::remove_file(&file).expect("it was there");
    }

    /// Starts it again after it was killed.
    async fn restart(&mut self) {
        self.run();
        until("the engine answers again", || self.docker(&["version"]).is_some()).await;
    }

    fn url(&self) -> String {
        format!("unix://{}", self.dir.path().join("docker.sock").display())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(self.url()).args(args);
        command
    }

    /// What `docker` prints, when it succeeds.
    fn docker(&self, args: &[&str]) -> Option<String> {
        let output = self.command(args).output().expect("docker runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn containers(&self) -> Vec<String> {
        let listed = self.docker(&["ps", "--all", "--format", "{{.State}} {{.Names}}"]).unwrap_or_default();
        listed.lines().map(str::to_owned).collect()
    }

    /// Whether a container whose name begins like that runs.
    fn runs(&self, name: &str) -> bool {
        self.containers().iter().any(|found| found.starts_with(&format!("running {name}")))
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if self.running.is_none() {
            self.run();
        }
        // One that was just started again, as a failing test left none, takes a moment.
        let ids = (0..100).find_map(|_| {
            std::thread::sleep(super::command::POLL_INTERVAL);
            self.docker(&["ps", "--all", "--quiet"])
        });
        for id in ids.unwrap_or_default().lines() {
            self.docker(&["rm", "--force", "--volumes", id]);
        }
        self.docker(&["network", "prune", "--force"]);
        if let Some(mut running) = self.running.take() {
            running.signal(Signal::TERM);
            while running.is_running() {
                std::thread::sleep(super::command::POLL_INTERVAL);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_that_dies_in_a_deploy_leaves_the_old_release_serving() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut engine = PrivateEngine::start().await;
    let on = TestBox::new().env("DOCKER_HOST", &engine.url());
    let _daemon = on.serve(&[]).await;
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();

    let poller = Poller::start(&on, "shop.localhost").await;
    let bad = TestApp::version("bad")
        .env("NO_LISTEN", "1")
        .web("ready = { http = \"/up\", interval = \"200ms\", deadline = \"4s\" }");
    project.write("minipaas.toml", &bad.toml());
    let mut up = project.start_up();
    up.says("=> wait for").await;
    until("the new instance runs", || engine.runs("shop-v2-")).await;
    engine.kill().await;
    up.finish()
        .await
        .ends_with(1)
        .saying(&["error: release v2 of `shop` was not ready within 4s", "hint: v1 is still serving"]);
    project.up().await.ends_with(3).saying(&["error: ", "hint: "]);
    poller.finish().await.only(&["version=one"]);

    // An engine that comes back after a crash ends what ran on it; the daemon brings it up again.
    engine.restart().await;
    until("one instance runs", || engine.containers().len() == 1 && engine.runs("shop-v1-")).await;
    on.serving("shop").await;
    assert!(on.get("shop.localhost", "/").await.body.starts_with("version=one"));
    project.deploy(&TestApp::version("two")).await.success();
    assert!(on.get("shop.localhost", "/").await.body.starts_with("version=two"));
}
