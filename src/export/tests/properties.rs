//! Whatever the manifest: an export does not panic, its names and labels are valid, selectors find their own pods and no others,
//! and everything that is referred to is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::{
    BoxedStrategy, Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest,
};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use super::{Export, ExportError, Healthcheck, Image, Object, Options, Subject, export};
use crate::environment;
use crate::manifest::{Manifest, Source};

/// What no value but that of a secret has in it.
const MARK: &str = "hunter2";
/// Kinds whose pods a selector may find.
const SERVING: &str = "Deployment";
/// The longest name of a container's port (IANA service names).
const PORT_NAME_LENGTH_MAX: usize = 15;

/// Mostly short, so that names meet; some as long as they may be.
fn label() -> BoxedStrategy<String> {
    let valid = |name: &String| !name.ends_with('-');
    let short = select(vec!["web", "worker", "a", "a-b", "b", "cron-a", "data", "shop", "minipaas-x"]);
    let any = "[a-z][a-z0-9-]{0,40}|[a-z][a-z0-9-]{59,62}".prop_filter("a label ends otherwise", valid);
    proptest::prop_oneof![3 => short.prop_map(str::to_owned), 1 => any].boxed()
}

fn probe(has_deadline: bool) -> impl Strategy<Value = String> {
    let check = select(vec![
        "http = \"/up?a=$(b)\"",
        "http = \"/up\", port = 9000",
        "tcp = true",
        "command = \"test $(date) || exit $$\"",
        "command = [\"/probe\", \"$(X)\"]",
        "docker = true",
        "grpc = true",
        "grpc = \"a.B\", port = 7",
        "hootsuite = true",
    ]);
    let times = select(vec!["1ms", "1s", "1500ms", "24h"]);
    (check, option::of(times.clone()), option::of(times), 1..100_u32).prop_map(
        move |(check, interval, deadline, failures)| {
            let interval = interval.map(|time| format!(", interval = \"{time}\"")).unwrap_or_default();
            let deadline = deadline.filter(|_| has_deadline).map(|time| format!(", deadline = \"{time}\""));
            format!("{{ {check}{interval}{}, failures = {failures} }}", deadline.unwrap_or_default())
        },
    )
}

fn process() -> impl Strategy<Value = String> {
    let line = |key: &'static str, value: BoxedStrategy<String>| {
        option::of(value)
            .prop_map(move |value| value.map(|value| format!("{key} = {value}\n")).unwrap_or_default())
    };
    let texts = |texts: &[&'static str]| select(texts.to_vec()).prop_map(str::to_owned).boxed();
    (
        line("command", texts(&["\"run\"", "'run > $(pwd)'", "[\"run\", \"$$\"]"])),
        line("port", (1..=65_535_u16).prop_map(|port| port.to_string()).boxed()),
        line("replicas", (0..=4_u32).prop_map(|count| count.to_string()).boxed()),
        line("startup", probe(true).boxed()),
        line("ready", probe(true).boxed()),
        line("live", probe(false).boxed()),
        line("memory", texts(&["\"6M\"", "\"1G\"", "\"7000001\""])),
        line("cpu", texts(&["0.5", "2", "\"10m\""])),
        line("stop_grace", texts(&["\"0s\"", "\"1500ms\"", "\"24h\""])),
        line("autoscale", texts(&["{ min = 2, max = 5, cpu = \"70%\" }", "{ max = 3, in_flight = 2 }"])),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j)| [a, b, c, d, e, f, g, h, i, j].concat())
}

fn cron() -> impl Strategy<Value = String> {
    let schedule =
        select(vec!["0 3 * * *", "@weekly", "*/7 * * * * *", "0 9 * * 5L", "0 0 1-31/2 * 7", "5 4 * * +3"]);
    let zone = select(vec!["UTC", "europe/berlin", "America/New_York"]);
    (schedule, zone, any::<bool>()).prop_map(|(schedule, zone, overlap)| {
        format!("schedule = \"{schedule}\"\ntimezone = \"{zone}\"\ncommand = \"run\"\noverlap = {overlap}\n")
    })
}

