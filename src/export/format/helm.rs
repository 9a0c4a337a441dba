//! A chart: the same objects, with what is often changed taken from the values.
//!
//! ```yaml
//! shop:                       # an app
//!   image: ghcr.io/x/y@sha256:…
//!   hosts: [shop.example.com]
//!   env: {GREETING: hello}
//!   processes:
//!     web: {replicas: 2, resources: {limits: {memory: 256Mi}}}
//! ```
//!
//! With the values as they are the chart renders to the plain objects, but for the annotations of hooks: what has to run before
//! everything else, the Job of a release command, is a hook of Helm's, and so is what its pod cannot start without. A pod's
//! annotation that is a digest of its config follows the values, so that another value rolls the pods.
//!
//! The Namespace is left out: a chart's hooks run before it could be made, so `helm install --create-namespace` makes it.
//!
//! Values of secrets are never among the values, where each `--set` would show them: they stand in the Secret, or are to be
//! filled in, and then they are values.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::yaml::{self, Hole, Holes, pointer};
use super::{File, MARK, file_name, has_values, head};
use crate::export::config::HASH_ANNOTATION;
use crate::export::secrets::PLACEHOLDER;
use crate::export::{Comment, Export, Object};
use crate::hex;

/// What begins before the rest, and what of it goes first.
const HOOK: &str = "pre-install,pre-upgrade";
/// Where the component of an object is said.
const COMPONENT: &str = "app.kubernetes.io/component";

/// The chart's values, as they come together.
#[derive(Debug, Default)]
struct Values(Map<String, Value>);

/// One object, on its way to be a template.
struct Template<'a> {
    app: &'a str,
    value: Value,
    comments: &'a [Comment],
    holes: Holes,
}

/// All files of the chart.
pub(super) fn chart(export: &Export) -> Vec<File> {
    let mut values = Values::default();
    let hooks = hooks(export);
    let images = main_images(export);
    let mut texts: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for object in export.objects.iter().filter(|object| object.kind() != "Namespace") {
        let app = object.app.as_ref().map_or("", |app| app.as_str());
        let mut template =
            Template { app, value: object.value.clone(), comments: &object.comments, holes: Holes::new() };
        if let Some(weight) = hooks.get(&(object.kind(), object.name())) {
            template.hook(*weight);
        }
        template.take(&mut values, images.get(app).copied());
        let (text, is_secret) = texts
            .entry(format!("templates/{}", file_name(object.kind())))
            .or_insert_with(|| (format!("{MARK}\n"), false));
        text.push_str("---\n");
        text.push_str(&yaml::template(&template.value, template.comments, &template.holes));
        *is_secret |= has_values(object);
    }
    let mut files: Vec<_> =
        texts.into_iter().map(|(path, (text, is_secret))| File { path, text, is_secret }).collect();
    let plain = |path: &str, head: &str, value: &Value| {
        let text = head.to_owned() + &yaml::document(value, &[]);
        File { path: path.to_owned(), text, is_secret: false }
    };
    files.push(plain("Chart.yaml", &head(&export.notes), &chart_file(export)));
    files.push(plain("values.yaml", &format!("{MARK}\n"), &Value::Object(values.0)));
    files
}

fn chart_file(export: &Export) -> Value {
    let mut apps: Vec<_> = export.objects.iter().filter_map(|object| object.app.as_ref()).collect();
    apps.dedup();
    let version = |object: &Object| {
        object.value.pointer("/metadata/labels/app.kubernetes.io~1version")?.as_str().map(str::to_owned)
    };
    let release = export.objects.iter().find_map(version).filter(|_| apps.len() == 1);
    let number = release.as_deref().and_then(|release| release.strip_prefix('v')).unwrap_or("0");
    let name = if let [app] = apps.as_slice() { app.as_str() } else { "apps" };
    let mut chart = json!({
        "apiVersion": "v2",
        "name": name,
        "description": format!("{name}, as it ran on its box"),
        "type": "application",
        "version": format!("1.0.{number}"),
    });
    if let Some(release) = release {
        chart["appVersion"] = release.into();
    }
    chart
}

