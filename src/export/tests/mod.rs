//! Exports, read as a person reads them, and rule by rule.

mod config;
mod jobs;
mod probes;
mod processes;
mod properties;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use serde_json::Value;

use super::{Export, ExportError, Healthcheck, Image, NoteKind, Object, Options, Subject, Version, export};
use crate::manifest::{Manifest, Source};
use crate::name::Host;

/// An app `shop` of this manifest, with an image that a cluster can pull.
#[track_caller]
fn subject(toml: &str) -> Subject {
    let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
    let (manifest, _) = Manifest::parse(&source).unwrap();
    Subject {
        app: "shop".parse().unwrap(),
        release: "v42".parse().unwrap(),
        summary: "deployed 1f2e3d4c".to_owned(),
        manifest,
        confidential: BTreeSet::new(),
        image: Image {
            reference: "ghcr.io/acme/shop:1".to_owned(),
            pinned: Some(format!("ghcr.io/acme/shop@sha256:{}", "0".repeat(64))),
            user: "1000".to_owned(),
            ..Image::default()
        },
        hosts: vec![Host::Exact("shop.example.com".to_owned())],
        suspended: BTreeSet::new(),
    }
}

fn named(app: &str, toml: &str) -> Subject {
    Subject { app: app.parse().unwrap(), ..subject(toml) }
}

#[track_caller]
fn exported(subject: Subject) -> Export {
    export(&[subject], &[], &Options::default()).unwrap()
}

/// The object of this kind and name.
#[track_caller]
fn object<'e>(export: &'e Export, kind: &str, name: &str) -> &'e Object {
    let found = export.objects.iter().find(|object| object.kind() == kind && object.name() == name);
    found.unwrap_or_else(|| panic!("there is no {kind} `{name}`"))
}

/// What stands at this JSON pointer of the Deployment of `shop`.
#[track_caller]
fn web(toml: &str, at: &str) -> Value {
    at_of(&exported(subject(toml)), "Deployment", "shop", at)
}

#[track_caller]
fn at_of(export: &Export, kind: &str, name: &str, at: &str) -> Value {
    object(export, kind, name).value.pointer(at).cloned().unwrap_or(Value::Null)
}

/// The object as yaml, with its remarks above it.
fn printed(object: &Object) -> String {
    let mut text = String::new();
    for comment in &object.comments {
        writeln!(text, "# {}: {}", comment.at, comment.text).unwrap();
    }
    text + &serde_saphyr::to_string(&object.value).unwrap()
}

/// One line for each note about what runs, but for those that every app has.
fn notes(export: &Export) -> String {
    // What is said of routes is read where those are.
    let is_of_others =
        |what: &str| ["[proxy]", "[tls]", "[[", "domains"].iter().any(|of| what.starts_with(of));
    let is_of_all = |what: &str| ["MINIPAAS_INSTANCE", "[deploy] websocket_drain"].contains(&what);
    let mut text = String::new();
    for note in export.notes.iter().filter(|note| !is_of_others(&note.what) && !is_of_all(&note.what)) {
        let kind = match note.kind {
            NoteKind::Dropped => "dropped",
            NoteKind::Changed => "changed",
            NoteKind::Todo => "to do",
        };
        writeln!(text, "{kind}: {}: {}", note.what, note.text).unwrap();
    }
    text
}

#[track_caller]
fn check_notes(toml: &str, expected: &Expect) {
    expected.assert_eq(&notes(&exported(subject(toml))));
}

#[track_caller]
fn check_error(subjects: &[Subject], options: &Options, expected: &Expect) {
    expected.assert_eq(&export(subjects, &[], options).unwrap_err().to_string());
}

