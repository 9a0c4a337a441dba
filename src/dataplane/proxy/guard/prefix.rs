//! What an app behind a stripped prefix says about its own paths, as the client must see it.
//!
//! The app does not know where it is: it redirects to `/login` and sets cookies for `/`. So a redirect to a path of its own
//! gets the prefix, unless the app put it there itself (from `X-Forwarded-Prefix`); and with `scope_cookies` its cookies are
//! sent back below the prefix alone. Redirects to other hosts and relative ones stay.

use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Puts the prefix into a `Location` that leads to this host.
pub(super) fn rewrite_location(prefix: &str, host: &HeaderValue, headers: &mut HeaderMap) {
    let rewritten = headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| prefixed_url(prefix, host.to_str().unwrap_or_default(), location))
        .and_then(|location| HeaderValue::try_from(location).ok());
    if let Some(location) = rewritten {
        headers.insert(LOCATION, location);
    }
}

/// Limits every cookie to the prefix.
pub(super) fn scope_cookies(prefix: &str, headers: &mut HeaderMap) {
    for (_, cookie) in headers.iter_mut().filter(|(name, _)| *name == SET_COOKIE) {
        let scoped = cookie.to_str().ok().map(|cookie| scoped(prefix, cookie));
        if let Some(Ok(scoped)) = scoped.map(HeaderValue::try_from) {
            *cookie = scoped;
        }
    }
}

/// The URL with the prefix before its path; `None` when it stays as it is.
fn prefixed_url(prefix: &str, host: &str, url: &str) -> Option<String> {
    let path_at = match url.split_once("://") {
        Some(("http" | "https", rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            rest[..end].eq_ignore_ascii_case(host).then_some(url.len() - rest.len() + end)?
        }
        // `//host` is another host.
        _ if url.starts_with('/') && !url.starts_with("//") => 0,
        _ => return None,
    };
    let (origin, path) = url.split_at(path_at);
    Some(format!("{origin}{}", prefixed(prefix, path)?))
}

/// The path below the prefix; `None` when it is already.
fn prefixed(prefix: &str, path: &str) -> Option<String> {
    let is_below =
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    (!is_below).then(|| format!("{prefix}{path}"))
}

/// A `Set-Cookie` with its path below the prefix; without a path, the prefix is its path.
fn scoped(prefix: &str, cookie: &str) -> String {
    let mut parts = cookie.split(';');
    let mut out = parts.next().unwrap_or_default().to_owned();
    // The last `Path` counts (RFC 6265, 5.3), so all others may go.
    let mut path = None;
    for part in parts {
        match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if name.eq_ignore_ascii_case("path") => path = Some(value),
            _ => {
                out.push(';');
                out.push_str(part);
            }
        }
    }
    // One that does not begin with a slash counts as none.
    let path = match path.filter(|path| path.starts_with('/')) {
        None | Some("/") => prefix.to_owned(),
        Some(path) => prefixed(prefix, path).unwrap_or_else(|| path.to_owned()),
    };
    out.push_str("; Path=");
    out.push_str(&path);
    out
}

#[cfg(test)]
mod tests {
    use super::{prefixed_url, scoped};

    #[test]
    fn a_cookie_stays_below_the_prefix() {
        for (cookie, expected) in [
            ("a=b", "a=b; Path=/api"),
            ("a=b; Path=/; HttpOnly", "a=b; HttpOnly; Path=/api"),
            ("a=b; path=/x; Secure", "a=b; Secure; Path=/api/x"),
            ("a=b; Path=/api/x", "a=b; Path=/api/x"),
            ("a=b; Path=/apiary", "a=b; Path=/api/apiary"),
            ("a=b; Path=x", "a=b; Path=/api"),
            ("a=Path=/x; Max-Age=1", "a=Path=/x; Max-Age=1; Path=/api"),
        ] {
            assert_eq!(scoped("/api", cookie), expected, "{cookie}");
        }
    }

    #[test]
    fn a_redirect_to_a_path_of_the_app_gets_the_prefix() {
        for (url, expected) in [
            ("/login?a=b", Some("/api/login?a=b")),
            ("/", Some("/api/")),
            ("/api/login", None),
            ("/api", None),
            ("/apiary", Some("/api/apiary")),
            ("login", None),
            ("//elsewhere/login", None),
            ("https://elsewhere/login", None),
            ("https://h:8443/login", Some("https://h:8443/api/login")),
            ("http://H:8443", Some("http://H:8443/api")),
            ("https://h:8443/api/x", None),
            ("https://h/login", None),
        ] {
            assert_eq!(prefixed_url("/api", "h:8443", url).as_deref(), expected, "{url}");
        }
    }
}
