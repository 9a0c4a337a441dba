//! A real registry: Debian's `docker-registry`, over plain http on a port of its own.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep};

use super::{SOON, free_port};

/// A running registry. Dropping it ends it, with all that it has.
pub struct Registry {
    /// Where it listens.
    pub addr: SocketAddr,
    process: Child,
    _folder: TempDir,
}

/// Who may push to a registry: name and password.
pub type Account<'a> = (&'a str, &'a str);

impl Registry {
    /// Starts one that anybody may push to, or only `account`.
    pub async fn start(account: Option<Account<'_>>) -> Self {
        Self::start_at(free_port(), account).await
    }

    /// The same, at this address.
    pub async fn start_at(addr: SocketAddr, account: Option<Account<'_>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let auth = account.map_or_else(String::new, |(user, password)| {
            // Of the least cost: it is asked for at every layer.
            let line = format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap());
            fs::write(path("htpasswd"), line).unwrap();
            format!("auth: {{htpasswd: {{realm: test, path: {:?}}}}}\n", path("htpasswd"))
        });
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
             http: {{addr: {:?}, secret: test}}\n{auth}",
            path("data"),
            addr.to_string(),
        );
        fs::write(path("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("no `docker-registry` here; run `tests/prepare`");
        let registry = Self { addr, process, _folder: folder };
        let deadline = Instant::now() + SOON;
        while TcpStream::connect(addr).await.is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen on {addr}");
            sleep(Duration::from_millis(20)).await;
        }
        registry
    }

    /// The digest of an image that it has, asked by curl; empty if it has none.
    pub fn digest(&self, repository: &str, tag: &str, account: Option<Account<'_>>) -> String {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.addr);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--head", "--fail", &url]);
        curl.args(["--header", "accept: application/vnd.docker.distribution.manifest.v2+json"]);
        if let Some((user, password)) = account {
            curl.args(["--user", &format!("{user}:{password}")]);
        }
        let output = curl.output().expect("tests/prepare installs curl");
        let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let digest = head.lines().find_map(|line| line.strip_prefix("docker-content-digest:"));
        digest.unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
