//! Reaching into what runs: commands, files, ports.

use std::fs;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{piped, said, serving};
use crate::deploy::command::until;
use crate::deploy::world::TestBox;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_beside_the_instances_own() {
    let on = TestBox::new();
    let project = serving(&on).await;
    assert_eq!(said(&piped(&on, &project, &["exec", "cat", "/www/index.html"], b"")), "version=one\n");
    assert_eq!(said(&piped(&on, &project, &["ps:exec", "web.1", "cat"], b"in\n")), "in\n");
    let ended = piped(&on, &project, &["exec", "sh", "-c", "echo err >&2; exit 9"], b"");
    assert_eq!((ended.status.code(), &ended.stderr[..]), (Some(9), &b"err\n"[..]));
    let nobody = piped(&on, &project, &["exec", "web.7", "true"], b"");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no running `web.7`"));

    // Whoever hangs up ends it.
    let running = project.start(&["exec", "sh", "-c", "echo ready; exec sleep 4321"]);
    until("it runs", || running.stdout().contains("ready")).await;
    running.kill();
    until("it is gone", || !said(&piped(&on, &project, &["exec", "ps"], b"")).contains("sleep 4321")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_folders_are_copied_both_ways() {
    let on = TestBox::new();
    let project = serving(&on).await;
    let here = |path: &str| project.dir.join(path);
    fs::create_dir_all(here("tree/deep")).expect("a folder");
    fs::write(here("tree/deep/file"), vec![b'y'; 300_000]).expect("a file");
    std::os::unix::fs::symlink("deep/file", here("tree/link")).expect("a link");

    let copy = |from: &str, to: &str| piped(&on, &project, &["cp", from, to], b"");
    said(&copy("tree", "web.1:/srv"));
    let listed = said(&piped(&on, &project, &["exec", "ls", "/srv/deep", "/srv/link"], b""));
    assert!(listed.contains("file"), "{listed}");
    // The folder is there now, so it goes into it.
    said(&copy("tree/deep/file", "web.1:/srv"));
    assert_eq!(said(&piped(&on, &project, &["exec", "wc", "-c", "/srv/file"], b"")), "300000 /srv/file\n");

    said(&copy("web.1:/srv", "back"));
    assert_eq!(fs::read(here("back/deep/file")).expect("a file").len(), 300_000);
    assert_eq!(fs::read_link(here("back/link")).expect("a link"), std::path::Path::new("deep/file"));
    said(&copy("web.1:/www/index.html", "."));
    assert_eq!(fs::read_to_string(here("index.html")).expect("a file"), "version=one\n");
    said(&copy("web.1:/www/index.html", "page"));
    assert_eq!(fs::read_to_string(here("page")).expect("a file"), "version=one\n");

    for (from, to, what) in [
        ("web.1:/no-such", ".", "there is no `/no-such` in `web.1`"),
        ("no-such", "web.1:/", "cannot read `no-such`"),
        ("page", "web.1:/no/such/folder", "there is no `/no/such/` in `web.1`"),
        ("web.1:/www", "no/such/folder", "there is no folder `no/such`"),
        ("page", "index.html", "neither side is an instance's"),
    ] {
        let failed = copy(from, to);
        let stderr = String::from_utf8_lossy(&failed.stderr);
        assert!(!failed.status.success() && stderr.contains(what), "{what}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_this_machine_lead_into_an_instance() {
    let on = TestBox::new();
    let project = serving(&on).await;
    let forward = project.start(&["port-forward", "web.1", "0:8080", "0:9"]);
    until("it listens", || forward.stdout().lines().count() == 2).await;
    let listed = forward.stdout();
    let addrs: Vec<_> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let asked = async |addr: &str| {
        let mut stream = TcpStream::connect(addr).await.expect("it listens");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("it is open");
        let mut answer = String::new();
        // A connection that is closed at once may also say so.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    let many = futures_util::future::join_all((0..20).map(|_| asked(addrs[0]))).await;
    assert!(many.iter().all(|answer| answer.ends_with("version=one\n")), "{many:?}");
    assert_eq!(asked(addrs[1]).await, "");
    until("it is said", || forward.stderr().contains("nothing in the container accepts connections")).await;
    forward.signal(rustix::process::Signal::INT);
    forward.finish().await.ends_with(130);
}
