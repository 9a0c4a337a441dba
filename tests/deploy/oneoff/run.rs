//! `run`: what goes in, what comes out, and how it ends.

use rustix::process::Signal;

use super::{piped, said, serving};
use crate::deploy::command::until;
use crate::deploy::world::{TestBox, containers};
use crate::support::docker::docker;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_releases_env_our_input_and_gives_its_exit_code() {
    let on = TestBox::new();
    let project = on.project("shop").manifest(&super::manifest("one", ""));
    let _server = on.serve(&[]).await;
    let nothing = piped(&on, &project, &["run", "true"], b"");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no app `shop`"));
    project.up().await.success();

    let ended = piped(&on, &project, &["run", "sh", "-c", "echo out; echo err >&2; exit 42"], b"");
    assert_eq!(ended.status.code(), Some(42));
    assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    let line = "echo $VERSION $MINIPAAS_PROCESS $MINIPAAS_RELEASE $MORE $PORT.";
    assert_eq!(
        said(&piped(&on, &project, &["run", "--env", "MORE=a:b c", line], b"")),
        "one run v1 a:b c .\n"
    );
    // Words are not split, and options of the command are its own.
    let words = ["run", "printf", "[%s]", "a b", "--json", "x:y", "$VERSION"];
    assert_eq!(said(&piped(&on, &project, &words, b"")), "[a b][--json][x:y][$VERSION]");
    // More than every buffer on the way holds, both ways at once.
    let many = vec![b'x'; 3 << 20];
    let echoed = piped(&on, &project, &["run", "cat"], &many);
    assert!(echoed.status.success() && echoed.stdout == many, "{} bytes", echoed.stdout.len());
    assert_eq!(said(&piped(&on, &project, &["run", "sha256sum"], b"")).len(), 68);

    let absent = piped(&on, &project, &["run", "no-such-program"], b"");
    assert!(!absent.status.success());
    let unknown = piped(&on, &project, &["run", "--release", "v9", "true"], b"");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no release v9"));
    let untyped = piped(&on, &project, &["run", "--type", "worker", "true"], b"");
    assert!(String::from_utf8_lossy(&untyped.stderr).contains("no process type `worker`"));
    on.settled(1, "v1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_goes_to_the_command_and_who_hangs_up_ends_it() {
    let on = TestBox::new();
    let project = serving(&on).await;
    let script = "trap 'echo told; exit 5' TERM INT; echo ready; while :; do sleep 0.1; done";
    for signal in [Signal::TERM, Signal::INT] {
        let running = project.start(&["run", "sh", "-c", script]);
        until("it runs", || running.stdout().contains("ready")).await;
        let ps = on.run(&["ps", "shop"]).await.success().stdout;
        assert!(ps.contains("run.") && ps.contains("attached"), "{ps}");
        running.signal(signal);
        let run = running.finish().await.ends_with(5);
        assert!(run.stdout.contains("told"), "{}", run.stdout);
    }
    // One that does not listen: the second signal ends us, and that ends it.
    let deaf =
        project.start(&["run", "sh", "-c", "trap '' TERM INT; echo ready; while :; do sleep 0.1; done"]);
    until("it runs", || deaf.stdout().contains("ready")).await;
    deaf.signal(Signal::INT);
    deaf.signal(Signal::TERM);
    let code = deaf.finish().await.code;
    assert!(code == 130 || code == 143, "{code}");
    on.settled(1, "v1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_run_outlives_the_daemon_and_an_attached_one_does_not() {
    let on = TestBox::new();
    let project = on.project("shop").manifest(&super::manifest("one", ""));
    let server = on.serve(&[]).await;
    project.up().await.success();
    let id = on.id().await;
    let script = "until [ -e /stop ]; do sleep 0.1; done; exit 3";
    let detached = project.start(&["run:detached", "sh", "-c", script]).finish().await.success();
    let slot = detached.stdout.trim().to_owned();
    assert!(slot.starts_with("run."), "{slot}");
    let attached = project.start(&["run", "sh", "-c", "echo ready; sleep 1000"]);
    until("it runs", || attached.stdout().contains("ready")).await;
    assert_eq!(containers(&id).len(), 3);

    server.kill();
    attached.finish().await.ends_with(3).saying(&["error:"]);
    let _server = on.serve(&[]).await;
    until("the attached one is gone", || containers(&id).len() == 2).await;
    let ps = on.run(&["ps", "shop"]).await.success().stdout;
    assert!(ps.contains(&slot) && ps.contains("detached"), "{ps}");
    // It is one like any other to reach into.
    said(&piped(&on, &project, &["exec", &slot, "touch", "/stop"], b""));
    on.settled(1, "v1").await;

    let late = ["run", "--detach", "--limit", "500ms", "sleep", "1000"];
    project.start(&late).finish().await.success();
    until("its time is up", || containers(&id).len() == 1).await;
    let volumes = docker(["volume", "ls", "--quiet", "--filter", &format!("label=minipaas.box={id}")]);
    assert_eq!(volumes, "");
}
