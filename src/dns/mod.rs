//! DNS: TXT records at whoever serves a zone, for dns-01, and the lookups that TLS needs.
//!
//! A [`Provider`] adds and removes single values of TXT records. [`open`] makes one of a kind and credentials, which have
//! the names that lego (<https://go-acme.github.io/lego/dns/>) gave them. A name may have values of others: those of a
//! wildcard and its apex are under one name at a time. Each provider finds the zone by itself, the longest that it has.
//!
//! [`Lookup`] asks name servers what they say, without a memory. [`wait_until_seen`] waits until the zone's own servers show
//! a value, as a certificate authority asks those.
//!
//! Credentials stay inside: no error, no log and no `Debug` shows one. There are no retries beyond those that a protocol asks
//! for (a set that somebody else changed meanwhile, a zone that is locked for a moment); when to try again is the caller's to say.

mod cloudflare;
mod credentials;
mod digitalocean;
mod error;
mod hetzner;
mod hook;
mod http;
mod lookup;
mod record;
mod rfc2136;
mod route53;
pub mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use self::credentials::Credentials;
use crate::web;

pub use self::error::DnsError;
pub use self::lookup::{CaaRecord, Lookup, LookupError, wait_until_seen};

/// Every kind that [`open`] knows.
pub const KINDS: &[&str] =
    &[cloudflare::KIND, digitalocean::KIND, hetzner::KIND, hook::KIND, rfc2136::KIND, route53::KIND];

/// Everything that is read of credentials, by all kinds.
pub const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_HOSTED_ZONE_ID",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "CF_DNS_API_TOKEN",
    "CLOUDFLARE_DNS_API_TOKEN",
    "CLOUDFLARE_ENDPOINT",
    "DIGITALOCEAN_ENDPOINT",
    "DO_AUTH_TOKEN",
    "HETZNER_API_TOKEN",
    "HETZNER_ENDPOINT",
    "HOOK_COMMAND",
    "HOOK_TIMEOUT",
    "RFC2136_NAMESERVER",
    "RFC2136_TSIG_ALGORITHM",
    "RFC2136_TSIG_KEY",
    "RFC2136_TSIG_SECRET",
    "ROUTE53_ENDPOINT",
];

mod limits {
    use std::time::Duration;

    /// For resolvers that asked too early: how long they believe what they heard. Cloudflare takes no less than 60 s.
    pub(super) const TTL_SECONDS: u32 = 60;
    /// How often a change is tried again that another one was in the way of.
    pub(super) const CONFLICTS_MAX: u32 = 5;
    /// How long a provider may take to carry out what it has accepted.
    pub(super) const ACCEPTED_TIME_MAX: Duration = Duration::from_secs(120);
    /// Before the provider is asked again; it doubles each time.
    pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);
    /// What it doubles up to.
    pub(super) const PAUSE_MAX: Duration = Duration::from_secs(4);
}

/// Who can change the TXT records of a zone.
///
/// Names are without or with their final dot. A call that is given up halfway may have done its work or not; both methods
/// are idempotent, so that it can be repeated.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its kind, such as `cloudflare`.
    fn name(&self) -> &str;

    /// Adds a value to those that the name has. One that is there already is left as it is.
    ///
    /// # Errors
    ///
    /// The value may not be there: see [`DnsError`].
    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError>;

    /// Removes this one value of the name. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// The value may still be there: see [`DnsError`].
    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError>;
}

/// The provider of a kind. Nothing is sent yet: whether the credentials are right shows at the first record.
///
/// # Errors
///
/// There is no such kind, or one of its credentials is missing or has no sense.
pub fn open(
    kind: &str,
    credentials: &BTreeMap<String, String>,
    web: &web::Client,
) -> Result<Arc<dyn Provider>, DnsError> {
    let of = |provider| Credentials::new(provider, credentials);
    Ok(match kind {
        cloudflare::KIND => Arc::new(cloudflare::Cloudflare::new(&of(cloudflare::KIND), web)?),
        digitalocean::KIND => Arc::new(digitalocean::DigitalOcean::new(&of(digitalocean::KIND), web)?),
        hetzner::KIND => Arc::new(hetzner::Hetzner::new(&of(hetzner::KIND), web)?),
        hook::KIND => Arc::new(hook::Hook::new(&of(hook::KIND))?),
        rfc2136::KIND => Arc::new(rfc2136::Rfc2136::new(&of(rfc2136::KIND))?),
        route53::KIND => Arc::new(route53::Route53::new(&of(route53::KIND), web)?),
        _ => return Err(DnsError::unknown_kind(kind)),
    })
}

