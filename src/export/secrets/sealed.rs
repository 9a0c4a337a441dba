//! Sealing a value for one cluster, as Bitnami's sealed-secrets opens it.
//!
//! A value is encrypted by AES-256-GCM with a key of its own and no nonce, and that key by RSA-OAEP (SHA-256) with the cluster's
//! public key. The label of OAEP is `namespace/name`, so a value opens in the Secret alone that it was sealed for. What comes out
//! is the encrypted key's length in two bytes, the encrypted key, the encrypted value.
//!
//! Only the public half of RSA is here: one power of a number that is random each time, by whoever knows the value anyway.

use std::fmt;

use num_bigint::BigUint;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use crate::random;

/// Less than this was broken, or will be.
const KEY_BITS_MIN: usize = 2048;
/// What SHA-256 gives, in bytes.
const DIGEST_BYTES: usize = 32;
/// The key of one value, in bytes.
const SESSION_KEY_BYTES: usize = 32;

/// The certificate of a sealed-secrets controller.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    modulus: BigUint,
    exponent: BigUint,
}

/// Why nothing can be sealed with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is none.
    #[error("there is no certificate in it; expected PEM, which begins with `-----BEGIN CERTIFICATE-----`")]
    Missing,
    /// It cannot be read.
    #[error("the certificate is broken")]
    Broken,
    /// It has another kind of key.
    #[error("the certificate has no RSA key, and sealed-secrets knows no other")]
    NotRsa,
    /// Its key is too short.
    #[error("the certificate's RSA key has {0} bits; {KEY_BITS_MIN} is the least that is safe")]
    Short(usize),
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    ///
    /// See [`CertificateError`]. Whether it has run out is not asked: the controller keeps the keys of old ones.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let mut all = Pem::iter_from_buffer(text.as_bytes());
        let pem = all.find_map(|pem| match pem {
            Ok(pem) if pem.label == "CERTIFICATE" => Some(Ok(pem)),
            Ok(_) => None,
            Err(_) => Some(Err(CertificateError::Missing)),
        });
        let pem = pem.unwrap_or(Err(CertificateError::Missing))?;
        let certificate = pem.parse_x509().map_err(|_| CertificateError::Broken)?;
        match certificate.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => {
                let modulus = BigUint::from_bytes_be(key.modulus);
                let bits = usize::try_from(modulus.bits()).unwrap_or(usize::MAX);
                if bits < KEY_BITS_MIN {
                    return Err(CertificateError::Short(bits));
                }
                Ok(Self { modulus, exponent: BigUint::from_bytes_be(key.exponent) })
            }
            Ok(_) => Err(CertificateError::NotRsa),
            Err(_) => Err(CertificateError::Broken),
        }
    }

    /// The value, sealed for the Secret of this name in this namespace.
    #[must_use]
    pub fn seal(&self, namespace: &str, name: &str, value: &[u8]) -> Vec<u8> {
        let key = Zeroizing::new(random::bytes::<SESSION_KEY_BYTES>());
        let label = format!("{namespace}/{name}");
        let wrapped = self.encrypt(&key, label.as_bytes());
        let length = u16::try_from(wrapped.len()).expect("nobody has a key of half a million bits");
        let cipher = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("the key has the cipher's length");
        let mut sealed = value.to_vec();
        // The key is for this value alone, so no nonce can come twice.
        LessSafeKey::new(cipher)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut sealed)
            .expect("AES-GCM takes 64 GiB, and a variable has less");
        [length.to_be_bytes().as_slice(), &wrapped, &sealed].concat()
    }

    /// RSAES-OAEP with SHA-256 (RFC 8017, 7.1.1).
    fn encrypt(&self, message: &[u8; SESSION_KEY_BYTES], label: &[u8]) -> Vec<u8> {
        let length = usize::try_from(self.modulus.bits()).expect("it was parsed from memory").div_ceil(8);
        let mut block = Zeroizing::new(vec![0; length - DIGEST_BYTES - 1]);
        let start = block.len() - message.len();
        block[..DIGEST_BYTES].copy_from_slice(&Sha256::digest(label));
        block[start - 1] = 1;
        block[start..].copy_from_slice(message);
        let mut seed = random::bytes::<DIGEST_BYTES>();
        mask(&mut block, &seed);
        mask(&mut seed, &block);
        let number = BigUint::from_bytes_be(&[&seed, block.as_slice()].concat());
        let wrapped = number.modpow(&self.exponent, &self.modulus).to_bytes_be();
        let mut padded = vec![0; length - wrapped.len()];
        padded.extend(wrapped);
        padded
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("bits", &self.modulus.bits()).finish()
    }
}

/// Adds MGF1 of the seed (RFC 8017, B.2.1).
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0u32..).zip(bytes.chunks_mut(DIGEST_BYTES)) {
        let mask = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}
