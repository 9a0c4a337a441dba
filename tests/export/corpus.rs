//! The apps: `minipaas.toml`, perhaps a Procfile and files that it names, and in `facts.yaml` what only a box knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minipaas::environment::Value;
use minipaas::export::{Healthcheck, Image, Subject};
use minipaas::manifest::{MANIFEST_FILE, Manifest, PROCFILE, Source};
use serde::Deserialize;
use walkdir::WalkDir;

const FACTS_FILE: &str = "facts.yaml";
/// In the values of the corpus that nobody is to see, and nowhere else.
pub const SWORD: &str = "swordfish";

/// Some apps that are exported together.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder of the first of them.
    pub name: String,
    pub subjects: Vec<Subject>,
}

/// What a box knows of an app, beside its manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Facts {
    release: String,
    summary: String,
    /// Without any: its own on the box.
    hosts: Vec<String>,
    image: ImageFacts,
    /// What `config set` has set, over the manifest's.
    env: BTreeMap<String, String>,
    confidential: BTreeSet<String>,
    /// Files of containers.
    secrets: BTreeMap<String, String>,
    suspended: BTreeSet<String>,
    /// Folders of apps that are exported with it.
    beside: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ImageFacts {
    reference: String,
    pinned: Option<String>,
    exposed_ports: Vec<u16>,
    user: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    healthcheck: Option<HealthcheckFacts>,
}

/// Times in seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthcheckFacts {
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    start_period: u64,
    retries: u32,
}

/// All of them, by name.
pub fn cases() -> Vec<Case> {
    let folders = fs::read_dir(folder()).unwrap();
    let mut names: Vec<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.iter().map(|name| case(name)).collect()
}

/// The one in this folder.
pub fn case(name: &str) -> Case {
    let (subject, beside) = subject(name);
    let others = beside.iter().map(|other| self::subject(other).0);
    Case { name: name.to_owned(), subjects: std::iter::once(subject).chain(others).collect() }
}

/// Where the corpus is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/export")
}

/// The app in this folder, and the folders of those beside it.
fn subject(name: &str) -> (Subject, Vec<String>) {
    let folder = folder().join(name);
    let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let facts: Facts = text(FACTS_FILE).map_or_else(Facts::default, |text| {
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}/{FACTS_FILE}: {error}"))
    });
    let source = Source { toml: text(MANIFEST_FILE), procfile: text(PROCFILE), files: files(&folder) };
    let (mut manifest, _) = Manifest::parse(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
    let app = manifest.app.clone().unwrap();
    manifest.env.extend(facts.env);
    manifest.secrets = facts.secrets.into_iter().map(|(path, text)| (path, Value::new(text))).collect();
    let own = vec![format!("{app}.apps.example.com")];
    let hosts = if facts.hosts.is_empty() { own } else { facts.hosts };
    let subject = Subject {
        release: facts.release.parse().unwrap(),
        summary: facts.summary,
        confidential: facts.confidential,
        image: facts.image.into(),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        suspended: facts.suspended,
        app,
        manifest,
    };
    (subject, facts.beside)
}

/// What else is in the folder: files that the manifest names.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let own = [MANIFEST_FILE, PROCFILE, FACTS_FILE];
    let path = |entry: walkdir::DirEntry| {
        let below = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (entry.file_type().is_file() && !own.contains(&below.as_str())).then_some((below, entry.into_path()))
    };
    let found = WalkDir::new(folder).into_iter().filter_map(|entry| path(entry.unwrap()));
    found.map(|(below, path)| (below, fs::read_to_string(path).unwrap())).collect()
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            release: "v42".to_owned(),
            summary: "deployed 1f2e3d4c".to_owned(),
            hosts: Vec::new(),
            image: ImageFacts::default(),
            env: BTreeMap::new(),
            confidential: BTreeSet::new(),
            secrets: BTreeMap::new(),
            suspended: BTreeSet::new(),
            beside: Vec::new(),
        }
    }
}

impl Default for ImageFacts {
    fn default() -> Self {
        Self {
            reference: "minipaas/app:1f2e3d4c".to_owned(),
            pinned: Some(format!("registry.example.com/app@sha256:{}", "1f2e3d4c".repeat(8))),
            exposed_ports: Vec::new(),
            user: String::new(),
            entrypoint: Vec::new(),
            command: vec!["serve".to_owned()],
            healthcheck: None,
        }
    }
}

impl From<ImageFacts> for Image {
    fn from(facts: ImageFacts) -> Self {
        let healthcheck = facts.healthcheck.map(|facts| Healthcheck {
            test: facts.test,
            interval: Duration::from_secs(facts.interval),
            timeout: Duration::from_secs(facts.timeout),
            start_period: Duration::from_secs(facts.start_period),
            retries: facts.retries,
        });
        Self {
            reference: facts.reference,
            pinned: facts.pinned,
            exposed_ports: facts.exposed_ports,
            user: facts.user,
            entrypoint: facts.entrypoint,
            command: facts.command,
            healthcheck,
        }
    }
}
