//! What operators want of an app's traffic, as it lies on disk: a part of the app's record.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::record::parse;
use crate::route::{Maintenance, Mode, Share};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub(super) enum ModeForm {
    Paused { wait_ms: u64 },
    Maintenance(MaintenanceForm),
}

#[derive(Serialize, Deserialize)]
pub(super) struct MaintenanceForm {
    allow: Vec<String>,
    /// The SHA-256 of the cookie's value, in hexadecimal.
    cookie: Option<String>,
    page: Option<String>,
    retry_after_ms: Option<u64>,
    health_path: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ShareForm {
    percent: u8,
    cookie: Option<String>,
    header: Option<(String, Option<String>)>,
}

/// `None` for an app that is open, so that records of such apps are as they always were.
pub(super) fn from_mode(mode: &Mode) -> Option<ModeForm> {
    match mode {
        Mode::Open => None,
        Mode::Paused { wait } => Some(ModeForm::Paused { wait_ms: millis(*wait) }),
        Mode::Maintenance(closed) => Some(ModeForm::Maintenance(MaintenanceForm {
            allow: closed.allow.iter().map(ToString::to_string).collect(),
            cookie: closed.cookie.map(crate::hex::encode),
            page: closed.page.as_deref().map(str::to_owned),
            retry_after_ms: closed.retry_after.map(millis),
            health_path: closed.health_path.clone(),
        })),
    }
}

pub(super) fn mode(key: &str, form: Option<ModeForm>) -> Result<Mode, StoreError> {
    Ok(match form {
        None => Mode::Open,
        Some(ModeForm::Paused { wait_ms }) => Mode::Paused { wait: Duration::from_millis(wait_ms) },
        Some(ModeForm::Maintenance(form)) => {
            let no_digest = || failed(key, "its cookie is no SHA-256");
            let cookie = form.cookie.map(|text| crate::hex::decode(&text).ok_or_else(no_digest));
            Mode::Maintenance(Arc::new(Maintenance {
                allow: form.allow.iter().map(|net| parse(key, net)).collect::<Result<_, _>>()?,
                cookie: cookie.transpose()?,
                page: form.page.map(Arc::from),
                retry_after: form.retry_after_ms.map(Duration::from_millis),
                health_path: form.health_path,
            }))
        }
    })
}

pub(super) fn from_share(share: &Share) -> ShareForm {
    let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    ShareForm {
        percent: share.percent,
        cookie: share.cookie.clone(),
        header: share.header.as_ref().map(|(name, wanted)| (name.to_string(), wanted.as_ref().map(value))),
    }
}

pub(super) fn share(key: &str, form: ShareForm) -> Result<Share, StoreError> {
    let header = form.header.map(|(name, value)| -> Result<_, StoreError> {
        let name: HeaderName = parse(key, &name)?;
        let value: Option<HeaderValue> = value.map(|value| parse(key, &value)).transpose()?;
        Ok((name, value))
    });
    Ok(Share { percent: form.percent, cookie: form.cookie, header: header.transpose()? })
}

fn failed(key: &str, reason: &str) -> StoreError {
    StoreError::Record { key: key.to_owned(), reason: reason.to_owned() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
