//! Where an upstream is: `http://10.0.0.5:8080`, `http://app.internal`, `http://[2001:db8::1]:80`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::name::Host;

/// The port of an address that names none.
const PORT_DEFAULT: u16 = 80;

/// Where an upstream is: an IP address or a name, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    place: Place,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Ip(IpAddr),
    Name(String),
}

/// Why a text is no upstream's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// TLS to an upstream is not spoken.
    #[error(
        "upstream `{0}` is https, and requests go to upstreams in plain http; name its http port, or a proxy beside it that speaks https to it"
    )]
    Https(String),
    /// There is a password in it; it is not repeated.
    #[error(
        "an upstream's address has no user and no password; have `request_headers` in [proxy] add what it asks for"
    )]
    UserInfo,
    /// Another rule is broken.
    #[error("upstream `{text}` {problem}; use an address such as `http://10.0.0.5:8080`")]
    Invalid {
        /// The text that was given.
        text: String,
        /// The first rule that it breaks.
        problem: String,
    },
}

// === impl Address ===

impl Address {
    /// The name, if it is one that must be looked up.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.place {
            Place::Name(name) => Some(name),
            Place::Ip(_) => None,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address itself; `None` for a name.
    #[must_use]
    pub fn literal(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Place::Name(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = |problem: String| AddressError::Invalid { text: text.to_owned(), problem };
        if text.contains('@') {
            return Err(AddressError::UserInfo);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("does not begin with `http://`".to_owned()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(AddressError::Https(text.to_owned())),
            other => return Err(bad(format!("begins with `{other}://`"))),
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(bad(format!("has `{path}` after the address")));
        }
        let (host, port) = split(authority).map_err(bad)?;
        let port = match port {
            None => PORT_DEFAULT,
            Some(digits) => {
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let port = digits.parse().ok().filter(|port| is_number && *port > 0);
                port.ok_or_else(|| bad(format!("has the port `{digits}`, which is none")))?
            }
        };
        let place = place(host).map_err(bad)?;
        Ok(Self { place, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Ip(IpAddr::V6(ip)) => write!(f, "http://[{ip}]")?,
            Place::Ip(IpAddr::V4(ip)) => write!(f, "http://{ip}")?,
            Place::Name(name) => write!(f, "http://{name}")?,
        }
        if self.port == PORT_DEFAULT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Host, in its brackets if it has some, and port.
fn split(authority: &str) -> Result<(&str, Option<&str>), String> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("has no closing `]`")? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("has `{rest}` after the `]`")),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err("has an IPv6 address without `[` and `]`".to_owned()),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn place(host: &str) -> Result<Place, String> {
    let ip = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => {
            let ip =
                inner.parse::<Ipv6Addr>().map_err(|_| format!("has `{host}`, which is no IPv6 address"))?;
            Some(IpAddr::V6(ip).to_canonical())
        }
        None => host.parse::<IpAddr>().ok(),
    };
    if let Some(ip) = ip {
        if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]) {
            return Err("is the address of no single server".to_owned());
        }
        return Ok(Place::Ip(ip));
    }
    // The system's resolver takes `10.1` and `0x7f.1` for addresses; people who write one mean another.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    match host.parse() {
        Ok(Host::Exact(name)) if !name.rsplit('.').next().is_some_and(is_number) => Ok(Place::Name(name)),
        _ => Err(format!("has the host `{host}`, which is neither a name nor an IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_a_host_and_a_port() {
        for (text, canonical) in [
            ("http://10.0.0.5:8080", "http://10.0.0.5:8080"),
            ("http://10.0.0.5/", "http://10.0.0.5"),
            ("HTTP://App.Internal.:80", "http://app.internal"),
            ("http://[2001:DB8::1]:81", "http://[2001:db8::1]:81"),
            ("http://[::1]", "http://[::1]"),
            ("http://[::ffff:10.0.0.5]", "http://10.0.0.5"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn the_error_names_the_rule_that_was_broken() {
        let invalid = |text: &str, problem: &str| {
            let expected =
                format!("upstream `{text}` {problem}; use an address such as `http://10.0.0.5:8080`");
            assert_eq!(text.parse::<Address>().unwrap_err().to_string(), expected);
        };
        invalid("10.0.0.5:8080", "does not begin with `http://`");
        invalid("ftp://a", "begins with `ftp://`");
        invalid("http://a/api", "has `/api` after the address");
        invalid("http://a?x", "has `?x` after the address");
        invalid("http://a:0", "has the port `0`, which is none");
        invalid("http://a:+1", "has the port `+1`, which is none");
        invalid("http://a:65536", "has the port `65536`, which is none");
        invalid("http://a:", "has the port ``, which is none");
        invalid("http://::1:80", "has an IPv6 address without `[` and `]`");
        invalid("http://[::1", "has no closing `]`");
        invalid("http://[::1]8", "has `8` after the `]`");
        invalid("http://[::g]", "has `[::g]`, which is no IPv6 address");
        invalid("http://0.0.0.0:80", "is the address of no single server");
        invalid("http://10.1", "has the host `10.1`, which is neither a name nor an IP address");
        invalid("http://", "has the host ``, which is neither a name nor an IP address");
        invalid("http://*.a", "has the host `*.a`, which is neither a name nor an IP address");
    }

    #[test]
    fn https_and_passwords_say_what_to_do_instead() {
        let https = "https://a".parse::<Address>().unwrap_err().to_string();
        assert!(
            https.starts_with("upstream `https://a` is https, and requests go to upstreams in plain http")
        );
        let secret = "http://ann:secret@a".parse::<Address>().unwrap_err().to_string();
        assert!(secret.contains("request_headers") && !secret.contains("secret@"), "{secret}");
    }
}
