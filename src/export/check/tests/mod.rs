//! Each rule broken once, and what is said of it.

mod kinds;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

const OLDEST: Version = Version { major: 1, minor: 30 };

/// One change of an object that a cluster would take: a field, and what is put there; `null` takes it away.
type Change = (&'static str, Value);

fn told(value: Value, version: Version) -> String {
    let object = Object { app: None, value, comments: Vec::new() };
    let problems = check(&[object], version).unwrap();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// What is said of the object after each of the changes.
fn broken(base: &Value, changes: &[Change], expected: &Expect) {
    assert_eq!(told(base.clone(), OLDEST), "");
    let mut text = String::new();
    for (pointer, value) in changes {
        let mut object = base.clone();
        put(&mut object, pointer, value.clone());
        let said = told(object, OLDEST);
        assert!(!said.is_empty(), "nobody minds {value} at {pointer}");
        write!(text, "{said}").unwrap();
    }
    expected.assert_eq(&text);
}

fn put(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => match key.parse::<usize>() {
            Ok(index) => items[index] = value,
            Err(_) => items.push(value),
        },
        Value::Object(fields) if value.is_null() => {
            fields.remove(&key);
        }
        parent => parent[&key] = value,
    }
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "shop", "labels": { "app": "shop" } },
        "spec": {
            "selector": { "matchLabels": { "app": "shop" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "template": {
                "metadata": { "labels": { "app": "shop" } },
                "spec": {
                    "terminationGracePeriodSeconds": 60,
                    "containers": [{
                        "name": "web", "image": "shop:1",
                        "ports": [{ "name": "http", "containerPort": 3000 }],
                        "env": [{ "name": "PORT", "value": "3000" }],
                        "envFrom": [{ "configMapRef": { "name": "shop" } }],
                        "resources": { "limits": { "memory": "256Mi" }, "requests": { "cpu": "500m", "memory": "256Mi" } },
                        "livenessProbe": { "httpGet": { "path": "/up", "port": "http" } },
                        "readinessProbe": { "httpGet": { "path": "/up", "port": "http" } },
                        "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
                        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
                        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                    }],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }],
                },
            },
        },
    })
}

