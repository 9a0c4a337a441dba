//! How secrets are handed over: what becomes of the Secrets of an export.
//!
//! | [`SecretMode`] | a Secret becomes | who can read the values |
//! |---|---|---|
//! | `Inline` | itself | whoever reads the files |
//! | `Template` | a Secret with every key and [`PLACEHOLDER`] | nobody: they are to be filled in |
//! | `Sealed` | a SealedSecret (`sealed`) | the cluster whose certificate it is |
//! | `External` | an ExternalSecret, which names a store | nobody: they are to be put into the store |
//!
//! Only what is in a Secret is changed, and not one that holds nothing but certificates of CAs. That there is no such value
//! anywhere else is for those to see to who make the objects.
//! Names, labels and keys stay, so that whatever refers to a Secret finds it.

mod sealed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Export, Note, NoteKind, Object, Options, SecretMode};

pub use sealed::{Certificate, CertificateError};

/// What stands in the place of a value.
pub const PLACEHOLDER: &str = "REPLACE_ME";
/// How often an ExternalSecret is filled anew.
const REFRESH_INTERVAL: &str = "1h0m0s";
/// The key of certificates of CAs, which an entrance may want in a Secret though anybody may read them. No variable is called so.
const PUBLIC_KEY: &str = "ca.crt";
/// Where the values of a Secret are.
const PARTS: [&str; 2] = ["data", "stringData"];

/// Why secrets cannot be handed over so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// Sealed for nobody knows where.
    #[error("secrets are sealed for one namespace, and none is named")]
    NoNamespace,
    /// They cannot be sealed with it.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl SecretsError {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoNamespace => vec!["`--namespace NAME` says where they will be".to_owned()],
            Self::Certificate(_) => {
                vec!["`kubeseal --fetch-cert > cert.pem` asks the cluster for its certificate".to_owned()]
            }
        }
    }
}

/// The export with its Secrets as they are to be handed over.
///
/// Only [`SecretMode::Sealed`] is not deterministic: encryption needs random keys.
///
/// # Errors
///
/// [`SecretsError`], of [`SecretMode::Sealed`] alone.
pub fn hand_over(mut export: Export, options: &Options) -> Result<Export, SecretsError> {
    let certificate = match &options.secrets {
        SecretMode::Inline => return Ok(export),
        SecretMode::Template | SecretMode::External(_) => None,
        SecretMode::Sealed(pem) => Some(Certificate::from_pem(pem)?),
    };
    let mut notes = Vec::new();
    for object in export.objects.iter_mut().filter(|object| object.kind() == "Secret") {
        let values = values(&object.value);
        if values.keys().all(|key| key == PUBLIC_KEY) {
            continue;
        }
        let (text, at) = match (&options.secrets, &certificate) {
            (SecretMode::Sealed(_), Some(certificate)) => {
                let namespace = options.namespace.as_deref().ok_or(SecretsError::NoNamespace)?;
                object.value = seal(&object.value, &values, namespace, certificate);
                (None, "/spec/encryptedData")
            }
            (SecretMode::External(store), _) => {
                object.value = external(&object.value, &values, store);
                (Some(to_store(object, &values, store)), "/spec/data")
            }
            _ => {
                let text = to_fill_in(object, &values, options.namespace.as_deref());
                template(&mut object.value, &values);
                (Some(text), "/stringData")
            }
        };
        move_comments(object, at);
        if let Some((text, app)) = text.zip(object.app.clone()) {
            notes.push(Note { app, kind: NoteKind::Todo, what: "secrets".to_owned(), text });
        }
    }
    export.notes.extend(notes);
    // Of each app together, as they are told.
    export.notes.sort_by(|a, b| a.app.cmp(&b.app));
    Ok(export)
}

