//! Records at Amazon Route 53, by its API of 2013-04-01.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_Operations_Amazon_Route_53.html>. A name and type have one set
//! of records, which is only ever replaced whole. So that two who change it at a time cannot undo each other, the set that was
//! read is deleted and the new one created in one batch: the deletion fails if it is another by now, the batch with it, and
//! the set is read again. A change is done when it is `INSYNC`, which is when all servers have it.
//!
//! The API is global; a region only chooses between the three worlds of AWS (commercial, China, US government), whose
//! endpoints are signed for a region each: <https://docs.aws.amazon.com/general/latest/gr/r53.html>.

mod signature;
mod xml;

use std::fmt::Write as _;

use ::http::{HeaderValue, Method, StatusCode, header};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use self::signature::Signer;
use super::credentials::{Credentials, Secret};
use super::http::{Answer, Api, Settings};
use super::record::Record;
use super::{DnsError, Provider, limits};
use crate::web;

pub(super) const KIND: &str = "route53";
const SERVICE: &str = "route53";
const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
/// Zones of one name: some are private to a network.
const ZONES_MAX: usize = 100;
const ADVICE: &str = "check `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, the policy (route53:ListHostedZonesByName, ListResourceRecordSets, \
     ChangeResourceRecordSets and GetChange) and this machine's clock";

#[derive(Debug)]
pub(super) struct Route53 {
    api: Api,
    signer: Signer,
    /// The zone to use for every name, if it was given.
    zone: Option<String>,
}

/// The set of TXT records of one name, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    ttl: String,
    /// In their quotes.
    values: Vec<String>,
}

/// What a set should become.
#[derive(Clone, Copy)]
enum Wish {
    With,
    Without,
}

// === impl Route53 ===

