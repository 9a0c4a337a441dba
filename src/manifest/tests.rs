//! Texts of manifests, and the value or the problems that come of them.

use expect_test::{Expect, expect};

use super::{Command, Manifest, Source};
use crate::policy::ProxyVersion;

fn check(toml: &str, expected: &Expect) {
    let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
    expected.assert_eq(&match Manifest::parse(&source) {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    });
}

fn check_procfile(procfile: &str, expected: &Expect) {
    let source = Source { procfile: Some(procfile.to_owned()), ..Source::default() };
    expected.assert_eq(&match Manifest::parse(&source) {
        Ok((manifest, warnings)) => manifest
            .processes
            .iter()
            .map(|(name, process)| format!("{name}={:?}", process.command.as_ref().map(Command::argv)))
            .chain(manifest.release.iter().map(|release| format!("release: {}", release.command)))
            .chain(warnings.into_iter().map(|warning| warning.0))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    });
}

#[test]
fn nothing_at_all_is_one_web_process() {
    let (manifest, warnings) = Manifest::parse(&Source::default()).unwrap();
    assert_eq!(manifest.processes.len(), 1);
    assert!(manifest.processes.keys().all(crate::name::ProcessType::is_web));
    assert!(warnings.is_empty());
}

#[test]
fn the_design_documents_example_is_valid() {
    check(
        r#"
app = "shop"
[build]
dockerfile = "Dockerfile"
args = { NODE_ENV = "production" }
[env]
LOG_LEVEL = "info"
[process.web]
command = "node server.js"
port = 3000
replicas = 2
ready = { http = "/up", interval = "1s", timeout = "5s", deadline = "60s" }
live = { http = "/alive", interval = "10s", failures = 3 }
memory = "256M"
cpu = 0.5
stop_grace = "30s"
[process.worker]
command = ["node", "worker.js"]
[[route]]
host = "shop.example.com"
path = "/api"
process = "web"
strip_prefix = true
[deploy]
drain = "30s"
websocket_drain = "5m"
[volume.data]
path = "/data"
"#,
        &expect!["valid"],
    );
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_a_suggestion() {
    check(
        "app = \"shop\"\n[process.web]\nreplicsa = 2\nfoo = 1\n",
        &expect![[r#"
            minipaas.toml:3: unknown key `replicsa` in [process.web]; did you mean `replicas`?
            minipaas.toml:4: unknown key `foo` in [process.web]; known here: `command`, `port`, `replicas`, `startup`, `ready`, `live`, `memory`, `cpu`, `autoscale`, `stop_grace`"#]],
    );
    check("[biuld]\n", &expect!["minipaas.toml:1: unknown key `biuld` in the file; did you mean `build`?"]);
}

#[test]
fn a_wrong_type_names_the_right_one() {
    check(
        "app = 3\n[process.web]\nreplicas = \"two\"\nport = 99999\ncommand = true\n[env]\nX = 1\n",
        &expect![[r#"
            minipaas.toml:1: `app` is a whole number; it takes a name such as `"shop"`
            minipaas.toml:3: `replicas` is a string; it takes a whole number such as `1`
            minipaas.toml:4: `port` is 99999; it takes 1 to 65535
            minipaas.toml:5: `command` is true or false; it takes a string
            minipaas.toml:7: `X` is a whole number; it takes a string"#]],
    );
}

#[test]
fn bad_names_and_quantities_state_their_rule() {
    check(
        "app = \"My_App\"\n[process.web]\nmemory = \"256\"\nstop_grace = \"30\"\ncpu = 0\n[env]\n\"a-b\" = \"1\"\nPORT = \"1\"\n",
        &expect![[r#"
            minipaas.toml:1: app name `My_App` has `M`; use 1-63 lower-case letters, digits and dashes, starting with a letter
            minipaas.toml:3: `256` is less than an engine gives a container; use `6M` or more
            minipaas.toml:4: `30` is not a duration; write a number with `ms`, `s`, `m` or `h`, such as `30s`
            minipaas.toml:5: `0` is not a share of CPU; write cores, such as `0.5` or `2`
            minipaas.toml:7: `a-b` is no name for a variable; use letters, digits and `_`
            minipaas.toml:8: `PORT` is set by minipaas; set `port` in its [process] table"#]],
    );
}

#[test]
fn a_text_that_is_no_toml_says_where() {
    check(
        "app = \n",
        &expect!["minipaas.toml:1: not valid TOML: string values must be quoted, expected literal string"],
    );
}

#[test]
fn a_build_has_one_source_below_the_folder() {
    check(
        "[build]\nimage = \"a\"\nstatic = \"../x\"\n",
        &expect![[r#"
            minipaas.toml:3: `../x` is outside the project folder; give a path below it
            minipaas.toml:3: `static` and `image` exclude each other; keep one"#]],
    );
}

#[test]
fn a_probe_is_exactly_one_check() {
    check(
        "[process.web]\nready = { interval = \"1s\" }\nlive = { http = \"up\", deadline = \"1s\" }\n",
        &expect![[r#"
            minipaas.toml:2: `ready` takes one of `http = "/path"`, `tcp = true`, `command = "…"`, `docker = true`, `grpc = true`, `hootsuite = true`
            minipaas.toml:3: `up` is not a path; it starts with `/` and has no spaces
            minipaas.toml:3: unknown key `deadline` in `live`; known here: `port`, `http`, `tcp`, `command`, `docker`, `grpc`, `hootsuite`, `interval`, `timeout`, `failures`
            minipaas.toml:3: `live` takes one of `http = "/path"`, `tcp = true`, `command = "…"`, `docker = true`, `grpc = true`, `hootsuite = true`"#]],
    );
}

#[test]
fn a_route_leads_to_a_process_that_exists() {
    check(
        "[process.web]\n[[route]]\nprocess = \"wbe\"\n",
        &expect![
            "minipaas.toml:3: a route leads to process `wbe`, which there is none of; did you mean `web`?"
        ],
    );
}

#[test]
fn a_procfile_names_processes() {
    check_procfile(
        "# comment\nweb: node server.js\nworker: FOO=1 node worker.js\nrelease: ./migrate\n",
        &expect![[r#"
            web=Some(["node", "server.js"])
            worker=Some(["/bin/sh", "-c", "FOO=1 node worker.js"])
            release: ./migrate"#]],
    );
    check_procfile(
        "web\nWorker: x\nbot:\nweb: a\nweb: b\n",
        &expect![[r#"
            Procfile:1: `web` has no `:`; write `type: command`, such as `web: npm start`
            Procfile:2: process type `Worker` has `W`; use 1-63 lower-case letters, digits and dashes, starting with a letter
            Procfile:3: process `bot` has no command
            Procfile:5: process `web` stands here twice; keep one line"#]],
    );
}

#[test]
fn minipaas_toml_wins_over_the_procfile() {
    let source = Source {
        toml: Some("[process.web]\nreplicas = 3\n[process.worker]\ncommand = \"mine\"\n".to_owned()),
        procfile: Some("web: theirs\nworker: theirs\n".to_owned()),
        ..Source::default()
    };
    let (manifest, _) = Manifest::parse(&source).unwrap();
    let line = |name: &str| manifest.processes[&name.parse().unwrap()].command.as_ref().unwrap().to_string();
    assert_eq!((line("web").as_str(), line("worker").as_str()), ("theirs", "mine"));
    assert_eq!(manifest.processes[&crate::name::ProcessType::web()].replicas, 3);
}

#[test]
fn a_canary_has_a_reason() {
    let canary = |text: &str| {
        let source = Source { toml: Some(format!("[deploy]\ncanary = {text}\n")), ..Source::default() };
        Manifest::parse(&source).map(|(manifest, _)| manifest.deploy.canary.unwrap())
    };
    assert_eq!(canary("{ percent = 10 }").unwrap().percent, 10);
    assert_eq!(canary("{ cookie = \"beta\" }").unwrap().cookie.as_deref(), Some("beta"));
    let (name, value) = canary("{ header = \"X-Canary: yes\" }").unwrap().header.unwrap();
    assert_eq!((name.as_str(), value.unwrap().to_str().unwrap()), ("x-canary", "yes"));
    assert!(canary("{ header = \"x-canary\" }").unwrap().header.unwrap().1.is_none());
    let source = Source {
        toml: Some("[deploy]\ncanary = { percent = 10, for = \"10m\" }\n".to_owned()),
        ..Source::default()
    };
    let deploy = Manifest::parse(&source).unwrap().0.deploy;
    assert_eq!(deploy.canary_for, Some(std::time::Duration::from_secs(600)));
    check(
        "[deploy]\nwatch_window = \"0s\"\ncanary = { percent = 101, cookie = \"a b\", header = \"a b: c\", coookie = 1 }\n",
        &expect![[r#"
            minipaas.toml:2: `watch_window` is zero; it takes a duration such as `"1s"`
            minipaas.toml:3: `percent` is 101; it takes 0 to 100
            minipaas.toml:3: `a b` is not a cookie's name; use letters, digits, `-` and `_`
            minipaas.toml:3: `a b: c` is not a header; write `"x-canary"` or `"x-canary: yes"`
            minipaas.toml:3: unknown key `coookie` in `canary`; did you mean `cookie`?"#]],
    );
    check(
        "[deploy]\ncanary = {}\n",
        &expect![[
            r#"minipaas.toml:2: `canary` takes `percent = 10`, `cookie = "name"` or `header = "x-canary"`"#
        ]],
    );
}

#[test]
fn a_port_is_listened_at_once_and_leads_to_a_process_that_exists() {
    let source = Source {
        toml: Some(
            "[process.db]\n[[port]]\nport = 5432\nprocess = \"db\"\ntarget = 5433\nproxy_protocol = \"v2\"\n"
                .to_owned(),
        ),
        ..Source::default()
    };
    let (manifest, _) = Manifest::parse(&source).unwrap();
    let [rule] = &manifest.ports[..] else { panic!("{:?}", manifest.ports) };
    assert_eq!((rule.listen, rule.port, rule.process.as_str()), (5432, Some(5433), "db"));
    assert_eq!((rule.send_proxy, rule.accept_proxy, rule.drain), (Some(ProxyVersion::V2), false, None));
    check(
        "[process.db]\n[[port]]\nport = 5432\nprocess = \"bd\"\n[[port]]\nport = 5432\nprocess = \"db\"\n\
         proxy_protocol = \"v3\"\n[[port]]\nport = 443\ntraget = 1\n[[port]]\ntarget = 0\n",
        &expect![[r#"
            minipaas.toml:4: a port leads to process `bd`, which there is none of; did you mean `db`?
            minipaas.toml:6: port 5432 stands here twice; keep one [[port]]
            minipaas.toml:8: `proxy_protocol` is `v3`; it takes one of `v1`, `v2`; did you mean `v1`?
            minipaas.toml:9: a port leads to process `web`, which there is none of; there is db
            minipaas.toml:10: port 443 is kept for http and https; a [[route]] leads there; for plain TCP choose another port
            minipaas.toml:11: unknown key `traget` in [[port]]; did you mean `target`?
            minipaas.toml:12: a [[port]] has no `port`; add one, such as `port = 5432`
            minipaas.toml:12: a port leads to process `web`, which there is none of; there is db
            minipaas.toml:13: `target` is 0; it takes 1 to 65535"#]],
    );
}
