//! Chains as authorities issue them, and in all the ways in which people get them wrong.

use super::super::sample::{
    Authority, DAY, EC_ENCRYPTED, EC_PKCS8, EC_SEC1, ED25519_PKCS8, Issued, RSA_PKCS1, RSA_PKCS8, day,
};
use super::*;

/// What reading these fails with.
fn refusal(chain: &str, key: &str) -> String {
    Chain::from_pem(chain, key).unwrap_err().to_string()
}

fn sample() -> (Authority, Issued) {
    let authority = Authority::new("R1");
    let issued = authority.issue(&["Shop.example.com", "*.shop.example.com", "192.0.2.7", "2001:db8::7"]);
    (authority, issued)
}

#[test]
fn a_chain_tells_what_people_and_handshakes_ask() {
    let (_authority, issued) = sample();
    let chain = issued.chain();
    assert_eq!(chain.names(), ["shop.example.com", "*.shop.example.com", "192.0.2.7", "2001:db8::7"]);
    assert_eq!(chain.issuer(), "R1 (Sample Trust)");
    assert_eq!((chain.not_before(), chain.not_after()), (day(-1), day(60)));
    assert_eq!(chain.key_kind(), KeyKind::Ecdsa);
    assert_eq!(chain.fingerprint().len(), 32 * 3 - 1);
    assert!(chain.serial().contains(':'), "{}", chain.serial());
    assert_eq!(chain.certified_key().cert.len(), 2);
    assert_eq!(chain.certified_key().cert[0], *chain.leaf());
    chain.certified_key().keys_match().unwrap();
    // What a vault will write is what was read.
    let again = Chain::from_pem(&chain.certificates_pem(), &chain.key_pem()).unwrap();
    assert_eq!(again.certificates, chain.certificates);
}

#[test]
fn a_wildcard_covers_one_label() {
    let (_authority, issued) = sample();
    let chain = issued.chain();
    for host in ["shop.example.com", "SHOP.example.com", "a.shop.example.com", "192.0.2.7", "2001:db8::7"] {
        assert!(chain.covers(host), "{host}");
    }
    for host in ["a.b.shop.example.com", ".shop.example.com", "example.com", "192.0.2.8", "x.0.2.7", ""] {
        assert!(!chain.covers(host), "{host}");
    }
}

#[test]
fn every_form_of_key_is_read() {
    let authority = Authority::new("R1");
    for (made_with, given, kind) in [
        (EC_PKCS8, EC_PKCS8, KeyKind::Ecdsa),
        (EC_PKCS8, EC_SEC1, KeyKind::Ecdsa),
        (RSA_PKCS8, RSA_PKCS8, KeyKind::Rsa),
        (RSA_PKCS8, RSA_PKCS1, KeyKind::Rsa),
        (ED25519_PKCS8, ED25519_PKCS8, KeyKind::Ed25519),
    ] {
        let issued = authority.request(&["a.example.com"]).key(made_with).issue();
        let chain = Chain::from_pem(&issued.pem(), given).unwrap();
        assert_eq!(chain.key_kind(), kind);
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert!(certified(chain.certificates.clone(), &chain.key_pem()).unwrap().keys_match().is_ok());
    }
}

#[test]
fn a_shuffled_chain_is_put_right_and_loses_its_root() {
    let (authority, issued) = sample();
    let sorted = issued.chain();
    for order in [
        [&authority.intermediate, &issued.leaf, &authority.root],
        [&authority.root, &authority.intermediate, &issued.leaf],
        [&issued.leaf, &authority.root, &authority.intermediate],
    ] {
        let text = order.map(String::as_str).concat();
        assert_eq!(Chain::from_pem(&text, &issued.key).unwrap().certificates, sorted.certificates);
    }
    let twice = issued.pem().repeat(2);
    assert_eq!(Chain::from_pem(&twice, &issued.key).unwrap().certificates, sorted.certificates);
    // The leaf alone is a chain where clients know who signed it.
    assert_eq!(Chain::from_pem(&issued.leaf, &issued.key).unwrap().certificates.len(), 1);
}

