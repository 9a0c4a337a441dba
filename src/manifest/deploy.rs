//! `[deploy]`: how one release takes over from another.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::Deploy;
use super::read::{Entry, Report, Table};
use crate::route::Share;

/// Reads the table; what it does not say has its default.
pub(super) fn deploy(mut table: Table<'_>, report: &mut Report<'_>) -> Deploy {
    let mut deploy = Deploy::default();
    table.set("drain", &mut deploy.drain, |entry| entry.duration(report));
    table.set("websocket_drain", &mut deploy.websocket_drain, |entry| entry.duration(report));
    if let Some((share, time)) = table.take("canary").and_then(|entry| canary(&entry, report)) {
        deploy.canary = Some(share);
        deploy.canary_for = time;
    }
    deploy.watch_window = table.take("watch_window").and_then(|entry| entry.positive_duration(report));
    table.finish(report);
    deploy
}

/// Which requests it gets, and for how long if not until somebody decides.
fn canary(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<(Share, Option<Duration>)> {
    let mut table = entry.table(report, "`canary`")?;
    let percent = table.take("percent");
    let cookie = table.take("cookie");
    let header = table.take("header");
    let time = table.take("for").and_then(|entry| entry.positive_duration(report));
    if percent.is_none() && cookie.is_none() && header.is_none() {
        let message = "`canary` takes `percent = 10`, `cookie = \"name\"` or `header = \"x-canary\"`";
        report.problem(&entry.span(), message.to_owned(), None);
    }
    let percent = percent.and_then(|entry| entry.integer(report, (0, 100))).unwrap_or(0);
    let share = Share {
        percent: u8::try_from(percent).expect("checked to be within 0..=100"),
        cookie: cookie.and_then(|entry| entry.parsed(report, "a cookie's name", cookie_name)),
        header: header.and_then(|entry| entry.parsed(report, "a header's name", self::header)),
    };
    table.finish(report);
    Some((share, time))
}

/// A token, as RFC 6265, 4.1.1 says.
fn cookie_name(text: &str) -> Result<String, String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.chars().all(is_token) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a cookie's name; use letters, digits, `-` and `_`"))
    }
}

/// `x-canary`, or `x-canary: yes`.
fn header(text: &str) -> Result<(HeaderName, Option<HeaderValue>), String> {
    let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value.trim())));
    let bad = || format!("`{text}` is not a header; write `\"x-canary\"` or `\"x-canary: yes\"`");
    let name = name.trim_end().parse().map_err(|_| bad())?;
    let value = value.map(HeaderValue::from_str).transpose().map_err(|_| bad())?;
    Ok((name, value))
}