/// The values of a Secret by their keys, as bytes.
fn values(secret: &Value) -> BTreeMap<String, Vec<u8>> {
    let each =
        |part: &str| secret.get(part).and_then(Value::as_object).into_iter().flatten().collect::<Vec<_>>();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut values = BTreeMap::new();
    for (key, value) in each("data") {
        // What is no base64 the API would refuse; it is no less of a secret.
        values.insert(key.clone(), STANDARD.decode(text(value)).unwrap_or_else(|_| text(value).into_bytes()));
    }
    values.extend(each("stringData").into_iter().map(|(key, value)| (key.clone(), text(value).into_bytes())));
    values
}

fn template(secret: &mut Value, values: &BTreeMap<String, Vec<u8>>) {
    if let Value::Object(secret) = secret {
        PARTS.iter().for_each(|part| drop(secret.remove(*part)));
        let empty: Map<_, _> = values.keys().map(|key| (key.clone(), PLACEHOLDER.into())).collect();
        secret.insert("stringData".to_owned(), empty.into());
    }
}

fn seal(
    secret: &Value,
    values: &BTreeMap<String, Vec<u8>>,
    namespace: &str,
    certificate: &Certificate,
) -> Value {
    let name = secret["metadata"]["name"].as_str().unwrap_or_default();
    let sealed: Map<_, _> = values
        .iter()
        .map(|(key, value)| (key.clone(), STANDARD.encode(certificate.seal(namespace, name, value)).into()))
        .collect();
    let mut metadata = secret["metadata"].clone();
    metadata["namespace"] = namespace.into();
    let mut template = json!({ "metadata": metadata });
    for part in ["type", "immutable"] {
        if let Some(value) = secret.get(part) {
            template[part] = value.clone();
        }
    }
    json!({
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": metadata,
        "spec": { "encryptedData": sealed, "template": template },
    })
}

fn external(secret: &Value, values: &BTreeMap<String, Vec<u8>>, store: &str) -> Value {
    let name = &secret["metadata"]["name"];
    let data: Vec<_> = values
        .keys()
        .map(|key| json!({"secretKey": key, "remoteRef": {"key": name, "property": key}}))
        .collect();
    let mut template = json!({});
    for part in ["labels", "annotations"] {
        if let Some(value) = secret["metadata"].get(part) {
            template["metadata"][part] = value.clone();
        }
    }
    if let Some(kind) = secret.get("type") {
        template["type"] = kind.clone();
    }
    json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": secret["metadata"],
        "spec": {
            "refreshInterval": REFRESH_INTERVAL,
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": store},
            "target": {"name": name, "creationPolicy": "Owner", "template": template},
            "data": data,
        },
    })
}

/// What to do with a Secret that has no values.
fn to_fill_in(secret: &Object, values: &BTreeMap<String, Vec<u8>>, namespace: Option<&str>) -> String {
    let literals: Vec<_> = values.keys().map(|key| format!("--from-literal={key}=…")).collect();
    let namespace = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!(
        "Secret `{name}` has no values: put them in the place of {PLACEHOLDER} where nobody else reads the file, or leave it out and \
         make it with `kubectl create secret generic {name}{namespace} {}`",
        literals.join(" "),
        name = secret.name(),
    )
}

fn to_store(secret: &Object, values: &BTreeMap<String, Vec<u8>>, store: &str) -> String {
    let keys: Vec<_> = values.keys().map(|key| format!("`{key}`")).collect();
    format!(
        "the store behind ClusterSecretStore `{store}` must have `{}` with {}; the cluster needs the External Secrets Operator",
        secret.name(),
        keys.join(", ")
    )
}

/// What was said of a value is said of what stands in its place.
fn move_comments(object: &mut Object, to: &str) {
    for comment in &mut object.comments {
        for part in PARTS {
            let rest = comment.at.strip_prefix('/').and_then(|at| at.strip_prefix(part)).map(str::to_owned);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                let is_map = to != "/spec/data";
                if !is_map && !rest.is_empty() {
                    comment.text = format!("{}: {}", &rest[1..], comment.text);
                }
                comment.at = if is_map { format!("{to}{rest}") } else { to.to_owned() };
                break;
            }
        }
    }
}
