//! `minipaas install` and `uninstall`, in the file system of an image: nothing of this machine is touched.

use std::os::unix::fs::PermissionsExt as _;

use expect_test::expect;

use super::command::{Folder, Run};

const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n";

/// A folder with an image of this distribution in it.
fn image(os_release: &str) -> Folder {
    let folder = Folder::with([]);
    std::fs::create_dir_all(folder.path().join("image/etc")).expect("a folder");
    folder.write("image/etc/os-release", os_release);
    folder
}

async fn run(folder: &Folder, args: &str) -> Run {
    folder.start(&folder.path(), &format!("{args} --root image"), &[]).finish().await
}

fn mode(folder: &Folder, path: &str) -> u32 {
    let metadata = std::fs::metadata(folder.path().join("image").join(path)).expect("a file");
    metadata.permissions().mode() & 0o7777
}

fn text(folder: &Folder, path: &str) -> String {
    std::fs::read_to_string(folder.path().join("image").join(path)).expect("a file")
}

#[tokio::test]
async fn dry_run_says_what_is_done_and_does_nothing() {
    let folder = image(OS_RELEASE);
    expect![[r#"
        exit: 0
        --- stdout
        folder   /var/lib/minipaas, for root alone
        settings /var/lib/minipaas/server.toml: domain, acme_email
        program  /usr/local/bin/minipaas
        unit     /etc/systemd/system/minipaas-http.socket
        unit     /etc/systemd/system/minipaas-https.socket
        unit     /etc/systemd/system/minipaas.service
        enable   minipaas-http.socket, with the machine
        enable   minipaas-https.socket, with the machine
        enable   minipaas.service, with the machine
        --- stderr
    "#]]
    .assert_eq(
        &run(&folder, "install --dry-run --domain apps.example.com --acme-email ops@example.com")
            .await
            .text(),
    );
    assert!(!folder.path().join("image/var").exists());
}

#[tokio::test]
async fn second_time_changes_nothing_and_a_third_what_is_new() {
    let folder = image(OS_RELEASE);
    let first = run(&folder, "install --domain apps.example.com").await;
    assert_eq!(first.code, Some(0), "{}", first.text());
    assert_eq!(
        first.stdout,
        format!("minipaas {} is installed; its state is in `/var/lib/minipaas`\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(mode(&folder, "var/lib/minipaas"), 0o700);
    assert_eq!(mode(&folder, "var/lib/minipaas/server.toml"), 0o600);
    assert_eq!(mode(&folder, "usr/local/bin/minipaas"), 0o755);
    assert_eq!(text(&folder, "var/lib/minipaas/server.toml"), "domain = \"apps.example.com\"\n");
    assert!(
        text(&folder, "etc/systemd/system/minipaas.service")
            .contains("ExecStart=/usr/local/bin/minipaas server")
    );
    let link = folder.path().join("image/etc/systemd/system/sockets.target.wants/minipaas-http.socket");
    assert_eq!(
        std::fs::read_link(link).expect("a link"),
        std::path::Path::new("/etc/systemd/system/minipaas-http.socket")
    );

    expect![[r#"
        exit: 0
        --- stdout
        unchanged: minipaas 0.1.0 is installed
        --- stderr
        next: the image needs the package `docker.io`; minipaas starts with the machine
    "#]]
    .assert_eq(&run(&folder, "install").await.text());

    folder.write("image/usr/local/bin/minipaas", "an old one");
    let json = run(&folder, "install --acme-email ops@example.com --json --quiet").await;
    expect![[r#"
        exit: 0
        --- stdout
        {"version":"0.1.0","steps":["settings /var/lib/minipaas/server.toml: acme_email","program  /usr/local/bin/minipaas, in place of another version"],"dry-run":false,"start":null}
        --- stderr
    "#]]
    .assert_eq(&json.text());
    assert_eq!(
        text(&folder, "var/lib/minipaas/server.toml"),
        "domain = \"apps.example.com\"\nacme_email = \"ops@example.com\"\n"
    );
    assert_eq!(mode(&folder, "usr/local/bin/minipaas"), 0o755);
}

#[tokio::test]
async fn what_the_daemon_would_refuse_is_not_written() {
    let folder = image(OS_RELEASE);
    let run_ = run(&folder, "install --acme-email nobody").await;
    assert_eq!(run_.code, Some(2), "{}", run_.text());
    assert!(run_.stderr.contains("`--acme-email` is `nobody`"), "{}", run_.stderr);
    assert!(!folder.path().join("image/var").exists());

    let fedora = image("PRETTY_NAME=\"Fedora Linux 43\"\nID=fedora\n");
    expect![[r#"
        exit: 1
        --- stdout
        --- stderr
        error: `minipaas install` knows Debian and Ubuntu, and this is `Fedora Linux 43`

        hint: with an engine and systemd, `docs/install.md` says what to copy where
    "#]]
    .assert_eq(&run(&fedora, "install").await.text());
}

#[tokio::test]
async fn failed_step_says_how_to_go_on() {
    let folder = image(OS_RELEASE);
    std::fs::create_dir_all(folder.path().join("image/usr")).expect("a folder");
    folder.write("image/usr/local", "no folder");
    let failed = run(&folder, "install").await;
    assert_eq!(failed.code, Some(1), "{}", failed.text());
    assert!(failed.stderr.contains("typed again, goes on from here"), "{}", failed.stderr);
    std::fs::remove_file(folder.path().join("image/usr/local")).expect("a file");
    assert_eq!(run(&folder, "install").await.code, Some(0));
}

#[tokio::test]
async fn uninstall_keeps_data_until_told() {
    let folder = image(OS_RELEASE);
    run(&folder, "install --domain apps.example.com").await;
    expect![[r#"
        exit: 0
        --- stdout
        remove   /etc/systemd/system/sockets.target.wants/minipaas-http.socket
        remove   /etc/systemd/system/sockets.target.wants/minipaas-https.socket
        remove   /etc/systemd/system/multi-user.target.wants/minipaas.service
        remove   /etc/systemd/system/minipaas-http.socket
        remove   /etc/systemd/system/minipaas-https.socket
        remove   /etc/systemd/system/minipaas.service
        remove   /usr/local/bin/minipaas
        --- stderr
        apps go on running in Docker, and `/var/lib/minipaas` has their state: `minipaas install` takes them up again; `--data` removes them
    "#]]
    .assert_eq(&run(&folder, "uninstall --dry-run").await.text());
    let gone = run(&folder, "uninstall").await;
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(0), "minipaas is uninstalled\n"));
    assert!(!folder.path().join("image/usr/local/bin/minipaas").exists());
    assert_eq!(text(&folder, "var/lib/minipaas/server.toml"), "domain = \"apps.example.com\"\n");
    assert_eq!(run(&folder, "uninstall").await.stdout, "minipaas is not installed here\n");

    let nobody = run(&folder, "uninstall --data").await;
    assert_eq!(nobody.code, Some(2), "{}", nobody.text());
    assert!(nobody.stderr.contains("nobody to ask"), "{}", nobody.stderr);
    assert_eq!(run(&folder, "uninstall --data --yes").await.code, Some(0));
    assert!(!folder.path().join("image/var/lib/minipaas").exists());
}
