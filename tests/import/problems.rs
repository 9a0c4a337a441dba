//! Projects that are wrong: every problem with its line, all of them at once, and no panic whatever the text.

use std::collections::BTreeMap;

use minipaas::import::{Format, ImportError, Options, import};
use proptest::prelude::*;

use super::{Texts, of_text};

/// The whole message of a compose file that is wrong.
fn check(text: &str, expected: &str) {
    check_files(&[("compose.yaml", text)], expected);
}

/// The same of a project of several files, of which the first is named.
fn check_files(files: &[(&str, &str)], expected: &str) {
    let texts = Texts(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect());
    let environment = BTreeMap::new();
    let options =
        Options { app: None, folder: "project", profiles: &[], env_file: None, environment: &environment };
    let file = files[0].0;
    let told = match import(Format::of(file), &[file.to_owned()], false, &texts, &options) {
        Err(error @ ImportError::Problems(_)) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(made) => panic!("it was made: {:?}", made.files),
    };
    assert_eq!(told.replace("\n       ", "\n"), expected, "{files:?}");
}

/// A service `web` with these lines, the first of which is line 4.
fn service(lines: &str) -> String {
    format!("services:\n  web:\n    image: example/web:1\n    {}\n", lines.replace('\n', "\n    "))
}

#[test]
fn what_is_no_project_is_told() {
    check("", "compose.yaml:1: the file is empty; it takes a mapping with `services`");
    check("- a\n", "compose.yaml:1: the file is a list; it takes a mapping with `services`");
    check("x-a: 1\n", "compose.yaml:1: the file has no `services`");
    check("services: []\n", "compose.yaml:1: `services` is a list; it takes a mapping");
    check(
        "services:\n  web: text\n",
        "compose.yaml:2: service `web` is a text; it takes a mapping\ncompose.yaml:2: service `web` has neither `image` nor `build`",
    );
    check("services: {}\n", "services: there is no service in the project");
    check_files(
        &[("compose.yaml", "services: {}"), ("x", "")],
        "services: there is no service in the project",
    );
}

