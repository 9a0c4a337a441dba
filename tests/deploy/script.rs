//! What a Heroku user types in a week, line by line, at a box elsewhere: over TLS, and as nobody's administrator.
//!
//! Each line goes to a shell as it stands. What it has to end with and to say is beside it; no secret may be in anything that
//! was said, but where it is told on purpose, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::StatusCode;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::Instant;

use super::command::{PATIENCE, Run, Running, until};
use super::world::TestBox;

/// The fewest lines that make it a script.
const STEPS_MIN: usize = 60;
const API_KEY: &str = "key-4f1c-not-to-be-seen";
const HOOK_SECRET: &str = "whsec-8d2e-not-to-be-seen";

/// Somebody at a machine of theirs, in the folder of the app `shop`.
struct Person {
    home: TempDir,
    folder: PathBuf,
    /// What every line has said.
    said: Vec<String>,
}

impl Person {
    /// Has an account, and has not logged in yet.
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let folder = home.path().join("shop");
        fs::create_dir(&folder).expect("a folder");
        Self { home, folder, said: Vec::new() }
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.join(path), text).expect("a file");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).expect("a file")
    }

    /// Types this after `minipaas`.
    fn start(&self, line: &str) -> Running {
        let program = Path::new(env!("CARGO_BIN_EXE_minipaas")).parent().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec minipaas {line}")]).current_dir(&self.folder).env_clear();
        shell.env("PATH", format!("{}:{path}", program.display()));
        shell.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.home.path().join("config"));
        // This machine has no box, and is to have none.
        shell.env("MINIPAAS_HOME", self.home.path().join("none")).env("MINIPAAS_REMOTE", "box");
        Running::of(shell)
    }

    /// Types this, which ends with the code and says each of these, wherever.
    async fn ends(&mut self, code: i32, line: &str, words: &[&str]) -> Run {
        let run = self.start(line).finish().await;
        let said = format!("$ minipaas {line}\n{}{}", run.stdout, run.stderr);
        println!("{said}");
        assert_eq!(run.code, code, "{line}");
        for word in words {
            assert!(said.contains(word), "`{word}` is not in what `{line}` says");
        }
        // The line itself is what somebody typed, not what was said.
        self.said.push(format!("{}{}", run.stdout, run.stderr));
        run
    }

    async fn does(&mut self, line: &str, words: &[&str]) -> Run {
        self.ends(0, line, words).await
    }

    /// Types this until it says that, as logs come a little later than what they tell of.
    async fn finds(&mut self, line: &str, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.does(line, &[]).await.stdout.contains(word) {
            let said = self.said.pop().expect("it was typed");
            assert!(Instant::now() < deadline, "`{word}` never comes of `{line}`:\n{said}");
        }
    }

    /// The secret that the box knows them by.
    fn token(&self) -> String {
        let text = fs::read_to_string(self.home.path().join("config/minipaas/remotes.toml"));
        let text = text.expect("they have logged in");
        let token = text.lines().find_map(|line| line.strip_prefix("token = \"")).expect("a token");
        token.trim_end_matches('"').to_owned()
    }
}

/// An app with a shell, a release command and a job; it serves its version and a greeting.
fn manifest(version: &str) -> String {
    format!(
        "[build]\nimage = \"busybox:stable\"\n\n[env]\nVERSION = \"{version}\"\n\n\
         [process.web]\nport = 8080\nready = {{ http = \"/\", interval = \"50ms\", deadline = \"30s\" }}\n\
         command = '''trap 'exit 0' TERM; mkdir -p /www; echo $VERSION $GREETING > /www/index.html; \
         echo listening on $PORT; httpd -f -p $PORT -h /www & wait'''\n\n\
         [release]\ncommand = \"echo migrated to $VERSION\"\n\n\
         [cron.nightly]\nschedule = \"0 3 * * *\"\ncommand = \"echo swept\"\n"
    )
}

async fn invited(on: &TestBox, name: &str) -> Person {
    let link = on.run(&["invite", name]).await.success().stdout;
    let mut person = Person::new();
    person.does(&format!("login '{}' --name box", link.trim()), &["logged in to", name]).await;
    person
}

