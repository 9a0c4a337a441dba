//! Records at Hetzner, by the DNS part of its Cloud API.
//!
//! <https://docs.hetzner.cloud/reference/cloud#dns>. A name and type have one set of records (RRSet); its actions add and remove
//! single values, and are done when the action that they answer with says so. The older API at dns.hetzner.com knows no
//! zone of Hetzner Console any more and is not spoken.

use ::http::StatusCode;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::credentials::Credentials;
use super::http::{Answer, Api, Settings};
use super::record::Record;
use super::{DnsError, Provider, limits};
use crate::web;

pub(super) const KIND: &str = "hetzner";
const ENDPOINT: &str = "https://api.hetzner.cloud/v1";
const ADVICE: &str = "make an API token with Read & Write in the project of the zone at console.hetzner.com, and set it as \
     `HETZNER_API_TOKEN`; tokens of the older dns.hetzner.com are others";

#[derive(Debug)]
pub(super) struct Hetzner {
    api: Api,
}

#[derive(Deserialize)]
struct Set {
    rrset: Records,
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    value: String,
}

#[derive(Deserialize)]
struct Started {
    action: Action,
}

#[derive(Deserialize)]
struct Action {
    id: u64,
    status: Status,
    error: Option<ApiError>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Running,
    Success,
    Error,
}

#[derive(Deserialize)]
struct Refusal {
    error: ApiError,
}

#[derive(Deserialize)]
struct ApiError {
    code: String,
    message: String,
}

// === impl Hetzner ===

impl Hetzner {
    pub(super) fn new(credentials: &Credentials<'_>, web: &web::Client) -> Result<Self, DnsError> {
        let settings = Settings {
            provider: KIND,
            base: credentials.endpoint("HETZNER_ENDPOINT", ENDPOINT)?,
            secrets: vec![credentials.token(&["HETZNER_API_TOKEN"], "0123456789abcdefABCDEF")?],
            advice: ADVICE,
            explain,
        };
        Ok(Self { api: Api::new(settings, web) })
    }

    async fn zone<'a>(&self, doing: &str, record: &'a Record) -> Result<&'a str, DnsError> {
        self.api.longest_zone(doing, record, "/zones/", "to the project at console.hetzner.com").await
    }

    /// The values that the name has; `None` where it has no set.
    async fn values(&self, doing: &str, set: &str) -> Result<Option<Vec<String>>, DnsError> {
        let answer = self.api.get(doing, set).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let set: Set = self.api.read(doing, &answer)?;
        Ok(Some(set.rrset.records.into_iter().map(|found| found.value).collect()))
    }

    /// Starts the action, again if another one has the zone, and waits for its end.
    async fn act(&self, doing: &str, path: &str, body: &Value) -> Result<(), DnsError> {
        let mut attempt = 1;
        let mut answer = self.api.post(doing, path, body).await?;
        while is_busy(&answer) && attempt <= limits::CONFLICTS_MAX {
            super::pause(attempt).await;
            attempt += 1;
            answer = self.api.post(doing, path, body).await?;
        }
        let started: Started = self.api.read(doing, &answer)?;
        self.finish(doing, started.action).await
    }

    async fn finish(&self, doing: &str, mut action: Action) -> Result<(), DnsError> {
        let deadline = Instant::now() + limits::ACCEPTED_TIME_MAX;
        let mut attempt = 1;
        loop {
            match action.status {
                Status::Success => return Ok(()),
                Status::Error => {
                    let said = action.error.map(|error| error.to_string());
                    return Err(self.api.failed(doing, &said.unwrap_or_else(|| "no reason".to_owned())));
                }
                Status::Running if Instant::now() >= deadline => {
                    let reason = format!("its action was not done after {:?}", limits::ACCEPTED_TIME_MAX);
                    return Err(self.api.failed(doing, &reason));
                }
                Status::Running => super::pause(attempt).await,
            }
            let answer = self.api.get(doing, &format!("/actions/{}", action.id)).await?;
            action = self.api.read::<Started>(doing, &answer)?.action;
            attempt += 1;
        }
    }
}

#[async_trait]
impl Provider for Hetzner {
    fn name(&self) -> &str {
        KIND
    }

    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let doing = record.adding();
        let zone = self.zone(&doing, &record).await?;
        let set = format!("/zones/{zone}/rrsets/{}/TXT", record.within(zone));
        let values = self.values(&doing, &set).await?;
        if values.iter().flatten().any(|shown| record.is(shown)) {
            return Ok(());
        }
        let mut body = json!({ "records": [{ "value": record.quoted() }] });
        if values.is_none() {
            // A set has one TTL; that of others stays.
            body["ttl"] = limits::TTL_SECONDS.into();
        }
        self.act(&doing, &format!("{set}/actions/add_records"), &body).await
    }

    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let doing = record.removing();
        let zone = self.zone(&doing, &record).await?;
        let set = format!("/zones/{zone}/rrsets/{}/TXT", record.within(zone));
        let values = self.values(&doing, &set).await?;
        let Some(shown) = values.iter().flatten().find(|shown| record.is(shown)) else { return Ok(()) };
        let body = json!({ "records": [{ "value": shown }] });
        self.act(&doing, &format!("{set}/actions/remove_records"), &body).await
    }
}

// === impl ApiError ===

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

/// Another change is being made: `conflict` and `locked` in the API's words.
fn is_busy(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::CONFLICT | StatusCode::LOCKED)
}

fn explain(body: &str) -> Option<String> {
    Some(serde_json::from_str::<Refusal>(body).ok()?.error.to_string())
}
