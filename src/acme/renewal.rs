//! When an authority would have a certificate renewed (ACME Renewal Information, RFC 9773).
//!
//! Asked without an account, by a plain GET; the directory says whether there is anything to ask.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use instant_acme::CertificateIdentifier;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::wire::{Refusal, retry_after};
use super::{OrderError, OrderErrorKind, RenewalInfo};
use crate::web;

/// How soon to ask again at the soonest, whatever the authority says.
const CHECK_AGAIN_MIN: Duration = Duration::from_secs(60);
/// And at the latest, as a mass revocation gives about a day (RFC 9773, 4.3.2).
const CHECK_AGAIN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// If it does not say.
const CHECK_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    renewal_info: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    suggested_window: Window,
    #[serde(rename = "explanationURL")]
    explanation: Option<String>,
}

#[derive(Deserialize)]
struct Window {
    start: String,
    end: String,
}

pub(super) async fn ask(
    web: &web::Client,
    directory: &str,
    leaf: &CertificateDer<'_>,
) -> Result<Option<RenewalInfo>, OrderError> {
    let Directory { renewal_info: Some(url) } = read(&get(web, directory).await?)? else { return Ok(None) };
    let Ok(id) = CertificateIdentifier::try_from(leaf) else { return Ok(None) };
    let response = get(web, &format!("{}/{id}", url.trim_end_matches('/'))).await?;
    if response.status() == StatusCode::NOT_FOUND {
        // Not one of its own.
        return Ok(None);
    }
    let info: Info = read(&response)?;
    let window = time(&info.suggested_window.start)?..time(&info.suggested_window.end)?;
    if window.is_empty() {
        return Err(nonsense("its window to renew ends before it begins"));
    }
    let check_again = retry_after(response.headers(), SystemTime::now()).unwrap_or(CHECK_AGAIN);
    Ok(Some(RenewalInfo {
        window,
        explanation: info.explanation,
        check_again: check_again.clamp(CHECK_AGAIN_MIN, CHECK_AGAIN_MAX),
    }))
}

async fn get(web: &web::Client, url: &str) -> Result<Response<Bytes>, OrderError> {
    let request = Request::get(url).body(Bytes::new()).map_err(|error| nonsense(&error.to_string()))?;
    let host = request.uri().host().unwrap_or_default().to_owned();
    let response = web.send(request).await.map_err(|error| OrderError::of_web(&error))?;
    if response.status().is_success() || response.status() == StatusCode::NOT_FOUND {
        return Ok(response);
    }
    let refusal = Refusal::new(host, response.status(), response.headers(), response.body());
    Err(instant_acme::Error::Other(refusal.into()).into())
}

fn read<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<T, OrderError> {
    serde_json::from_slice(response.body()).map_err(|error| nonsense(&error.to_string()))
}

fn time(text: &str) -> Result<SystemTime, OrderError> {
    let time: jiff::Timestamp = text.parse().map_err(|_| nonsense(&format!("`{text}` is no time")))?;
    Ok(time.into())
}

fn nonsense(why: &str) -> OrderError {
    OrderError::new(OrderErrorKind::Protocol, format!("its word on renewal is not ACME: {why}"))
}
