//! Which certificate signed which: the order in which a chain is sent.

use rustls::RootCertStore;
use rustls::crypto::ring;
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::AlgorithmIdentifier;

use super::ChainError;
use super::facts::{for_people, subject};

/// DER's tag of an object identifier.
const TAG_OID: u8 = 6;

/// The places of the certificates from the leaf to the last issuer, without the root.
///
/// # Errors
///
/// When a certificate is left over that signed none of the others, as one between is missing or it does not belong.
pub(super) fn from_leaf(certificates: &[X509Certificate<'_>], leaf: usize) -> Result<Vec<usize>, ChainError> {
    let mut order = vec![leaf];
    let mut last = leaf;
    while !is_root(&certificates[last]) {
        let signed = &certificates[last];
        let issuers = (0..certificates.len())
            .filter(|index| !order.contains(index) && is_signed_by(signed, &certificates[*index]));
        // Of an authority that has signed itself and was signed by another one, the latter leads on.
        let Some(issuer) = issuers.min_by_key(|index| is_root(&certificates[*index])) else { break };
        order.push(issuer);
        last = issuer;
    }
    let is_left_over = |certificate: &&X509Certificate<'_>| {
        !order.iter().any(|index| is_same_authority(certificate, &certificates[*index]))
    };
    if let Some(extra) = certificates.iter().find(is_left_over) {
        return Err(ChainError::NotLinked {
            extra: subject(extra),
            last: subject(&certificates[last]),
            issuer: for_people(certificates[last].issuer()),
        });
    }
    if order.len() > 1 && is_root(&certificates[last]) {
        order.pop();
    }
    Ok(order)
}

/// Whether one of them is a root.
pub(super) fn is_root_among(certificates: &[X509Certificate<'_>]) -> bool {
    certificates.iter().any(is_root)
}

/// The last certificate and who signed it, if that is neither itself nor one of `roots`.
pub(super) fn unknown_issuer(last: &X509Certificate<'_>, roots: &RootCertStore) -> Option<(String, String)> {
    let issuer = contents(last.issuer().as_raw());
    let is_known = is_root(last) || roots.roots.iter().any(|root| root.subject.as_ref() == issuer);
    (!is_known).then(|| (subject(last), for_people(last.issuer())))
}

/// What is in a DER sequence, as trust anchors have their names.
fn contents(der: &[u8]) -> &[u8] {
    // A long length says in how many bytes it follows.
    let header = match der.get(1) {
        Some(length) if length & 0x80 != 0 => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    der.get(header..).unwrap_or_default()
}

/// Whether it says that it signed itself.
fn is_root(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// Another certificate of the same name and key, or the same one twice.
fn is_same_authority(a: &X509Certificate<'_>, b: &X509Certificate<'_>) -> bool {
    a.subject().as_raw() == b.subject().as_raw() && a.public_key().raw == b.public_key().raw
}

/// By name and by signature. Where the signature's algorithm is none that we can check, the name decides: clients will.
fn is_signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    if certificate.issuer().as_raw() != issuer.subject().as_raw() {
        return false;
    }
    let public = issuer.public_key().subject_public_key.data.as_ref();
    let message = certificate.tbs_certificate.as_ref();
    let signature = certificate.signature_value.data.as_ref();
    let oid = encoded_oid(&certificate.signature_algorithm);
    // Those of one name differ in the curve of the key, and a key of another curve verifies nothing.
    let known = ring::default_provider().signature_verification_algorithms.all;
    let mut fitting = known.iter().filter(|known| known.signature_alg_id().starts_with(&oid)).peekable();
    fitting.peek().is_none()
        || fitting.any(|known| known.verify_signature(public, message, signature).is_ok())
}

fn encoded_oid(algorithm: &AlgorithmIdentifier<'_>) -> Vec<u8> {
    let oid = algorithm.algorithm.as_bytes();
    let length = u8::try_from(oid.len()).unwrap_or(u8::MAX);
    [&[TAG_OID, length], oid].concat()
}
