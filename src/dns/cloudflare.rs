//! Records at Cloudflare, by its API v4.
//!
//! Zones: <https://developers.cloudflare.com/api/resources/zones/methods/list/>. Records, one for each value:
//! <https://developers.cloudflare.com/api/resources/dns/subresources/records/>. A record that is there already is answered
//! with one of two error codes, which are success here. Values are sent in quotes, as the dashboard asks for them, and
//! come back with or without.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::credentials::Credentials;
use super::http::{Api, Settings};
use super::record::Record;
use super::{DnsError, Provider, limits};
use crate::web;

pub(super) const KIND: &str = "cloudflare";
const ENDPOINT: &str = "https://api.cloudflare.com/client/v4";
/// "The record already exists." and "An identical record already exists."
const CODES_EXIST: [i64; 2] = [81057, 81058];
/// Records of one name in one answer; a challenge has two.
const RECORDS_MAX: usize = 100;
const ADVICE: &str = "make an API token with the permissions Zone / Zone / Read and Zone / DNS / Edit on the zone, and set it as \
     `CLOUDFLARE_DNS_API_TOKEN`";

#[derive(Debug)]
pub(super) struct Cloudflare {
    api: Api,
}

/// Around every answer.
#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Zone {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    content: String,
}

// === impl Cloudflare ===

impl Cloudflare {
    pub(super) fn new(credentials: &Credentials<'_>, web: &web::Client) -> Result<Self, DnsError> {
        let names = ["CLOUDFLARE_DNS_API_TOKEN", "CF_DNS_API_TOKEN"];
        let settings = Settings {
            provider: KIND,
            base: credentials.endpoint("CLOUDFLARE_ENDPOINT", ENDPOINT)?,
            secrets: vec![credentials.token(&names, "1234567890abcdefghijklmnopqrstuvwxyz_ABC")?],
            advice: ADVICE,
            explain,
        };
        Ok(Self { api: Api::new(settings, web) })
    }

    /// The id of the zone that has the name.
    async fn zone(&self, doing: &str, record: &Record) -> Result<String, DnsError> {
        for zone in record.zones() {
            let answer = self.api.get(doing, &format!("/zones?name={zone}&per_page=5")).await?;
            let found: Envelope<Vec<Zone>> = self.api.read(doing, &answer)?;
            let found = found.result.into_iter().flatten().find(|found| found.name == zone);
            if let Some(found) = found {
                return Ok(self.api.checked_id(doing, &found.id)?.to_owned());
            }
        }
        Err(self.api.no_zone(record.name(), "to the account at Cloudflare"))
    }
}

#[async_trait]
impl Provider for Cloudflare {
    fn name(&self) -> &str {
        KIND
    }

    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let doing = record.adding();
        let zone = self.zone(&doing, &record).await?;
        let body = json!({
            "type": "TXT",
            "name": record.name(),
            "content": record.quoted(),
            "ttl": limits::TTL_SECONDS,
        });
        let answer = self.api.post(&doing, &format!("/zones/{zone}/dns_records"), &body).await?;
        let is_there = serde_json::from_slice::<Errors>(&answer.body)
            .is_ok_and(|said| said.errors.iter().any(|error| CODES_EXIST.contains(&error.code)));
        if answer.status.is_success() || is_there { Ok(()) } else { Err(self.api.refused(&doing, &answer)) }
    }

    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let doing = record.removing();
        let zone = self.zone(&doing, &record).await?;
        let path = format!("/zones/{zone}/dns_records");
        let list = format!("{path}?type=TXT&name={}&per_page={RECORDS_MAX}", record.name());
        let found: Envelope<Vec<Found>> = self.api.read(&doing, &self.api.get(&doing, &list).await?)?;
        for found in found.result.into_iter().flatten().filter(|found| record.is(&found.content)) {
            let id = self.api.checked_id(&doing, &found.id)?;
            let answer = self.api.delete(&doing, &format!("{path}/{id}")).await?;
            // Somebody else was faster.
            let is_gone = answer.status == ::http::StatusCode::NOT_FOUND;
            if !answer.status.is_success() && !is_gone {
                return Err(self.api.refused(&doing, &answer));
            }
        }
        Ok(())
    }
}

fn explain(body: &str) -> Option<String> {
    let said: Errors = serde_json::from_str(body).ok()?;
    let errors: Vec<_> =
        said.errors.iter().map(|error| format!("{} [{}]", error.message, error.code)).collect();
    (!errors.is_empty()).then(|| errors.join(", "))
}
