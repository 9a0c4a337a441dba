//! What a request is aimed at: the host that is routed, the target that the upstream sees, the place a redirect leads to.

use std::borrow::Cow;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

use super::error::Error;
use super::limits::ADDRESS_BYTES_MAX;

/// The longest host name (RFC 1035, 2.3.4) and some room for a port.
const HOST_BYTES_MAX: usize = 253 + 6;

/// The value of the `Host` header to route by and to send on.
///
/// A target with an authority must have the header's, if there is a header: RFC 9112, 3.2.2 would have the target win, but
/// whoever is in front of us may have looked at the other (RFC 9113, 8.3.1 lets us refuse).
///
/// # Errors
///
/// [`Error::BadHost`] when there is none, or several, or two that differ.
pub(super) fn host_header(uri: &Uri, headers: &HeaderMap) -> Result<HeaderValue, Error> {
    let mut named = headers.get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return Err(Error::BadHost);
    }
    let Some(authority) = uri.authority() else { return first.cloned().ok_or(Error::BadHost) };
    if first.is_some_and(|header| !header.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
        return Err(Error::BadHost);
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| Error::BadHost)
}

/// # Errors
///
/// [`Error::LongAddress`].
pub(super) fn check_length(uri: &Uri) -> Result<(), Error> {
    let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if length > ADDRESS_BYTES_MAX { Err(Error::LongAddress) } else { Ok(()) }
}

/// The host that routes are found by: lower case, without port and final dot.
///
/// # Errors
///
/// [`Error::BadHost`] when it is not the name or address of a host.
pub(super) fn routed_host(header: &HeaderValue) -> Result<Cow<'_, str>, Error> {
    let text = header.to_str().map_err(|_| Error::BadHost)?;
    if text.len() > HOST_BYTES_MAX {
        return Err(Error::BadHost);
    }
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(Error::BadHost)?;
        let is_address = text[1..end].bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
        (is_address && end > 1).then(|| text.split_at(end + 1)).ok_or(Error::BadHost)?
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        let has_labels = host.split('.').all(|label| !label.is_empty());
        (is_name && has_labels).then_some((host, port)).ok_or(Error::BadHost)?
    };
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if !is_port {
        return Err(Error::BadHost);
    }
    Ok(if host.bytes().any(|b| b.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    })
}

/// The target in origin form, without the first `strip` bytes of its path.
pub(super) fn for_upstream(uri: &Uri, strip: usize) -> Uri {
    if strip == 0 {
        if uri.authority().is_none() {
            return uri.clone();
        }
        // An empty path, as before a fragment, says that it is `/`, and would be written as nothing.
        let target = uri.path_and_query().filter(|target| target.as_str() != "/").cloned();
        return target.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    let rest = uri.path_and_query().map_or("", PathAndQuery::as_str).get(strip..).unwrap_or_default();
    let target = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    // A part of a valid target, from a slash or a question mark on, is one.
    PathAndQuery::try_from(target).unwrap_or_else(|_| PathAndQuery::from_static("/")).into()
}

/// Path and query as they follow an authority; what has neither, such as `OPTIONS *`, is at the root.
pub(super) fn place(uri: &Uri) -> &str {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if target.starts_with(['/', '?']) { target } else { "/" }
}

/// The same target over https.
///
/// # Errors
///
/// [`Error::BadHost`] when the host cannot be part of a header.
pub(super) fn over_https(host: &str, port: u16, uri: &Uri) -> Result<HeaderValue, Error> {
    let target = place(uri);
    let location = match port {
        443 => format!("https://{host}{target}"),
        port => format!("https://{host}:{port}{target}"),
    };
    HeaderValue::try_from(location).map_err(|_| Error::BadHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lower_case_without_port_and_final_dot() {
        for (header, expected) in [
            ("blog.localhost", Some("blog.localhost")),
            ("Blog.LocalHost:8080", Some("blog.localhost")),
            ("blog.localhost.", Some("blog.localhost")),
            ("my_app.example.com", Some("my_app.example.com")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:8443", Some("[::1]")),
            ("", None),
            (".", None),
            (".localhost", None),
            ("a..localhost", None),
            ("localhost..", None),
            (":80", None),
            ("a b", None),
            ("a/b", None),
            ("user@host", None),
            ("host:port", None),
            ("host:80:90", None),
            ("[::1", None),
            ("[]", None),
            ("[::1]x", None),
        ] {
            let header = HeaderValue::from_static(header);
            assert_eq!(routed_host(&header).ok().as_deref(), expected, "{header:?}");
        }
        assert!(routed_host(&HeaderValue::from_str(&"a".repeat(300)).unwrap()).is_err());
    }

    #[test]
    fn a_target_names_one_host() {
        let one = HeaderMap::from_iter([(HOST, HeaderValue::from_static("header"))]);
        let mut two = one.clone();
        two.append(HOST, HeaderValue::from_static("other"));
        let origin = Uri::from_static("/x");
        let absolute = Uri::from_static("http://target/x");
        let same = HeaderMap::from_iter([(HOST, HeaderValue::from_static("TARGET"))]);
        assert_eq!(host_header(&origin, &one).unwrap(), "header");
        assert_eq!(host_header(&absolute, &same).unwrap(), "target");
        assert!(host_header(&absolute, &one).is_err());
        assert_eq!(host_header(&absolute, &HeaderMap::new()).unwrap(), "target");
        assert!(host_header(&origin, &HeaderMap::new()).is_err());
        assert!(host_header(&origin, &two).is_err() && host_header(&absolute, &two).is_err());
    }

    #[test]
    fn a_prefix_is_taken_off_and_the_query_stays() {
        for (target, prefix, expected) in [
            ("/api/x?y=1", "/api", "/x?y=1"),
            ("/api", "/api", "/"),
            ("/api/", "/api", "/"),
            ("/api?y", "/api", "/?y"),
            ("/x?y", "", "/x?y"),
            ("http://host/x?y", "", "/x?y"),
            ("http://host/api?y", "/api", "/?y"),
            ("http://host", "", "/"),
            ("http://host#x", "", "/"),
            ("*", "", "*"),
        ] {
            let uri = for_upstream(&Uri::from_static(target), prefix.len());
            assert_eq!(uri.to_string(), expected, "{target} without `{prefix}`");
        }
    }

    #[test]
    fn a_redirect_keeps_path_and_query_and_names_the_port() {
        let uri = Uri::from_static("/a%20b?c=d");
        assert_eq!(over_https("h", 443, &uri).unwrap(), "https://h/a%20b?c=d");
        assert_eq!(over_https("h", 8443, &uri).unwrap(), "https://h:8443/a%20b?c=d");
        assert_eq!(over_https("h", 443, &Uri::from_static("http://h")).unwrap(), "https://h/");
        assert_eq!(over_https("h", 443, &Uri::from_static("*")).unwrap(), "https://h/");
    }
}
