//! Images to a registry.
//!
//! An engine pushes by name, so an image gets the name that it is to have there, and loses it again: afterwards the engine is as
//! before. A name that was there already stays as it was.
//!
//! The request is made here and not by the client library (bollard 0.21): it writes the credentials in base64's standard alphabet where
//! engines read the one for URLs, so that some passwords would arrive as none; and it knows nothing of the message that has the digest.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};
use bytes::BytesMut;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::{EngineError, PushRefusal};
use super::error::{explain, is_disk_full};
use super::image::check_reference;
use super::progress::LayerProgress;
use super::{CALL_TIME_MAX, DockerEngine, Session};
use crate::registry::Credentials;

/// How long an engine may say nothing: it tells of every half second in which bytes go out.
const SILENCE_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest message; real ones have a few hundred bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A name that an image has for as long as it is pushed. Dropped before it was taken away, it is taken away in the background.
struct BorrowedName {
    engine: Session,
    reference: String,
    /// What had the name before, if anything; an id.
    before: Option<String>,
    is_given_back: bool,
}

/// One message of a push.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    status: Option<String>,
    id: Option<String>,
    error: Option<String>,
    aux: Option<Aux>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Aux {
    digest: Option<String>,
}

impl DockerEngine {
    pub(super) async fn push_image(
        &self,
        image: &str,
        reference: &str,
        credentials: Option<&Credentials>,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        check_reference(&format!("push image `{reference}`"), reference)?;
        // One at a time: two of one image would take its name from each other.
        let _turn = self.pushing.lock().await;
        let name = self.lend_name(image, reference).await?;
        let pushed = self.push_named(reference, credentials, log).await;
        name.give_back().await;
        pushed
    }

    async fn lend_name(&self, image: &str, reference: &str) -> Result<BorrowedName, EngineError> {
        let before = self.inspect_image(reference).await?.map(|image| image.id);
        let name = BorrowedName {
            engine: self.session(),
            reference: reference.to_owned(),
            is_given_back: before.as_deref() == Some(image),
            before,
        };
        if !name.is_given_back {
            let what = format!("image `{image}`");
            let call = name.engine.name_image(image, reference);
            self.call(&format!("name {what} `{reference}`"), &what, call).await?;
        }
        Ok(name)
    }

    async fn push_named(
        &self,
        reference: &str,
        credentials: Option<&Credentials>,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<String, EngineError> {
        let what = format!("image `{reference}`");
        let action = format!("push {what}");
        let failed = |error| explain(&self.endpoint, &action, &what, error);
        let (repository, tag) = split_tag(reference);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/images/{repository}/push?tag={tag}"))
            .header("x-registry-auth", header(credentials))
            .body(bollard::body_full(bytes::Bytes::new()))
            .map_err(|error| failed(error.into()))?;
        let sent = self.transport.clone().send(request);
        let response = self.call_within(SILENCE_MAX, &action, &what, sent).await?;
        if !response.status().is_success() {
            let status_code = response.status().as_u16();
            let message = super::transport::message_of(response).await;
            return Err(failed(bollard::errors::Error::DockerResponseServerError { status_code, message }));
        }
        let mut messages = Messages { body: response.into_body(), buffer: BytesMut::new() };
        let mut progress = LayerProgress::default();
        let mut digest = None;
        loop {
            let next = self.call_within(SILENCE_MAX, &action, &what, messages.next()).await?;
            let Some(message) = next else { break };
            if let Some(error) = message.error {
                return Err(refused(&action, reference, &error));
            }
            if let Some(line) = progress.line(message.id.as_deref(), message.status.as_deref()) {
                log(line);
            }
            digest = message.aux.and_then(|aux| aux.digest).or(digest);
        }
        digest.ok_or_else(|| EngineError::NotPushed {
            reference: reference.to_owned(),
            refusal: PushRefusal::Other,
            message: "the engine ended without saying its digest".to_owned(),
        })
    }
}

impl Session {
    async fn name_image(&self, image: &str, reference: &str) -> Result<(), bollard::errors::Error> {
        let (repository, tag) = split_tag(reference);
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.client.tag_image(image, Some(options)).await
    }

