//! What the benchmarks share: the build for a box of minipaas, a box of its own in a temporary folder, and medians.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use std::{fs, thread};

use tokio::time::Instant;

#[path = "../../tests/support/docker.rs"]
pub(crate) mod docker;
#[path = "../../tests/support/image.rs"]
pub(crate) mod image;

/// For a daemon to answer, or to end.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(60);

/// A daemon of the build for a box with a home and ports of its own. Dropping it takes its apps down and ends it.
pub(crate) struct Bench {
    binary: PathBuf,
    home: tempfile::TempDir,
    daemon: Child,
    apps: Vec<String>,
    has_engine: bool,
}

impl Bench {
    /// Starts the daemon of the build for a box, which is what people run whatever profile this program has.
    pub(crate) fn start() -> Self {
        Self::start_with(true)
    }

    /// Starts one that finds no engine.
    pub(crate) fn start_without_engine() -> Self {
        Self::start_with(false)
    }

    fn start_with(has_engine: bool) -> Self {
        let binary = program();
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut daemon = Command::new(&binary);
        if !has_engine {
            daemon.env("DOCKER_HOST", format!("unix://{}", home.path().join("no-engine.sock").display()));
        }
        let daemon = daemon
            .args(["server", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--home"])
            .arg(home.path())
            .stderr(fs::File::create(home.path().join("bench.log")).expect("the home can be written"))
            .spawn()
            .expect("minipaas runs");
        let bench = Self { binary, home, daemon, apps: Vec::new(), has_engine };
        let began = Instant::now();
        while !bench.minipaas(&["status"]).status.success() {
            assert!(began.elapsed() < DAEMON_TIMEOUT, "the daemon does not answer: {}", bench.log());
            thread::sleep(Duration::from_millis(20));
        }
        bench
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// `minipaas up` of this folder as this app; how long it took.
    pub(crate) fn up(&mut self, dir: &Path, app: &str) -> Duration {
        if !self.apps.iter().any(|known| known == app) {
            self.apps.push(app.to_owned());
        }
        let began = Instant::now();
        let output = self.minipaas(&["up", "--app", app, &dir.display().to_string()]);
        let took = began.elapsed();
        assert!(output.status.success(), "up: {}\n{}", String::from_utf8_lossy(&output.stderr), self.log());
        took
    }

    /// `minipaas down` of this app.
    pub(crate) fn down(&mut self, app: &str) {
        let output = self.minipaas(&["down", "--yes", "--app", app]);
        assert!(output.status.success(), "down: {}", String::from_utf8_lossy(&output.stderr));
        self.apps.retain(|known| known != app);
    }

    /// `minipaas` with these arguments.
    pub(crate) fn minipaas(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("minipaas runs")
    }

    /// As it is typed where no project is.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).current_dir(self.home.path());
        command.env("MINIPAAS_HOME", self.home.path()).stdin(Stdio::null());
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("bench.log")).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for app in &self.apps {
            self.minipaas(&["down", "--yes", "--app", app]);
        }
        let status = self.minipaas(&["status", "--json"]).stdout;
        self.minipaas(&["server", "--stop"]);
        // A box leaves its network behind.
        if self.has_engine
            && let Ok(status) = serde_json::from_slice::<serde_json::Value>(&status)
            && let Some(id) = status["box-id"].as_str()
        {
            docker::docker_succeeds(["network", "rm", &format!("minipaas-{id}")]);
        }
        // It has ended by then, or never will by itself.
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// What is measured: what is installed on a box, or what `MINIPAAS_BENCH` names.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("MINIPAAS_BENCH").map_or_else(dist_build, PathBuf::from)
}

fn dist_build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--profile", "dist", "--locked", "--bin", "minipaas"]).current_dir(root);
    // What cargo tells a benchmark about its package would have build scripts of others run anew.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    assert!(cargo.status().expect("benchmarks run where cargo is").success(), "{cargo:?} failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("dist/minipaas")
}

/// A folder with a manifest that runs this image as is.
pub(crate) fn project(image: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    write_manifest(dir.path(), image, 0);
    dir
}

/// The manifest of [`project`]; another version makes another release.
pub(crate) fn write_manifest(dir: &Path, image: &str, version: usize) {
    let text = format!(
        "[build]\nimage = \"{image}\"\n\n[env]\nVERSION = \"v{version}\"\n\n[process.web]\nready = {{ http = \"/up\" }}\n"
    );
    fs::write(dir.join("minipaas.toml"), text).expect("a temporary folder can be written");
}

/// The middle one, and the nearest to a tenth from either end.
pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |tenths: usize| times[(times.len() - 1) * tenths / 10].as_millis();
    format!("median {:>4} ms   p10 {:>4} ms   p90 {:>4} ms", at(5), at(1), at(9))
}

/// The middle one.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
