use std::sync::{Arc, Mutex};

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::api::{Answer, Request, serve};
use super::{NAME, ONE, OTHER, check_denied, check_values, open};

const KEY_ID: &str = "AKIDEXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "FwoGZXIvYXdzEXAMPLE";
const ZONE_ID: &str = "Z11111112222222333333";

/// The one set of the name, by its TTL and its escaped values, and what happens to changes.
#[derive(Default)]
struct Route53 {
    set: Option<(u32, Vec<String>)>,
    /// Added by somebody else just before the next change.
    intruder: Option<String>,
    /// How often the state of a change was asked for.
    asked: u32,
}

/// As in <https://docs.aws.amazon.com/Route53/latest/APIReference/>.
fn answer(state: &mut Route53, request: &Request) -> Answer {
    let error = |status, code: &str, message: &str| {
        let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>");
        (status, xml("ErrorResponse", &format!("<Error>{error}</Error><RequestId>b25f48e8</RequestId>")))
    };
    if let Err(message) = verify(request) {
        return error(403, "SignatureDoesNotMatch", message);
    }
    let path = request.path.strip_prefix("/2013-04-01/").unwrap();
    match (request.method.as_str(), path) {
        ("GET", "hostedzonesbyname") => (200, zones_from(&request.query["dnsname"])),
        ("GET", "hostedzone/Z11111112222222333333/rrset") => {
            assert_eq!((request.query["type"].as_str(), request.query["name"].as_str()), ("TXT", NAME));
            // Where the name has no set, the next one of the zone is listed.
            let next = (300, vec!["&quot;other&quot;".to_owned()]);
            let set = match &state.set {
                Some(set) => set_xml(NAME, set),
                None => set_xml("mail.example.test", &next),
            };
            let more = "<IsTruncated>true</IsTruncated><NextRecordName>www.example.test.</NextRecordName><MaxItems>1</MaxItems>";
            let sets = format!("<ResourceRecordSets>{set}</ResourceRecordSets>{more}");
            (200, xml("ListResourceRecordSetsResponse", &sets))
        }
        ("POST", "hostedzone/Z11111112222222333333/rrset/") => {
            if let Some(value) = state.intruder.take() {
                state.set.get_or_insert_with(|| (300, Vec::new())).1.push(value);
            }
            match apply(&mut state.set, &request.body) {
                Ok(()) => (200, xml("ChangeResourceRecordSetsResponse", &change_xml("PENDING"))),
                Err(message) => error(400, "InvalidChangeBatch", message),
            }
        }
        ("GET", "change/C2682N5HXP0BZ4") => {
            state.asked += 1;
            let status = if state.asked % 2 == 1 { "PENDING" } else { "INSYNC" };
            (200, xml("GetChangeResponse", &change_xml(status)))
        }
        other => panic!("{other:?}"),
    }
}

/// All zones from this name on, as the API lists them: a private twin first.
fn zones_from(name: &str) -> String {
    let zone = |id: &str, name: &str, is_private: bool| {
        format!(
            "<HostedZone><Id>/hostedzone/{id}</Id><Name>{name}.</Name><CallerReference>x</CallerReference><Config><Comment>a &amp; b</Comment>\
             <PrivateZone>{is_private}</PrivateZone></Config><ResourceRecordSetCount>10</ResourceRecordSetCount></HostedZone>"
        )
    };
    let mut zones = zone("ZOTHER", "other.test", false);
    if name == "example.test" {
        zones = [zone("ZPRIVATE", name, true), zone(ZONE_ID, name, false), zones].concat();
    }
    let zones =
        format!("<HostedZones>{zones}</HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>");
    xml("ListHostedZonesByNameResponse", &zones)
}

fn xml(name: &str, inside: &str) -> String {
    let namespace = "https://route53.amazonaws.com/doc/2013-04-01/";
    format!("<?xml version=\"1.0\"?>\n<{name} xmlns=\"{namespace}\">{inside}</{name}>")
}

fn set_xml(name: &str, (ttl, values): &(u32, Vec<String>)) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>"))
        .collect();
    format!(
        "<ResourceRecordSet><Name>{name}.</Name><Type>TXT</Type><TTL>{ttl}</TTL><ResourceRecords>{}</ResourceRecords></ResourceRecordSet>",
        values.concat()
    )
}

fn change_xml(status: &str) -> String {
    format!(
        "<ChangeInfo><Id>/change/C2682N5HXP0BZ4</Id><Status>{status}</Status><SubmittedAt>2016-02-10T01:36:41.958Z</SubmittedAt></ChangeInfo>"
    )
}

/// Carries out a batch, all of it or nothing: a deletion must name the set as it is, a creation must not find one.
fn apply(set: &mut Option<(u32, Vec<String>)>, body: &str) -> Result<(), &'static str> {
    let mut new = set.clone();
    let changes = body.split("<Change>").skip(1);
    for change in changes {
        let (action, rest) = change.strip_prefix("<Action>").unwrap().split_once("</Action>").unwrap();
        match (action, &new) {
            ("DELETE", Some(old)) if rest.starts_with(&set_xml(NAME, old)) => new = None,
            ("CREATE", None) => {
                let ttl =
                    rest.split_once("<TTL>").unwrap().1.split_once("</TTL>").unwrap().0.parse().unwrap();
                let values = rest.split("<Value>").skip(1);
                let values: Vec<_> =
                    values.map(|value| value.split_once("</Value>").unwrap().0.to_owned()).collect();
                assert!(!values.is_empty());
                assert!(rest.starts_with(&set_xml(NAME, &(ttl, values.clone()))), "{rest}");
                new = Some((ttl, values));
            }
            ("DELETE", _) => {
                return Err(
                    "Tried to delete resource record set but the values provided do not match the current values",
                );
            }
            ("CREATE", _) => return Err("Tried to create resource record set but it already exists"),
            other => panic!("{other:?}"),
        }
    }
    *set = new;
    Ok(())
}