#[test]
fn missing_and_strange_certificates_are_named() {
    let (authority, issued) = sample();
    assert_eq!(
        refusal(&format!("{}{}", issued.leaf, authority.root), &issued.key),
        "`R1 Root (Sample Trust)` in the chain did not sign `shop.example.com`; \
         put in the certificate of `R1 (Sample Trust)`, which did, or take out `R1 Root (Sample Trust)`"
    );
    let strange = Authority::new("X9");
    let error = refusal(&format!("{}{}", issued.pem(), strange.intermediate), &issued.key);
    assert!(
        error.starts_with("`X9 (Sample Trust)` in the chain did not sign `R1 (Sample Trust)`;"),
        "{error}"
    );
    // Of the same name, and with another key.
    let namesake = Authority::new("R1");
    let error = refusal(&format!("{}{}", issued.leaf, namesake.intermediate), &issued.key);
    assert!(
        error.starts_with("`R1 (Sample Trust)` in the chain did not sign `shop.example.com`;"),
        "{error}"
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (_authority, issued) = sample();
    assert_eq!(
        refusal(&issued.pem(), RSA_PKCS8),
        "the key does not belong to the certificate for `shop.example.com`; \
         give the key that this certificate was requested with"
    );
}

#[test]
fn dates_are_those_of_the_weakest_certificate() {
    let chain = |authority: &Authority, from, to| {
        authority.request(&["a.example.com"]).days(from, to).issue().chain()
    };
    let long = Authority::new("R1");
    assert_eq!(chain(&long, -10, 10).check(SystemTime::now()), Ok(()));
    let expired = chain(&long, -20, -10);
    let date = jiff::Timestamp::try_from(day(-10)).unwrap().strftime("%Y-%m-%d").to_string();
    assert_eq!(
        expired.check(SystemTime::now()).unwrap_err().to_string(),
        format!(
            "the certificate `a.example.com` expired on {date} at 00:00 UTC; get a new one from its issuer"
        )
    );
    assert_eq!(expired.check(day(-10) - DAY), Ok(()));
    let future = chain(&long, 5, 10).check(SystemTime::now()).unwrap_err();
    assert_eq!(future, ChainError::NotYetValid { subject: "a.example.com".to_owned(), from: day(5) });

    let short = Authority::valid_for("S1", (-5, -2));
    let weak = chain(&short, -10, 10);
    assert_eq!((weak.not_before(), weak.not_after()), (day(-5), day(-2)));
    let error = weak.check(SystemTime::now()).unwrap_err();
    assert_eq!(error, ChainError::Expired { subject: "S1 (Sample Trust)".to_owned(), at: day(-2) });
}

#[test]
fn what_is_no_chain_or_no_key_is_told_in_words() {
    let (authority, issued) = sample();
    let (pem, key) = (issued.pem(), issued.key.as_str());
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (chain, key, expected) in [
        ("", key, "there is no certificate in the chain"),
        (key, key, "there is no certificate in the chain"),
        (&pem[..300], key, "the chain is broken PEM"),
        ("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", key, "the chain is broken PEM"),
        (&format!("{pem}{cut}"), key, "certificate 3 of the chain is no X.509 certificate"),
        (&pem.repeat(9), key, "there are 18 certificates in the chain; a chain has at most 16"),
        (&authority.issue(&[]).pem(), key, "the certificate `serial "),
        (&pem, "", "there is no private key in the key file"),
        (&pem, &pem, "the key file has a certificate and no private key"),
        (&pem, EC_ENCRYPTED, "the key is encrypted with a passphrase"),
        (&pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the key cannot be used"),
    ] {
        let error = refusal(chain, key);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn nothing_shows_the_key() {
    let (_authority, issued) = sample();
    let secret = issued.key.lines().nth(1).unwrap();
    let broken = issued.key.replace(secret, &format!("key: {secret}"));
    let error = Chain::from_pem(&issued.pem(), &broken).unwrap_err();
    for shown in [format!("{:?}", issued.chain()), format!("{error} {error:?}")] {
        assert!(!shown.contains(&secret[..20]), "{shown}");
    }
}
