//! An app's variables and secrets: which of them a ConfigMap holds, which a Secret, and how pods get both.
//!
//! The ConfigMap has what anybody may read, the links to other apps, and what minipaas says itself. The Secret has the files
//! below `/run/secrets` and the variables that nobody is to see: those that are secret on the box, and those that look as if they
//! should be. Pods take the whole ConfigMap (`envFrom`), and of the Secret each variable by its name, because a secret that is
//! only a file on the box is no variable here either.
//!
//! A digest of the ConfigMap is an annotation of the pods, so that a change replaces them. It has no part of a secret's value: a
//! short one could be guessed from it. It has the release's number, and every change of a secret makes a new release.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapEnvSource, EnvFromSource, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector,
    Secret, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

use super::error::ExportError;
use super::names::Names;
use super::object::Object;
use super::subject::Subject;
use crate::environment::{SECRETS_DIR, Value};
use crate::hex;

/// The annotation of pods that a change of the config changes.
pub(super) const HASH_ANNOTATION: &str = "minipaas.dev/config-hash";
/// How much of the digest is kept, in bytes: enough to tell two configs of one app apart.
const HASH_BYTES: usize = 8;
/// What an API server takes for one ConfigMap or Secret: 1 MiB, as etcd takes little more for anything.
const DATA_BYTES_MAX: usize = 1024 * 1024;
/// As Docker's own secrets: whatever the image's user is, it can read them.
const FILE_MODE: i32 = 0o444;
/// The volume of the secret files.
const VOLUME: &str = "secrets";
/// Words in a variable's name that say what its value is.
const TELLING_WORDS: [&str; 9] =
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PRIVATE_KEY", "API_KEY", "APIKEY", "ACCESS_KEY", "CREDENTIAL"];

/// The variables and secrets of an app. It has no `Debug`: that would show them.
pub(super) struct Config<'a> {
    name: String,
    release: String,
    /// By their names.
    plain: BTreeMap<String, String>,
    /// Keys of the Secret.
    secret: BTreeMap<String, &'a str>,
    /// Variables, with the key that each is under.
    variables: BTreeMap<String, String>,
    /// Names of files below `/run/secrets`, with the key that each is under.
    files: BTreeMap<String, String>,
    /// Keys that are there because of how they look, and why.
    guessed: BTreeMap<String, &'static str>,
}

impl<'a> Config<'a> {
    pub(super) fn of(subject: &'a Subject) -> Self {
        let mut config = Self {
            name: Names::of(&subject.app).app(),
            release: subject.release.to_string(),
            plain: BTreeMap::new(),
            secret: BTreeMap::new(),
            variables: BTreeMap::new(),
            files: BTreeMap::new(),
            guessed: BTreeMap::new(),
        };
        for (path, value) in &subject.manifest.secrets {
            // A secret has the name of a variable, which is a valid key.
            let name = path.rsplit('/').next().unwrap_or(path);
            config.files.insert(name.to_owned(), name.to_owned());
            config.secret.insert(name.to_owned(), Value::reveal(value));
        }
        for link in &subject.manifest.links {
            config.plain.insert(link.variable.clone(), address(&Names::of(&link.app).app()));
        }
        config.plain.insert("MINIPAAS_APP".to_owned(), subject.app.to_string());
        config.plain.insert("MINIPAAS_RELEASE".to_owned(), config.release.clone());
        for (name, value) in &subject.manifest.env {
            let guess = if subject.confidential.contains(name) { None } else { telling(name, value) };
            if subject.confidential.contains(name) || guess.is_some() {
                config.plain.remove(name);
                let key = config.key_for(name, value);
                config.guessed.extend(guess.map(|why| (key.clone(), why)));
                config.secret.insert(key.clone(), value);
                config.variables.insert(name.clone(), key);
            } else {
                config.plain.insert(name.clone(), value.clone());
            }
        }
        config
    }

    /// The variable's name, unless a file of that name has another value.
    fn key_for(&self, name: &str, value: &str) -> String {
        match self.secret.get(name) {
            Some(other) if *other != value => format!("{name}.variable"),
            _ => name.to_owned(),
        }
    }

    /// The ConfigMap, and the Secret unless it would be empty.
    pub(super) fn objects(
        &self,
        subject: &Subject,
        metadata: impl Fn(String) -> ObjectMeta,
    ) -> Result<Vec<Object>, ExportError> {
        let app = &subject.app;
        let large = |kind, bytes| match bytes {
            ..=DATA_BYTES_MAX => Ok(()),
            _ => Err(ExportError::Large { app: app.clone(), kind, bytes, max: DATA_BYTES_MAX }),
        };
        large("ConfigMap", self.plain.iter().map(|(key, value)| key.len() + value.len()).sum())?;
        large("Secret", self.secret.iter().map(|(key, value)| key.len() + value.len()).sum())?;
        let map = ConfigMap {
            metadata: metadata(self.name.clone()),
            data: Some(self.plain.clone()),
            ..ConfigMap::default()
        };
        let mut objects = vec![Object::new(app, &map)];
        if !self.secret.is_empty() {
            let bytes = |(key, value): (&String, &&str)| (key.clone(), ByteString(value.as_bytes().to_vec()));
            let secret = Secret {
                metadata: metadata(self.name.clone()),
                type_: Some("Opaque".to_owned()),
                data: Some(self.secret.iter().map(bytes).collect()),
                ..Secret::default()
            };
            let commented = |object: Object, (key, why): (&String, &&str)| {
                object.comment(
                    &format!("/data/{key}"),
                    format!("a plain variable on the box; here because {why}"),
                )
            };
            objects.push(self.guessed.iter().fold(Object::new(app, &secret), commented));
        }
        Ok(objects)
    }

