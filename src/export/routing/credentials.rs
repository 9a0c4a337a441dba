//! What entrances check clients against, in the forms that they read; and what must not be in anything but a Secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue};

use crate::policy::{ClientCa, Credential};

/// Characters of a line of PEM (RFC 7468, 2).
const PEM_LINE: usize = 64;

/// A file of htpasswd.
///
/// `$2a$`, `$2b$` and `$2y$` are one algorithm by now (`$2b$` is OpenBSD's name for it, `$2y$` that of crypt_blowfish), but musl,
/// which the image of ingress-nginx has, knows `$2b$` by no name. `$2y$` is known to all.
pub(super) fn htpasswd(credentials: &[Credential]) -> String {
    let line = |Credential { user, hash }: &Credential| match hash.strip_prefix("$2b$") {
        Some(rest) => format!("{user}:$2y${rest}\n"),
        None => format!("{user}:{hash}\n"),
    };
    credentials.iter().map(line).collect()
}

/// The certificates, as PEM.
pub(super) fn pem(ca: &ClientCa) -> String {
    let mut text = String::new();
    for der in ca.certificates() {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(der);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// Whether a header's value is a secret by its nature, and so for no object that everybody may read.
pub(super) fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || *name == SET_COOKIE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_the_name_that_every_controller_knows() {
        let credential = |hash: &str| Credential { user: "ann".to_owned(), hash: hash.to_owned() };
        let text = htpasswd(&[credential("$2b$10$abc"), credential("$2y$10$abc"), credential("$2a$10$abc")]);
        assert_eq!(text, "ann:$2y$10$abc\nann:$2y$10$abc\nann:$2a$10$abc\n");
    }

    #[test]
    fn what_is_written_as_pem_reads_as_the_same() {
        let ca = ClientCa::from_pem(super::super::tests::CA).unwrap();
        assert_eq!(pem(&ca), super::super::tests::CA);
    }
}