    /// Gives the name to what had it before, or takes it away; but not the last name that an image has, as the image would go with it.
    async fn restore_name(
        &self,
        reference: &str,
        before: Option<&str>,
    ) -> Result<(), bollard::errors::Error> {
        match before {
            Some(image) => self.name_image(image, reference).await,
            None if self.client.inspect_image(reference).await?.repo_tags.unwrap_or_default().len() <= 1 => {
                Ok(())
            }
            None => self.client.remove_image(reference, None::<RemoveImageOptions>, None).await.map(drop),
        }
    }
}

// === impl BorrowedName ===

impl BorrowedName {
    /// The image was pushed or was not; either way a name that stays does no harm.
    async fn give_back(mut self) {
        if std::mem::replace(&mut self.is_given_back, true) {
            return;
        }
        restore(&self.engine, &self.reference, self.before.as_deref()).await;
    }
}

impl Drop for BorrowedName {
    fn drop(&mut self) {
        if self.is_given_back {
            return;
        }
        let (engine, reference, before) =
            (self.engine.clone(), std::mem::take(&mut self.reference), self.before.take());
        tokio::spawn(async move { restore(&engine, &reference, before.as_deref()).await });
    }
}

async fn restore(engine: &Session, reference: &str, before: Option<&str>) {
    match tokio::time::timeout(CALL_TIME_MAX, engine.restore_name(reference, before)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(reference, %error, "an image keeps the name it was pushed by"),
        Err(_) => tracing::warn!(reference, "an image keeps the name it was pushed by: the engine is late"),
    }
}

/// The messages of a push, one JSON value a line.
struct Messages {
    body: Incoming,
    buffer: BytesMut,
}

impl Messages {
    /// The next one; `None` after the last. What is no message is passed over.
    async fn next(&mut self) -> Result<Option<Message>, bollard::errors::Error> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if let Ok(message) = serde_json::from_slice(&line) {
                    return Ok(Some(message));
                }
            }
            if self.buffer.len() > MESSAGE_BYTES_MAX {
                self.buffer.clear();
            }
            match self.body.frame().await {
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(serde_json::from_slice(&self.buffer.split()).ok()),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// The credentials as engines want them (Docker's API, "Authentication").
fn header(credentials: Option<&Credentials>) -> String {
    let json = match credentials {
        None => json!({}),
        Some(Credentials::Password { user, password }) => {
            json!({ "username": user, "password": password.reveal() })
        }
        Some(Credentials::IdentityToken(token)) => json!({ "identitytoken": token.reveal() }),
    };
    URL_SAFE.encode(Zeroizing::new(json.to_string()).as_bytes())
}

/// The repository and the tag of a reference that has one.
fn split_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

/// What a registry's or the engine's word means.
fn refused(action: &str, reference: &str, message: &str) -> EngineError {
    let message = message.trim_end();
    if is_disk_full(message) {
        return EngineError::DiskFull { action: action.to_owned() };
    }
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let refusal = if says(&["no basic auth credentials", "unauthorized", "denied", "incorrect username"]) {
        PushRefusal::Unauthorized
    } else if says(&["server gave HTTP response to HTTPS client", "first record does not look like a TLS"]) {
        PushRefusal::PlainHttp
    } else if says(&["x509:", "tls: failed to verify"]) {
        PushRefusal::Untrusted
    } else if says(&["connection refused", "no such host", "i/o timeout", "no route to host", "unreachable"])
    {
        PushRefusal::Unreachable
    } else {
        PushRefusal::Other
    };
    EngineError::NotPushed { reference: reference.to_owned(), refusal, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Value;

    #[test]
    fn credentials_are_in_the_alphabet_that_engines_read() {
        let password = Value::new("ÿ~~>>??".to_owned());
        let header = header(Some(&Credentials::Password { user: "ada".to_owned(), password }));
        assert!(!header.contains(['+', '/']), "{header}");
        let json: serde_json::Value = serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap();
        assert_eq!(json, json!({ "username": "ada", "password": "ÿ~~>>??" }));
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(split_tag("127.0.0.1:5000/shop:v4"), ("127.0.0.1:5000/shop", "v4"));
        assert_eq!(split_tag("127.0.0.1:5000/shop"), ("127.0.0.1:5000/shop", "latest"));
    }

    #[test]
    fn refusals_say_who_has_to_act() {
        let check = |message: &str, expected: PushRefusal| match refused("push it", "h/a:v1", message) {
            EngineError::NotPushed { refusal, .. } => assert_eq!(refusal, expected, "{message}"),
            other => panic!("{other:?}"),
        };
        check("no basic auth credentials", PushRefusal::Unauthorized);
        check("unauthorized: authentication required", PushRefusal::Unauthorized);
        check("denied: requested access to the resource is denied", PushRefusal::Unauthorized);
        check(
            "Get \"https://10.0.0.1:5000/v2/\": http: server gave HTTP response to HTTPS client",
            PushRefusal::PlainHttp,
        );
        check("Get \"https://h/v2/\": x509: certificate signed by unknown authority", PushRefusal::Untrusted);
        check(
            "Get \"https://h/v2/\": dial tcp 10.0.0.1:443: connect: connection refused",
            PushRefusal::Unreachable,
        );
        check("manifest invalid", PushRefusal::Other);
    }
}
