//! `[release]`: a command before anything of a release starts, with clients that must not notice.

use rustix::process::Signal;

use super::{manifest, poller, serving};
use crate::deploy::command::until;
use crate::deploy::world::{TestBox, containers};

/// A release whose command is this line.
fn with(version: &str, line: &str, more: &str) -> String {
    manifest(version, &format!("[release]\ncommand = '''{line}'''\n{more}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_command_decides_whether_its_release_starts() {
    let on = TestBox::new();
    let project = serving(&on).await;
    let poller = poller(&on).await;

    project.write("minipaas.toml", &with("bad", "echo migrating $VERSION; printf no-luck >&2; exit 3", ""));
    let plan = project.start(&["up", "--plan"]).finish().await.success().stdout;
    assert!(plan.contains("release `echo migrating"), "{plan}");
    project.up().await.ends_with(1).saying(&[
        "=> release",
        "migrating bad",
        "error: the release command of v2 of `shop` failed",
        "`release.2` exited with code 3",
        "no-luck",
        "hint: v1 is still serving",
    ]);
    project.write("minipaas.toml", &with("slow", "echo waits; sleep 1000", "deadline = \"2s\""));
    project.up().await.ends_with(1).saying(&[
        "error: the release command of v3 of `shop` did not end within 2s",
        "waits",
        "hint: `deadline` in [release]",
        "hint: v1 is still serving",
    ]);
    project.write("minipaas.toml", &with("cancelled", "echo waits; sleep 1000", ""));
    let mut up = project.start_up();
    up.says("waits").await;
    up.signal(Signal::INT);
    up.finish().await.ends_with(130);
    project.write("minipaas.toml", &with("absent", "no-such-program", ""));
    project.up().await.ends_with(1).saying(&["error: the release command of v5 of `shop`"]);
    on.settled(1, "v1").await;
    poller.finish().await.only(&["version=one"]);

    let poller = super::poller(&on).await;
    project.write("minipaas.toml", &with("two", "echo migrated", ""));
    project.up().await.success().saying(&["=> release `echo migrated`", "migrated", "v6 of `shop` serves"]);
    on.settled(1, "v6").await;
    poller.finish().await.only(&["version=one", "version=two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_runs_the_release_command_again_from_its_start() {
    let on = TestBox::new();
    let server = on.serve(&[]).await;
    let project = on.project("shop").manifest(&manifest("one", ""));
    project.up().await.success();
    let id = on.id().await;
    let poller = poller(&on).await;
    project.write("minipaas.toml", &with("two", "echo be''gins; sleep 3; echo ends", ""));
    let mut up = project.start_up();
    up.says("begins").await;
    let command: Vec<_> = containers(&id).into_iter().filter(|one| one.release == "v2").collect();
    assert_eq!(command.len(), 1);
    poller.finish().await.only(&["version=one"]);
    server.kill();

    let _server = on.serve(&[]).await;
    let poller = super::poller(&on).await;
    until("the command runs again", || {
        let now: Vec<_> = containers(&id).into_iter().filter(|one| one.release == "v2").collect();
        !now.is_empty() && now.iter().all(|one| one.id != command[0].id)
    })
    .await;
    up.finish().await.success().saying(&["the connection to the daemon broke", "v2 of `shop` serves"]);
    on.settled(1, "v2").await;
    poller.finish().await.only(&["version=one", "version=two"]);
}
