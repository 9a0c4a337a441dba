//! What providers with an http API share: requests with a token, and how their answers are told apart.
//!
//! An [`Answer`] is whatever the API said except that the credentials are wrong, which is an error at once. Each provider
//! says where its answers have a reason; what goes out of a reason is short, printable, and has no credential in it.

use std::fmt;

use ::http::{HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::DnsError;
use super::credentials::Secret;
use super::record::Record;
use crate::web;

/// Of a provider's reason so much is shown.
const REASON_CHARS_MAX: usize = 300;

/// A provider's API.
pub(super) struct Api {
    provider: &'static str,
    base: String,
    web: web::Client,
    /// Hidden wherever the provider would repeat one.
    secrets: Vec<Secret>,
    /// What to do when the credentials are refused.
    advice: &'static str,
    /// Finds the reason in an answer.
    explain: fn(&str) -> Option<String>,
}

/// What an [`Api`] is made with.
pub(super) struct Settings {
    pub(super) provider: &'static str,
    pub(super) base: String,
    pub(super) secrets: Vec<Secret>,
    pub(super) advice: &'static str,
    pub(super) explain: fn(&str) -> Option<String>,
}

/// What the API said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

// === impl Api ===

impl Api {
    pub(super) fn new(settings: Settings, web: &web::Client) -> Self {
        let Settings { provider, base, secrets, advice, explain } = settings;
        Self { provider, base, web: web.clone(), secrets, advice, explain }
    }

    pub(super) async fn get(&self, doing: &str, path: &str) -> Result<Answer, DnsError> {
        self.call(doing, Method::GET, path, None).await
    }

    pub(super) async fn post(&self, doing: &str, path: &str, body: &Value) -> Result<Answer, DnsError> {
        self.call(doing, Method::POST, path, Some(body)).await
    }

    pub(super) async fn delete(&self, doing: &str, path: &str) -> Result<Answer, DnsError> {
        self.call(doing, Method::DELETE, path, None).await
    }

    /// A request to a path below the base.
    pub(super) fn request(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, DnsError> {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .body(body)
            .map_err(|error| self.failed(doing, &format!("`{path}` is no path: {error}")))
    }

    /// # Errors
    ///
    /// There is no answer, or it is that the credentials are wrong.
    pub(super) async fn send(&self, doing: &str, request: Request<Bytes>) -> Result<Answer, DnsError> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let response = self.web.send(request).await.map_err(|source| DnsError::Web {
            provider: self.provider,
            doing: doing.to_owned(),
            source,
        })?;
        let answer = Answer { status: response.status(), body: response.into_body() };
        tracing::debug!(provider = self.provider, %method, path, status = answer.status.as_u16(), "DNS provider asked");
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(DnsError::Denied {
                provider: self.provider,
                doing: doing.to_owned(),
                reason: self.reason(&answer),
                advice: self.advice.to_owned(),
            });
        }
        Ok(answer)
    }

    /// The longest zone of the record's name that is found below `path`; `whose` says where it should be added.
    pub(super) async fn longest_zone<'a>(
        &self,
        doing: &str,
        record: &'a Record,
        path: &str,
        whose: &str,
    ) -> Result<&'a str, DnsError> {
        for zone in record.zones() {
            let answer = self.get(doing, &format!("{path}{zone}")).await?;
            match answer.status {
                StatusCode::NOT_FOUND => {}
                status if status.is_success() => return Ok(zone),
                _ => return Err(self.refused(doing, &answer)),
            }
        }
        Err(self.no_zone(record.name(), whose))
    }

    /// A successful answer's content.
    pub(super) fn read<T: DeserializeOwned>(&self, doing: &str, answer: &Answer) -> Result<T, DnsError> {
        if !answer.status.is_success() {
            return Err(self.refused(doing, answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let reason = format!("its answer is not what it should be: {error}");
            self.failed(doing, &reason)
        })
    }

    /// The error of an answer that is none of success.
    pub(super) fn refused(&self, doing: &str, answer: &Answer) -> DnsError {
        self.failed(doing, &self.reason(answer))
    }

    pub(super) fn failed(&self, doing: &str, reason: &str) -> DnsError {
        DnsError::Failed { provider: self.provider, doing: doing.to_owned(), reason: self.clean(reason) }
    }

    pub(super) fn no_zone(&self, name: &str, place: &str) -> DnsError {
        DnsError::NoZone {
            provider: self.provider,
            name: name.to_owned(),
            advice: format!(
                "add the domain {place}, give the credentials access to it, or choose the provider that serves it"
            ),
        }
    }

    /// What comes into a path unchanged; providers make such ids.
    pub(super) fn checked_id<'a>(&self, doing: &str, id: &'a str) -> Result<&'a str, DnsError> {
        let is_id =
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if is_id { Ok(id) } else { Err(self.failed(doing, "its answer has an id that is none")) }
    }

    async fn call(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, DnsError> {
        let content = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = self.request(doing, method, path, content)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let token = self.secrets.first().map_or("", Secret::expose);
        let mut token = HeaderValue::from_str(&format!("Bearer {token}")).expect("it was checked to be one");
        token.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, token);
        self.send(doing, request).await
    }

    fn reason(&self, answer: &Answer) -> String {
        let said = std::str::from_utf8(&answer.body).ok().and_then(self.explain);
        let status = answer.status;
        self.clean(&said.map_or_else(
            || format!("status {status}"),
            |said| format!("{said} (status {})", status.as_u16()),
        ))
    }

    fn clean(&self, text: &str) -> String {
        let text =
            self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "…"));
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS_MAX).collect()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}
