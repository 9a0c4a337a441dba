//! Who asks: the client of a connection, or the one that a trusted proxy in front of us speaks for.
//!
//! # Theory of operation
//!
//! A [`Client`] is made once for each connection, with the values of all headers that do not change between its requests. When
//! the connection comes from nobody trusted that is all, and what a request claims about itself is replaced. When it comes
//! from a trusted proxy ([`Trust`]) every request may be of another client, and [`Client::behind`] reads it from the request:
//!
//! - The address is the right-most of `X-Forwarded-For` that is not trusted, counted from the connection's own: whatever is
//!   left of it was claimed by somebody untrusted, and is dropped. With a header of the operator's choice
//!   (`client_ip_header`), it is that header's value instead.
//! - `X-Forwarded-Proto`, `-Host`, `-Port` and `-Prefix` are believed where they are well-formed, and `X-Request-Id` is kept.
//!
//! What is not well-formed is as good as not said. Routes are found by `Host` alone, whatever `X-Forwarded-Host` says.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::headers::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PREFIX, X_FORWARDED_PROTO, X_REQUEST_ID,
};
use super::limits::FORWARDED_HOPS_MAX;
use super::request_id::RequestId;
use super::target;

/// The longest prefix that is believed.
const PREFIX_BYTES_MAX: usize = 256;
/// What `Forwarded` has beside one address and the host.
const FORWARDED_BYTES: usize = "for=\"[]\";host=\"\";proto=https".len();
/// Why what is built here can be a header's value.
const VISIBLE: &str = "addresses, a routed host and a scheme are visible ASCII";

/// Whom the proxy believes what they say of their clients. Default nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// The addresses of proxies in front of this one.
    pub proxies: Vec<IpNet>,
    /// The header in which they name the client's address; `None`: `X-Forwarded-For`.
    pub client_ip_header: Option<HeaderName>,
    /// Whether their connections begin with a PROXY header.
    pub proxy_protocol: bool,
}

/// Who asks, and what the app is told about it.
#[derive(Debug)]
pub(super) struct Client {
    /// The address that is logged, limited and permitted.
    pub ip: IpAddr,
    /// Whether the client itself speaks https.
    pub is_https: bool,
    /// Whether that was said by a proxy which we trust, whose own ports we do not know.
    pub is_proxied: bool,
    /// Where the connection comes from.
    peer: IpAddr,
    /// The client's address and those of all hops to here.
    chain: HeaderValue,
    port: HeaderValue,
    host: Option<HeaderValue>,
    prefix: Option<HeaderValue>,
    /// The first host that was asked for, and the `Forwarded` of its requests: few connections are for several hosts.
    forwarded: OnceLock<(HeaderValue, HeaderValue)>,
}

// === impl Trust ===

impl Trust {
    /// Whether a proxy at this address is believed.
    #[must_use]
    pub fn covers(&self, addr: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&addr))
    }
}

// === impl Client ===

impl Client {
    /// The client of a connection from `peer` to `port`, which is the port as the client sees it.
    pub(super) fn direct(peer: SocketAddr, port: u16, is_https: bool) -> Self {
        let ip = peer.ip().to_canonical();
        Self {
            ip,
            is_https,
            is_proxied: false,
            peer: ip,
            chain: value(&ip.to_string()),
            port: HeaderValue::from(port),
            host: None,
            prefix: None,
            forwarded: OnceLock::new(),
        }
    }

    /// The client that the trusted proxy at the other end of this connection speaks for.
    pub(super) fn behind(&self, headers: &HeaderMap, trust: &Trust) -> Self {
        // From the client to the nearest hop, without the connection's own.
        let hops = match &trust.client_ip_header {
            Some(name) => only(headers, name).and_then(parse_hop).into_iter().collect(),
            None => trusted_hops(headers, trust),
        };
        let proto = only(headers, &X_FORWARDED_PROTO).and_then(|proto| match proto {
            _ if proto.eq_ignore_ascii_case("https") => Some(true),
            _ if proto.eq_ignore_ascii_case("http") => Some(false),
            _ => None,
        });
        let port = only(headers, &X_FORWARDED_PORT).and_then(|port| port.parse::<u16>().ok());
        // A proxy that names the scheme and no port is at the scheme's own.
        let port = port.or(proto.map(|is_https| if is_https { 443 } else { 80 }));
        let host = headers
            .get(&X_FORWARDED_HOST)
            .filter(|host| only(headers, &X_FORWARDED_HOST).is_some() && target::routed_host(host).is_ok());
        Self {
            ip: hops.first().copied().unwrap_or(self.peer),
            is_https: proto.unwrap_or(self.is_https),
            is_proxied: proto.is_some(),
            peer: self.peer,
            chain: chain(&hops, self.peer),
            port: port.map_or_else(|| self.port.clone(), HeaderValue::from),
            host: host.cloned(),
            prefix: headers.get(&X_FORWARDED_PREFIX).filter(|prefix| is_prefix(prefix)).cloned(),
            forwarded: OnceLock::new(),
        }
    }

