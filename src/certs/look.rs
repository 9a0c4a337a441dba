//! Whether an authority that asks a name would reach this box: looked up before it is asked, since it counts failures.
//!
//! Only what is certain keeps an order from being made: a name without an address, an address that nobody outside can reach, or
//! a web server there that is plainly not this box. Where the box cannot see itself from outside, the authority decides.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};

use crate::dns::{Lookup, LookupError};
use crate::tls::{Challenges, HTTP01_PATH, is_private_address};
use crate::web;

/// Whether a name leads here.
#[async_trait]
pub trait Look: fmt::Debug + Send + Sync {
    /// Nothing if it does, or if that cannot be told; else its kind and the reason, with what to do.
    async fn look(&self, host: &str) -> Result<(), Elsewhere>;
}

/// Why an authority would not find this box under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// For machines: `unresolved`, `private`, `elsewhere`.
    pub kind: &'static str,
    /// For people.
    pub message: String,
}

/// Looks as an authority would, as far as that can be done from here: at the DNS, and by asking the name for a token.
#[derive(Debug)]
pub struct SelfCheck {
    /// Asked for addresses.
    pub lookup: Lookup,
    /// Asks the name for a token of ours.
    pub web: web::Client,
    /// Where that token is posted.
    pub challenges: Challenges,
    /// Whether authorities are ones that ask from the internet.
    pub is_public: bool,
    /// Whether plain http is served at port 80, where they ask.
    pub is_at_port_80: bool,
}

#[async_trait]
impl Look for SelfCheck {
    async fn look(&self, host: &str) -> Result<(), Elsewhere> {
        let addresses = match self.lookup.addresses(host).await {
            Ok(addresses) => addresses,
            Err(LookupError::NoSuchName { .. } | LookupError::NoRecords { .. }) => {
                return Err(Elsewhere {
                    kind: "unresolved",
                    message: format!(
                        "`{host}` has no address in the DNS; add an A or AAAA record that leads to this box"
                    ),
                });
            }
            Err(error) => {
                tracing::debug!(host, error = &error as &dyn std::error::Error, "not looked up");
                return Ok(());
            }
        };
        if self.is_public && addresses.iter().all(|address| is_private_address(address.to_canonical())) {
            return Err(Elsewhere {
                kind: "private",
                message: format!(
                    "`{host}` leads to {}, which no public authority can reach; set `acme_dns` to prove it by DNS, or \
                     `issuer = \"local\"` in `[tls]`",
                    list(&addresses)
                ),
            });
        }
        if self.is_at_port_80 { self.meet(host, &addresses).await } else { Ok(()) }
    }
}

impl SelfCheck {
    /// Asks the name for a token as an authority would.
    async fn meet(&self, host: &str, addresses: &[IpAddr]) -> Result<(), Elsewhere> {
        let token = crate::hex::encode(crate::random::bytes::<16>());
        let word = crate::hex::encode(crate::random::bytes::<16>());
        let _posted = self.challenges.post_http(&token, &word);
        let request = Request::get(format!("http://{host}{HTTP01_PATH}{token}")).body(Bytes::new());
        // An address of version 6 is no host of a URL as it is; whether it can have a certificate the authority knows.
        let Ok(request) = request else { return Ok(()) };
        let response = match self.web.send(request).await {
            Ok(response) => response,
            Err(error) => {
                // Many a router does not let a box reach itself by its outer address.
                tracing::debug!(host, error = &error as &dyn std::error::Error, "not met");
                return Ok(());
            }
        };
        if response.status() == StatusCode::OK && response.body().as_ref() == word.as_bytes() {
            return Ok(());
        }
        Err(Elsewhere {
            kind: "elsewhere",
            message: format!(
                "`{host}` leads to {}, where another server answers ({}); let its A or AAAA record lead to this box",
                list(addresses),
                response.status()
            ),
        })
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