/// A valid manifest, as its text.
fn manifest() -> impl Strategy<Value = Manifest> {
    let variable = "[A-Za-z_][A-Z0-9_]{0,12}".prop_filter("is set by minipaas", |name| name != "PORT");
    let value = select(vec!["", "1", "$(HOME) $$", "http://a.internal/x", "line\\nline", "✓"]);
    (
        btree_map(label(), process(), 0..4),
        btree_map(variable, value, 0..5),
        btree_set(label(), 0..3),
        btree_map(label(), cron(), 0..3),
        option::of(select(vec!["\"migrate\"", "'migrate && echo $$(x)'"])),
        btree_set(label(), 0..3),
        vec((1_000..2_000_u16, option::of(1..=65_535_u16)), 0..3),
        select(vec![
            "",
            "[deploy]\ndrain = \"0s\"\n",
            "[deploy]\ndrain = \"24h\"\ncanary = { percent = 5 }\n",
        ]),
    )
        .prop_filter_map(
            "breaks a rule of manifests",
            |(processes, env, volumes, cron, release, links, ports, deploy)| {
                let mut toml = deploy.to_owned();
                let mut table = |head: String, body: &str| toml += &format!("[{head}]\n{body}");
                if let Some(command) = release {
                    table("release".to_owned(), &format!("command = {command}\n"));
                }
                let first = processes.keys().next().cloned();
                processes.iter().for_each(|(name, body)| table(format!("process.{name}"), body));
                cron.iter().for_each(|(name, body)| table(format!("cron.{name}"), body));
                volumes.iter().enumerate().for_each(|(n, name)| {
                    table(format!("volume.{name}"), &format!("path = \"/data/{n}\"\n"));
                });
                table("env".to_owned(), "");
                env.iter().for_each(|(name, value)| toml += &format!("{name} = \"{value}\"\n"));
                toml += "[link]\n";
                links.iter().for_each(|name| toml += &format!("{name} = \"{name}\"\n"));
                for (listen, target) in ports {
                    let process =
                        first.as_ref().map(|name| format!("process = \"{name}\"\n")).unwrap_or_default();
                    let target = target.map(|port| format!("target = {port}\n")).unwrap_or_default();
                    toml += &format!("[[port]]\nport = {listen}\n{process}{target}");
                }
                Manifest::parse(&Source { toml: Some(toml), ..Source::default() })
                    .ok()
                    .map(|(manifest, _)| manifest)
            },
        )
}

fn image() -> impl Strategy<Value = Image> {
    let healthcheck =
        option::of((select(vec!["CMD", "CMD-SHELL", "NONE", ""]), 0..100_000_u64)).prop_map(|parts| {
            parts.map(|(form, millis)| Healthcheck {
                test: if form.is_empty() {
                    Vec::new()
                } else {
                    vec![form.to_owned(), "curl $(x)".to_owned()]
                },
                interval: Duration::from_millis(millis),
                timeout: Duration::from_millis(millis / 2),
                start_period: Duration::from_millis(millis * 2),
                retries: u32::try_from(millis % 4).unwrap(),
            })
        });
    let user = select(vec!["", "0", "root", "1000", "1000:0", "node", "node:node", "99999999999"]);
    (user, btree_set(1..=65_535_u16, 0..3), healthcheck, any::<bool>()).prop_map(
        |(user, ports, healthcheck, is_pinned)| Image {
            reference: "shop:v1".to_owned(),
            pinned: is_pinned.then(|| "ghcr.io/acme/shop@sha256:0".to_owned()),
            exposed_ports: ports.into_iter().collect(),
            user: user.to_owned(),
            healthcheck,
            ..Image::default()
        },
    )
}