#[test]
fn schemas_know_fields_types_and_versions() {
    broken(
        &deployment(),
        &[
            ("/spec/replica", json!(2)),
            ("/spec/frobnicate", json!(true)),
            ("/spec/template/spec/hostnameOverride", json!("x")),
            ("/spec/template/spec/containers/0/ports/0/containerPort", json!("3000")),
            ("/spec/replicas", json!(1.5)),
            ("/spec/replicas", json!(5_000_000_000_i64)),
            ("/spec/selector", Value::Null),
            ("/spec/paused", json!("no")),
            ("/spec/template/spec/containers", json!({})),
            ("/spec/template/spec", json!([])),
            ("/spec/strategy/rollingUpdate/maxSurge", json!(true)),
            ("/kind", json!("Deploymnet")),
            ("/apiVersion", json!("extensions/v1beta1")),
        ],
        &expect![[r#"
            Deployment `shop`: `spec.replica` is no field that there is; did you mean `replicas`?
            Deployment `shop`: `spec.frobnicate` is no field that there is
            Deployment `shop`: `spec.template.spec.hostnameOverride` is known since Kubernetes 1.34, and this is for 1.30
            Deployment `shop`: `spec.template.spec.containers[0].ports[0].containerPort` is a string; it takes a whole number
            Deployment `shop`: `spec.replicas` is a fraction; it takes a whole number
            Deployment `shop`: `spec.replicas` is 5000000000, which is no 32-bit number
            Deployment `shop`: `spec.selector` is missing
            Deployment `shop`: `spec.paused` is a string; it takes `true` or `false`
            Deployment `shop`: `spec.template.spec.containers` is an object; it takes a list
            Deployment `shop`: `spec.template.spec.containers` is empty
            Deployment `shop`: `spec.template.spec` is a list; it takes an object
            Deployment `shop`: `spec.strategy.rollingUpdate.maxSurge` is `true` or `false`; it takes a whole number or a string
            Deploymnet `shop`: `kind` is `apps/v1/Deploymnet`, which neither Kubernetes 1.30 nor this check knows
            Deployment `shop`: `kind` is `extensions/v1beta1/Deployment`, which neither Kubernetes 1.30 nor this check knows
        "#]],
    );
}

#[test]
fn names_and_labels_have_rules() {
    broken(
        &deployment(),
        &[
            ("/metadata/name", json!("My_Shop")),
            ("/metadata/name", Value::Null),
            ("/metadata/namespace", json!("a.b")),
            ("/metadata/labels/app", json!("-x")),
            ("/metadata/labels/app", json!("x".repeat(64))),
            ("/metadata/labels/a b", json!("x")),
            ("/metadata/annotations", json!({ "/x": "y" })),
            ("/metadata/annotations", json!({ "x": "y".repeat(300_000) })),
        ],
        &expect![[r#"
            Deployment `My_Shop`: `metadata.name` is `My_Shop`; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
            Deployment ``: `metadata.name` is missing
            Deployment `shop`: `metadata.namespace` is `a.b`; 1-63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            Deployment `shop`: `metadata.labels[app]` is `-x`; at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit
            Deployment `shop`: `metadata.labels[app]` is `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`; at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit
            Deployment `shop`: `metadata.labels[a b]` is no key of a label; 1-63 letters, digits, `-`, `_` and `.`, with a domain and `/` before it or without
            Deployment `shop`: `metadata.annotations[/x]` is no key of an annotation; 1-63 letters, digits, `-`, `_` and `.`, with a domain and `/` before it or without
            Deployment `shop`: `metadata.annotations` has 300001 bytes; at most 262144
        "#]],
    );
}

#[test]
fn deployments_have_rules() {
    broken(
        &deployment(),
        &[
            ("/spec/selector/matchLabels/app", json!("other")),
            ("/spec/selector/matchLabels", json!({})),
            (
                "/spec/selector/matchExpressions",
                json!([{ "key": "app", "operator": "NotIn", "values": ["shop"] }]),
            ),
            (
                "/spec/selector/matchExpressions",
                json!([{ "key": "app", "operator": "Is", "values": ["shop"] }]),
            ),
            ("/spec/selector/matchExpressions", json!([{ "key": "app", "operator": "In" }])),
            ("/spec/strategy/rollingUpdate/maxSurge", json!(0)),
            ("/spec/strategy/rollingUpdate/maxSurge", json!("1")),
            ("/spec/strategy/type", json!("Recreate")),
            ("/spec/strategy/type", json!("Rolling")),
            ("/spec/replicas", json!(-1)),
            ("/spec/minReadySeconds", json!(600)),
            ("/spec/template/spec/restartPolicy", json!("Never")),
            ("/spec/template/spec/activeDeadlineSeconds", json!(0)),
        ],
        &expect![[r#"
            Deployment `shop`: `spec.selector.matchLabels[app]` selects `app=other`, which its pods do not have
            Deployment `shop`: `spec.selector` is empty; it selects by the labels of its pods
            Deployment `shop`: `spec.selector.matchExpressions[0]` does not select its own pods, by `app`
            Deployment `shop`: `spec.selector.matchExpressions[0].operator` is `Is`; one of `In`, `NotIn`, `Exists`, `DoesNotExist`
            Deployment `shop`: `spec.selector.matchExpressions[0].values` is not for this operator
            Deployment `shop`: `spec.selector.matchExpressions[0].values` is empty; this operator needs some
            Deployment `shop`: `spec.selector.matchExpressions[0]` does not select its own pods, by `app`
            Deployment `shop`: `spec.strategy.rollingUpdate` lets no pod go and none come: one of `maxSurge`, `maxUnavailable` has to be more than 0
            Deployment `shop`: `spec.strategy.rollingUpdate.maxSurge` is `1`; a number, or a percentage such as `25%`
            Deployment `shop`: `spec.strategy.rollingUpdate` is not for the type `Recreate`
            Deployment `shop`: `spec.strategy.type` is `Rolling`; one of `Recreate`, `RollingUpdate`
            Deployment `shop`: `spec.replicas` is -1; at least 0
            Deployment `shop`: `spec.progressDeadlineSeconds` is not more than `minReadySeconds`, 600
            Deployment `shop`: `spec.template.spec.restartPolicy` is `Never`; `Always` is all that it takes here
            Deployment `shop`: `spec.template.spec.activeDeadlineSeconds` is 0; at least 1
            Deployment `shop`: `spec.template.spec.activeDeadlineSeconds` is not for what runs for ever
        "#]],
    );
}

#[test]
fn pods_have_rules() {
    broken(
        &deployment(),
        &[
            ("/spec/template/spec/containers", json!([])),
            ("/spec/template/spec/initContainers", json!([{ "name": "web", "image": "x" }])),
            ("/spec/template/spec/volumes", json!([])),
            ("/spec/template/spec/volumes/-", json!({ "name": "tmp", "emptyDir": {} })),
            ("/spec/template/spec/volumes/0/secret", json!({ "secretName": "x" })),
            ("/spec/template/spec/volumes/0", json!({ "name": "tmp", "configMap": { "defaultMode": 644 } })),
            (
                "/spec/template/spec/volumes/0",
                json!({ "name": "tmp", "secret": { "secretName": "x", "items": [{ "key": "k", "path": "../k" }] } }),
            ),
            ("/spec/template/spec/volumes/0/name", json!("tmp.d")),
            ("/spec/template/spec/terminationGracePeriodSeconds", json!(3)),
            ("/spec/template/spec/serviceAccountName", json!("A")),
            ("/spec/template/spec/nodeSelector", json!({ "disk": "a b" })),
            ("/spec/template/spec/imagePullSecrets", json!([{ "name": "A" }])),
            ("/spec/template/spec/securityContext", json!({ "runAsUser": 0, "runAsNonRoot": true })),
            (
                "/spec/template/spec/topologySpreadConstraints",
                json!([{ "maxSkew": 0, "minDomains": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway" }]),
            ),
        ],
        &expect![[r#"
            Deployment `shop`: `spec.template.spec.containers` is empty
            Deployment `shop`: `spec.template.spec.containers[0].name` is `web`, as that of another container
            Deployment `shop`: `spec.template.spec.containers[0].volumeMounts[0].name` is `tmp`, which is no volume of the pod
            Deployment `shop`: `spec.template.spec.volumes[1]` has the `name` of another one, "tmp"
            Deployment `shop`: `spec.template.spec.volumes[0]` is `emptyDir`, `secret`; it is one of them
            Deployment `shop`: `spec.template.spec.volumes[0].configMap.name` is missing
            Deployment `shop`: `spec.template.spec.volumes[0].configMap.defaultMode` is 644; 0 to 511, which is octal 777
            Deployment `shop`: `spec.template.spec.volumes[0].secret.items[0].path` is `../k`, which leaves the volume
            Deployment `shop`: `spec.template.spec.volumes[0].name` is `tmp.d`; 1-63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            Deployment `shop`: `spec.template.spec.containers[0].volumeMounts[0].name` is `tmp`, which is no volume of the pod
            Deployment `shop`: `spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds` is 5; 1 to 3, which is `terminationGracePeriodSeconds`
            Deployment `shop`: `spec.template.spec.serviceAccountName` is `A`; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
            Deployment `shop`: `spec.template.spec.nodeSelector[disk]` is `a b`; at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit
            Deployment `shop`: `spec.template.spec.imagePullSecrets[0].name` is `A`; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
            Deployment `shop`: `spec.template.spec.securityContext.runAsUser` is 0 where `runAsNonRoot` is `true`; no container would start
            Deployment `shop`: `spec.template.spec.topologySpreadConstraints[0].maxSkew` is 0; at least 1
            Deployment `shop`: `spec.template.spec.topologySpreadConstraints[0].minDomains` goes with `whenUnsatisfiable: DoNotSchedule` alone
        "#]],
    );
}

#[test]
fn containers_have_rules() {
    let at = |field: &str| -> &'static str { format!("/spec/template/spec/containers/0/{field}").leak() };
    broken(
        &deployment(),
        &[
            (at("name"), json!("Web")),
            (at("image"), json!("")),
            (at("image"), Value::Null),
            (at("imagePullPolicy"), json!("Sometimes")),
            (at("ports/0/name"), json!("a-name-that-is-too-long")),
            (at("ports/0/containerPort"), json!(70_000)),
            (at("ports/-"), json!({ "name": "http", "containerPort": 3001 })),
            (at("ports/-"), json!({ "containerPort": 3000, "protocol": "TCP" })),
            (at("ports/0/protocol"), json!("tcp")),
            (at("env/0/name"), json!("1X")),
            (at("env/0/name"), json!("A=B")),
            (at("env/-"), json!({ "name": "PORT", "value": "1" })),
            (at("env/0/valueFrom"), json!({ "secretKeyRef": { "name": "shop", "key": "a" } })),
            (at("env/-"), json!({ "name": "A", "valueFrom": {} })),
            (
                at("env/-"),
                json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "", "key": "a b" } } }),
            ),
            (at("envFrom/0"), json!({})),
            (at("envFrom/0/configMapRef"), json!({ "name": "Shop" })),
            (at("resources/limits/memory"), json!("256MB")),
            (at("resources/limits/memory"), json!("128Mi")),
            (at("resources/limits/memory"), json!("-1")),
            (at("resources/requests/cpu"), json!("0.0005")),
            (at("securityContext/seccompProfile/type"), json!("Localhost")),
            (at("securityContext"), json!({ "privileged": true, "allowPrivilegeEscalation": false })),
            (at("securityContext/runAsUser"), json!(-1)),
            (at("volumeMounts/0/mountPath"), json!("/a:b")),
            (at("volumeMounts/0/subPath"), json!("../x")),
            (at("volumeMounts/-"), json!({ "name": "tmp", "mountPath": "/tmp" })),
        ],
        &expect![[r#"
            Deployment `shop`: `spec.template.spec.containers[0].name` is `Web`; 1-63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            Deployment `shop`: `spec.template.spec.containers[0].image` is empty, or has spaces around it
            Deployment `shop`: `spec.template.spec.containers[0].image` is missing
            Deployment `shop`: `spec.template.spec.containers[0].imagePullPolicy` is `Sometimes`; one of `Always`, `IfNotPresent`, `Never`
            Deployment `shop`: `spec.template.spec.containers[0].ports[0].name` is `a-name-that-is-too-long`; 1-15 lower-case letters, digits and single `-` between them, with a letter among them
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.httpGet.port` is `http`, which is no port of the container
            Deployment `shop`: `spec.template.spec.containers[0].readinessProbe.httpGet.port` is `http`, which is no port of the container
            Deployment `shop`: `spec.template.spec.containers[0].ports[0].containerPort` is 70000, which is no port; 1 to 65535
            Deployment `shop`: `spec.template.spec.containers[0].ports[1].name` is `http`, as that of another port of the container
            Deployment `shop`: `spec.template.spec.containers[0].ports[1]` has the `containerPort` and `protocol` of another one, 3000 and "TCP"
            Deployment `shop`: `spec.template.spec.containers[0].ports[0].protocol` is `tcp`; one of `SCTP`, `TCP`, `UDP`
            Deployment `shop`: `spec.template.spec.containers[0].env[0].name` is `1X`; letters, digits, `-`, `_` and `.`, with no digit first
            Deployment `shop`: `spec.template.spec.containers[0].env[0].name` is `A=B`; letters, digits, `-`, `_` and `.`, with no digit first
            Deployment `shop`: `spec.template.spec.containers[0].env[1]` has the `name` of another one, "PORT"
            Deployment `shop`: `spec.template.spec.containers[0].env[0].valueFrom` cannot be there beside a `value`
            Deployment `shop`: `spec.template.spec.containers[0].env[1].valueFrom` has none of `configMapKeyRef`, `fieldRef`, `fileKeyRef`, `resourceFieldRef`, `secretKeyRef`; it takes one
            Deployment `shop`: `spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef.name` is missing
            Deployment `shop`: `spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef.key` is `a b`; 1-253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`
            Deployment `shop`: `spec.template.spec.containers[0].envFrom[0]` has none of `configMapRef`, `secretRef`; it takes one
            Deployment `shop`: `spec.template.spec.containers[0].envFrom[0].configMapRef.name` is `Shop`; 1-253 lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit
            Deployment `shop`: `spec.template.spec.containers[0].resources.limits[memory]` is `256MB`, which is no quantity such as `256Mi` or `500m`
            Deployment `shop`: `spec.template.spec.containers[0].resources.requests[memory]` is more than the limit of `memory`
            Deployment `shop`: `spec.template.spec.containers[0].resources.limits[memory]` is less than nothing
            Deployment `shop`: `spec.template.spec.containers[0].resources.requests[memory]` is more than the limit of `memory`
            Deployment `shop`: `spec.template.spec.containers[0].resources.requests[cpu]` is finer than a thousandth of a core
            Deployment `shop`: `spec.template.spec.containers[0].securityContext.seccompProfile.localhostProfile` goes with the type `Localhost`, and with no other
            Deployment `shop`: `spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation` cannot be `false` where `privileged` is `true`
            Deployment `shop`: `spec.template.spec.containers[0].securityContext.runAsUser` is -1; at least 0
            Deployment `shop`: `spec.template.spec.containers[0].volumeMounts[0].mountPath` is empty, or has a colon
            Deployment `shop`: `spec.template.spec.containers[0].volumeMounts[0].subPath` leaves the volume
            Deployment `shop`: `spec.template.spec.containers[0].volumeMounts[1]` has the `mountPath` of another one, "/tmp"
        "#]],
    );
}

#[test]
fn probes_have_rules() {
    let at = |field: &str| -> &'static str { format!("/spec/template/spec/containers/0/{field}").leak() };
    broken(
        &deployment(),
        &[
            (at("livenessProbe/successThreshold"), json!(2)),
            (at("livenessProbe/timeoutSeconds"), json!(0)),
            (at("livenessProbe/initialDelaySeconds"), json!(-1)),
            (at("livenessProbe/tcpSocket"), json!({ "port": 1 })),
            (at("livenessProbe/httpGet"), Value::Null),
            (at("livenessProbe/httpGet/port"), json!("https")),
            (at("livenessProbe/httpGet/port"), json!(0)),
            (at("livenessProbe/httpGet/scheme"), json!("http")),
            (at("livenessProbe/httpGet/httpHeaders"), json!([{ "name": "a b", "value": "c" }])),
            (at("startupProbe"), json!({ "exec": { "command": [] } })),
            (at("startupProbe"), json!({ "grpc": { "port": 0 } })),
            (at("readinessProbe/terminationGracePeriodSeconds"), json!(5)),
            (at("lifecycle/preStop"), json!({})),
            (at("lifecycle/preStop/sleep/seconds"), json!(0)),
        ],
        &expect![[r#"
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.successThreshold` is 2; 1 is all that this probe takes
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.timeoutSeconds` is 0; at least 1
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.initialDelaySeconds` is -1; at least 0
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe` has `httpGet`, `tcpSocket`; it takes one of them
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe` has none of `exec`, `grpc`, `httpGet`, `tcpSocket`; it takes one
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.httpGet.port` is `https`, which is no port of the container
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.httpGet.port` is 0, which is no port; 1 to 65535
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.httpGet.scheme` is `http`; one of `HTTP`, `HTTPS`
            Deployment `shop`: `spec.template.spec.containers[0].livenessProbe.httpGet.httpHeaders[0].name` is `a b`, which is no name of a header
            Deployment `shop`: `spec.template.spec.containers[0].startupProbe.exec.command` is empty
            Deployment `shop`: `spec.template.spec.containers[0].startupProbe.grpc.port` is 0, which is no port; 1 to 65535
            Deployment `shop`: `spec.template.spec.containers[0].readinessProbe.terminationGracePeriodSeconds` is not for a readiness probe
            Deployment `shop`: `spec.template.spec.containers[0].lifecycle.preStop` has none of `exec`, `httpGet`, `sleep`, `tcpSocket`; it takes one
            Deployment `shop`: `spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds` is 0; 1 to 60, which is `terminationGracePeriodSeconds`
        "#]],
    );
}

#[test]
fn two_objects_of_one_name_are_told() {
    let object = Object { app: None, value: deployment(), comments: Vec::new() };
    let problems = check(&[object.clone(), object], OLDEST).unwrap();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "Deployment `shop`: `metadata.name` is that of another object of the kind; the second would replace the first"
        ]
    );
}

#[test]
fn a_version_without_schemas_is_an_error_that_names_those_that_there_are() {
    let error = check(&[], Version { major: 1, minor: 99 }).unwrap_err();
    expect!["the schemas of Kubernetes 1.99 are not known here; known are 1.30 to 1.37"]
        .assert_eq(&error.to_string());
    assert_eq!(versions().len(), 8);
}
