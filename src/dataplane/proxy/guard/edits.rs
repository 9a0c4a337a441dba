//! Headers that a policy removes and sets, and `Strict-Transport-Security`.

use http::header::{
    CONNECTION, CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::policy::{HeaderEdits, Hsts};

/// What says where a message ends and what its connection is for; no policy changes that.
const FRAMING: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Removes, then sets.
pub(super) fn apply(edits: &HeaderEdits, headers: &mut HeaderMap) {
    for name in edits.remove.iter().filter(|name| !FRAMING.contains(name)) {
        headers.remove(name);
    }
    for (name, value) in edits.set.iter().filter(|(name, _)| !FRAMING.contains(name)) {
        headers.insert(name, value.clone());
    }
}

/// Tells browsers to use https alone (RFC 6797, 6.1), in the place of what the app says.
pub(super) fn secure(hsts: Hsts, headers: &mut HeaderMap) {
    let subdomains = if hsts.subdomains { "; includeSubDomains" } else { "" };
    let preload = if hsts.preload { "; preload" } else { "" };
    let value = format!("max-age={}{subdomains}{preload}", hsts.max_age.as_secs());
    let value = HeaderValue::try_from(value).expect("a number and names are a value");
    headers.insert(STRICT_TRANSPORT_SECURITY, value);
}

#[cfg(test)]
mod tests {
    use http::header::{HOST, SERVER};

    use super::*;

    #[test]
    fn removed_then_set_and_never_the_framing() {
        let value = HeaderValue::from_static;
        let mut headers = HeaderMap::from_iter([
            (SERVER, value("app")),
            (CONTENT_LENGTH, value("5")),
            (HOST, value("old")),
        ]);
        let edits = HeaderEdits {
            remove: vec![SERVER, CONTENT_LENGTH],
            set: vec![(HOST, value("new")), (CONNECTION, value("close")), (TRANSFER_ENCODING, value("x"))],
        };
        apply(&edits, &mut headers);
        assert_eq!(headers, HeaderMap::from_iter([(CONTENT_LENGTH, value("5")), (HOST, value("new"))]));
    }
}