    /// The client and the trusted hops after it, as `X-Forwarded-For` has them.
    pub(super) fn chain(&self) -> &HeaderValue {
        &self.chain
    }

    /// Tells the app, in place of whatever the headers said: `host` was asked for, `stripped` was taken off the path.
    pub(super) fn tell(&self, headers: &mut HeaderMap, host: &HeaderValue, stripped: Option<&str>) {
        let host = self.host.as_ref().unwrap_or(host);
        headers.insert(FORWARDED, self.forwarded(host));
        headers.insert(&X_FORWARDED_FOR, self.chain.clone());
        headers.insert(&X_FORWARDED_HOST, host.clone());
        headers.insert(&X_FORWARDED_PORT, self.port.clone());
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(self.scheme()));
        match self.prefix(stripped) {
            Some(prefix) => headers.insert(&X_FORWARDED_PREFIX, prefix),
            None => headers.remove(&X_FORWARDED_PREFIX),
        };
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// What was taken off the path, by the proxy in front and then by us.
    fn prefix(&self, stripped: Option<&str>) -> Option<HeaderValue> {
        match (&self.prefix, stripped) {
            (prefix, None) => prefix.clone(),
            (None, Some(stripped)) => HeaderValue::from_str(stripped).ok(),
            (Some(prefix), Some(stripped)) => {
                let mut both = prefix.as_bytes().to_vec();
                both.extend_from_slice(stripped.as_bytes());
                HeaderValue::from_bytes(&both).ok()
            }
        }
    }

    fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        let make = || forwarded(&self.chain, host, self.scheme());
        let (first, forwarded) = self.forwarded.get_or_init(|| (host.clone(), make()));
        if first == host { forwarded.clone() } else { make() }
    }
}

/// The id that a trusted proxy gave the request, when it is well-formed.
pub(super) fn given_id(headers: &HeaderMap) -> Option<RequestId> {
    RequestId::parse(only(headers, &X_REQUEST_ID)?)
}

/// The addresses of `X-Forwarded-For` from the right-most that is not trusted on.
fn trusted_hops(headers: &HeaderMap, trust: &Trust) -> Vec<IpAddr> {
    let mut hops = Vec::new();
    let values = headers.get_all(&X_FORWARDED_FOR).iter().rev();
    let texts = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for text in texts.take(FORWARDED_HOPS_MAX) {
        let Some(hop) = parse_hop(text) else { break };
        hops.push(hop);
        if !trust.covers(hop) {
            break;
        }
    }
    hops.reverse();
    hops
}

/// An address with or without a port, as proxies write it: `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip: IpAddr =
        text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).or_else(bracketed)?;
    Some(ip.to_canonical())
}

fn chain(hops: &[IpAddr], peer: IpAddr) -> HeaderValue {
    let mut text = String::new();
    for hop in hops {
        write!(text, "{hop}, ").expect("memory takes it");
    }
    write!(text, "{peer}").expect("memory takes it");
    value(&text)
}

/// `Forwarded` (RFC 7239, 4), with an element for each address: what is known of the client is said of the first.
fn forwarded(chain: &HeaderValue, host: &HeaderValue, scheme: &str) -> HeaderValue {
    let (chain, host) = (chain.to_str().unwrap_or_default(), host.to_str().unwrap_or_default());
    let mut text = String::with_capacity(chain.len() + host.len() + FORWARDED_BYTES);
    for hop in chain.split(", ") {
        let is_first = text.is_empty();
        text.push_str(if is_first { "for=" } else { ", for=" });
        // A colon is no part of a token.
        let is_v6 = hop.contains(':');
        text.push_str(if is_v6 { "\"[" } else { "" });
        text.push_str(hop);
        text.push_str(if is_v6 { "]\"" } else { "" });
        if is_first {
            let quote = if host.contains([':', '[']) { "\"" } else { "" };
            for part in [";host=", quote, host, quote, ";proto=", scheme] {
                text.push_str(part);
            }
        }
    }
    HeaderValue::try_from(text).expect(VISIBLE)
}

/// The header's value as text, when there is exactly one.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Some(value.to_str().ok()?.trim())
}

/// Whether an app may put this before the paths of its links: one that begins with `//` would name another host.
fn is_prefix(prefix: &HeaderValue) -> bool {
    let bytes = prefix.as_bytes();
    let is_safe = |b: &u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(b);
    bytes.len() <= PREFIX_BYTES_MAX
        && bytes.starts_with(b"/")
        && bytes.len() > 1
        && bytes.iter().all(is_safe)
        && !bytes.windows(2).any(|pair| pair == b"//")
        && !bytes.split(|b| *b == b'/').any(|part| part == b"..")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect(VISIBLE)
}

#[cfg(test)]
mod tests;
