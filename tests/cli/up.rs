//! `minipaas up`, from the folder to the URL, and every way in which it does not get there.

use std::sync::Arc;

use axum::http::StatusCode;
use expect_test::expect;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::command::Folder;
use super::daemon::{FakeDaemon, Reply};
use super::{app, ok, status};

const DOCKERFILE: [(&str, &str); 2] = [("Dockerfile", "FROM scratch\n"), ("app.js", "1")];

fn step(step: &str, detail: &str) -> Value {
    json!({"event": "step", "step": step, "detail": detail})
}

fn log(line: &str) -> Value {
    json!({"event": "log", "line": line})
}

fn built() -> Value {
    json!({"event": "built", "build": build()})
}

fn build() -> Value {
    json!({"image": "sha256:1", "reference": "shop:1", "content": null})
}

fn accepted() -> Value {
    json!({"event": "accepted", "release": "v4"})
}

fn deployed(is_unchanged: bool) -> Value {
    json!({"event": "deployed", "release": "v4", "is-unchanged": is_unchanged,
           "urls": ["https://shop.localhost", "https://shop.example.com"]})
}

fn failed(failure: &Value) -> Value {
    json!({"event": "failed", "failure": failure})
}

fn builds() -> (&'static str, Reply) {
    ("POST /v1/apps/shop/builds", Reply::Lines(vec![step("build", "shop"), log("Step 1/1"), built()]))
}

fn deploys(events: Vec<Value>) -> (&'static str, Reply) {
    ("POST /v1/apps/shop/deploys", Reply::Lines(events))
}

/// The requests with the digest of a context replaced, and bodies left out.
fn names(daemon: &FakeDaemon) -> Vec<String> {
    let name = |request: String| {
        let mut words = request.split([' ', '?']);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path =
            path.rsplit_once("/builds/").map_or(path.to_owned(), |(app, _)| format!("{app}/builds/[DIGEST]"));
        format!("{method} {path}")
    };
    daemon.requests().into_iter().map(name).collect()
}

#[tokio::test]
async fn folder_is_built_and_deployed() {
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        deploys(vec![
            accepted(),
            step("start", "web.1"),
            step("ready", "web.1"),
            step("switch", ""),
            deployed(false),
        ]),
    ]);
    let folder = Folder::with([("Procfile", "web: node app.js\nrelease: x\n"), DOCKERFILE[0], DOCKERFILE[1]]);
    expect![[r#"
        exit: 0
        --- stdout
        https://shop.localhost
        --- stderr
        => upload 42 B to build `shop`
        => build shop
           Step 1/1
        => start web.1
        => ready web.1
        => switch
        v4 of `shop` serves
        also at https://shop.example.com
    "#]]
    .assert_eq(&folder.run(&daemon, "up").await.text());
    assert_eq!(
        names(&daemon),
        [
            "GET /v1/status",
            "GET /v1/apps/shop/builds/[DIGEST]",
            "POST /v1/apps/shop/builds",
            "POST /v1/apps/shop/deploys",
            "GET /v1/certs"
        ]
    );
    let requests = daemon.requests();
    assert!(
        requests[2].ends_with("&dockerfile=Dockerfile tar of Dockerfile Procfile app.js"),
        "{}",
        requests[2]
    );
    let body: Value = serde_json::from_str(
        requests[3].split_once(" {").map(|(_, rest)| format!("{{{rest}")).expect("a body").as_str(),
    )
    .expect("JSON");
    assert_eq!(body["source"]["procfile"], "web: node app.js\nrelease: x\n");
    assert_eq!(body["build"], build());
    assert_eq!(body["take-over"], false);
    assert!(body["origin"].as_str().is_some_and(|origin| origin.ends_with("/shop")));
}

#[tokio::test]
async fn same_content_is_not_built_again() {
    let folder = Folder::with(DOCKERFILE);
    let first = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        deploys(vec![accepted(), deployed(false)]),
    ]);
    folder.run(&first, "up").await;
    let requests = first.requests();
    let find = requests.iter().find(|request| request.contains("/builds/")).expect("it is looked for");
    let second = FakeDaemon::start([
        ("GET /v1/status", status()),
        (find.as_str(), ok(build())),
        deploys(vec![deployed(true)]),
    ]);
    expect![[r#"
        exit: 0
        --- stdout
        {"app":"shop","release":"v4","urls":["https://shop.localhost","https://shop.example.com"],"unchanged":true}
        --- stderr
        nothing has changed: v4 of `shop` serves
    "#]]
    .assert_eq(&folder.run(&second, "up --json").await.text());
    expect![[r#"
        exit: 0
        --- stdout
        https://shop.localhost
        --- stderr
    "#]]
    .assert_eq(&folder.run(&second, "up -q").await.text());
}

#[tokio::test]
async fn static_site_is_made_on_the_daemons_base() {
    let base = json!({"image": "sha256:b", "reference": "minipaas-static:b", "content": null});
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        ("POST /v1/static-base", ok(base)),
        ("POST /v1/apps/site/builds", Reply::Lines(vec![built()])),
        ("POST /v1/apps/site/deploys", Reply::Lines(vec![deployed(false)])),
    ]);
    let folder = Folder::with([
        ("index.html", "hello"),
        ("minipaas.toml", "app = \"other\"\n[build]\nstatic = \".\"\nspa = true\n"),
    ]);
    let run = folder.run(&daemon, "up -a site").await;
    assert_eq!(run.code, Some(0), "{}", run.text());
    let requests = daemon.requests();
    assert!(requests[3].ends_with("tar of Dockerfile site site/index.html"), "{}", requests[3]);
}

#[tokio::test]
async fn ready_image_is_asked_for() {
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        ("POST /v1/apps/shop/images", Reply::Lines(vec![step("pull", "nginx:1"), built()])),
        deploys(vec![accepted(), deployed(false)]),
    ]);
    let run = Folder::with([]).run(&daemon, "up --image nginx:1 --take-over").await;
    assert_eq!(run.code, Some(0), "{}", run.text());
    let requests = daemon.requests();
    assert_eq!(requests[1], "POST /v1/apps/shop/images?reference=nginx%3A1");
    assert!(requests[2].ends_with("\"take-over\":true}"), "{}", requests[2]);
}

