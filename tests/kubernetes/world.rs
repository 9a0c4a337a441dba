//! A cluster to apply to, an app to apply, and what is told of it.

use std::path::PathBuf;
use std::sync::Mutex;

use minipaas::export::Object;
use minipaas::kubernetes::{Applied, ApplyError, Change, Cluster, Options, Outcome, Plan, Progress, Target};
use minipaas::name::AppName;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::{ApiServer, TOKEN};

/// The stand-in, and a kubeconfig for it.
pub struct World {
    pub server: ApiServer,
    folder: TempDir,
}

/// Keeps what is told.
#[derive(Debug, Default)]
pub struct Told(Mutex<Vec<String>>);

/// The objects of the app `shop`.
#[derive(Debug, Clone)]
pub struct Shop {
    pub objects: Vec<Value>,
}

impl World {
    pub async fn new() -> Self {
        let server = ApiServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let world = Self { server, folder };
        world.write_kubeconfig(&format!("http://{}", world.server.addr), TOKEN);
        world
    }

    /// With the contexts `main`, which is the current one, and `spare`.
    pub fn write_kubeconfig(&self, url: &str, token: &str) {
        let context = json!({ "cluster": "c", "user": "u", "namespace": "prod" });
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "main",
            "clusters": [{ "name": "c", "cluster": { "server": url } }],
            "users": [{ "name": "u", "user": { "token": token } }],
            "contexts": [{ "name": "main", "context": context }, { "name": "spare", "context": context }],
        });
        std::fs::write(self.kubeconfig(), kubeconfig.to_string()).unwrap();
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub fn target(&self) -> Target {
        Target { kubeconfig: vec![self.kubeconfig()], ..Target::default() }
    }

    pub async fn cluster(&self) -> Cluster {
        Cluster::connect(&self.target()).await.unwrap()
    }

    pub async fn plan(&self, shop: &Shop, options: Options) -> Result<Plan, ApplyError> {
        self.cluster().await.plan(&shop.exported(), options).await
    }

    pub async fn apply_with(
        &self,
        shop: &Shop,
        options: Options,
        told: &Told,
    ) -> Result<Applied, ApplyError> {
        let cluster = self.cluster().await;
        let plan = cluster.plan(&shop.exported(), options).await?;
        cluster.apply(&plan, told).await
    }

    pub async fn apply(&self, shop: &Shop) -> Result<Applied, ApplyError> {
        self.apply_with(shop, Options::default(), &Told::default()).await
    }

    /// What was written since the last time that was asked.
    pub fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.server.state().writes)
    }
}

impl Told {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Progress for Told {
    fn step(&self, step: &str, detail: &str) {
        self.push(format!("{step} {detail}"));
    }

    fn log(&self, line: &str) {
        self.push(format!("  {line}"));
    }

    fn notice(&self, text: &str) {
        self.push(format!("! {text}"));
    }

    fn done(&self, change: &Change) {
        self.push(format!("  {} {}", change.object, change.outcome));
    }
}

impl Shop {
    /// A web process with a release command, at this release.
    pub fn release(number: u32) -> Self {
        let labels = labels();
        let selector = json!({ "app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "web" });
        let pod = |argv: &[&str], name: &str| {
            json!({
                "containers": [{
                    "name": name, "image": format!("ghcr.io/acme/shop:v{number}"), "command": argv,
                    "ports": [{ "name": "http", "containerPort": 3000 }],
                    "envFrom": [{ "configMapRef": { "name": "shop" } }],
                }],
            })
        };
        let mut run_once = pod(&["migrate"], "release");
        run_once["restartPolicy"] = "Never".into();
        let object = |api_version: &str, kind: &str, name: &str, rest: Value| {
            let mut object = rest;
            object["apiVersion"] = api_version.into();
            object["kind"] = kind.into();
            object["metadata"] = json!({ "name": name, "labels": labels });
            object
        };
        let backend = json!({ "service": { "name": "shop", "port": { "name": "http" } } });
        let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
        // As an export has them, but for the first and the last, which have to be put in order.
        let objects = vec![
            object(
                "networking.k8s.io/v1",
                "Ingress",
                "shop",
                json!({ "spec": {
                "ingressClassName": "nginx",
                "rules": [{ "host": "shop.example.com", "http": { "paths": [path] } }],
            } }),
            ),
            object("v1", "ServiceAccount", "shop", json!({ "automountServiceAccountToken": false })),
            object("v1", "ConfigMap", "shop", json!({ "data": { "LOG_LEVEL": "info" } })),
            object(
                "v1",
                "Secret",
                "shop",
                json!({ "stringData": { "API_KEY": "correct-horse", "TOKEN": "battery" } }),
            ),
            object(
                "v1",
                "Service",
                "shop",
                json!({ "spec": {
                "selector": selector, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }],
            } }),
            ),
            object(
                "apps/v1",
                "Deployment",
                "shop",
                json!({ "spec": {
                "replicas": 2, "selector": { "matchLabels": selector },
                "template": { "metadata": { "labels": selector }, "spec": pod(&["serve"], "web") },
            } }),
            ),
            object(
                "batch/v1",
                "Job",
                &format!("shop-release-v{number}"),
                json!({ "spec": {
                "backoffLimit": 0, "template": { "metadata": { "labels": { "app.kubernetes.io/name": "shop" } }, "spec": run_once },
            } }),
            ),
        ];
        Self { objects }
    }

    pub fn with(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    pub fn without(mut self, kind: &str) -> Self {
        self.objects.retain(|object| object["kind"] != kind);
        self
    }

    /// With this at a JSON pointer into the only object of a kind.
    pub fn set(mut self, kind: &str, pointer: &str, value: impl Into<Value>) -> Self {
        let object = self.objects.iter_mut().find(|object| object["kind"] == kind).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value.into();
        self
    }

    pub fn exported(&self) -> Vec<Object> {
        let app: AppName = "shop".parse().unwrap();
        self.objects.iter().map(|value| Object::untyped(&app, value.clone())).collect()
    }
}

pub fn labels() -> Value {
    json!({ "app.kubernetes.io/name": "shop", "app.kubernetes.io/managed-by": "minipaas" })
}

/// A claim of the app.
pub fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name, "labels": labels() },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    })
}

/// `Deployment shop created`, for each.
pub fn outcomes(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| format!("{} {} {}", change.object.kind, change.object.name, change.outcome))
        .collect()
}

/// Those that are not unchanged.
pub fn changed(changes: &[Change]) -> Vec<String> {
    let changes: Vec<_> =
        changes.iter().filter(|change| change.outcome != Outcome::Unchanged).cloned().collect();
    outcomes(&changes)
}