impl Route53 {
    pub(super) fn new(credentials: &Credentials<'_>, web: &web::Client) -> Result<Self, DnsError> {
        let id = credentials.token(&["AWS_ACCESS_KEY_ID"], "AKIAIOSFODNN7EXAMPLE")?;
        let key = credentials.need("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")?;
        let session = match credentials.get("AWS_SESSION_TOKEN") {
            Some(_) => Some(credentials.token(&["AWS_SESSION_TOKEN"], "")?),
            None => None,
        };
        let (endpoint, region) = world(credentials.get("AWS_REGION").unwrap_or_default());
        let zone = credentials.get("AWS_HOSTED_ZONE_ID");
        let zone = zone.map(|id| id.strip_prefix("/hostedzone/").unwrap_or(id));
        if zone.is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            return Err(credentials.invalid("AWS_HOSTED_ZONE_ID", "is no id such as `Z11111112222222333333`"));
        }
        let key = Secret::new(key);
        let settings = Settings {
            provider: KIND,
            base: credentials.endpoint("ROUTE53_ENDPOINT", endpoint)?,
            secrets: [Some(key.clone()), session.clone()].into_iter().flatten().collect(),
            advice: ADVICE,
            explain: xml::explain,
        };
        Ok(Self {
            api: Api::new(settings, web),
            signer: Signer { id, key, session, region, service: SERVICE },
            zone: zone.map(str::to_owned),
        })
    }

    async fn call(&self, doing: &str, method: Method, path: &str, body: String) -> Result<Answer, DnsError> {
        let mut request =
            self.api.request(doing, method, &format!("/2013-04-01{path}"), Bytes::from(body))?;
        if !request.body().is_empty() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        }
        self.signer.sign(&mut request, Timestamp::now());
        self.api.send(doing, request).await
    }

    /// The text of a successful answer.
    fn text<'a>(&self, doing: &str, answer: &'a Answer) -> Result<&'a str, DnsError> {
        if !answer.status.is_success() {
            return Err(self.api.refused(doing, answer));
        }
        let text = std::str::from_utf8(&answer.body).ok().filter(|text| xml::is_plain(text));
        text.ok_or_else(|| self.strange(doing))
    }

    fn strange(&self, doing: &str) -> DnsError {
        self.api.failed(doing, "its answer is not what it should be")
    }

    async fn zone(&self, doing: &str, record: &Record) -> Result<String, DnsError> {
        if let Some(id) = &self.zone {
            return Ok(id.clone());
        }
        for zone in record.zones() {
            let path = format!("/hostedzonesbyname?dnsname={zone}&maxitems={ZONES_MAX}");
            let answer = self.call(doing, Method::GET, &path, String::new()).await?;
            let text = self.text(doing, &answer)?;
            // They come in the order of their names, beginning with this one, if it is there.
            let found = xml::elements(text, "HostedZone").find(|found| {
                xml::text(found, "Name").is_some_and(|name| name.strip_suffix('.') == Some(zone))
                    && xml::text(found, "PrivateZone").is_none_or(|is_private| is_private == "false")
            });
            if let Some(found) = found {
                let id = xml::text(found, "Id").ok_or_else(|| self.strange(doing))?;
                return Ok(self
                    .api
                    .checked_id(doing, id.strip_prefix("/hostedzone/").unwrap_or(&id))?
                    .to_owned());
            }
        }
        Err(self.api.no_zone(record.name(), "as a public hosted zone of the account"))
    }

    async fn set(&self, doing: &str, zone: &str, record: &Record) -> Result<Option<Set>, DnsError> {
        let path = format!("/hostedzone/{zone}/rrset?maxitems=1&name={}&type=TXT", record.name());
        let answer = self.call(doing, Method::GET, &path, String::new()).await?;
        let text = self.text(doing, &answer)?;
        // Where the name has none, another name's follows.
        let found = xml::elements(text, "ResourceRecordSet").find(|set| {
            xml::text(set, "Name").is_some_and(|name| name.strip_suffix('.') == Some(record.name()))
                && xml::text(set, "Type").as_deref() == Some("TXT")
        });
        let Some(found) = found else { return Ok(None) };
        if xml::text(found, "SetIdentifier").is_some() {
            return Err(self.api.failed(doing, "the name has TXT records with a routing policy"));
        }
        let values: Option<Vec<_>> =
            xml::elements(found, "ResourceRecord").map(|record| xml::text(record, "Value")).collect();
        match (xml::text(found, "TTL"), values) {
            (Some(ttl), Some(values)) if !values.is_empty() => Ok(Some(Set { ttl, values })),
            _ => Err(self.strange(doing)),
        }
    }

    async fn change(&self, doing: &str, record: &Record, wish: Wish) -> Result<(), DnsError> {
        let zone = self.zone(doing, record).await?;
        let mut attempt = 1;
        loop {
            let old = self.set(doing, &zone, record).await?;
            let Some(new) = changed(old.as_ref(), record, wish) else { return Ok(()) };
            let batch = batch(record, old.as_ref(), new.as_ref());
            let answer = self.call(doing, Method::POST, &format!("/hostedzone/{zone}/rrset/"), batch).await?;
            if !has_lost_race(&answer) || attempt > limits::CONFLICTS_MAX {
                let text = self.text(doing, &answer)?;
                let id = xml::text(text, "Id").ok_or_else(|| self.strange(doing))?;
                let id = self.api.checked_id(doing, id.strip_prefix("/change/").unwrap_or(&id))?;
                return self.finish(doing, id).await;
            }
            super::pause(attempt).await;
            attempt += 1;
        }
    }

    /// Waits until all of its servers have the change.
    async fn finish(&self, doing: &str, id: &str) -> Result<(), DnsError> {
        let deadline = Instant::now() + limits::ACCEPTED_TIME_MAX;
        let mut attempt = 1;
        loop {
            let answer = self.call(doing, Method::GET, &format!("/change/{id}"), String::new()).await?;
            let status =
                xml::text(self.text(doing, &answer)?, "Status").ok_or_else(|| self.strange(doing))?;
            if status == "INSYNC" {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let limit = limits::ACCEPTED_TIME_MAX;
                return Err(self
                    .api
                    .failed(doing, &format!("the change is still `{status}` after {limit:?}")));
            }
            super::pause(attempt).await;
            attempt += 1;
        }
    }
}

#[async_trait]
impl Provider for Route53 {
    fn name(&self) -> &str {
        KIND
    }

    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        self.change(&record.adding(), &record, Wish::With).await
    }

    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        self.change(&record.removing(), &record, Wish::Without).await
    }
}