#[tokio::test]
async fn plan_touches_nothing() {
    let plan = json!({"text": "deploy v4 of shop\n  start web.1\n", "release": "v4", "urls": ["https://shop.localhost"]});
    let daemon = FakeDaemon::start([("POST /v1/apps/shop/plan", ok(plan))]);
    let folder = Folder::with(DOCKERFILE);
    expect![[r#"
        exit: 0
        --- stdout
        deploy v4 of shop
          start web.1
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "up --plan").await.text());
    assert_eq!(names(&daemon), ["GET /v1/apps/shop/builds/[DIGEST]", "POST /v1/apps/shop/plan"]);
    expect![[r#"
        exit: 0
        --- stdout
        {"app":"shop","release":"v4","urls":["https://shop.localhost"],"text":"deploy v4 of shop\n  start web.1\n"}
        --- stderr
    "#]]
    .assert_eq(&folder.run(&daemon, "up --plan --json").await.text());
}

#[tokio::test]
async fn broken_manifest_is_found_before_anything_is_asked() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([("minipaas.toml", "ap = \"shop\"\n[process.web]\nport = 0\n")]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: minipaas.toml:1: unknown key `ap` in the file; did you mean `app`?
               minipaas.toml:3: `port` is 0; it takes 1 to 65535
    "#]]
    .assert_eq(&folder.run(&daemon, "up").await.text());
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: folder `[DIR]/nowhere` does not exist
    "#]]
    .assert_eq(&folder.run(&daemon, "up nowhere").await.text().replace("`nowhere`", "`[DIR]/nowhere`"));
    assert_eq!(daemon.requests(), [""; 0]);
}

#[tokio::test]
async fn release_that_is_not_ready_says_why_and_what_serves() {
    let failure = json!({
        "code": "not-ready", "message": "release v4 of `shop` was not ready within 60s",
        "causes": ["`web.1` GET /up returned 503 (12 probes)"], "log": ["listening", "no database"],
        "hints": ["v3 is still serving"],
    });
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        deploys(vec![accepted(), step("ready", "web.1"), failed(&failure)]),
    ]);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        => upload 14 B to build `shop`
        => build shop
           Step 1/1
        => ready web.1
        error: release v4 of `shop` was not ready within 60s
          caused by: `web.1` GET /up returned 503 (12 probes)
          last lines of its log:
            listening
            no database

        hint: v3 is still serving
    "#]]
    .assert_eq(&Folder::with(DOCKERFILE).run(&daemon, "up").await.text());
}

#[tokio::test]
async fn build_log_is_not_printed_twice() {
    let failure =
        json!({"code": "build-failed", "message": "the build of `shop` failed", "log": ["no such file"]});
    let events = vec![step("build", "shop"), log("COPY x"), log("no such file"), failed(&failure)];
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        ("POST /v1/apps/shop/builds", Reply::Lines(events)),
    ]);
    let folder = Folder::with(DOCKERFILE);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        => upload 14 B to build `shop`
        => build shop
           COPY x
           no such file
        error: the build of `shop` failed
    "#]]
    .assert_eq(&folder.run(&daemon, "up").await.text());
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: the build of `shop` failed
          last lines of the build:
            no such file
    "#]]
    .assert_eq(&folder.run(&daemon, "up --quiet").await.text());
}