/// What has to be there before everything else, with its weight: the Jobs, and before them what their pods need.
fn hooks(export: &Export) -> BTreeMap<(&str, &str), i32> {
    let mut hooks = BTreeMap::new();
    for job in export.objects.iter().filter(|object| object.kind() == "Job") {
        hooks.insert((job.kind(), job.name()), 0);
        let text = job.value.to_string();
        let needed = export.objects.iter().filter(|object| {
            let is_needed = ["ServiceAccount", "ConfigMap", "Secret", "SealedSecret", "ExternalSecret"]
                .contains(&object.kind());
            is_needed && object.app == job.app && text.contains(&Value::from(object.name()).to_string())
        });
        hooks.extend(needed.map(|object| ((object.kind(), object.name()), -1)));
    }
    hooks
}

/// The image of each app: the one that most of its containers have.
fn main_images(export: &Export) -> BTreeMap<&str, &str> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in &export.objects {
        let Some(app) = &object.app else { continue };
        for (_, container) in containers(&object.value) {
            if let Some(image) = container["image"].as_str() {
                *counts.entry((app.as_str(), image)).or_default() += 1;
            }
        }
    }
    let mut images: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for ((app, image), count) in counts {
        let best = images.entry(app).or_insert((image, count));
        if count > best.1 {
            *best = (image, count);
        }
    }
    images.into_iter().map(|(app, (image, _))| (app, image)).collect()
}

/// Every container of an object's pods, with its place.
pub(super) fn containers(object: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for pod in ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        for list in ["initContainers", "containers"] {
            let at = format!("{pod}/{list}");
            let items = object.pointer(&at).and_then(Value::as_array).into_iter().flatten();
            found.extend(items.enumerate().map(|(index, container)| (format!("{at}/{index}"), container)));
        }
    }
    found
}

impl Values {
    /// The value at this path of keys, made as `value` if it is not there yet; its expression.
    fn put(&mut self, path: &[&str], value: Value) -> String {
        let (last, parents) = path.split_last().expect("a path has a key");
        let mut map = &mut self.0;
        for key in parents {
            let entry = map.entry((*key).to_owned()).or_insert_with(|| json!({}));
            map = entry.as_object_mut().expect("a key that has keys below it is always a map");
        }
        map.entry((*last).to_owned()).or_insert(value);
        expression(path)
    }

    /// The variables of an app.
    fn env(&self, app: &str) -> Option<&Value> {
        self.0.get(app)?.get("env")
    }

    /// The number of this host in the app's list, which it is added to.
    fn host(&mut self, app: &str, host: &str) -> usize {
        let app = self.0.entry(app.to_owned()).or_insert_with(|| json!({}));
        let app = app.as_object_mut().expect("an app's values are a map");
        let hosts = app.entry("hosts").or_insert_with(|| json!([]));
        let hosts = hosts.as_array_mut().expect("hosts are a list");
        hosts.iter().position(|known| known == host).unwrap_or_else(|| {
            hosts.push(host.into());
            hosts.len() - 1
        })
    }
}