#[test]
fn an_app_is_exported_in_the_order_in_which_it_is_applied() {
    let toml = r#"
        [process.web]
        replicas = 3
        [process.worker]
        command = "node worker.js"
        autoscale = { min = 2, max = 5, cpu = "70%" }
        [volume.data]
        path = "/data"
        [release]
        command = "npm run migrate"
        [cron.report]
        schedule = "0 3 * * *"
        command = "npm run report"
        [env]
        DATABASE_URL = "postgres://shop:hunter2@db/shop"
    "#;
    let options = Options { namespace: Some("shops".to_owned()), ..Options::default() };
    let export = export(&[named("zoo", ""), subject(toml)], &[], &options).unwrap();
    // What leads to it is not of this module.
    let is_routing = |object: &&Object| ["Service", "Ingress", "NetworkPolicy"].contains(&object.kind());
    let line = |object: &Object| {
        let namespace = object.value["metadata"]["namespace"].as_str().unwrap_or("-");
        format!("{namespace} {} {}\n", object.kind(), object.name())
    };
    let listed: String = export.objects.iter().filter(|object| !is_routing(object)).map(line).collect();
    expect![[r#"
        - Namespace shops
        shops ServiceAccount shop
        shops ConfigMap shop
        shops Secret shop
        shops PersistentVolumeClaim shop-data
        shops Job shop-release-v42
        shops Deployment shop
        shops Deployment shop-worker
        shops CronJob shop-report
        shops HorizontalPodAutoscaler shop-worker
        shops PodDisruptionBudget shop
        shops PodDisruptionBudget shop-worker
        shops ServiceAccount zoo
        shops ConfigMap zoo
        shops Deployment zoo
    "#]]
    .assert_eq(&listed);
}

#[test]
fn what_cannot_be_exported_says_why() {
    let namespaced = |name: &str| Options { namespace: Some(name.to_owned()), ..Options::default() };
    check_error(&[], &Options::default(), &expect!["there is no app to export"]);
    check_error(
        &[subject("")],
        &namespaced("My-Shops"),
        &expect![
            "namespace `My-Shops` is no name for one; use 1-63 lower-case letters, digits and dashes, with none of the dashes first or last"
        ],
    );
    for bad in ["", "-a", "a-", "a.b", &"a".repeat(64)] {
        assert!(
            matches!(export(&[subject("")], &[], &namespaced(bad)), Err(ExportError::Namespace(_))),
            "{bad}"
        );
    }
    let version: Version = "1.29".parse().unwrap();
    check_error(
        &[subject("")],
        &Options { version, ..Options::default() },
        &expect![
            "Kubernetes 1.29 is too old: an export needs 1.30 or newer, where a pod can wait before it stops (`preStop.sleep`)"
        ],
    );
    let large = Subject {
        manifest: Manifest {
            env: (0..20).map(|n| (format!("A{n}"), "x".repeat(60_000))).collect(),
            ..subject("").manifest
        },
        ..subject("")
    };
    check_error(
        &[large],
        &Options::default(),
        &expect!["the variables of `shop` make a ConfigMap of 1200085 bytes; a cluster takes 1048576"],
    );
}

#[test]
fn two_objects_of_one_name_are_refused_and_both_named() {
    let with_b = "[process.web]\n[process.b]\ncommand = \"b\"\n";
    check_error(
        &[named("a", with_b), named("a-b", "")],
        &Options::default(),
        &expect!["`b` of app `a` and `web` of app `a-b` would both be the Deployment `a-b`"],
    );
    check_error(
        &[subject(""), subject("")],
        &Options::default(),
        &expect!["app `shop` and app `shop` would both be the ServiceAccount `shop`"],
    );
    let job = "[process.web]\n[process.cron-a]\ncommand = \"a\"\n[cron.a]\nschedule = \"@daily\"\ncommand = \"a\"\n";
    check_error(
        &[subject(job)],
        &Options::default(),
        &expect![
            "the process type `cron-a` and the job `a` of `shop` have pods of one label, so requests would reach the job's"
        ],
    );
    let secrets = "[process.web]\n[volume.s]\npath = \"/run/secrets/\"\n";
    check_error(
        &[subject(secrets)],
        &Options::default(),
        &expect![
            "volume `s` of `shop` is mounted at `/run/secrets/`; a cluster takes a path without `:`, and secrets are in /run/secrets"
        ],
    );
    let volumes = |toml: &str| format!("{toml}\n[process.web]\n");
    let (one, other) = ("[volume.b-c]\npath = \"/b\"", "[volume.c]\npath = \"/c\"");
    check_error(
        &[named("a", &volumes(one)), named("a-b", &volumes(other))],
        &Options::default(),
        &expect!["`b-c` of app `a` and `c` of app `a-b` would both be the PersistentVolumeClaim `a-b-c`"],
    );
}

#[test]
fn a_namespace_enforces_as_much_as_the_images_allow() {
    let level = |user: &str, name: &str| {
        let mut subject = subject("");
        subject.image.user = user.to_owned();
        let options = Options { namespace: Some(name.to_owned()), ..Options::default() };
        let export = export(&[subject], &[], &options).unwrap();
        let first = &export.objects[0];
        (first.kind() == "Namespace").then(|| {
            first.value["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
                .as_str()
                .unwrap()
                .to_owned()
        })
    };
    assert_eq!(level("1000", "shops").as_deref(), Some("restricted"));
    assert_eq!(level("node", "shops").as_deref(), Some("baseline"), "a cluster cannot tell who it is");
    assert_eq!(level("", "shops").as_deref(), Some("baseline"));
    assert_eq!(level("1000", "default"), None, "it is there, and not ours");
}

#[test]
fn the_same_subjects_in_any_order_give_the_same_bytes() {
    let (one, other) = (named("a", "[env]\nB = \"1\"\nA = \"2\"\n"), named("b", ""));
    let first = export(&[one.clone(), other.clone()], &[], &Options::default()).unwrap();
    assert_eq!(export(&[other, one], &[], &Options::default()).unwrap(), first);
}
