//! What only holds data: ConfigMaps, Secrets, claims of volumes. No message repeats a value of a Secret.

use super::super::node::Node;
use super::super::report::Report;
use super::super::{quantity, syntax};
use super::word;

/// A ConfigMap's or a Secret's values together, in bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// What Secrets of these types have to have.
const TYPES: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// A ConfigMap.
pub(super) fn config_map(node: &Node<'_>, report: &mut Report<'_>) {
    keys(node, &["binaryData", "data"], report);
    for (key, entry) in node.entries("binaryData") {
        if node.find(&["data", key]).is_some() {
            report.server(&entry.path, "is in `data` as well");
        }
    }
}

/// A Secret.
pub(super) fn secret(node: &Node<'_>, report: &mut Report<'_>) {
    keys(node, &["data", "stringData"], report);
    let Some((kind, wanted)) = TYPES.iter().find(|(kind, _)| node.text("type") == Some(kind)) else { return };
    for key in *wanted {
        if ["data", "stringData"].iter().all(|data| node.find(&[data, key]).is_none()) {
            report
                .server(&node.at("data"), format!("has no `{key}`, which a Secret of the type `{kind}` has"));
        }
    }
}

/// The `spec` of a PersistentVolumeClaim.
pub(super) fn claim(node: &Node<'_>, report: &mut Report<'_>) {
    let modes = node.items("accessModes");
    if modes.is_empty() {
        report.server(&node.at("accessModes"), "is empty; at least one");
    }
    for mode in &modes {
        if let Some(text) = mode.as_text().filter(|text| !ACCESS_MODES.contains(text)) {
            report.server(&mode.path, format!("is `{text}`; one of {}", syntax::listed(ACCESS_MODES)));
        }
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode.as_text() == Some("ReadWriteOncePod")) {
        report.server(&node.at("accessModes"), "has `ReadWriteOncePod`, which goes with no other");
    }
    let storage = node.find(&["resources", "requests", "storage"]);
    if storage.and_then(|storage| quantity::of(storage.value)).is_none_or(|amount| amount <= 0.0) {
        report.server(&node.at("resources.requests.storage"), "is missing, or not more than 0");
    }
    word(node, "storageClassName", is_class, syntax::DNS_SUBDOMAIN, report);
}

/// None at all is a class of its own: the volume is there already.
fn is_class(text: &str) -> bool {
    text.is_empty() || syntax::is_dns_subdomain(text)
}

fn keys(node: &Node<'_>, fields: &[&str], report: &mut Report<'_>) {
    let mut bytes = 0;
    for field in fields {
        for (key, entry) in node.entries(field) {
            if !syntax::is_config_key(key) {
                report.server(&entry.path, format!("is no key that can be; {}", syntax::CONFIG_KEY));
            }
            let text = entry.as_text().unwrap_or_default();
            let is_base64 = *field == "binaryData" || *field == "data" && node.text("kind") == Some("Secret");
            bytes += if is_base64 { syntax::decoded_length(text) } else { text.len() };
        }
    }
    if bytes > BYTES_MAX {
        report.server("", format!("holds {bytes} bytes; at most {BYTES_MAX}"));
    }
}
