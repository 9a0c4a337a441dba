//! Manifests and what runs, and the plan as it is printed.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::{Observed, plan};
use crate::formation::Formation;
use crate::manifest::{Manifest, Source};
use crate::name::{ProcessType, ReleaseId};
use crate::release::Build;

fn build() -> Build {
    Build {
        image: "sha256:1".to_owned(),
        reference: "shop:1".to_owned(),
        content: None,
        exposed_ports: vec![3000],
        has_healthcheck: false,
        has_command: true,
    }
}

fn check(toml: &str, running: &[&str], expected: &Expect) {
    check_scaled(toml, &[], running, expected);
}

fn counts(scaled: &[(&str, u32)]) -> BTreeMap<ProcessType, u32> {
    scaled.iter().map(|(process, count)| (process.parse().unwrap(), *count)).collect()
}

fn check_scaled(toml: &str, scaled: &[(&str, u32)], running: &[&str], expected: &Expect) {
    let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
    let (manifest, _) = Manifest::parse(&source).unwrap();
    let slots: Vec<_> = running.iter().map(|slot| slot.parse().unwrap()).collect();
    let current = (!slots.is_empty()).then_some((ReleaseId::FIRST, slots));
    let release = if current.is_some() { ReleaseId::FIRST.next() } else { ReleaseId::FIRST };
    let formation = Formation { counts: counts(scaled), ..Formation::default() };
    let observed = Observed { current, ..Observed::default() };
    let plan =
        plan(&"shop".parse().unwrap(), release, &manifest, &build(), "localhost", &formation, &observed);
    expected.assert_eq(&plan.to_string());
}

