use std::sync::Arc;

use minipaas::dns::{Lookup, Provider};

use super::named::{Named, SECRET};
use super::{NAME, ONE, OTHER, check_denied, check_values, open};

/// A wrong secret, of the right form.
const WRONG: &str = "AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKA=";

fn provider(named: &Named, key: &str, secret: &str) -> Arc<dyn Provider> {
    let credentials = [
        ("RFC2136_NAMESERVER", named.addr.to_string()),
        ("RFC2136_TSIG_KEY", key.to_owned()),
        ("RFC2136_TSIG_SECRET", secret.to_owned()),
    ];
    let credentials: Vec<_> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
    open("rfc2136", &credentials)
}

#[tokio::test]
async fn values_come_and_go_beside_others() {
    let named = Named::start().await;
    let provider = provider(&named, "acme", SECRET);
    provider.add_txt(NAME, "theirs").await.unwrap();
    let lookup = Lookup::new(&[named.addr]);
    check_values(provider.as_ref(), "theirs", async || lookup.txt(NAME).await.unwrap()).await;
    provider.remove_txt(NAME, "theirs").await.unwrap();
    assert!(lookup.txt(NAME).await.unwrap_err().is_absent());
}

#[tokio::test]
async fn the_longest_zone_is_changed() {
    let named = Named::start().await;
    let provider = provider(&named, "acme.", SECRET);
    let lookup = Lookup::new(&[named.addr]);
    // Below the deeper zone, at the top of it, and of a name that has something else.
    for name in ["_acme-challenge.a.b.deep.example.test", "deep.example.test", "www.example.test"] {
        provider.add_txt(name, ONE).await.unwrap();
        assert_eq!(lookup.txt(name).await.unwrap(), [ONE], "{name}");
    }
}

#[tokio::test]
async fn wrong_keys_are_told_apart() {
    let named = Named::start().await;
    let server = named.addr;
    let unknown = check_denied(provider(&named, "nobody", SECRET).as_ref(), SECRET).await;
    assert_eq!(
        unknown,
        format!(
            "DNS provider `rfc2136` refused to add the TXT record of `{NAME}`: `{server}` answered BADKEY, it does not know the key by \
             that name and algorithm; check `RFC2136_TSIG_KEY`, `RFC2136_TSIG_SECRET` and `RFC2136_TSIG_ALGORITHM`, and that the server \
             allows this key to update TXT records there"
        )
    );
    let wrong = check_denied(provider(&named, "acme", WRONG).as_ref(), WRONG).await;
    assert!(wrong.contains("answered BADSIG, its secret of that key is another"), "{wrong}");

    let right = provider(&named, "acme", SECRET);
    let closed = right.add_txt("_acme-challenge.closed.test", ONE).await.unwrap_err();
    assert!(closed.is_denied(), "{closed}");
}

#[tokio::test]
async fn updates_without_a_key_work_where_they_are_allowed() {
    let named = Named::start().await;
    let server = named.addr.to_string();
    let provider = open("rfc2136", &[("RFC2136_NAMESERVER", &server)]);
    let name = "_acme-challenge.open.test";
    let both = futures_util::join!(provider.add_txt(name, ONE), provider.add_txt(name, OTHER));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    let mut values = Lookup::new(&[named.addr]).txt(name).await.unwrap();
    values.sort_unstable();
    assert_eq!(values, [OTHER, ONE]);
    assert!(provider.add_txt(NAME, ONE).await.unwrap_err().is_denied());
}

#[tokio::test]
async fn a_name_of_another_server_has_no_zone_here() {
    let named = Named::start().await;
    let error =
        provider(&named, "acme", SECRET).add_txt("_acme-challenge.example.org", ONE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "DNS provider `rfc2136` has no zone for `_acme-challenge.example.org`; `RFC2136_NAMESERVER` must be its primary name server, \
             and `{}` is not",
            named.addr
        )
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_no_fault_of_the_settings() {
    let server = crate::support::free_port().to_string();
    let provider = open("rfc2136", &[("RFC2136_NAMESERVER", &server)]);
    let error = provider.add_txt(NAME, ONE).await.unwrap_err();
    assert!(!error.is_lasting() && !error.is_denied());
    let expected =
        format!("DNS provider `rfc2136` could not use `{server}` to add the TXT record of `{NAME}`");
    assert_eq!(error.to_string(), expected);
}
