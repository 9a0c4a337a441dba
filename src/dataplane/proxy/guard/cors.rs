//! Which pages of other origins may call the app, said in the app's place (the Fetch standard, 3.3).
//!
//! A preflight is answered without asking the app, before any password is asked for, since browsers send none with it. The
//! app's own `Access-Control-*` headers are replaced. An origin that is not permitted gets the response without such headers:
//! it is the browser that refuses.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::policy::Cors;
use crate::proxy::body::ResponseBody;

/// Whether a browser asks what it may ask.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight, without what [`apply`] adds to every response.
pub(super) fn preflight(cors: &Cors, headers: &HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::page(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if allowed(cors, headers.get(ORIGIN)).is_none() {
        return response;
    }
    let always = [Method::GET, Method::HEAD, Method::POST];
    let methods = always.iter().chain(cors.methods.iter().filter(|method| !always.contains(method)));
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, list(methods.map(Method::as_str)));
    if !cors.headers.is_empty() {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, list(cors.headers.iter().map(HeaderName::as_str)));
    }
    answer.insert(ACCESS_CONTROL_MAX_AGE, cors.max_age.as_secs().into());
    response
}

/// Says on a response what the policy says, and nothing that the app said.
pub(super) fn apply(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    if !is_for_all(cors) {
        // Also where the origin is not permitted or missing: a cache must not show that response to one that is.
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    let Some(allowed) = allowed(cors, origin) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if !cors.expose.is_empty() {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, list(cors.expose.iter().map(HeaderName::as_str)));
    }
}

/// What an origin is told that may call.
fn allowed(cors: &Cors, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
    let origin = origin?;
    if is_for_all(cors) {
        return Some(HeaderValue::from_static("*"));
    }
    cors.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

fn is_for_all(cors: &Cors) -> bool {
    cors.origins.iter().any(|origin| origin == "*") && !cors.credentials
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> HeaderValue {
    let mut text = String::new();
    for name in names {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{name}").expect("memory takes it");
    }
    HeaderValue::try_from(text).expect("methods and header names are tokens")
}
