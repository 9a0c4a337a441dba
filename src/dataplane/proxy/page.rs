//! Pages that the proxy itself answers with: errors, redirects, the CA's certificate.
//!
//! An error is told as the client prefers: JSON for programs that ask for it, HTML for browsers, one line of text for `curl`.
//! The HTML loads nothing and works without scripts. What only who runs the box can do about it, visitors are not told. A client of gRPC is told in its own way: a response of nothing but
//! headers, with `grpc-status`.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::ResponseBody;
use super::error::{Error, whole_seconds};
use super::headers::X_REQUEST_ID;
use super::request_id::RequestId;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The form that a client prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    Text,
    Grpc,
}

/// What a page for an error is made of, beside the error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'s> {
    pub format: Format,
    pub app: Option<&'s str>,
    pub domain: &'s str,
    /// Of https, as browsers see it.
    pub https_port: u16,
    /// Whether it is read by who runs the box, and may name commands and the app.
    pub is_operator: bool,
    pub id: &'s RequestId,
    /// The app's own page for this error. Programs that prefer JSON get JSON all the same.
    pub custom: Option<&'s str>,
}

/// The page for an error.
pub(super) fn of_error(error: &Error, setting: Setting<'_>) -> Response<ResponseBody> {
    let Setting { format, app, domain, https_port, is_operator, id, custom } = setting;
    let status = error.status();
    let message = match app {
        Some(app) if is_operator => format!("{error} (`{app}`)"),
        _ => error.to_string(),
    };
    let mut advice = error.advice();
    if let Some(more) = error.operators_advice(app, domain, https_port).filter(|_| is_operator) {
        advice = format!("{advice} {more}");
    }
    let (content_type, body) = match (format, custom) {
        (Format::Grpc, _) => return grpc(error, &message, id),
        (Format::Json, _) => ("application/json", json(status, error.code(), &message, id)),
        (_, Some(page)) => ("text/html; charset=utf-8", filled(page, status, id)),
        (Format::Html, None) => ("text/html; charset=utf-8", html(status, &message, &advice, id)),
        (Format::Text, None) => (
            "text/plain; charset=utf-8",
            format!("{}: {message}. {advice} [request {id}]\n", status.as_u16()),
        ),
    };
    let mut response = Response::new(ResponseBody::page(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(&X_REQUEST_ID, id.into());
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    if let (Error::Unauthorized, Some(app)) = (error, app) {
        let challenge = format!("Basic realm=\"{app}\", charset=\"UTF-8\"");
        let challenge =
            HeaderValue::try_from(challenge).expect("an app's name is letters, digits and dashes");
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// An error for gRPC, whose clients look at `grpc-status` alone, and expect 200 whatever it is.
fn grpc(error: &Error, message: &str, id: &RequestId) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::page(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(&GRPC_STATUS, u16::from(error.grpc_status()).into());
    let message = HeaderValue::try_from(percent_encoded(message)).expect("visible ASCII is a header value");
    headers.insert(&GRPC_MESSAGE, message);
    headers.insert(&X_REQUEST_ID, id.into());
    response
}

/// Text as `grpc-message` has it: visible ASCII and spaces, without `%`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A redirect, with nothing to read.
pub(super) fn redirect(status: StatusCode, location: HeaderValue) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::page(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A CA's certificate, so that a device asks whether to trust it.
pub(super) fn certificate(pem: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::page(Bytes::copy_from_slice(pem.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-x509-ca-cert"));
    response
}

/// What a certificate authority wants to hear (RFC 8555, 8.3).
pub(super) fn authorization(text: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::page(Bytes::copy_from_slice(text.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::page(Bytes::from_static(line.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Format {
    /// The form preferred by an `Accept` header: the highest weight wins, then the first named. Wildcards mean text, because
    /// that is what `curl` sends; browsers name `text/html`.
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let ranges =
            headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        let mut best = (0.0, Self::Text);
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/html" | "application/xhtml+xml" => Self::Html,
                "application/json" => Self::Json,
                media if media.starts_with("application/") && media.ends_with("+json") => Self::Json,
                "text/plain" => Self::Text,
                _ => continue,
            };
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }
}

fn json(status: StatusCode, code: &str, message: &str, id: &RequestId) -> String {
    let error = serde_json::json!({
        "status": status.as_u16(), "code": code, "message": message, "request_id": id.as_str(),
    });
    let mut text = serde_json::json!({ "error": error }).to_string();
    text.push('\n');
    text
}

/// An app's own page with the request's id and the status put in. Both are plain words, so there is nothing to escape.
fn filled(page: &str, status: StatusCode, id: &RequestId) -> String {
    page.replace("{request_id}", id.as_str()).replace("{status}", status.as_str())
}

fn html(status: StatusCode, message: &str, advice: &str, id: &RequestId) -> String {
    let (number, reason) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let (message, advice) = (marked_up(message), marked_up(advice));
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{number} {reason}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 2rem; padding: 0 1.5rem }}
h1 {{ font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem }}
h1 small {{ display: block; font-size: .9rem; font-weight: 500; letter-spacing: .05em; opacity: .55 }}
code {{ font: .92em ui-monospace, monospace; background: #8882; padding: .1em .35em; border-radius: .3em }}
footer {{ margin-top: 2.5rem; font-size: .8rem; opacity: .55 }}
</style>
<h1><small>{number} {reason}</small>{message}</h1>
<p>{advice}</p>
<footer>request <code>{id}</code></footer>
</html>
"#
    )
}

/// HTML of a sentence: a capital letter, text in backticks as code.
fn marked_up(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len() + 32);
    let mut is_code = false;
    for (index, c) in sentence.chars().enumerate() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '`' => {
                out.push_str(if is_code { "</code>" } else { "<code>" });
                is_code = !is_code;
            }
            c if index == 0 => out.extend(c.to_uppercase()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use http::{HeaderMap, HeaderValue};

    use super::{Format, marked_up, percent_encoded};

    #[test]
    fn the_form_is_the_one_the_client_prefers() {
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Html),
            ("application/json", Format::Json),
            ("application/json, text/plain, */*", Format::Json),
            ("application/problem+json", Format::Json),
            ("text/html;q=0.5, application/json;q=0.9", Format::Json),
            ("text/plain, text/html", Format::Text),
            ("text/html;q=0", Format::Text),
            ("text/html;q=nonsense", Format::Text),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Format::preferred(&headers), expected, "{accept}");
        }
        assert_eq!(Format::preferred(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn what_a_client_sent_is_not_markup() {
        assert_eq!(marked_up("no <app> at `a&b`"), "No &lt;app&gt; at <code>a&amp;b</code>");
    }
    #[test]
    fn a_message_for_grpc_is_visible_ascii() {
        assert_eq!(percent_encoded("100 % of `café`\n"), "100 %25 of `caf%C3%A9`%0A");
    }
}
