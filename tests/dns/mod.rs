//! TXT records and lookups: against a real name server, and against small servers that check what the providers' APIs
//! check and answer as their documentation says.

mod api;
mod cloudflare;
mod digitalocean;
mod hetzner;
mod hook;
mod lookup;
pub(crate) mod named;
mod rfc2136;
mod route53;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use minipaas::dns::{self, DnsError, Provider};
use minipaas::web;

/// Two names below one zone, as a wildcard and its apex share the first.
const NAME: &str = "_acme-challenge.shop.example.test";
const ZONE: &str = "example.test";
/// What a challenge looks like.
const ONE: &str = "w6uP8Tcg6K2QR905Rms8iXTlksL6OD1KOWBxTK7wxPI";
const OTHER: &str = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo";

fn try_open(kind: &str, credentials: &[(&str, &str)]) -> Result<Arc<dyn Provider>, DnsError> {
    let credentials =
        credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    dns::open(kind, &credentials, &web::Client::new(&web::Settings::default()).unwrap())
}

fn open(kind: &str, credentials: &[(&str, &str)]) -> Arc<dyn Provider> {
    try_open(kind, credentials).unwrap()
}

/// Adds and removes as two orders for a wildcard and its apex do, beside a value of somebody else. `values` are those
/// that the provider has for the name.
async fn check_values(provider: &dyn Provider, foreign: &str, values: impl AsyncFn() -> Vec<String>) {
    let check = async |expected: &[&str]| {
        let mut found = values().await;
        found.sort_unstable();
        let mut expected: Vec<_> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
    };
    check(&[foreign]).await;
    provider.add_txt(NAME, ONE).await.unwrap();
    provider.add_txt(&format!("{NAME}."), OTHER).await.unwrap();
    check(&[foreign, ONE, OTHER]).await;
    provider.add_txt(NAME, ONE).await.unwrap();
    check(&[foreign, ONE, OTHER]).await;
    provider.remove_txt(NAME, ONE).await.unwrap();
    check(&[foreign, OTHER]).await;
    provider.remove_txt(NAME, ONE).await.unwrap();
    check(&[foreign, OTHER]).await;
    let both = futures_util::join!(provider.add_txt(NAME, ONE), provider.remove_txt(NAME, OTHER));
    both.0.unwrap();
    both.1.unwrap();
    check(&[foreign, ONE]).await;
    provider.remove_txt(NAME, ONE).await.unwrap();
    check(&[foreign]).await;
}

/// The error of credentials that are wrong: of its own kind, and without the credential.
async fn check_denied(provider: &dyn Provider, secret: &str) -> String {
    let error = provider.add_txt(NAME, ONE).await.unwrap_err();
    assert!(error.is_denied() && error.is_lasting(), "{error:?}");
    assert!(!format!("{error} {error:?} {provider:?}").contains(secret), "{error:?}");
    error.to_string()
}

/// Copies a program to where it is run. By another process: a file that this one writes may be open in a child that another
/// test starts at that moment, and cannot be run then (`ETXTBSY`).
fn install(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).status().unwrap();
    assert!(status.success(), "{} cannot be copied", from.display());
}