async fn creates_and_deploys(on: &TestBox, bob: &mut Person) {
    bob.does("auth:whoami", &["bob", "by the token"]).await;
    bob.does("remotes", &["box", "https://localhost"]).await;
    bob.ends(1, "info", &["there is no app `shop`"]).await;
    bob.does("create shop", &["`shop` is there"]).await;
    bob.does("config:set GREETING=hello -a shop", &["waits for the first `minipaas up`"]).await;
    fs::write(bob.home.path().join("key"), format!("{API_KEY}\n")).expect("a file");
    bob.does("config:set --secret API_KEY=- < ../key", &["2 changes of `shop` wait"]).await;
    bob.write("minipaas.toml", &manifest("one"));
    let url = format!("https://shop.localhost:{}/", on.https().port());
    bob.does("up -r box", &[&url, "migrated to one", "v1 of `shop` serves"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.body, "one hello\n");
    bob.does("config", &["GREETING", "hello", "(secret)"]).await;
    assert_eq!(bob.does("config:get GREETING", &[]).await.stdout, "hello\n");
    assert_eq!(bob.does("config:get VERSION GREETING", &[]).await.stdout, "one\nhello\n");
    assert_eq!(bob.does("config:get -s GREETING", &[]).await.stdout, "GREETING='hello'\n");
    assert_eq!(bob.does("config:get GREETING -j", &[]).await.stdout, "\"hello\"\n");
    bob.ends(1, "config:get API_KEY -a shop", &["never shown"]).await;
    bob.does("config -s", &["GREETING="]).await;
    bob.does("config:pull -o ../env", &["1 secret left out"]).await;
    assert!(bob.read("../env").contains("GREETING"));
    // Where there is no screen.
    assert_eq!(bob.does("open", &[]).await.stdout.trim(), url);
    bob.does("apps", &["shop", "serving", "v1"]).await;
    bob.does("apps:info -a shop", &["state", "serving", "web.1"]).await;
}

async fn scales_and_reads_logs(on: &TestBox, bob: &mut Person) {
    bob.does("ps", &["web.1", "ready"]).await;
    bob.does("ps:scale web=2", &["web=2", "web.2"]).await;
    bob.does("scale", &["web=2"]).await;
    bob.does("ps:wait", &[]).await;
    bob.finds("logs -n 50", "app[web.2]: listening on 8080").await;
    bob.finds("logs -n 50 -d web.1 --source app", "app[web.1]: listening on 8080").await;
    on.get("shop.localhost", "/nowhere").await;
    bob.finds("logs --source router", "path=\"/nowhere\"").await;
    bob.does("apps:errors", &[]).await;
    let tail = bob.start("logs --tail --num 20");
    until("the tail is there", || tail.stdout().contains("listening on 8080")).await;
    tail.signal(Signal::INT);
    tail.finish().await.ends_with(130);
}

async fn runs_commands(bob: &mut Person) {
    assert_eq!(bob.does("run -- echo hello", &[]).await.stdout, "hello\n");
    bob.ends(3, "run -x -- sh -c 'exit 3'", &[]).await;
    bob.does("run -e COLOUR=blue 'echo $COLOUR $GREETING'", &["blue hello"]).await;
    let detached = bob.does("run:detached echo from afar", &["run."]).await.stdout;
    bob.finds(&format!("logs -p {}", detached.trim()), "from afar").await;
    bob.does("ps:exec -- cat /www/index.html", &["one hello"]).await;
    bob.ends(2, "ps:exec", &["`minipaas exec web.1 sh`"]).await;
    bob.does("ps:exec --dyno web.2 echo inside", &["inside"]).await;
    bob.does("run:inside web.1 cat /run/secrets/API_KEY", &[API_KEY]).await;
    // Who runs commands in the app has what the app has.
    bob.said.pop();
    bob.write("note", "to be copied\n");
    // What ended by itself was not stopped.
    let platform = bob.does("logs -n 500 --source platform", &[]).await.stdout;
    let stopped =
        platform.lines().find(|line| line.contains("run.") && line.contains("stopping with SIGTERM"));
    assert_eq!(stopped, None);
    bob.ends(2, "run -s standard-2x ls", &["there are no sizes", "limits set"]).await;
    bob.does("ps:copy note web.1:/tmp/note", &[]).await;
    bob.does("cp web.1:/tmp/note back", &[]).await;
    assert_eq!(bob.read("back"), "to be copied\n");
}

async fn releases_and_goes_back(on: &TestBox, bob: &mut Person) {
    bob.does("config:set GREETING=hi COLOUR=red", &["v2 of `shop` serves", "added COLOUR"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.body, "one hi\n");
    bob.does("config:unset COLOUR", &["v3 of `shop` serves", "removed COLOUR"]).await;
    bob.does("releases", &["v1", "v2", "v3", "serves", "bob"]).await;
    bob.does("releases:info v2", &["added", "COLOUR", "bob"]).await;
    bob.does("rollback", &["v4 of `shop` serves: rolled back to v2"]).await;
    bob.does("releases:rollback v1", &["v5 of `shop` serves: rolled back to v1"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.body, "one hello\n");
    bob.ends(1, "rollback v99", &["has no release v99"]).await;
    bob.write("minipaas.toml", &manifest("two"));
    bob.does("up", &["v6 of `shop` serves"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.body, "two hello\n");
    bob.finds("releases:output v6", "migrated to two").await;
    bob.does("releases -n 1", &["v6"]).await;
}

async fn operates(on: &TestBox, bob: &mut Person) {
    bob.does("domains:add www.shop.test", &["leads to `web` of `shop`"]).await;
    bob.does("domains", &["shop.localhost", "www.shop.test", "by bob"]).await;
    bob.does("domains:info www.shop.test", &["www.shop.test"]).await;
    assert_eq!(on.get("www.shop.test", "/").await.body, "two hello\n");
    bob.does("domains:remove www.shop.test", &["leads to `shop` no more"]).await;
    bob.does("maintenance:on", &["is in maintenance"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    bob.does("maintenance:info", &["is in maintenance"]).await;
    bob.does("maintenance:off", &["takes requests"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::OK);
    bob.does("limits:set web=64M", &["v7 of `shop` serves", "limits"]).await;
    bob.does("limits", &["64M", "command"]).await;
    bob.ends(2, "ps:type web=standard-1x", &["`minipaas limits set"]).await;
    bob.does("healthchecks:set liveness httpGet 8080 --path=/ --period-seconds 1", &["v8 of `shop` serves"])
        .await;
    bob.does("health", &["GET :8080/ (by command)"]).await;
    bob.does("releases:info v8", &["changed probes of web", "web live = { http = \"/\", interval = \"1s\""])
        .await;
    bob.does("healthchecks:unset liveness", &["v9 of `shop` serves"]).await;
    assert!(!bob.does("healthchecks:list", &["ready"]).await.stdout.contains("by command"));
    bob.ends(2, "health set ready off", &["`ready` cannot be off"]).await;
    bob.ends(1, "health set live tcp --type wokrer", &["no process type `wokrer`"]).await;
    bob.does("ps:restart", &["`shop` was restarted"]).await;
    bob.does("ps:restart --dyno-name web.1", &["web.1 of `shop` was restarted"]).await;
    bob.does("ps:kill web.2", &["web.2 of `shop` was restarted"]).await;
    bob.does("ps:autoscale:enable --min 1 --max 3 --p95 500ms", &["p95=500ms"]).await;
    bob.does("autoscale:list", &["p95=500ms"]).await;
    bob.does("ps:autoscale:disable", &["has no rule"]).await;
    bob.does("cron", &["nightly", "0 3 * * *"]).await;
    bob.does("cron run nightly", &["swept"]).await;
    bob.does("drains:add syslog+tls://logs.example.com:6514", &["drains to"]).await;
    bob.does("drains", &["logs.example.com"]).await;
    bob.does("drains:remove syslog+tls://logs.example.com:6514", &["no more"]).await;
    fs::write(bob.home.path().join("hook"), HOOK_SECRET).expect("a file");
    let hook = "webhooks:add https://hooks.example.com/x --secret - -a shop < ../hook";
    let hook = bob.does(hook, &["is told of"]).await.stdout;
    bob.does("hooks -a shop", &["hooks.example.com", hook.trim()]).await;
    bob.does(&format!("webhooks:remove {} -a shop", hook.trim()), &["is removed"]).await;
    bob.does("events -a shop", &["bob", "config-set", "maintenance", "rollback"]).await;
    let details = [
        "set COLOUR, GREETING",
        "took out COLOUR",
        "web=2",
        "to v1",
        "added www.shop.test",
        "web memory=64M",
    ];
    bob.does("events -a shop", &details).await;
    bob.does("health", &["web"]).await;
    bob.does("metrics", &["shop"]).await;
    let status = bob.does("status", &["shop"]).await.stdout;
    assert!(!status.contains("home"), "another machine's is shown:\n{status}");
}

async fn shares(bob: &mut Person, eve: &mut Person) {
    eve.ends(1, "ps -a shop", &["there is no app `shop`"]).await;
    bob.does("access:add eve --role viewer", &["`eve` is viewer of `shop`"]).await;
    bob.does("access", &["bob", "owner", "eve", "viewer"]).await;
    eve.does("apps", &["shop", "serving"]).await;
    eve.does("ps -a shop", &["web.1", "ready"]).await;
    eve.does("logs -n 5 -a shop", &["["]).await;
    eve.does("releases -a shop", &["v7"]).await;
    let lacks = ["`eve` is viewer of `shop`, and this needs collaborator", "an owner (`bob`) can give it"];
    eve.ends(1, "config -a shop", &lacks).await;
    eve.ends(1, "ps:scale web=3 -a shop", &lacks).await;
    eve.ends(1, "run -a shop -- true", &lacks).await;
    eve.write("minipaas.toml", &manifest("mine"));
    eve.ends(1, "up", &["`eve` is viewer of `shop`"]).await;
    eve.ends(1, "destroy shop --confirm shop", &["this needs owner"]).await;
    eve.ends(1, "access:add eve --role owner -a shop", &["this needs owner"]).await;
    bob.does("events -a shop --action denied", &["eve", "config-read", "this needs collaborator"]).await;
    bob.does("access:update eve --role collaborator", &["`eve` is collaborator of `shop`"]).await;
    let shell = eve.start("exec -a shop sh -c 'echo in; exec sleep 4321'");
    until("the shell is there", || shell.stdout().contains("in\n")).await;
    bob.does("sharing:remove eve", &["has no role for `shop` any more"]).await;
    shell.finish().await.ends_with(1).saying(&["your role was taken away"]);
    let deadline = Instant::now() + PATIENCE;
    while bob.does("exec ps", &[]).await.stdout.contains("sleep 4321") {
        assert!(Instant::now() < deadline, "what ran in the shell goes on");
    }
    eve.ends(1, "ps -a shop", &["there is no app `shop`"]).await;
}

async fn is_no_administrator(bob: &mut Person) {
    let token =
        bob.does("tokens create ci --app shop --expires 90d", &["it is shown this once"]).await.stdout;
    bob.said.pop();
    let id = token.split('_').nth(1).expect("a token has an id").to_owned();
    bob.does("auth:token", &["ci", &id]).await;
    bob.does(&format!("tokens:revoke {id}"), &["good for nothing now"]).await;
    assert!(!bob.said.concat().contains(token.trim()), "the token is told once");
    for line in ["certs", "users:list", "invite mallory", "events"] {
        bob.ends(1, line, &["`bob` is no administrator"]).await;
    }
    bob.ends(2, "pg:psql", &["`pg` is not a command", "[link]"]).await;
    bob.ends(2, "buildpacks:set heroku/nodejs", &["there are no buildpacks"]).await;
    bob.ends(2, "git:remote -a shop", &["up -r BOX"]).await;
    bob.ends(2, "rename store", &["rename"]).await;
    bob.ends(2, "conifg", &["config"]).await;
}

async fn leaves(on: &TestBox, bob: &mut Person) {
    bob.ends(2, "destroy", &["nobody to ask", "--confirm shop"]).await;
    bob.ends(2, "destroy --confirm shpo", &["is about another app than `shop`"]).await;
    bob.does("apps:destroy -a shop --confirm shop", &["`shop` is down"]).await;
    assert_eq!(on.get("shop.localhost", "/").await.status, StatusCode::NOT_FOUND);
    bob.ends(1, "info", &["there is no app `shop`"]).await;
    let token = bob.token();
    bob.does("logout", &["logged out of `box`"]).await;
    bob.ends(2, "whoami", &["no remote is called `box`"]).await;
    assert!(!bob.said.concat().contains(&token), "a token was said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heroku_user_gets_along() {
    let on = TestBox::new();
    let _daemon = on.serve(&[]).await;
    let (mut bob, mut eve) = (invited(&on, "bob").await, invited(&on, "eve").await);
    creates_and_deploys(&on, &mut bob).await;
    scales_and_reads_logs(&on, &mut bob).await;
    runs_commands(&mut bob).await;
    releases_and_goes_back(&on, &mut bob).await;
    operates(&on, &mut bob).await;
    shares(&mut bob, &mut eve).await;
    is_no_administrator(&mut bob).await;
    leaves(&on, &mut bob).await;

    let said = [bob.said.concat(), eve.said.concat()].concat();
    for secret in [API_KEY, HOOK_SECRET, &eve.token()] {
        assert!(!said.contains(secret), "a secret was said");
    }
    let steps = bob.said.len() + eve.said.len();
    assert!(steps >= STEPS_MIN, "{steps} lines");
}
