//! Records at DigitalOcean, by its API v2.
//!
//! Domains: <https://docs.digitalocean.com/reference/api/reference/domains/>. Records, one for each value, where `name` is
//! relative to the domain, but whole in a filter: <https://docs.digitalocean.com/reference/api/reference/domain-records/>. The API
//! takes twins, so what is there is looked at first.

use ::http::StatusCode;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::credentials::Credentials;
use super::http::{Api, Settings};
use super::record::Record;
use super::{DnsError, Provider, limits};
use crate::web;

pub(super) const KIND: &str = "digitalocean";
const ENDPOINT: &str = "https://api.digitalocean.com";
/// The most that the API gives in one answer.
const RECORDS_MAX: usize = 200;
const ADVICE: &str = "make a token with the scopes domain:read, domain:create and domain:delete, and set it as `DO_AUTH_TOKEN`";

#[derive(Debug)]
pub(super) struct DigitalOcean {
    api: Api,
    /// Held while somebody looks and then adds.
    adding: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
struct List {
    domain_records: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
    data: String,
}

#[derive(Deserialize)]
struct ApiError {
    id: String,
    message: String,
}

// === impl DigitalOcean ===

impl DigitalOcean {
    pub(super) fn new(credentials: &Credentials<'_>, web: &web::Client) -> Result<Self, DnsError> {
        let settings = Settings {
            provider: KIND,
            base: credentials.endpoint("DIGITALOCEAN_ENDPOINT", ENDPOINT)?,
            secrets: vec![credentials.token(&["DO_AUTH_TOKEN"], "dop_v1_0123456789abcdef")?],
            advice: ADVICE,
            explain,
        };
        Ok(Self { api: Api::new(settings, web), adding: tokio::sync::Mutex::default() })
    }

    async fn zone<'a>(&self, doing: &str, record: &'a Record) -> Result<&'a str, DnsError> {
        self.api.longest_zone(doing, record, "/v2/domains/", "to the account at DigitalOcean").await
    }

    /// The ids of the records that are this one.
    async fn find(&self, doing: &str, zone: &str, record: &Record) -> Result<Vec<u64>, DnsError> {
        let name = record.name();
        let path = format!("/v2/domains/{zone}/records?type=TXT&name={name}&per_page={RECORDS_MAX}");
        let list: List = self.api.read(doing, &self.api.get(doing, &path).await?)?;
        Ok(list.domain_records.iter().filter(|found| record.is(&found.data)).map(|found| found.id).collect())
    }
}

#[async_trait]
impl Provider for DigitalOcean {
    fn name(&self) -> &str {
        KIND
    }

    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let doing = record.adding();
        let zone = self.zone(&doing, &record).await?;
        let _alone = self.adding.lock().await;
        if !self.find(&doing, zone, &record).await?.is_empty() {
            return Ok(());
        }
        let body = json!({
            "type": "TXT",
            "name": record.within(zone),
            "data": record.value(),
            "ttl": limits::TTL_SECONDS,
        });
        let answer = self.api.post(&doing, &format!("/v2/domains/{zone}/records"), &body).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.api.refused(&doing, &answer)) }
    }

    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let doing = record.removing();
        let zone = self.zone(&doing, &record).await?;
        for id in self.find(&doing, zone, &record).await? {
            let answer = self.api.delete(&doing, &format!("/v2/domains/{zone}/records/{id}")).await?;
            if !answer.status.is_success() && answer.status != StatusCode::NOT_FOUND {
                return Err(self.api.refused(&doing, &answer));
            }
        }
        Ok(())
    }
}

fn explain(body: &str) -> Option<String> {
    let error: ApiError = serde_json::from_str(body).ok()?;
    Some(format!("{} [{}]", error.message, error.id))
}
