//! The health-checks API: its aggregate is always answered with 200, and says in the body how things are.
//!
//! Version 1 is a list, `["OK"]` or `["CRIT", {"description": …}]`; version 2 the object alone, with its `result`. `WARN`
//! passes, as the app works, and is told. What is neither is a failure: an app that says nothing of itself is not known to be
//! well.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::network::{broken, get};
use super::{Passed, ProbeFailure, Question};
use crate::plain::plain;

/// The longest answer: it tells of one check.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How much of a description is told.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// How an app says it is.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn(String),
    Crit(String),
}

/// Asks for the aggregate at this path.
pub(super) async fn ask(
    question: &Question<'_>,
    path: &str,
    port: Option<u16>,
) -> Result<Passed, ProbeFailure> {
    let body = get(question, path, port, |response| Box::pin(collected(response.into_body()))).await?;
    let body = body.map_err(|reason| broken(question, reason))?;
    match verdict(&body) {
        Some(Verdict::Ok) => Ok(Passed::default()),
        Some(Verdict::Warn(description)) => Ok(Passed { notice: Some(format!("WARN: {description}")) }),
        Some(Verdict::Crit(description)) => {
            Err(ProbeFailure::Reported { question: question.words(), said: format!("CRIT: {description}") })
        }
        None => Err(ProbeFailure::Unclear { question: question.words() }),
    }
}

async fn collected(body: Incoming) -> Result<Bytes, String> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
}

/// `None` for what is no answer of this API.
fn verdict(body: &[u8]) -> Option<Verdict> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let (result, about) = match &value {
        Value::Array(items) => (items.first()?.as_str()?, items.get(1)),
        Value::Object(about) => (about.get("result")?.as_str()?, Some(&value)),
        _ => return None,
    };
    let word = |key: &str| about?.get(key)?.as_str().filter(|text| !text.is_empty());
    let description = || {
        let parts: Vec<_> = [word("description"), word("details")].into_iter().flatten().collect();
        let text = if parts.is_empty() { "no description".to_owned() } else { parts.join(": ") };
        plain(&text, DESCRIPTION_CHARS_MAX)
    };
    match result {
        "OK" => Some(Verdict::Ok),
        "WARN" => Some(Verdict::Warn(description())),
        "CRIT" => Some(Verdict::Crit(description())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_how_things_are() {
        let crit = |text: &str| Some(Verdict::Crit(text.to_owned()));
        for (body, expected) in [
            (r#"["OK"]"#, Some(Verdict::Ok)),
            (r#"["OK",{"description":"all","result":"OK","details":""}]"#, Some(Verdict::Ok)),
            (r#"["WARN",{"description":"disk"}]"#, Some(Verdict::Warn("disk".to_owned()))),
            (r#"["CRIT",{"description":"db","result":"CRIT","details":"refused"}]"#, crit("db: refused")),
            (r#"["CRIT"]"#, crit("no description")),
            (r#"{"description":"db","result":"CRIT","details":""}"#, crit("db")),
            (r#"{"result":"OK"}"#, Some(Verdict::Ok)),
            (r#"["FINE"]"#, None),
            ("[]", None),
            ("OK", None),
            (r#""OK""#, None),
            ("", None),
        ] {
            assert_eq!(verdict(body.as_bytes()), expected, "{body}");
        }
    }
}