/// Recomputes the signature from what arrived, step by step as in
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>.
fn verify(request: &Request) -> Result<(), &'static str> {
    let header = |name: &str| request.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let date = header("x-amz-date");
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M").to_string();
    let before = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    let before = before.strftime("%Y%m%dT%H%M").to_string();
    if !date.starts_with(&now) && !date.starts_with(&before) {
        return Err("Signature expired");
    }
    if header("x-amz-security-token") != SESSION {
        return Err("The security token included in the request is invalid");
    }
    let mut query: Vec<_> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    query.sort();
    let canonical = [
        request.method.clone(),
        request.path.clone(),
        query.join("&"),
        format!("host:{}", header("host")),
        format!("x-amz-date:{date}"),
        format!("x-amz-security-token:{SESSION}"),
        String::new(),
        "host;x-amz-date;x-amz-security-token".to_owned(),
        hex(&Sha256::digest(&request.body)),
    ]
    .join("\n");
    let day = &date[..8];
    let scope = format!("{day}/us-east-1/route53/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let sign = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = sign(format!("AWS4{KEY}").as_bytes(), day);
    let key = sign(&sign(&sign(&key, "us-east-1"), "route53"), "aws4_request");
    let signature = hex(&sign(&key, &text));
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature={signature}"
    );
    let message = "The request signature we calculated does not match the signature you provided.";
    if header("authorization") == expected { Ok(()) } else { Err(message) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn start(state: &Arc<Mutex<Route53>>, key: &str) -> Arc<dyn minipaas::dns::Provider> {
    let url = serve(state, answer).await;
    open(
        "route53",
        &[
            ("ROUTE53_ENDPOINT", &url),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", key),
            ("AWS_SESSION_TOKEN", SESSION),
            ("AWS_REGION", "eu-central-1"),
        ],
    )
}

#[tokio::test]
async fn values_come_and_go_beside_others() {
    let set = Some((300, vec!["&quot;theirs&quot;".to_owned()]));
    let state = Arc::new(Mutex::new(Route53 { set, ..Route53::default() }));
    let provider = start(&state, KEY).await;
    check_values(provider.as_ref(), "theirs", async || {
        let state = state.lock().unwrap();
        let (ttl, values) = state.set.as_ref().unwrap();
        assert_eq!(*ttl, 300);
        values.iter().map(|value| value.replace("&quot;", "")).collect()
    })
    .await;
    assert!(state.lock().unwrap().asked >= 10, "each change is waited for");
}

#[tokio::test]
async fn a_value_that_somebody_else_adds_meanwhile_is_kept() {
    let state = Arc::new(Mutex::new(Route53::default()));
    let provider = start(&state, KEY).await;
    state.lock().unwrap().intruder = Some("&quot;theirs&quot;".to_owned());
    provider.add_txt(NAME, ONE).await.unwrap();
    let values = |state: &Arc<Mutex<Route53>>| state.lock().unwrap().set.clone().unwrap().1;
    assert_eq!(values(&state), ["&quot;theirs&quot;", &format!("&quot;{ONE}&quot;")]);

    state.lock().unwrap().intruder = Some(format!("&quot;{OTHER}&quot;"));
    provider.remove_txt(NAME, ONE).await.unwrap();
    assert_eq!(values(&state), ["&quot;theirs&quot;", &format!("&quot;{OTHER}&quot;")]);
}

#[tokio::test]
async fn a_set_is_made_and_goes_with_its_last_value() {
    let state = Arc::new(Mutex::new(Route53::default()));
    let provider = start(&state, KEY).await;
    provider.remove_txt(NAME, ONE).await.unwrap();
    provider.add_txt(NAME, ONE).await.unwrap();
    assert_eq!(state.lock().unwrap().set, Some((60, vec![format!("&quot;{ONE}&quot;")])));
    provider.remove_txt(NAME, ONE).await.unwrap();
    assert_eq!(state.lock().unwrap().set, None);
}

#[tokio::test]
async fn a_wrong_key_is_said_to_be_one() {
    let state = Arc::new(Mutex::new(Route53::default()));
    let error = check_denied(start(&state, "wr0ng").await.as_ref(), "wr0ng").await;
    assert!(
        error.contains("does not match the signature you provided. [SignatureDoesNotMatch] (status 403); check `AWS_ACCESS_KEY_ID`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_of_nobodys_zone_has_none() {
    let state = Arc::new(Mutex::new(Route53::default()));
    let error = start(&state, KEY).await.add_txt("_acme-challenge.example.org", ONE).await.unwrap_err();
    assert!(
        error.to_string().contains(
            "has no zone for `_acme-challenge.example.org`; add the domain as a public hosted zone"
        ),
        "{error}"
    );
}