#[test]
fn yaml_that_is_none_is_told_with_its_line() {
    for (text, line) in [
        ("services:\n  web:\n   image: a\n  image: b\n bad\n", "compose.yaml:5: not valid YAML: "),
        ("services:\n  web:\n    image: [a\n", "compose.yaml:"),
        ("services:\n  web: *nowhere\n", "compose.yaml:2: not valid YAML: "),
        ("services:\n  web:\n    image: a\n    image: b\n", "compose.yaml:4: not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "compose.yaml:"),
    ] {
        let said = of_text("compose.yaml", text).expect_err(text).to_string();
        assert!(said.starts_with(line), "{text}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn ports_are_checked() {
    let rule =
        "is not `TARGET`, `PUBLISHED:TARGET` or `ADDRESS:PUBLISHED:TARGET`, with numbers from 1 to 65535";
    check(&service("ports: ['x:80']"), &format!("compose.yaml:4: port `x:80` {rule}"));
    check(&service("ports:\n- 99999:80"), &format!("compose.yaml:5: port `99999:80` {rule}"));
    check(
        &service("ports: ['1-3:4-5']"),
        "compose.yaml:4: port `1-3:4-5` has two ranges of different lengths",
    );
    check(
        &service("ports: ['1-3000:1-3000']"),
        "compose.yaml:4: port `1-3000:1-3000` is a range of more than 100",
    );
    check(
        &service("ports: ['80/sctp']"),
        "compose.yaml:4: port `80/sctp` has protocol `sctp`; use `tcp` or `udp`",
    );
    check(&service("ports: [{published: 80}]"), "compose.yaml:4: a port has no `target`");
    check(&service("expose: [http]"), "compose.yaml:4: port `http` of `expose` is no number from 1 to 65535");
    check(
        "services:\n  a: {image: \"x:1\", ports: ['80:80']}\n  b: {image: \"y:1\", ports: ['127.0.0.1:80:81']}\n",
        "compose.yaml:3: port 80 is published by `b`, and by `a` at line 2",
    );
}

#[test]
fn references_are_checked() {
    check(&service("depends_on: [bd]\n"), "compose.yaml:4: `depends_on` names `bd`, which there is none of");
    check(
        "services:\n  web: {image: x, depends_on: [wrker]}\n  worker: {image: x}\n",
        "compose.yaml:2: `depends_on` names `wrker`, which there is none of; did you mean `worker`?",
    );
    check(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: {a: }}\n",
        "compose.yaml:4: `depends_on` goes in a circle: `a` → `b` → `c` → `a`",
    );
    check(&service("depends_on: [web]"), "compose.yaml:4: `depends_on` goes in a circle: `web` → `web`");
    check(
        &service("depends_on: {web: {condition: ready}}"),
        "compose.yaml:4: condition `ready` is none; use `service_started`, `service_healthy` or `service_completed_successfully`\n\
         compose.yaml:4: `depends_on` goes in a circle: `web` → `web`",
    );
    check(
        &service("volumes: ['data:/data']"),
        "compose.yaml:4: volume `data` is not in `volumes` of the file",
    );
    check(&service("secrets: [key]"), "compose.yaml:4: secret `key` is not in `secrets` of the file");
    check(&service("configs: [{target: /x}]"), "compose.yaml:4: an item of `configs` has no `source`");
    check(
        &service("env_file: no.env"),
        "compose.yaml:4: there is no file `no.env`; `required: false` does without",
    );
}

#[test]
fn extends_and_include_are_followed_to_their_end() {
    check(
        "services:\n  a: {extends: b}\n  b: {extends: {service: a}}\n",
        "compose.yaml:2: `extends` goes in a circle: `b` extends `a` extends `b`\n\
         compose.yaml:2: service `a` has neither `image` nor `build`\n\
         compose.yaml:3: `extends` goes in a circle: `a` extends `b` extends `a`\n\
         compose.yaml:3: service `b` has neither `image` nor `build`",
    );
    check(&service("extends: x"), "compose.yaml:4: there is no service `x` in `compose.yaml` to extend");
    check(&service("extends: {file: no.yaml, service: x}"), "compose.yaml:4: there is no file `no.yaml`");
    check(&service("extends: {file: no.yaml}"), "compose.yaml:4: `extends` names no `service`");
    check("include: [no.yaml]\nservices:\n  a: {image: x}\n", "compose.yaml:1: there is no file `no.yaml`");
    let a = "include: [b.yaml]\nservices:\n  a: {image: x}\n";
    check_files(
        &[("a.yaml", a), ("b.yaml", "include: a.yaml\nservices:\n  b: {image: y}\n")],
        "b.yaml:1: `include` goes in a circle: a.yaml includes b.yaml includes `a.yaml`",
    );
    check_files(
        &[("a.yaml", a), ("b.yaml", "services:\n  a: {image: y}\n")],
        "a.yaml:3: service `a` is included from b.yaml:2, too; rename one",
    );
}

#[test]
fn variables_are_checked() {
    check(&service("command: ${X:?say which}"), "compose.yaml:4: variable `X` is not set: say which");
    check(&service("command: ${X?}"), "compose.yaml:4: variable `X` is not set");
    check(
        &service("command: echo $(date)"),
        "compose.yaml:4: `$(` is no variable; write `${NAME}`, and `$$` for a `$` that is one",
    );
    check_files(
        &[("compose.yaml", "services: {a: {image: x}}"), (".env", "A B=1\n")],
        ".env:1: this is no variable; write NAME=value",
    );
}

#[test]
fn profiles_that_leave_nothing_are_told() {
    check(
        "services:\n  a: {image: x, profiles: [debug]}\n  b: {image: x, profiles: [ci, test]}\n",
        "compose.yaml:2: no service is selected; give a `--profile` of `a` (debug), `b` (ci, test)",
    );
    check(
        "services:\n  a: {image: x, profiles: [debug]}\n  b: {image: x, depends_on: [a]}\n",
        "compose.yaml:3: `depends_on` names `a`, whose profile is not active; add `--profile debug`",
    );
}

#[test]
fn names_are_checked() {
    check(
        "services:\n  a_b: {image: x}\n  A-B: {image: y}\n",
        "compose.yaml:3: services `a_b` and `A-B` would both be called `a-b`",
    );
    check(
        "services:\n  1st: {image: x}\n",
        "compose.yaml:2: service `1st`: process type `1st` does not start with a letter; use 1-63 lower-case letters, digits and dashes, starting with a letter",
    );
    check(
        "services:\n  app: {image: x, ports: ['80:80']}\n  web: {image: x}\n",
        "compose.yaml:3: services `app` and `web` would both be process type `web`; rename one",
    );
    check(
        "services:\n  release: {image: x}\n",
        "compose.yaml:2: service `release` would be process type `release`, which is kept; rename it",
    );
}

#[test]
fn values_are_checked() {
    check(
        &service("healthcheck: {test: [echo], interval: 5x, retries: 0}"),
        "compose.yaml:4: `interval` of `healthcheck` is `5x`; it takes a duration such as `1m30s`\n\
         compose.yaml:4: `retries` is `0`; it takes a whole number from 1 to 100\n\
         compose.yaml:4: `test` of `healthcheck` is a text, or a list that begins with `NONE`, `CMD` or `CMD-SHELL`",
    );
    check(
        &service("mem_limit: much\ncpus: fast\nscale: -1\nstop_grace_period: soon\nrestart: maybe"),
        "compose.yaml:4: `much` is not a size; write a number with `K`, `M` or `G`, such as `256M`\n\
         compose.yaml:5: `fast` is not a share of CPU; write cores, such as `0.5`, or `500m`\n\
         compose.yaml:6: `scale` is `-1`; it takes a whole number from 0 to 100\n\
         compose.yaml:7: `stop_grace_period` is `soon`; it takes a duration such as `1m30s`",
    );
    check(
        &service("restart: maybe"),
        "compose.yaml:4: `restart` of `web` is `maybe`; use `no`, `always`, `on-failure` or `unless-stopped`",
    );
    check(&service("command: ['', a]"), "compose.yaml:4: the command of `web` begins with an empty word");
    check(&service("command: echo 'a"), "compose.yaml:4: a quote in `command` is never closed");
    check(
        &service("volumes: ['a:b', {type: bind}]"),
        "compose.yaml:4: volume `a:b` is mounted at no absolute path\ncompose.yaml:4: a volume has no `target`",
    );
    check(
        &service("environment: 5"),
        "compose.yaml:4: `environment` is a number; it takes a list or a mapping",
    );
    check(&service("environment: {A: [1]}"), "compose.yaml:4: `A` is a list; it takes a text");
}

#[test]
fn other_formats_are_checked() {
    check_files(
        &[("fly.toml", "app = \n")],
        "fly.toml:1: not valid TOML: string values must be quoted, expected literal string",
    );
    check_files(
        &[(
            "fly.toml",
            "[processes]\na = \"x\"\n[http_service]\ninternal_port = 0\nprocesses = [\"b\"]\n[[mounts]]\nsource = \"x\"\n",
        )],
        "fly.toml:4: `internal_port` is `0`; it takes a whole number from 1 to 65535\n\
         fly.toml:5: process group `b` is not in [processes]\n\
         fly.toml:6: [mounts] needs a `source` and a `destination`",
    );
    check_files(&[("config/deploy.yml", "image: x\n")], "config/deploy.yml:1: the file has no `service`");
    check_files(
        &[("config/deploy.yml", "service: x\nservers: [a]\nproxy: {host: 'not a host', app_port: many}\n")],
        "config/deploy.yml:3: host `not a host` has ` `; use a name such as `shop.example.com`, `*.example.com` or `*`\n\
         config/deploy.yml:3: `app_port` is `many`; it takes a whole number from 1 to 65535",
    );
    check_files(
        &[("captain-definition", "{}")],
        "captain-definition:1: the file has no `schemaVersion`; 2 is read\ncaptain-definition:1: the file takes one of `dockerfilePath`, `dockerfileLines`, `imageName` and `templateId`",
    );
    check_files(
        &[("captain-definition", "{\"schemaVersion\": 1, \"imageName\": \"x\"}")],
        "captain-definition:1: `schemaVersion` is `1`; 2 is read",
    );
    check_files(
        &[("app.json", "{\"env\": [],\n\"addons\": {\"a\": 1}}")],
        "app.json:1: `env` is a list; it takes a mapping\napp.json:2: `addons` is a mapping; it takes a list",
    );
    check_files(&[("app.json", "{")], "app.json:1: not valid YAML: unclosed bracket '{'");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    for file in
        ["compose.yaml", "fly.toml", "config/deploy.yml", "captain-definition", "app.json", "Procfile"]
    {
        let texts = Texts::default();
        let environment = BTreeMap::new();
        let options =
            Options { app: None, folder: "x", profiles: &[], env_file: None, environment: &environment };
        let error =
            import(Format::of(file), &[file.to_owned()], false, &texts, &options).expect_err("no file");
        assert_eq!(error.to_string(), format!("{file}: there is no such file"));
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "(?s).{0,200}") {
        for file in ["compose.yaml", "fly.toml", "config/deploy.yml", "captain-definition", "app.json"] {
            let _ = of_text(file, &text);
        }
    }

    #[test]
    fn no_service_is_too_strange(
        lines in prop::collection::vec((
            "image|build|command|entrypoint|environment|env_file|ports|expose|healthcheck|depends_on|deploy|volumes|secrets|\
             configs|labels|restart|profiles|extends|networks|scale|mem_limit|cpus|stop_grace_period|links|x",
            "[-a-z0-9:./{}\\[\\]\"'$ ,!&*<]{0,30}|web|\\[web, a\\]|\\{web: \\{condition: service_healthy\\}\\}|\\['80:80', 'a:/b', 'A=1'\\]|\
             \\{test: \\[CMD, x\\], A: 1, replicas: 2\\}|'127.0.0.1:1-9:1-9/tcp'|\\$\\{A:-\\$\\{B:-x\\}\\}",
        ), 0..6),
        second in prop::bool::ANY,
    ) {
        let mut text = "services:\n  web:\n".to_owned();
        for (key, value) in &lines {
            text.push_str(&format!("    {key}: {value}\n"));
        }
        if second {
            text.push_str("  a:\n    image: web\n    extends: web\n    environment: {A: 'http://web:80', DB_HOST: web}\n");
        }
        let _ = of_text("compose.yaml", &text);
    }

    #[test]
    fn what_is_made_is_a_manifest(
        names in prop::collection::btree_set("[a-z][a-z0-9]{0,6}", 1..4),
        value in "[^\u{0}$]{0,20}",
        word in "[a-z][a-z '\"]{0,10}",
        port in 1_u16..=65_535,
    ) {
        let mut text = "services:\n".to_owned();
        for (at, name) in names.iter().enumerate() {
            let value = serde_json::to_string(&value).expect("a text");
            let word = serde_json::to_string(&[&word, "x"]).expect("a list");
            let port = u32::from(port).saturating_add(at as u32).min(65_535);
            text.push_str(&format!(
                "  {name}:\n    image: example/{name}:1\n    environment: {{A: {value}, V_{at}: {value}}}\n    command: {word}\n    expose: [{port}]\n"
            ));
        }
        // Whatever a value is, the text that holds it can be read; `import` refuses what cannot.
        match of_text("compose.yaml", &text) {
            Ok(_) | Err(ImportError::Problems(_)) => {}
            Err(error) => panic!("{error:?}\n{text}"),
        }
    }
}
