//! The folders that a newcomer has: the examples, and less than those.

use serde_json::Value;

use super::command::until;
use super::traffic::Poller;
use super::world::{Project, TestBox};

/// The first `up` of a box: starts the daemon, builds, deploys; the result is the address alone.
async fn first_up(project: &Project<'_>, urls: &[&str]) {
    let run = project.up().await.success().saying(&["no daemon answers: starting one", "v1 of "]);
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), urls);
}

/// The slots of an app with their states, as `ps --json` lists them.
async fn slots(on: &TestBox, app: &str) -> Vec<(String, String)> {
    let ps = on.run(&["ps", app, "--json"]).await.success().stdout;
    let ps: Value = serde_json::from_str(&ps).expect("JSON");
    let instances = ps[0]["instances"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    instances.iter().map(|instance| (text(&instance["slot"]), text(&instance["state"]))).collect()
}

fn ready(slots: &[&str]) -> Vec<(String, String)> {
    slots.iter().map(|slot| ((*slot).to_owned(), "ready".to_owned())).collect()
}

fn url(on: &TestBox, app: &str) -> String {
    format!("https://{app}.localhost:{}/", on.https().port())
}

#[tokio::test(flavor = "multi_thread")]
async fn static_site_goes_up_and_changes() {
    let on = TestBox::new();
    let project = on.example("static");
    first_up(&project, &[&url(&on, "static")]).await;
    assert_eq!(slots(&on, "static").await, ready(&["web.1"]));
    assert!(on.get("static.localhost", "/").await.body.contains("It is up."));
    let missing = on.get("static.localhost", "/no-such-page").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("Not here."));

    let poller = Poller::start(&on, "static.localhost").await;
    project.edit("index.html", "It is up.", "It has changed.");
    project.up().await.success().saying(&["v2 of `static` serves"]);
    poller.finish().await.only(&["It is up.", "It has changed."]);
    assert!(on.get("static.localhost", "/").await.body.contains("It has changed."));
    project.up().await.success().saying(&["nothing has changed: v2 of `static` serves"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_app_goes_up_and_changes() {
    let on = TestBox::new();
    let project = on.example("web");
    first_up(&project, &[&url(&on, "web")]).await;
    assert_eq!(slots(&on, "web").await, ready(&["web.1", "web.2"]));
    assert!(on.get("web.localhost", "/").await.body.starts_with("hello from release v1"));

    let poller = Poller::start(&on, "web.localhost").await;
    project.edit("minipaas.toml", "GREETING = \"hello\"", "GREETING = \"good day\"");
    project.up().await.success().saying(&["v2 of `web` serves"]);
    project.edit("app.py", "from release", "out of release");
    project.up().await.success().saying(&["v3 of `web` serves"]);
    poller.finish().await.only(&[
        "hello from release v1",
        "good day from release v2",
        "good day out of release v3",
    ]);
    assert!(on.get("web.localhost", "/").await.body.starts_with("good day out of release v3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_goes_up_without_an_address_and_changes() {
    let on = TestBox::new();
    let project = on.example("bot");
    first_up(&project, &[]).await;
    assert_eq!(slots(&on, "bot").await, ready(&["bot.1"]));
    let mut logs = on.start(&project.dir, &["logs", "-f"], &[]);
    until("the bot says hello", || logs.stdout().contains("every 5 seconds")).await;
    assert!(logs.is_running());

    project.edit("minipaas.toml", "BOT_INTERVAL = \"5\"", "BOT_INTERVAL = \"7\"");
    project.up().await.success().saying(&["v2 of `bot` serves"]);
    // Following goes on with the new release.
    until("the new bot says hello", || logs.stdout().contains("every 7 seconds")).await;
    on.settled(1, "v2").await;
    assert_eq!(on.get("bot.localhost", "/").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn procfile_goes_up_and_changes() {
    let on = TestBox::new();
    let project = on.example("procfile");
    first_up(&project, &[&url(&on, "procfile")]).await;
    assert_eq!(slots(&on, "procfile").await, ready(&["web.1", "worker.1"]));
    assert_eq!(on.get("procfile.localhost", "/").await.body, "hello from the web process\n");

    let poller = Poller::start(&on, "procfile.localhost").await;
    project.edit("web.py", "hello from", "good day from");
    project.up().await.success().saying(&["v2 of `procfile` serves"]);
    poller.finish().await.only(&["hello from the web process", "good day from the web process"]);
    on.settled(2, "v2").await;
    assert_eq!(on.get("procfile.localhost", "/").await.body, "good day from the web process\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_is_a_site_until_it_is_taken_down() {
    let on = TestBox::new();
    let project = on.project("page").file("index.html", "<h1>hi</h1>");
    first_up(&project, &[&url(&on, "page")]).await;
    assert_eq!(on.get("page.localhost", "/").await.body, "<h1>hi</h1>");
    on.run(&["down", "page", "--yes"]).await.success();
    assert_eq!(on.get("page.localhost", "/").await.status, 404);
    assert_eq!(on.containers().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn dockerfile_alone_is_an_app() {
    let on = TestBox::new();
    let dockerfile = "FROM busybox:stable\n\
                      RUN mkdir /www && echo from a Dockerfile > /www/index.html\n\
                      CMD exec httpd -f -p $PORT -h /www\n";
    let project = on.project("box").file("Dockerfile", dockerfile);
    first_up(&project, &[&url(&on, "box")]).await;
    assert_eq!(on.get("box.localhost", "/").await.body, "from a Dockerfile\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn procfile_with_an_image_needs_no_build() {
    let on = TestBox::new();
    let project = on.project("ready").manifest("[build]\nimage = \"busybox:stable\"\n").file(
        "Procfile",
        "web: mkdir /www && echo no build > /www/index.html && exec httpd -f -p $PORT -h /www\n",
    );
    first_up(&project, &[&url(&on, "ready")]).await;
    assert_eq!(on.get("ready.localhost", "/").await.body, "no build\n");
}