#[test]
fn a_first_release_starts_and_routes() {
    check(
        "",
        &[],
        &expect![[r#"
            shop v1 (first release)
              start   web.1
              ready   web: accepts connections within 60s
              switch  shop.localhost/ -> web
        "#]],
    );
}

#[test]
fn a_count_by_command_hides_the_manifests() {
    check_scaled(
        "[process.web]\nreplicas = 3\n[process.worker]\ncommand = \"work\"\n",
        &[("web", 2), ("worker", 0), ("gone", 4)],
        &[],
        &expect![[r#"
            shop v1 (first release)
              start   web.1
              start   web.2
              ready   web: accepts connections within 60s
              switch  shop.localhost/ -> web
        "#]],
    );
}

#[test]
fn a_swap_starts_before_it_stops() {
    check(
        "[process.web]\nreplicas = 2\nready = { http = \"/up\" }\n[process.worker]\ncommand = \"work\"\n",
        &["web.1", "worker.1"],
        &expect![[r#"
            shop v1 -> v2
              start   web.1
              start   web.2
              start   worker.1
              ready   web: GET /up within 60s; worker: runs for 1s
              switch  shop.localhost/ -> web
              drain   requests up to 30s, websockets up to 300s
              stop    v1 web.1, worker.1
        "#]],
    );
}

#[test]
fn a_volume_makes_a_swap_stop_first() {
    check(
        "[volume.data]\npath = \"/data\"\n",
        &["web.1"],
        &expect![[r#"
            shop v1 -> v2
              hold    requests wait, because a volume has one writer
              drain   requests up to 30s, websockets up to 300s
              stop    v1 web.1
              start   web.1
              ready   web: accepts connections within 60s
              switch  shop.localhost/ -> web
        "#]],
    );
}

#[test]
fn a_worker_alone_has_no_route() {
    check(
        "[process.bot]\ncommand = \"bot\"\n",
        &[],
        &expect![[r#"
            shop v1 (first release)
              start   bot.1
              ready   bot: runs for 1s
              switch  no routes
        "#]],
    );
}

#[test]
fn a_rule_adds_to_the_apps_own_host_or_takes_it() {
    check(
        "[process.web]\n[process.api]\ncommand = \"api\"\n[[route]]\npath = \"/api\"\nprocess = \"api\"\n[[route]]\nhost = \"shop.example.com\"\n",
        &[],
        &expect![[r#"
            shop v1 (first release)
              start   api.1
              start   web.1
              ready   api: accepts connections within 60s; web: accepts connections within 60s
              switch  shop.localhost/ -> web, shop.localhost/api -> api, shop.example.com/ -> web
        "#]],
    );
}

#[test]
fn the_port_is_the_manifests_else_the_images_only_one_else_8080() {
    let port = |toml: &str, exposed: &[u16]| {
        let (manifest, _) =
            Manifest::parse(&Source { toml: Some(toml.to_owned()), ..Source::default() }).unwrap();
        let build = Build { exposed_ports: exposed.to_vec(), ..build() };
        let plan = plan(
            &"shop".parse().unwrap(),
            ReleaseId::FIRST,
            &manifest,
            &build,
            "localhost",
            &Formation::default(),
            &Observed::default(),
        );
        let spec = &plan.instances[0];
        assert_eq!(spec.env.get("PORT").cloned(), spec.port.map(|port| port.to_string()));
        spec.port
    };
    assert_eq!(port("[process.web]\nport = 5000\n", &[3000]), Some(5000));
    assert_eq!(port("", &[3000]), Some(3000));
    assert_eq!(port("", &[3000, 4000]), Some(8080));
    assert_eq!(port("[process.bot]\ncommand = \"x\"\n", &[3000]), None);
}

#[test]
fn tcp_ports_lead_to_where_the_process_listens() {
    check(
        "[process.db]\ncommand = \"db\"\n[deploy]\nwebsocket_drain = \"1m\"\n\
         [[port]]\nport = 5432\nprocess = \"db\"\ntarget = 5433\ndrain = \"2m\"\n\
         [[port]]\nport = 6000\nprocess = \"db\"\n",
        &["db.1"],
        &expect![[r#"
            shop v1 -> v2
              start   db.1
              ready   db: accepts connections within 60s
              switch  tcp :5432 -> db:5433, tcp :6000 -> db:5433
              drain   requests up to 30s, websockets up to 120s
              stop    v1 db.1
        "#]],
    );
}

#[test]
fn domains_lead_to_web_beside_what_the_manifest_says() {
    let toml = "[process.web]\n[process.api]\ncommand = \"api\"\n[[route]]\nhost = \"a.com\"\nprocess = \"api\"\n[[route]]\nhost = \"b.com\"\npath = \"/api\"\nprocess = \"api\"\n";
    let parse =
        |toml: &str| Manifest::parse(&Source { toml: Some(toml.to_owned()), ..Source::default() }).unwrap().0;
    let hosts =
        |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<crate::name::Host>>();
    let make = |toml: &str, domains: &[&str]| {
        let observed = Observed { domains: hosts(domains), ..Observed::default() };
        let (name, formation) = ("shop".parse().unwrap(), Formation::default());
        plan(&name, ReleaseId::FIRST, &parse(toml), &build(), "localhost", &formation, &observed)
    };
    let routes = |plan: &super::Plan| {
        let routes = plan.routes.iter();
        routes
            .map(|route| format!("{}{} {}", route.host, route.path, route.process))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let with = make(toml, &["a.com", "b.com", "*.c.com"]);
    expect!["shop.localhost/ web, a.com/ api, b.com/api api, b.com/ web, *.c.com/ web"]
        .assert_eq(&routes(&with));
    assert_eq!(with.with_domains(&hosts(&["a.com", "b.com", "*.c.com"])), None);
    let fewer = with.with_domains(&hosts(&["d.com"])).unwrap();
    expect!["shop.localhost/ web, a.com/ api, b.com/api api, d.com/ web"].assert_eq(&routes(&fewer));
    expect!["a.com/ bot"].assert_eq(&routes(&make(
        "[process.bot]\ncommand = \"x\"\n[[route]]\nhost = \"a.com\"\nprocess = \"bot\"\n",
        &["b.com"],
    )));
}