/// Waits before the attempt of this number, which counts from 1.
async fn pause(attempt: u32) {
    let pause = limits::PAUSE_MIN.saturating_mul(2_u32.saturating_pow(attempt - 1));
    tokio::time::sleep(pause.min(limits::PAUSE_MAX)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &str, credentials: &[(&str, &str)]) -> String {
        let credentials =
            credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let web = web::Client::new(&web::Settings::default()).unwrap();
        open(kind, &credentials, &web).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_kind_is_answered_with_one_that_is_known() {
        let kinds = "`cloudflare`, `digitalocean`, `hetzner`, `hook`, `rfc2136`, `route53`";
        let close = error("cloudfare", &[]);
        assert_eq!(
            close,
            format!(
                "there is no DNS provider `cloudfare`; did you mean `cloudflare`? There are {kinds}, and `hook` runs a program for any other"
            )
        );
        let far = error("gandi", &[]);
        assert_eq!(
            far,
            format!(
                "there is no DNS provider `gandi`; there are {kinds}, and `hook` runs a program for any other"
            )
        );
    }

    #[test]
    fn a_missing_credential_is_named_with_an_example() {
        for (kind, variable) in [
            ("cloudflare", "CLOUDFLARE_DNS_API_TOKEN"),
            ("digitalocean", "DO_AUTH_TOKEN"),
            ("hetzner", "HETZNER_API_TOKEN"),
            ("hook", "HOOK_COMMAND"),
            ("rfc2136", "RFC2136_NAMESERVER"),
            ("route53", "AWS_ACCESS_KEY_ID"),
        ] {
            let message = error(kind, &[("UNRELATED", "x"), (variable, "  ")]);
            let expected = format!("DNS provider `{kind}` needs `{variable}`, as in `{variable}=");
            assert!(message.starts_with(&expected), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused_and_not_shown() {
        let key = [("RFC2136_NAMESERVER", "ns"), ("RFC2136_TSIG_KEY", "k")];
        let secret = error("rfc2136", &[&key[..], &[("RFC2136_TSIG_SECRET", "n0t base64!")]].concat());
        assert_eq!(
            secret,
            "`RFC2136_TSIG_SECRET` of DNS provider `rfc2136` is not base64; copy the `secret` of the key as it is"
        );
        let algorithm = error("rfc2136", &[&key[..], &[("RFC2136_TSIG_ALGORITHM", "md5")]].concat());
        assert_eq!(
            algorithm,
            "`RFC2136_TSIG_ALGORITHM` of DNS provider `rfc2136` is none of `hmac-sha256`, `hmac-sha384` and `hmac-sha512`"
        );
        let token = error("hetzner", &[("HETZNER_API_TOKEN", "sec\nret")]);
        assert_eq!(
            token,
            "`HETZNER_API_TOKEN` of DNS provider `hetzner` has a character that no token has; copy it again"
        );
        let endpoint = error("hetzner", &[("HETZNER_API_TOKEN", "t"), ("HETZNER_ENDPOINT", "api.test")]);
        assert_eq!(
            endpoint,
            "`HETZNER_ENDPOINT` of DNS provider `hetzner` is no address such as `https://api.hetzner.cloud/v1`"
        );
    }

    #[test]
    fn no_credential_is_in_the_debug_form() {
        let credentials: BTreeMap<String, String> = [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "tops3cret"),
            ("AWS_SESSION_TOKEN", "tops3cret"),
            ("CF_DNS_API_TOKEN", "tops3cret"),
            ("DO_AUTH_TOKEN", "tops3cret"),
            ("HETZNER_API_TOKEN", "tops3cret"),
            ("HOOK_COMMAND", "/bin/true"),
            ("RFC2136_NAMESERVER", "127.0.0.1"),
            ("RFC2136_TSIG_KEY", "key"),
            ("RFC2136_TSIG_SECRET", "dG9wczNjcmV0"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let web = web::Client::new(&web::Settings::default()).unwrap();
        for kind in KINDS {
            let provider = open(kind, &credentials, &web).unwrap();
            assert_eq!(provider.name(), *kind);
            let shown = format!("{provider:?}");
            assert!(!shown.contains("tops3cret") && !shown.contains("dG9wczNjcmV0"), "{shown}");
        }
    }
}