    /// The variables of a container that do not come from the ConfigMap as they are: those of this part of the app, then secrets.
    pub(super) fn env(&self, part: &str, port: Option<u16>) -> Vec<EnvVar> {
        let is_own = |name: &str| !self.plain.contains_key(name) && !self.variables.contains_key(name);
        let mut env = Vec::new();
        if let Some(port) = port {
            env.push(EnvVar { name: "PORT".to_owned(), value: Some(port.to_string()), ..EnvVar::default() });
        }
        // What the app sets itself goes before ours, as on the box.
        if is_own("MINIPAAS_PROCESS") {
            let value = Some(part.to_owned());
            env.push(EnvVar { name: "MINIPAAS_PROCESS".to_owned(), value, ..EnvVar::default() });
        }
        if is_own("MINIPAAS_INSTANCE") {
            let field_ref =
                ObjectFieldSelector { field_path: "metadata.name".to_owned(), ..Default::default() };
            let source = EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() };
            env.push(EnvVar {
                name: "MINIPAAS_INSTANCE".to_owned(),
                value_from: Some(source),
                ..EnvVar::default()
            });
        }
        env.extend(self.variables.iter().map(|(name, key)| {
            let selector = SecretKeySelector { key: key.clone(), name: self.name.clone(), optional: None };
            let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
            EnvVar { name: name.clone(), value_from: Some(source), ..EnvVar::default() }
        }));
        env
    }

    /// The ConfigMap as variables.
    pub(super) fn env_from(&self) -> Vec<EnvFromSource> {
        let source = ConfigMapEnvSource { name: self.name.clone(), optional: None };
        vec![EnvFromSource { config_map_ref: Some(source), ..EnvFromSource::default() }]
    }

    /// The secret files, as a volume and where it is mounted; `None` when there are none.
    pub(super) fn files(&self) -> Option<(Volume, VolumeMount)> {
        if self.files.is_empty() {
            return None;
        }
        let item =
            |(path, key): (&String, &String)| KeyToPath { key: key.clone(), path: path.clone(), mode: None };
        let source = SecretVolumeSource {
            secret_name: Some(self.name.clone()),
            items: Some(self.files.iter().map(item).collect()),
            default_mode: Some(FILE_MODE),
            ..SecretVolumeSource::default()
        };
        let volume = Volume { name: VOLUME.to_owned(), secret: Some(source), ..Volume::default() };
        let mount = VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: SECRETS_DIR.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        Some((volume, mount))
    }

    /// What [`HASH_ANNOTATION`] says.
    pub(super) fn hash(&self) -> String {
        let mut digest = Sha256::new();
        let mut put = |text: &str| {
            // With its length before it: no two lists are written alike.
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        put(&self.release);
        self.plain.iter().for_each(|(name, value)| [name, value].into_iter().for_each(|text| put(text)));
        put("");
        self.secret.keys().for_each(|key| put(key));
        hex::encode(&digest.finalize()[..HASH_BYTES])
    }
}

/// Where an app is reached from another's pods of the same namespace.
pub(super) fn address(service: &str) -> String {
    format!("http://{service}")
}

/// Why a variable should be a secret, if it looks like one.
fn telling(name: &str, value: &str) -> Option<&'static str> {
    // `DB_PASSWORD_FILE` says where a secret is, and is none.
    if value.is_empty() || (name.ends_with("_FILE") && value.starts_with('/')) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    if TELLING_WORDS.iter().any(|word| upper.contains(word)) {
        return Some("its name says that it is a secret");
    }
    if value.contains("PRIVATE KEY-----") {
        return Some("it is a private key");
    }
    has_password(value).then_some("its URL has a password")
}

/// Whether there is `scheme://user:password@host` in it.
fn has_password(value: &str) -> bool {
    let authority = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    value.split("://").skip(1).any(|rest| {
        let authority = authority(rest);
        let credentials = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        credentials.is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_one() {
        for (name, value) in [
            ("SESSION_SECRET", "x"),
            ("github_token", "x"),
            ("DB_PASSWD", "x"),
            ("STRIPE_API_KEY", "x"),
            ("DATABASE_URL", "postgres://shop:hunter2@db:5432/shop"),
            ("SEEDS", "amqp://a,redis://:hunter2@cache"),
            ("PEM", "-----BEGIN RSA PRIVATE KEY-----\nx"),
        ] {
            assert!(telling(name, value).is_some(), "{name}");
        }
        for (name, value) in [
            ("LOG_LEVEL", "info"),
            ("DATABASE_URL", "postgres://shop@db:5432/shop"),
            ("BILLING_URL", "http://billing:8080/a@b:c"),
            ("DB_PASSWORD_FILE", "/run/secrets/DB_PASSWORD"),
            ("SESSION_SECRET", ""),
        ] {
            assert_eq!(telling(name, value), None, "{name}");
        }
    }
}
