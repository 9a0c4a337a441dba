//! Everything that goes wrong, each time with a release that serves: it goes on serving, nothing is left behind, and the
//! person learns what to do.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use rustix::process::Signal;

use super::command::{Running, until};
use super::release::TestApp;
use super::traffic::Poller;
use super::world::{Project, TestBox};
use crate::support::docker::docker;

/// Debian's and everybody's user without rights.
const NOBODY: u32 = 65_534;

/// An app whose first release serves, and a client that asks it all the time.
async fn good(on: &TestBox) -> (Project<'_>, Poller) {
    let project = on.project("shop");
    project.deploy(&TestApp::version("one")).await.success();
    let poller = Poller::start(on, "shop.localhost").await;
    (project, poller)
}

/// Checks that nobody noticed anything, and that there is nothing but the first release.
async fn untouched(on: &TestBox, poller: Poller) {
    let app = on.serving("shop").await;
    assert_eq!(app.release.as_deref(), Some("v1"));
    on.settled(1, "v1").await;
    // The test app's image is not the box's own.
    let filter = format!("label=minipaas.box={}", on.id().await);
    assert_eq!(docker(["image", "ls", "--quiet", "--filter", &filter]), "");
    poller.finish().await.only(&["version=one"]);
}

/// A release whose probes have no chance, and not long either.
fn hopeless() -> TestApp {
    TestApp::version("bad").web("ready = { http = \"/up\", interval = \"200ms\", deadline = \"3s\" }")
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_images_leave_the_old_release_serving() {
    let on = TestBox::new();
    let (project, poller) = good(&on).await;

    project.write("minipaas.toml", "[env]\nVERSION = \"bad\"\n");
    project.write("Dockerfile", "FROM busybox:stable\nRUN echo no such luck && exit 7\n");
    project.up().await.ends_with(1).saying(&["error: ", "no such luck", "exit code: 7"]);

    project.write("Dockerfile", "FROM no-such-image.invalid/x:1\n");
    project.up().await.ends_with(1).saying(&["error: ", "no-such-image.invalid/x:1"]);

    project.write("minipaas.toml", "[build]\nimage = \"no-such-image.invalid/y:1\"\n");
    project.up().await.ends_with(1).saying(&[
        "error: image `no-such-image.invalid/y:1` is not on the engine and cannot be fetched",
        "hint: check its name",
    ]);
    untouched(&on, poller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_releases_leave_the_old_one_serving() {
    let on = TestBox::new();
    let (project, poller) = good(&on).await;

    let silent = project.deploy(&hopeless().env("NO_LISTEN", "1")).await.ends_with(1);
    silent.saying(&[
        "error: release v2 of `shop` was not ready within 3s",
        "`web.1`: nothing accepts connections on port 8080",
        "test app bad started",
        "hint: it must listen on 0.0.0.0:8080 ($PORT)",
        "hint: v1 is still serving",
    ]);
    let elsewhere = project.deploy(&hopeless().env("LISTEN_PORT", "3000")).await.ends_with(1);
    elsewhere.saying(&[
        "error: release v3 of `shop` was not ready within 3s",
        "hint: it listens on 3000 and not on $PORT (8080)",
        "set `port = 3000`",
        "hint: v1 is still serving",
    ]);
    let exits = hopeless().env("NO_LISTEN", "1").env("EXIT_AFTER_MS", "1").env("EXIT_CODE", "3");
    project.deploy(&exits).await.ends_with(1).saying(&[
        "error: release v4 of `shop` exited before it was ready",
        "`web.1` exited with code 3",
        "boom: a fatal error",
        "hint: v1 is still serving",
    ]);
    project.deploy(&hopeless().env("PROBE_REDIRECT", "1")).await.ends_with(1).saying(&[
        "error: release v5 of `shop` was not ready within 3s",
        "a redirect to `https://elsewhere.example/up`; probe a path that answers 2xx by itself",
        "hint: v1 is still serving",
    ]);
    untouched(&on, poller).await;

    let poller = Poller::start(&on, "shop.localhost").await;
    project.deploy(&TestApp::version("two")).await.success().saying(&["v6 of `shop` serves"]);
    poller.finish().await.only(&["version=one", "version=two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_apps_is_refused() {
    let on = TestBox::new();
    let (project, poller) = good(&on).await;

    let other = on.project("elsewhere/shop");
    other.deploy(&TestApp::version("thief")).await.ends_with(1).saying(&[
        "error: app `shop` was deployed from `",
        &project.dir.canonicalize().expect("a folder").display().to_string(),
        "--take-over",
        "hint: `minipaas down shop` removes it",
    ]);
    let claim = "[[route]]\nhost = \"shop.localhost\"";
    on.project("thief").deploy(&TestApp::version("thief").table(claim)).await.ends_with(1).saying(&[
        "error: `shop.localhost/` is already routed to app `shop`",
        "hint: take the route out of one of the two, or `minipaas down shop`",
    ]);
    let typo = TestApp::version("typo").web("replica = 2");
    project.deploy(&typo).await.ends_with(2).saying(&["replica", "did you mean `replicas`?"]);
    assert_eq!(on.status().await.apps.len(), 1, "none of them made an app");
    untouched(&on, poller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_deploys_leave_the_old_release_serving() {
    let on = TestBox::new();
    let (project, poller) = good(&on).await;

    project.write("minipaas.toml", &TestApp::version("bad").env("NO_LISTEN", "1").toml());
    let mut waiting = project.start_up();
    waiting.says("=> wait for").await;
    waiting.signal(Signal::INT);
    waiting
        .finish()
        .await
        .ends_with(130)
        .saying(&["release v2 of `shop` was cancelled", "v1 is still serving"]);

    // A number that no other process sleeps for.
    let nap = format!("7{:08}", std::process::id());
    project.write("minipaas.toml", "[env]\nVERSION = \"bad\"\n");
    project.write("Dockerfile", &format!("FROM busybox:stable\nRUN sleep {nap}\n"));
    let building = project.start_up();
    until("the build sleeps", || sleeps(&nap)).await;
    building.signal(Signal::INT);
    building.finish().await.ends_with(130).saying(&["error: interrupted before `shop` was changed"]);
    until("the build has ended", || !sleeps(&nap)).await;
    untouched(&on, poller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deploys_at_once_take_turns() {
    let on = TestBox::new();
    let (project, poller) = good(&on).await;
    project.write("minipaas.toml", &TestApp::version("two").env("START_DELAY_MS", "1500").toml());
    let mut second = project.start_up();
    second.says("=> wait for").await;
    let third = project.deploy(&TestApp::version("three")).await.success();
    third.saying(&[
        "another deploy of `shop` (v2) is under way; this one starts when it has ended",
        "v3 of `shop` serves",
    ]);
    second.finish().await.success().saying(&["v2 of `shop` serves"]);
    on.settled(1, "v3").await;
    poller.finish().await.only(&["version=one", "version=two", "version=three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_is_named_with_its_owner() {
    let on = TestBox::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address");
    let server = on.start(&on.home(), &["server"], &[("MINIPAAS_HTTP", &addr.to_string())]);
    server.finish().await.ends_with(1).saying(&[
        &format!("error: port {} is taken by `", addr.port()),
        &format!("(pid {})", std::process::id()),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_engine_is_exit_code_3() {
    let on = TestBox::new().env("DOCKER_HOST", "unix:///no/such/docker.sock");
    let project = on.project("page").file("index.html", "hi");
    project.up().await.ends_with(3).saying(&[
        "error: no engine answers\n  caused by: cannot reach the engine at unix:///no/such/docker.sock: No such file",
        "hint: `DOCKER_HOST` is `unix:///no/such/docker.sock`: start the engine there, or unset the variable",
    ]);
    assert_eq!(on.status().await.apps, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_engine_is_exit_code_3() {
    let socket_dir = tempfile::tempdir().expect("a temporary directory");
    let socket = socket_dir.path().join("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let restrict = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    restrict(&socket, 0o000);
    restrict(socket_dir.path(), 0o755);

    let url = format!("unix://{}", socket.display());
    let on = TestBox::new().env("DOCKER_HOST", &url);
    let project = on.project("page").file("index.html", "hi");
    // Modes do not stop root.
    let up = if rustix::process::geteuid().is_root() {
        up_as_nobody(&on, &project, &url)
    } else {
        project.start_up()
    };
    up.finish().await.ends_with(3).saying(&[
        &format!("error: no engine answers\n  caused by: no permission to use the engine at {url}\n"),
        "hint: ",
    ]);
}

/// `minipaas up` by a user without rights, to whom the box is given.
fn up_as_nobody(on: &TestBox, project: &Project<'_>, docker_host: &str) -> Running {
    let home = on.home();
    let root = home.parent().expect("a folder");
    // Where the tests are built need not be a place where everybody may look.
    let program = root.join("minipaas");
    std::fs::copy(env!("CARGO_BIN_EXE_minipaas"), &program).expect("a copy");
    for path in [root, &home, &project.dir] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    command.arg(&program).arg("up").current_dir(&project.dir).env("DOCKER_HOST", docker_host);
    command.env("HOME", root).env("MINIPAAS_HOME", &home);
    command.env("MINIPAAS_HTTP", on.http().to_string()).env("MINIPAAS_HTTPS", on.https().to_string());
    Running::of(command)
}

/// Whether a process, in whatever container, sleeps for so long.
fn sleeps(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    std::fs::read_dir("/proc").expect("Linux").flatten().any(|process| {
        std::fs::read_to_string(process.path().join("cmdline")).is_ok_and(|line| line.ends_with(&wanted))
    })
}
