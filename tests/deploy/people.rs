//! A team on one box: invited by links, over TLS at the box's own host, each with what they may.

use http::{HeaderName, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use super::release::TestApp;
use super::world::TestBox;
use crate::support::backend::Backend;
use crate::support::client::{Client, Reply, get, tls};

const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];

/// A machine of somebody's, which has no box that runs.
pub(super) struct Laptop {
    machine: TestBox,
    config: TempDir,
}

impl Laptop {
    fn new() -> Self {
        let config = tempfile::tempdir().expect("a temporary directory");
        let machine = TestBox::new().env("XDG_CONFIG_HOME", config.path().to_str().expect("UTF-8"));
        Self { machine, config }
    }

    /// Follows a link that the box's administrator makes with these arguments.
    pub(super) async fn joins(on: &TestBox, invite: &[&str]) -> Self {
        let laptop = Self::new();
        let link = on.run(&[&["invite"], invite].concat()).await.success().stdout;
        laptop
            .machine
            .run(&["login", link.trim(), "--name", "box"])
            .await
            .success()
            .saying(&["logged in to"]);
        laptop
            .machine
            .run(&["login", link.trim(), "--name", "again"])
            .await
            .ends_with(1)
            .saying(&["not known"]);
        laptop
    }

    pub(super) async fn run(&self, args: &[&str]) -> super::command::Run {
        self.machine.run(&[&["-r", "box"], args].concat()).await
    }

    fn token(&self) -> String {
        let path = self.config.path().join("minipaas/remotes.toml");
        let text = std::fs::read_to_string(path).expect("it has logged in");
        let token = text.lines().find_map(|line| line.strip_prefix("token = \"")).expect("a token");
        token.trim_end_matches('"').to_owned()
    }
}

/// Asks the API at the box's own host.
async fn ask(on: &TestBox, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut req = get("localhost", path);
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        req.headers_mut().append(name, value.parse().expect("a value"));
    }
    let stream = tls(on.https(), &on.ca().await, "localhost", "http/1.1").await;
    Client::over(stream).await.send(req).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_shares_a_box_and_each_may_what_they_may() {
    let on = TestBox::new();
    let daemon = on.serve(&NO_ENGINE).await;
    let backend = Backend::replying("hello").start().await;
    let upstream = format!("http://{}", backend.addr);

    let alice = Laptop::joins(&on, &["alice"]).await;
    assert_eq!(alice.run(&["whoami"]).await.success().stdout.lines().next(), Some("alice"));
    alice.run(&["apps", "create", "legacy", "--upstream", &upstream]).await.success();

    // For whom it is not, it is not there.
    let bob = Laptop::joins(&on, &["bob"]).await;
    bob.run(&["apps", "info", "legacy"]).await.ends_with(1).saying(&["there is no app `legacy`"]);
    let apps = bob.run(&["apps", "--json"]).await.success().stdout;
    assert_eq!(apps.trim(), "[]");
    bob.run(&["users"]).await.ends_with(1).saying(&["`bob` is no administrator"]);
    bob.run(&["apps", "create", "localhost-app", "--host", "localhost", "--upstream", &upstream])
        .await
        .ends_with(1)
        .saying(&["`localhost` is the box's own host"]);

    alice.run(&["access", "add", "bob", "--role", "viewer", "-a", "legacy"]).await.success();
    bob.run(&["apps", "info", "legacy"]).await.success();
    bob.run(&["maintenance", "on", "-a", "legacy"]).await.ends_with(1).saying(&[
        "`bob` is viewer of `legacy`, and this needs collaborator",
        "an owner (`alice`) can give it",
    ]);
    alice.run(&["perms:add", "bob", "-a", "legacy"]).await.success();
    bob.run(&["maintenance", "on", "-a", "legacy"]).await.success();

    // It is kept: the daemon may be killed.
    daemon.kill();
    let _daemon = on.serve(&NO_ENGINE).await;
    bob.run(&["maintenance", "off", "-a", "legacy"]).await.success();
    alice.run(&["apps", "transfer", "bob", "legacy"]).await.success();
    alice.run(&["apps", "destroy", "legacy", "-y"]).await.ends_with(1).saying(&["needs owner"]);

    let token = alice.token();
    let bearer = format!("Bearer {token}");
    assert_eq!(ask(&on, "/v1/health", &[]).await.status, StatusCode::OK);
    for path in ["/v1/apps", "/v1/status", "/v1/nothing", &format!("/v1/apps?token={token}")] {
        assert_eq!(ask(&on, path, &[]).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let smuggled =
        [("x-forwarded-for", "127.0.0.1"), ("x-minipaas-door", "guess"), ("x-forwarded-user", "root")];
    assert_eq!(ask(&on, "/v1/apps", &smuggled).await.status, StatusCode::UNAUTHORIZED);
    let known = ask(&on, "/v1/whoami", &[("authorization", &bearer)]).await;
    assert_eq!(known.status, StatusCode::OK, "{known:?}");
    assert!(!known.body.contains(&token));

    alice.machine.run(&["logout", "box"]).await.success();
    let gone = ask(&on, "/v1/whoami", &[("authorization", &bearer)]).await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
    let tokens = on.run(&["tokens", "--json"]).await.success().stdout;
    let tokens: Value = serde_json::from_str(&tokens).expect("JSON");
    assert_eq!(tokens.as_array().map(Vec::len), Some(1), "{tokens}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_to_the_box_is_asked_before_anything_is_sent() {
    let on = TestBox::new();
    let _daemon = on.serve(&NO_ENGINE).await;
    let url = format!("https://localhost:{}", on.https().port());
    let laptop = Laptop::new();
    laptop
        .machine
        .run(&["login", &url, "--token", "mp_secret"])
        .await
        .ends_with(2)
        .saying(&["there for all to see"]);
    laptop
        .machine
        .run(&["login", &url, "--token", "-"])
        .await
        .ends_with(2)
        .saying(&["nobody to ask", "--fingerprint"]);
    let wrong = "0".repeat(64);
    laptop
        .machine
        .run(&["login", &url, "--token", "-", "--fingerprint", &wrong])
        .await
        .ends_with(1)
        .saying(&["another CA than expected", "nothing was sent"]);
    laptop
        .machine
        .run(&["login", "http://localhost", "--token", "-"])
        .await
        .ends_with(2)
        .saying(&["is not https"]);
    laptop
        .machine
        .run(&["-r", "nowhere", "ps"])
        .await
        .ends_with(2)
        .saying(&["no remote is called `nowhere`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_goes_to_a_box_elsewhere() {
    let on = TestBox::new();
    let _daemon = on.serve(&[]).await;
    let alice = Laptop::joins(&on, &["alice"]).await;
    let project = alice.machine.project("shop");
    project.write("minipaas.toml", &TestApp::version("one").toml());
    let up = project.start(&["-r", "box", "up"]).finish().await.success();
    assert_eq!(up.stdout, format!("https://shop.localhost:{}/\n", on.https().port()));
    assert!(on.get("shop.localhost", "/").await.body.contains("version=one"));
    let who = on.run(&["access", "-a", "shop", "--json"]).await.success().stdout;
    assert_eq!(who.trim(), "[{\"user\":\"alice\",\"role\":\"owner\"}]");
}
