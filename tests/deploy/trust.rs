//! Trusting a box from another machine, which has nothing of it but its address.

use serde_json::Value;

use super::world::TestBox;

const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];

#[tokio::test(flavor = "multi_thread")]
async fn a_team_trusts_a_box_by_its_address_and_fingerprint() {
    let server = TestBox::new();
    let daemon = server.serve(&NO_ENGINE).await;
    let printed = server.run(&["trust", "--print", "--json"]).await.success().stdout;
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let fingerprint = printed["fingerprint"].as_str().expect("text");
    assert!(
        printed["permits"].as_str().expect("text").starts_with("private names and addresses"),
        "{printed}"
    );

    let root = tempfile::tempdir().expect("a temporary directory");
    let laptop = TestBox::new().env("MINIPAAS_TRUST_ROOT", root.path().to_str().expect("UTF-8"));
    let url = format!("http://{}", server.http());
    let unasked = laptop.run(&["trust", &url]).await.ends_with(2);
    unasked.saying(&[fingerprint, "may sign for private names", "there is nobody to ask", "`--fingerprint "]);
    let wrong = fingerprint.replace(':', "").replace(char::is_numeric, "0");
    laptop.run(&["trust", &url, "--fingerprint", &wrong]).await.ends_with(1).saying(&["nothing was changed"]);
    laptop.run(&["untrust", &url]).await.success();

    let lower = fingerprint.replace(':', "").to_lowercase();
    let trusted = laptop.run(&["trust", &url, "--fingerprint", &lower, "--json"]).await.success();
    let outcomes: Value = serde_json::from_str(&trusted.stdout).expect("JSON");
    assert_eq!(outcomes[0]["outcome"], "installed", "{outcomes}");
    let again = laptop.run(&["trust", &url, "--yes"]).await.success().stdout;
    assert!(again.ends_with(": already there\n"), "{again}");

    // The box is gone; its certificate was kept.
    let pem = laptop.run(&["trust", &url, "--print"]).await.success().stdout;
    assert_eq!(printed["pem"].as_str(), Some(pem.as_str()));
    let file = laptop.home().join("box.crt");
    std::fs::write(&file, pem).expect("a file");
    drop(daemon);
    laptop.run(&["untrust", &url]).await.ends_with(3).saying(&["cannot fetch the CA's certificate"]);
    let removed = laptop.run(&["untrust", file.to_str().expect("UTF-8")]).await.success().stdout;
    assert!(removed.ends_with(": removed\n"), "{removed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_printed_without_a_daemon() {
    let on = TestBox::new();
    let none = on.run(&["trust", "--print"]).await.ends_with(3);
    none.saying(&["there is no certificate yet", "`minipaas up` or `minipaas server` starts it"]);
    assert!(!on.home().join("daemon.log").exists(), "a daemon was started");

    let daemon = on.serve(&NO_ENGINE).await;
    let pem = on.run(&["trust", "--print"]).await.success().stdout;
    assert!(std::fs::read(on.home().join("ca/ca.key")).expect("a file").starts_with(b"minipaas sealed key"));
    drop(daemon);
    assert_eq!(on.run(&["trust", "--print"]).await.success().stdout, pem);
    assert!(!on.home().join("daemon.log").exists(), "a daemon was started");
}
