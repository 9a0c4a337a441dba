//! The text of a request's path and query.

use serde::Serialize;

/// A query's fields as `?a=b&c=d`; those that are `None` are left out.
pub(crate) fn query(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("the API's types are JSON");
    let fields = value.as_object().expect("a query is a struct");
    let mut text = String::new();
    for (key, value) in fields {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => encoded(text),
            other => encoded(&other.to_string()),
        };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&format!("{key}={value}"));
    }
    text
}

/// Percent-encoded, but for what RFC 3986 calls unreserved.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}
