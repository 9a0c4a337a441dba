//! AWS Signature Version 4, for requests whose paths and queries need no encoding.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>. The host, the time and the session token are
//! signed, beside the method, the path, the query and the body.

use ::http::{HeaderValue, Request, header};
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::super::credentials::Secret;
use crate::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, and for where.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) id: Secret,
    pub(super) key: Secret,
    pub(super) session: Option<Secret>,
    pub(super) region: &'static str,
    pub(super) service: &'static str,
}

// === impl Signer ===

impl Signer {
    /// Adds the headers that make the request one of ours, for 5 minutes around this time.
    pub(super) fn sign(&self, request: &mut Request<Bytes>, at: Timestamp) {
        let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service);
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let mut signed = vec![("host", host), ("x-amz-date", time.clone())];
        if let Some(session) = &self.session {
            signed.push(("x-amz-security-token", session.expose().to_owned()));
        }

        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let canonical = canonical(request, &signed, &names);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex::encode(sha256(canonical.as_bytes())));
        let signature = hex::encode(hmac(&self.derived_key(&time[..8]), &text));

        let id = self.id.expose();
        let authorization =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        signed.push((header::AUTHORIZATION.as_str(), authorization));
        for (name, value) in signed {
            let mut value =
                HeaderValue::from_str(&value).expect("its parts were checked to be header values");
            value.set_sensitive(name != "host" && name != "x-amz-date");
            request.headers_mut().insert(name, value);
        }
    }

    /// Good for one day, region and service.
    fn derived_key(&self, day: &str) -> [u8; 32] {
        let key = hmac(format!("AWS4{}", self.key.expose()).as_bytes(), day);
        [self.region, self.service, "aws4_request"].iter().fold(key, |key, part| hmac(&key, part))
    }
}

fn canonical(request: &Request<Bytes>, signed: &[(&str, String)], names: &str) -> String {
    let mut query: Vec<_> = request.uri().query().into_iter().flat_map(|query| query.split('&')).collect();
    query.sort_unstable();
    let headers: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (method, path, query) = (request.method(), request.uri().path(), query.join("&"));
    let body = hex::encode(sha256(request.body()));
    format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{body}")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From AWS's published test suite for Signature Version 4 (`aws-sig-v4-test-suite`): `get-vanilla`,
    /// `get-vanilla-query-order-key-case` and `post-vanilla`.
    #[test]
    fn the_published_test_vectors_come_out() {
        let signer = Signer {
            id: Secret::new("AKIDEXAMPLE"),
            key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: None,
            region: "us-east-1",
            service: "service",
        };
        for (method, path, signature) in [
            ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ] {
            let uri = format!("https://example.amazonaws.com{path}");
            let mut request = Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap();
            signer.sign(&mut request, "2015-08-30T12:36:00Z".parse().unwrap());
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            );
            assert_eq!(request.headers()[header::AUTHORIZATION], expected, "{method} {path}");
            assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
        }
    }
}
