//! The one host that an app wants to be seen at.

use http::{HeaderValue, Uri};

use crate::name::Host;
use crate::policy::Policy;
use crate::proxy::target;

/// Where a request for another of the app's hosts leads: scheme, port, path and query stay.
///
/// `host` is the routed host, `named` what the client called it, with its port.
pub(super) fn location(
    policy: &Policy,
    is_tls: bool,
    host: &str,
    named: &HeaderValue,
    uri: &Uri,
) -> Option<HeaderValue> {
    let Some(Host::Exact(canonical)) = &policy.canonical_host else { return None };
    if canonical == host {
        return None;
    }
    let scheme = if is_tls { "https" } else { "http" };
    let target = target::place(uri);
    HeaderValue::try_from(format!("{scheme}://{canonical}{}{target}", port(named))).ok()
}

/// `:8443` of `h:8443`.
fn port(named: &HeaderValue) -> &str {
    let text = named.to_str().unwrap_or_default();
    match text.rfind(':') {
        // Not a colon inside of `[::1]`.
        Some(at) if !text[at..].contains(']') => &text[at..],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_port_path_and_query_stay() {
        let policy = Policy { canonical_host: Some("www.h".parse().unwrap()), ..Policy::default() };
        for (is_tls, named, host, uri, expected) in [
            (true, "h", "h", "/a?b", Some("https://www.h/a?b")),
            (false, "h:8080", "h", "/", Some("http://www.h:8080/")),
            (true, "[::1]:8443", "[::1]", "/", Some("https://www.h:8443/")),
            (true, "[::1]", "[::1]", "/", Some("https://www.h/")),
            (true, "www.h:8443", "www.h", "/", None),
        ] {
            let named = HeaderValue::from_static(named);
            let location = location(&policy, is_tls, host, &named, &Uri::from_static(uri));
            assert_eq!(location.as_ref().map(|l| l.to_str().unwrap()), expected, "{named:?}");
        }
    }
}