/// The API's address and the region that its requests are signed for.
fn world(region: &str) -> (&'static str, &'static str) {
    if region.starts_with("cn-") {
        ("https://route53.amazonaws.com.cn", "cn-northwest-1")
    } else if region.starts_with("us-gov-") {
        ("https://route53.us-gov.amazonaws.com", "us-gov-west-1")
    } else {
        ("https://route53.amazonaws.com", "us-east-1")
    }
}

/// What the set should become, `None` inside for no set at all; `None` if it is right already.
fn changed(old: Option<&Set>, record: &Record, wish: Wish) -> Option<Option<Set>> {
    let is_there = old.is_some_and(|set| set.values.iter().any(|value| record.is(value)));
    match (wish, is_there) {
        (Wish::With, true) | (Wish::Without, false) => None,
        (Wish::With, false) => {
            let none = Set { ttl: limits::TTL_SECONDS.to_string(), values: Vec::new() };
            let mut set = old.cloned().unwrap_or(none);
            set.values.push(record.quoted());
            Some(Some(set))
        }
        (Wish::Without, true) => {
            let mut set = old.cloned()?;
            set.values.retain(|value| !record.is(value));
            Some((!set.values.is_empty()).then_some(set))
        }
    }
}

/// The body that puts one set in another's place.
fn batch(record: &Record, old: Option<&Set>, new: Option<&Set>) -> String {
    let mut changes = String::new();
    for (action, set) in [("DELETE", old), ("CREATE", new)] {
        let Some(set) = set else { continue };
        let values: String = set.values.iter().fold(String::new(), |mut text, value| {
            let _ = write!(text, "<ResourceRecord><Value>{}</Value></ResourceRecord>", xml::escape(value));
            text
        });
        let (name, ttl) = (record.name(), xml::escape(&set.ttl));
        let _ = write!(
            changes,
            "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}.</Name><Type>TXT</Type><TTL>{ttl}</TTL>\
             <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch>\
         <Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

/// The set was another by then, another change of the zone is not done, or there were more than 5 requests in a second.
fn has_lost_race(answer: &Answer) -> bool {
    let codes = ["InvalidChangeBatch", "PriorRequestNotComplete", "Throttling"];
    let text = String::from_utf8_lossy(&answer.body);
    answer.status == StatusCode::BAD_REQUEST && codes.iter().any(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_replaced_by_deleting_the_one_that_was_read() {
        let record = Record::new("_acme-challenge.example.com", "new").unwrap();
        let old = Set { ttl: "300".to_owned(), values: vec!["\"a<b\"".to_owned()] };
        let new = changed(Some(&old), &record, Wish::With).unwrap();
        let body = batch(&record, Some(&old), new.as_ref());
        let set = |action: &str, values: &str| {
            format!(
                "<Change><Action>{action}</Action><ResourceRecordSet><Name>_acme-challenge.example.com.</Name><Type>TXT</Type>\
                 <TTL>300</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
            )
        };
        let theirs = "<ResourceRecord><Value>&quot;a&lt;b&quot;</Value></ResourceRecord>";
        let both = format!("{theirs}<ResourceRecord><Value>&quot;new&quot;</Value></ResourceRecord>");
        let changes = format!("<Changes>{}{}</Changes>", set("DELETE", theirs), set("CREATE", &both));
        assert!(body.contains(&changes), "{body}");
    }

    #[test]
    fn nothing_is_changed_that_is_right() {
        let record = Record::new("a.b", "v").unwrap();
        let ours = Set { ttl: "60".to_owned(), values: vec!["\"v\"".to_owned()] };
        assert_eq!(changed(Some(&ours), &record, Wish::With), None);
        assert_eq!(changed(Some(&ours), &record, Wish::Without), Some(None));
        assert_eq!(changed(None, &record, Wish::Without), None);
        assert_eq!(changed(None, &record, Wish::With), Some(Some(ours)));
    }

    #[test]
    fn a_region_chooses_a_world() {
        assert_eq!(world("eu-central-1"), world(""));
        assert_eq!(world("cn-north-1").1, "cn-northwest-1");
        assert_eq!(world("us-gov-east-1").1, "us-gov-west-1");
    }
}