impl Template<'_> {
    /// Makes it a hook.
    fn hook(&mut self, weight: i32) {
        let annotations = &mut self.value["metadata"]["annotations"];
        annotations["helm.sh/hook"] = HOOK.into();
        annotations["helm.sh/hook-weight"] = weight.to_string().into();
        annotations["helm.sh/hook-delete-policy"] = "before-hook-creation".into();
    }

    /// Has what is often changed come from the values.
    fn take(&mut self, values: &mut Values, image: Option<&str>) {
        let kind = self.value["kind"].as_str().unwrap_or_default().to_owned();
        let app = self.app;
        let component = self.value["metadata"]["labels"][COMPONENT].as_str().unwrap_or("web").to_owned();
        match kind.as_str() {
            "Deployment" | "StatefulSet" => {
                if let Some(replicas) = self.value["spec"].get("replicas").filter(|found| found.is_number()) {
                    let path = values.put(&[app, "processes", &component, "replicas"], replicas.clone());
                    self.hole("/spec/replicas", Hole::Scalar(format!("{path} | int")));
                }
            }
            "ConfigMap" if self.value["metadata"]["name"] == app => {
                if let Some(data) = filled(self.value.get("data")) {
                    let path = values.put(&[app, "env"], data.clone());
                    self.hole("/data", Hole::Map(path));
                }
            }
            "Secret" => {
                let name = self.value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let data = filled(self.value.get("stringData"));
                let data = data.filter(|data| {
                    data.as_object().is_some_and(|data| data.values().all(|value| value == PLACEHOLDER))
                });
                if let Some(data) = data {
                    let path = values.put(&[app, "secrets", &name], data.clone());
                    self.hole("/stringData", Hole::Map(path));
                }
            }
            "Ingress" | "HTTPRoute" => {
                let mut hosts = Vec::new();
                find_hosts(&self.value["spec"], "/spec", "", &mut hosts);
                for (at, host) in hosts {
                    let number = values.host(app, &host);
                    let path = format!("index .Values {} \"hosts\" {number} | quote", quoted(app));
                    self.hole(&at, Hole::Scalar(path));
                }
            }
            _ => {}
        }
        let mut holes = Vec::new();
        for pod in ["/spec/template", "/spec/jobTemplate/spec/template"] {
            let at = pointer(&format!("{pod}/metadata/annotations"), HASH_ANNOTATION);
            let digest = self.value.pointer(&at).and_then(Value::as_str);
            if let Some((digest, env)) = digest.zip(values.env(app)) {
                holes.push((at, Hole::Scalar(following(digest, app, env))));
            }
        }
        for (at, container) in containers(&self.value) {
            if container["image"].as_str().is_some_and(|found| Some(found) == image) {
                let path = values.put(&[app, "image"], container["image"].clone());
                holes.push((format!("{at}/image"), Hole::Scalar(format!("{path} | quote"))));
            }
            if let Some(resources) =
                filled(container.get("resources")).filter(|_| at.ends_with("/containers/0"))
            {
                let path = values.put(&[app, "processes", &component, "resources"], resources.clone());
                holes.push((format!("{at}/resources"), Hole::Map(path)));
            }
        }
        self.holes.extend(holes);
    }

    fn hole(&mut self, at: &str, hole: Hole) {
        self.holes.insert(at.to_owned(), hole);
    }
}

/// A map that is not empty.
fn filled(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| value.as_object().is_some_and(|map| !map.is_empty()))
}

/// Every host below a value, with its place.
fn find_hosts(value: &Value, at: &str, key: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(host) if matches!(key, "host" | "hosts" | "hostnames") => {
            found.push((at.to_owned(), host.clone()));
        }
        Value::Array(items) => {
            let each = items.iter().enumerate();
            each.for_each(|(index, item)| find_hosts(item, &format!("{at}/{index}"), key, found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| find_hosts(value, &pointer(at, key), key, found));
        }
        _ => {}
    }
}

fn expression(path: &[&str]) -> String {
    let keys: Vec<_> = path.iter().map(|key| quoted(key)).collect();
    format!("index .Values {}", keys.join(" "))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The expression of a digest of config that follows the values: as exported as long as they are.
fn following(digest: &str, app: &str, env: &Value) -> String {
    let known = hex::encode(Sha256::digest(go_json(env)));
    let now = format!("({} | toJson | sha256sum)", expression(&[app, "env"]));
    format!("ternary {} {now} (eq {now} {}) | quote", quoted(digest), quoted(&known))
}

/// As Helm's `toJson` writes it: sorted keys, and what HTML takes for its own as escapes.
fn go_json(value: &Value) -> String {
    let text = value.to_string();
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        out
    })
}
