//! `minipaas import` as it is typed: what it writes, what it prints, and what it leaves alone.

use expect_test::expect;
use serde_json::Value;

use super::command::Folder;
use super::daemon::FakeDaemon;

const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n    ports: ['8080:80']\n    environment: {API_TOKEN: hunter2}\n    tty: true\n";

#[tokio::test]
async fn a_project_is_written_once() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([("compose.yaml", COMPOSE)]);
    let dry = folder.run(&daemon, "import --dry-run").await;
    assert!(!folder.path().join("minipaas.toml").exists());
    let run = folder.run(&daemon, "import -o .").await;
    expect![[r#"
        exit: 0
        --- stdout
        ./minipaas.toml
        --- stderr
        to do: compose.yaml: `minipaas apps create shop` makes the app that `config set` is about
        to do: compose.yaml:5: `API_TOKEN` looks like a secret and is not written here; `minipaas config set -a shop --secret --export API_TOKEN=- < FILE`
        not carried: compose.yaml:6: `tty` of service `web`; `minipaas run` gives a command a terminal
        next, after what is to do: minipaas up .
    "#]]
    .assert_eq(&run.text());
    let written = std::fs::read_to_string(folder.path().join("minipaas.toml")).expect("a manifest");
    assert_eq!(dry.stdout, written);
    assert!(!written.contains("hunter2"), "{written}");

    folder.write("minipaas.toml", "app = \"mine\"\n");
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: `minipaas.toml` is there already, and nothing was written

        hint: add `--yes` to replace what is there, or `-o DIR` to write elsewhere
    "#]]
    .assert_eq(&folder.run(&daemon, "import").await.text());
    let kept = std::fs::read_to_string(folder.path().join("minipaas.toml")).expect("a manifest");
    assert_eq!(kept, "app = \"mine\"\n");
    assert_eq!(folder.run(&daemon, "import --yes -q").await.code, Some(0));
    assert_eq!(std::fs::read_to_string(folder.path().join("minipaas.toml")).expect("a manifest"), written);
}

#[tokio::test]
async fn strict_writes_all_or_nothing() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([("compose.yaml", COMPOSE)]);
    let run = folder.run(&daemon, "import --strict --json -q").await;
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.stderr,
        "error: 1 thing is not carried, and nothing was written\n\nhint: leave out `--strict` to write the rest\n"
    );
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((json["written"].clone(), json["format"].clone()), (false.into(), "compose".into()));
    assert_eq!(
        json["apps"][0],
        serde_json::json!({"app": "shop", "folder": ".", "manifest": "minipaas.toml"})
    );
    assert_eq!(json["notes"][2]["kind"], "not carried");
    assert_eq!(json["notes"][2]["line"], 6);
    assert!(!run.stdout.contains("hunter2"));
    assert!(!folder.path().join("minipaas.toml").exists());
    folder.write("compose.yaml", "services:\n  web: {image: 'example/web:1', ports: ['80:80']}\n");
    assert_eq!(folder.run(&daemon, "import --strict -q").await.code, Some(0));
    assert!(folder.path().join("minipaas.toml").exists());
}

#[tokio::test]
async fn files_are_found_and_named() {
    let daemon = FakeDaemon::start([]);
    let folder = Folder::with([("x.env", "TAG=3\n"), ("b.yml", "services: {web: {ports: ['80:80']}}\n")]);
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: there is no project of another tool in `[DIR]`

        hint: a project is one of compose.yaml, fly.toml, config/deploy.yml, captain-definition, app.json, Procfile; or name its file
    "#]]
    .assert_eq(&folder.run(&daemon, "import").await.text());
    folder.write("a.yml", "services:\n  web: {image: 'example/web:${TAG:?}', profiles: [one]}\n");
    expect![[r#"
        exit: 0
        --- stdout
        # Made by `minipaas import` of a.yml.
        app = "other"

        [build]
        image = "example/web:3"

        # Was at port 80; is at the app's own host now.
        [process.web]
        port = 80
        --- stderr
    "#]]
    .assert_eq(
        &folder
            .run(&daemon, "import a.yml b.yml --env-file x.env --profile one --dry-run -a other")
            .await
            .text(),
    );
    expect![[r#"
        exit: 2
        --- stdout
        --- stderr
        error: a.yml:2: variable `TAG` is not set
               a.yml:2: no service is selected; give a `--profile` of `web` (one)
    "#]]
    .assert_eq(&folder.run(&daemon, "import a.yml").await.text());
    std::fs::create_dir(folder.path().join("config")).expect("a folder");
    folder.write("config/deploy.yml", "service: hey\nbuilder: {dockerfile: x/Dockerfile}\n");
    let run = folder.run(&daemon, "import config/deploy.yml").await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let written =
        std::fs::read_to_string(folder.path().join("minipaas.toml")).expect("beside config/, not in it");
    assert!(written.contains("dockerfile = \"x/Dockerfile\""), "{written}");
}
