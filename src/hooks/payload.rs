//! What a hook sends, and how it is signed.

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Format, Parts};
use crate::events::{Event, News, Outcome, ReleaseFacts};
use crate::hex;

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-minipaas-signature";
/// The header with the event's number: what is sent twice has it twice.
pub(super) const DELIVERY_HEADER: &str = "x-minipaas-delivery";
/// The header with the event's action.
pub(super) const EVENT_HEADER: &str = "x-minipaas-event";

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, keyed with the secret.
#[must_use]
pub fn signature(secret: &str, seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// The body that tells of an event.
pub(super) fn body(event: &Event, format: Format, parts: &Parts) -> Vec<u8> {
    let value = match format {
        Format::Json => json(event, parts),
        Format::Slack => json!({"text": sentence(event, parts)}),
    };
    value.to_string().into_bytes()
}

fn json(event: &Event, parts: &Parts) -> Value {
    let News { actor, app, action, detail, outcome, from: _, release } = &event.news;
    let (outcome, code) = match outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Failed(code) => ("failed", Some(code)),
    };
    let mut value = json!({
        "id": event.id,
        "event": action,
        "at": event.at,
        "box": parts.box_id,
        "app": app.as_ref().map(ToString::to_string),
        "user": actor.as_str(),
        "message": detail,
        "outcome": outcome,
        "code": code,
    });
    if let Some(release) = release {
        let ReleaseFacts { id, by, summary, commit, took, .. } = release;
        value["release"] = id.to_string().into();
        value["user"] = by.as_ref().unwrap_or(actor).as_str().into();
        value["summary"] = summary.clone().into();
        value["commit"] = commit.clone().into();
        value["duration-ms"] = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).into();
        value["urls"] = urls(release, parts).into();
    }
    value
}

/// `*v3* of *shop* serves (12s), Deploy 1a2b3c, by ann: https://shop.example.com/`.
fn sentence(event: &Event, parts: &Parts) -> String {
    let News { actor, app, action, detail, outcome, release, .. } = &event.news;
    let sign = if matches!(outcome, Outcome::Ok) { ":white_check_mark:" } else { ":x:" };
    let app = app.as_ref().map_or_else(|| "the box".to_owned(), |app| format!("*{app}*"));
    let mut text = format!("{sign} {app}: {} ({action})", escaped(detail));
    let Some(release) = release else {
        let _ = write!(text, ", by {}", escaped(actor.as_str()));
        return text;
    };
    let _ = write!(text, ", after {}s", release.took.as_secs());
    if let Some(summary) = &release.summary {
        let _ = write!(text, ", {}", escaped(summary));
    }
    if let Some(by) = &release.by {
        let _ = write!(text, ", by {}", escaped(by.as_str()));
    }
    if let Some(url) = urls(release, parts).first().filter(|_| matches!(outcome, Outcome::Ok)) {
        let _ = write!(text, "\n{url}");
    }
    text
}

/// As Slack asks: the three characters that it reads as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn urls(release: &ReleaseFacts, parts: &Parts) -> Vec<String> {
    let port = match parts.https_port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    // A fallback route has no name to type.
    let named = release.routes.iter().filter(|(host, _)| host != "*");
    named.map(|(host, path)| format!("https://{host}{port}{path}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test`.
    #[test]
    fn signatures_are_what_openssl_makes() {
        assert_eq!(
            signature("whsec_test", 1_700_000_000, br#"{"a":1}"#),
            "t=1700000000,v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789"
        );
    }
}