#[tokio::test]
async fn deploy_that_is_cut_off_is_exit_code_3() {
    let daemon = FakeDaemon::start([("GET /v1/status", status()), builds(), deploys(vec![accepted()])]);
    expect![[r#"
        exit: 3
        --- stdout
        --- stderr
        error: the daemon ended the connection before it answered `POST /v1/apps/shop/deploys`

        hint: its log may say why: `daemon.log` in its home, or `journalctl -u minipaas`
        hint: `minipaas ps shop` shows what became of it
    "#]]
    .assert_eq(&Folder::with(DOCKERFILE).run(&daemon, "up -q").await.text());
}

#[tokio::test]
async fn engine_elsewhere_that_is_away_is_exit_code_3() {
    let engine = json!({"endpoint": "tcp://10.0.0.1:2375", "version": null, "error": "connection refused"});
    let away = json!({
        "version": "0.1.0", "pid": 7, "box-id": "1a2b3c4d", "domain": "localhost", "http": "0.0.0.0:80",
        "https": "0.0.0.0:443", "generation": 3, "apps": [], "engine": engine,
    });
    let daemon = FakeDaemon::start([("GET /v1/status", ok(away))]);
    let folder = Folder::with(DOCKERFILE);
    let running = folder.start(daemon.home(), "up", &[("DOCKER_HOST", "tcp://10.0.0.1:2375")]);
    expect![[r#"
        exit: 3
        --- stdout
        --- stderr
        error: the engine at `tcp://10.0.0.1:2375` does not answer
          caused by: connection refused

        hint: `DOCKER_HOST` is `tcp://10.0.0.1:2375`: start the engine there, or unset the variable
        hint: the daemon keeps the variable it was started with: `minipaas server --stop` lets it forget
    "#]]
    .assert_eq(&running.finish().await.text());
}

#[tokio::test]
async fn interrupt_takes_the_deploy_back() {
    let gate = Arc::new(Notify::new());
    let cancelled = json!({"code": "cancelled", "message": "release v4 of `shop` was cancelled"});
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        (
            "POST /v1/apps/shop/deploys",
            Reply::Gated(
                vec![accepted(), step("start", "web.1")],
                Arc::clone(&gate),
                vec![failed(&cancelled)],
            ),
        ),
        ("DELETE /v1/apps/shop/deploys/v4", Reply::Opens(gate)),
        ("GET /v1/apps/shop", ok(app())),
    ]);
    let folder = Folder::with(DOCKERFILE);
    let mut running = folder.start(daemon.home(), "up", &[]);
    running.says("=> start web.1").await;
    running.signal(Signal::INT);
    expect![[r#"
        exit: 130
        --- stdout
        --- stderr
        => upload 14 B to build `shop`
        => build shop
           Step 1/1
        => start web.1
        cancelling release v4; Ctrl-C again leaves it to the daemon
        error: release v4 of `shop` was cancelled

        hint: v3 is still serving
    "#]]
    .assert_eq(&running.finish().await.text());
}

#[tokio::test]
async fn second_interrupt_leaves_at_once() {
    let (never, also_never) = (Arc::default(), Arc::default());
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        (
            "POST /v1/apps/shop/deploys",
            Reply::Gated(vec![accepted(), step("start", "web.1")], never, Vec::new()),
        ),
        ("DELETE /v1/apps/shop/deploys/v4", Reply::Opens(also_never)),
    ]);
    let folder = Folder::with(DOCKERFILE);
    let mut running = folder.start(daemon.home(), "up", &[]);
    running.says("=> start web.1").await;
    running.signal(Signal::INT);
    running.says("cancelling").await;
    running.signal(Signal::INT);
    let run = running.finish().await;
    assert_eq!(run.code, Some(130));
    assert!(run.stderr.ends_with(
        "error: left release v4 of `shop` to the daemon\n\nhint: `minipaas ps shop` shows what became of it\n"
    ));
}

#[tokio::test]
async fn interrupted_build_changes_nothing() {
    let never = Arc::default();
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        ("POST /v1/apps/shop/builds", Reply::Gated(vec![step("build", "shop")], never, Vec::new())),
    ]);
    let folder = Folder::with(DOCKERFILE);
    let mut running = folder.start(daemon.home(), "up", &[]);
    running.says("=> build shop").await;
    running.signal(Signal::INT);
    let run = running.finish().await;
    assert_eq!(run.code, Some(130));
    assert!(run.stderr.ends_with("error: interrupted before `shop` was changed\n"), "{}", run.stderr);
}

