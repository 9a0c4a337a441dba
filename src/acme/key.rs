//! Keys and certificates that an order needs: the certificate's own key, the request that is signed with it, and the certificate
//! that answers tls-alpn-01.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::RespondError;

/// A new key for a certificate, ECDSA with P-256, as PEM.
#[must_use]
pub fn new_key_pem() -> Zeroizing<String> {
    let key = KeyPair::generate().expect("ring makes P-256 keys as long as the system has random numbers");
    Zeroizing::new(key.serialize_pem())
}

/// Whether a certificate is for this key (PEM).
pub(crate) fn is_for_key(certified: &CertifiedKey, key_pem: &str) -> bool {
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).ok();
    let key = key.and_then(|key| ring::sign::any_supported_type(&key).ok());
    let public = key.and_then(|key| key.public_key().map(|public| public.as_ref().to_vec()));
    public.is_some_and(|public| certified.key.public_key().is_some_and(|of| of.as_ref() == public))
}

/// The certificate that answers tls-alpn-01 for `host` (RFC 8737, 3), signed with a key of its own.
///
/// # Errors
///
/// `host` is nothing that a certificate can be for.
pub fn tls_alpn01_certificate(host: &str, digest: &[u8; 32]) -> Result<Arc<CertifiedKey>, RespondError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not `CertifiedKey::from_der`, which reads the certificate and does not know its extension.
    let signer = ring::sign::any_ecdsa_type(&key)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer)))
}

/// The request for a certificate for these names, signed with its key; in DER.
pub(super) fn signing_request(names: &[String], key_pem: &str) -> Result<Vec<u8>, rcgen::Error> {
    let key = KeyPair::from_pem(key_pem)?;
    let mut params = CertificateParams::new(names)?;
    // The names say it all; rcgen would put a name of its own here.
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::*;

    use super::*;

    #[test]
    fn the_answer_to_tls_alpn_is_as_rfc_8737_wants_it() {
        let certified = tls_alpn01_certificate("blog.example.com", &[7; 32]).unwrap();
        let (_, certificate) = X509Certificate::from_der(&certified.cert[0]).unwrap();
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names, &[GeneralName::DNSName("blog.example.com")]);
        let is_acme = |extension: &&X509Extension<'_>| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31";
        let extension = certificate.extensions().iter().find(is_acme).unwrap();
        assert!(extension.critical);
        assert_eq!(extension.value, [&[0x04, 32][..], &[7; 32]].concat());
    }

    #[test]
    fn a_request_is_for_its_names_alone() {
        let names = ["example.com".to_owned(), "*.example.com".to_owned()];
        let request = signing_request(&names, &new_key_pem()).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&request).unwrap();
        assert_eq!(request.certification_request_info.subject.iter().count(), 0);
        let extensions: Vec<_> = request.requested_extensions().unwrap().collect();
        let [ParsedExtension::SubjectAlternativeName(found)] = &extensions[..] else {
            panic!("{extensions:?}")
        };
        let expected = names.each_ref().map(|name| GeneralName::DNSName(name));
        assert_eq!(found.general_names, expected);
    }
}