fn subject() -> impl Strategy<Value = Subject> {
    let secret = "[A-Z]{1,8}";
    (label(), 1..=u64::MAX, manifest(), image(), btree_set(secret, 0..3), any::<bool>()).prop_filter_map(
        "is no app",
        |(app, release, mut manifest, image, secrets, are_exported)| {
            let path = |name: &str| format!("/run/secrets/{name}");
            let value = |name: &str| environment::Value::new(format!("{MARK}-{name}"));
            manifest.secrets = secrets.iter().map(|name| (path(name), value(name))).collect();
            let mut confidential = BTreeSet::new();
            for name in secrets.iter().filter(|name| are_exported && *name != "PORT") {
                manifest.env.insert(name.clone(), format!("{MARK}-{name}"));
                confidential.insert(name.clone());
            }
            manifest.env.insert("LOOKS".to_owned(), format!("postgres://a:{MARK}@b/c"));
            Some(Subject {
                app: app.parse().ok()?,
                release: crate::name::ReleaseId::from_number(release)?,
                summary: "deployed \"it\"\n".to_owned(),
                suspended: manifest.cron.keys().cloned().collect(),
                manifest,
                confidential,
                image,
                hosts: Vec::new(),
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_valid_manifest_is_exported_whole(
        subjects in vec(subject(), 1..3),
        namespace in option::of(Just("shops".to_owned())),
    ) {
        let options = Options { namespace, ..Options::default() };
        match export(&subjects, &[], &options) {
            Ok(exported) => {
                prop_assert_eq!(&export(&subjects, &[], &options).unwrap(), &exported);
                check(&exported)?;
            }
            Err(ExportError::Collision { .. } | ExportError::Label { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

fn check(export: &Export) -> Result<(), TestCaseError> {
    for object in &export.objects {
        prop_assert!(is_label(object.name()), "{} `{}`", object.kind(), object.name());
        check_labels(&object.value["metadata"])?;
        if object.kind() != "Secret" {
            prop_assert!(!object.value.to_string().contains(MARK), "{} tells a secret", object.kind());
        }
        for comment in &object.comments {
            prop_assert!(!comment.text.contains('\n'), "{}", comment.text);
            prop_assert!(object.value.pointer(&comment.at).is_some(), "nothing is at {}", comment.at);
        }
        if let Some(template) = template(object) {
            check_labels(&template["metadata"])?;
            check_pod(export, &template["spec"])?;
        }
        check_object(export, object)?;
    }
    let notes = format!("{:?}", export.notes);
    prop_assert!(!notes.contains(MARK), "a note tells a secret");
    Ok(())
}

/// What an object of this kind refers to.
fn check_object(export: &Export, object: &Object) -> Result<(), TestCaseError> {
    let spec = &object.value["spec"];
    match object.kind() {
        "Deployment" => {
            prop_assert_eq!(
                selected(export, &spec["selector"]["matchLabels"]),
                vec![object.name().to_owned()]
            );
            let settle = spec["minReadySeconds"].as_i64().unwrap_or(0);
            prop_assert!(spec["progressDeadlineSeconds"].as_i64().unwrap() > settle);
            let pod = &spec["template"]["spec"];
            let sleep =
                pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap_or(0);
            prop_assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() >= sleep.max(1));
        }
        "PodDisruptionBudget" => {
            prop_assert_eq!(
                selected(export, &spec["selector"]["matchLabels"]),
                vec![object.name().to_owned()]
            );
        }
        "HorizontalPodAutoscaler" => {
            let target = &spec["scaleTargetRef"];
            let target = find(export, target["kind"].as_str().unwrap(), target["name"].as_str().unwrap());
            prop_assert!(target.is_some_and(|deployment| deployment.value["spec"]["replicas"].is_null()));
        }
        "Service" if !spec["selector"].is_null() => {
            let found = selected(export, &spec["selector"]);
            prop_assert_eq!(found.len(), 1, "the Service `{}`", object.name());
            let pod = &find(export, SERVING, &found[0]).unwrap().value["spec"]["template"]["spec"];
            for port in list(&spec["ports"]) {
                if let Some(name) = port["targetPort"].as_str() {
                    prop_assert!(
                        has_port(&pod["containers"][0], name),
                        "the Service `{}`: {name}",
                        object.name()
                    );
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a pod refers to, and what must be unique within it.
fn check_pod(export: &Export, pod: &Value) -> Result<(), TestCaseError> {
    prop_assert!(find(export, "ServiceAccount", pod["serviceAccountName"].as_str().unwrap()).is_some());
    let mut volumes = BTreeSet::new();
    for volume in list(&pod["volumes"]) {
        let name = volume["name"].as_str().unwrap();
        prop_assert!(is_label(name) && volumes.insert(name), "{name}");
        if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            prop_assert!(find(export, "PersistentVolumeClaim", claim).is_some(), "{claim}");
        }
        for item in list(&volume["secret"]["items"]) {
            prop_assert!(has_key(export, "Secret", &volume["secret"]["secretName"], &item["key"]), "{item}");
        }
    }
    let container = &pod["containers"][0];
    prop_assert!(is_label(container["name"].as_str().unwrap()));
    let mounts: Vec<_> = list(&container["volumeMounts"]).collect();
    let mounted: BTreeSet<_> = mounts.iter().map(|mount| mount["name"].as_str().unwrap()).collect();
    let places: BTreeSet<_> = mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    prop_assert!(mounted == volumes && places.len() == mounts.len());
    let mut variables = BTreeSet::new();
    for variable in list(&container["env"]) {
        prop_assert!(variables.insert(variable["name"].as_str().unwrap()), "{variable}");
        let reference = &variable["valueFrom"]["secretKeyRef"];
        prop_assert!(reference.is_null() || has_key(export, "Secret", &reference["name"], &reference["key"]));
    }
    for source in list(&container["envFrom"]) {
        prop_assert!(find(export, "ConfigMap", source["configMapRef"]["name"].as_str().unwrap()).is_some());
    }
    let ports: Vec<_> = list(&container["ports"]).collect();
    for key in ["name", "containerPort"] {
        let different: BTreeSet<_> = ports.iter().map(|port| port[key].to_string()).collect();
        prop_assert_eq!(different.len(), ports.len());
    }
    prop_assert!(ports.iter().all(|port| port["name"].as_str().unwrap().len() <= PORT_NAME_LENGTH_MAX));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"].map(|key| &container[key]) {
        for action in ["httpGet", "tcpSocket"] {
            let name = probe[action]["port"].as_str();
            prop_assert!(name.is_none_or(|name| has_port(container, name)), "{probe}");
        }
        for key in ["periodSeconds", "timeoutSeconds", "failureThreshold"] {
            prop_assert!(probe.is_null() || probe[key].as_i64().is_some_and(|number| number >= 1), "{probe}");
        }
    }
    Ok(())
}

fn check_labels(metadata: &Value) -> Result<(), TestCaseError> {
    let labels: BTreeMap<String, String> =
        serde_json::from_value(metadata["labels"].clone()).unwrap_or_default();
    for (key, value) in labels {
        let is_valid = value.len() <= 63
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && value.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && value.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric());
        prop_assert!(is_valid, "{key}: {value}");
    }
    Ok(())
}

/// The names of what has pods with all of these labels: of jobs, too.
fn selected(export: &Export, selector: &Value) -> Vec<String> {
    let selector = selector.as_object().expect("a selector has labels");
    let matches = |object: &&Object| {
        template(object).is_some_and(|pod| {
            selector.iter().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
        })
    };
    export.objects.iter().filter(matches).map(|object| object.name().to_owned()).collect()
}

fn template(object: &Object) -> Option<&Value> {
    let at = match object.kind() {
        "Deployment" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    object.value.pointer(at)
}

fn find<'e>(export: &'e Export, kind: &str, name: &str) -> Option<&'e Object> {
    export.objects.iter().find(|object| object.kind() == kind && object.name() == name)
}

fn has_key(export: &Export, kind: &str, name: &Value, key: &Value) -> bool {
    let found = find(export, kind, name.as_str().expect("a reference has a name"));
    found.is_some_and(|object| object.value["data"].get(key.as_str().expect("and a key")).is_some())
}

fn has_port(container: &Value, name: &str) -> bool {
    list(&container["ports"]).any(|port| port["name"] == name)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// RFC 1123, 2.1.
fn is_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