#[tokio::test]
async fn watch_deploys_what_changes_until_it_is_interrupted() {
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        ("POST /v1/apps/shop/builds", Reply::Lines(vec![built()])),
        deploys(vec![accepted(), deployed(false)]),
    ]);
    let folder = Folder::with(DOCKERFILE);
    let mut running = folder.start(daemon.home(), "up --watch", &[]);
    running.says("watching").await;
    folder.write("app.js", "22");
    running.says("also at").await;
    // A mistake does not end the watch.
    folder.write("minipaas.toml", "ap = 1\n");
    running.says("unknown key").await;
    folder.write("minipaas.toml", "app = \"shop\"\n");
    running.says("also at").await;
    running.signal(Signal::INT);
    expect![[r#"
        exit: 130
        --- stdout
        https://shop.localhost
        https://shop.localhost
        https://shop.localhost
        --- stderr
        => upload 14 B to build `shop`
        v4 of `shop` serves
        also at https://shop.example.com
        watching `[DIR]`; Ctrl-C ends it
        changed: `app.js`
        => upload 15 B to build `shop`
        v4 of `shop` serves
        also at https://shop.example.com
        error: minipaas.toml:1: unknown key `ap` in the file; did you mean `app`?
        changed: `minipaas.toml`
        => upload 28 B to build `shop`
        v4 of `shop` serves
        also at https://shop.example.com
    "#]]
    .assert_eq(&running.finish().await.text());
    let deploys = names(&daemon).into_iter().filter(|name| name.ends_with("/deploys")).count();
    assert_eq!(deploys, 3);
}

#[tokio::test]
async fn refusal_of_a_deploy_is_printed() {
    let refusal = json!({
        "code": "name-taken", "message": "app `shop` was deployed from `/other/shop`",
        "hints": ["`--take-over` deploys it from here"],
    });
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        ("POST /v1/apps/shop/deploys", Reply::Json(StatusCode::CONFLICT, refusal)),
    ]);
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: app `shop` was deployed from `/other/shop`

        hint: `--take-over` deploys it from here
    "#]]
    .assert_eq(&Folder::with(DOCKERFILE).run(&daemon, "up -q").await.text());
}

#[tokio::test]
async fn canary_says_what_to_type_next() {
    let mut canary = deployed(false);
    canary["canary"] = json!({"release": "v4", "percent": 10, "cookie": null, "header": null});
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        deploys(vec![accepted(), step("start", "web.1"), step("canary", ""), canary]),
    ]);
    let run = Folder::with(DOCKERFILE).run(&daemon, "up -q --json").await;
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(json["canary"]["percent"], 10);
    expect![[r#"
        => start web.1
        => canary
        v4 of `shop` gets 10 % of clients
        `minipaas canary promote` lets it take over, `minipaas canary abort` takes it away
        also at https://shop.example.com
    "#]]
    .assert_eq(&after_the_build(&Folder::with(DOCKERFILE).run(&daemon, "up").await.stderr));
}

#[tokio::test]
async fn deploy_of_an_app_in_maintenance_says_so() {
    let mut closed = deployed(false);
    closed["traffic"] = json!({"mode": "maintenance", "allow": [], "has-cookie": true, "has-page": false,
                               "retry-after-ms": null, "health-path": null});
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        deploys(vec![accepted(), step("switch", ""), closed]),
    ]);
    expect![[r#"
        => switch
        v4 of `shop` serves
        `shop` is in maintenance for all but who has the cookie; `minipaas maintenance off -a shop` ends it
        also at https://shop.example.com
    "#]]
    .assert_eq(&after_the_build(&Folder::with(DOCKERFILE).run(&daemon, "up").await.stderr));
}

#[tokio::test]
async fn interrupt_leaves_the_watch_to_the_daemon() {
    let daemon = FakeDaemon::start([
        ("GET /v1/status", status()),
        builds(),
        (
            "POST /v1/apps/shop/deploys",
            Reply::Gated(
                vec![accepted(), step("switch", ""), step("watch", "v4 for 30s")],
                Arc::default(),
                Vec::new(),
            ),
        ),
    ]);
    let folder = Folder::with(DOCKERFILE);
    let mut running = folder.start(daemon.home(), "up", &[]);
    running.says("=> watch v4 for 30s").await;
    running.signal(Signal::INT);
    let run = running.finish().await;
    assert_eq!(run.code, Some(130));
    assert!(
        run.stderr.ends_with("error: release v4 of `shop` serves; the daemon goes on watching it\n"),
        "{}",
        run.stderr
    );
    assert!(!names(&daemon).iter().any(|request| request.starts_with("DELETE")), "nothing is cancelled");
}

/// What is said of the deploy alone.
fn after_the_build(said: &str) -> String {
    let deploy = said.lines().skip_while(|line| !line.starts_with("   Step")).skip(1);
    deploy.map(|line| format!("{line}\n")).collect()
}
