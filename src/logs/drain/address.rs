//! Where a drain leads: a URL that may hold a password.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;
use zeroize::Zeroizing;

/// The longest URL.
const URL_BYTES_MAX: usize = 2048;
/// Of syslog over UDP (RFC 5426) and, by custom, TCP.
const SYSLOG_PORT: u16 = 514;
/// Of syslog over TLS (RFC 5425).
const SYSLOG_TLS_PORT: u16 = 6514;
/// What stands in the place of a secret.
const MASK: &str = "***";

/// How lines are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Syslog, a datagram a line.
    Udp,
    /// Syslog, lines with their lengths before them (RFC 6587).
    Tcp,
    /// As over TCP, inside TLS.
    Tls,
    /// Requests with many lines each; encrypted or not.
    Http,
}

/// Where a drain leads. What it shows has no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainUrl {
    text: Zeroizing<String>,
    transport: Transport,
    host: String,
    port: u16,
}

/// Why a text is no URL of a drain. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDrainUrl {
    /// It has another form.
    #[error("a drain is a URL with a host, such as `syslog+tls://logs.example.com:6514`")]
    Form,
    /// It has another scheme.
    #[error(
        "a drain's URL begins with `syslog://`, `syslog+tcp://`, `syslog+tls://`, `http://` or `https://`"
    )]
    Scheme,
    /// Syslog has no place for it.
    #[error("a syslog drain has a host and a port, and no user, path or query")]
    SyslogParts,
    /// It has no end.
    #[error("a drain's URL has at most {URL_BYTES_MAX} bytes")]
    Long,
}

impl DrainUrl {
    /// All of it, with what is secret.
    pub(super) fn secret(&self) -> &str {
        &self.text
    }

    /// How lines are sent.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The host's name or address, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for DrainUrl {
    type Err = NoDrainUrl;

    fn from_str(text: &str) -> Result<Self, NoDrainUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(NoDrainUrl::Long);
        }
        let uri: Uri = text.parse().map_err(|_| NoDrainUrl::Form)?;
        let (transport, port) = match uri.scheme_str() {
            Some("syslog") => (Transport::Udp, SYSLOG_PORT),
            Some("syslog+tcp") => (Transport::Tcp, SYSLOG_PORT),
            Some("syslog+tls") => (Transport::Tls, SYSLOG_TLS_PORT),
            Some("http") => (Transport::Http, 80),
            Some("https") => (Transport::Http, 443),
            None => return Err(NoDrainUrl::Form),
            Some(_) => return Err(NoDrainUrl::Scheme),
        };
        let authority = uri.authority().ok_or(NoDrainUrl::Form)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(NoDrainUrl::Form);
        }
        let has_more = authority.as_str().contains('@') || uri.query().is_some() || uri.path().len() > 1;
        if transport != Transport::Http && has_more {
            return Err(NoDrainUrl::SyslogParts);
        }
        let port = authority.port_u16().unwrap_or(port);
        Ok(Self { text: Zeroizing::new(text.to_owned()), transport, host, port })
    }
}

/// Without the password and the values of the query.
impl fmt::Display for DrainUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri: Uri = self.text.parse().expect("it was parsed when it was made");
        let authority = uri.authority().map_or("", Authority::as_str);
        let (user, place) =
            authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
        write!(f, "{}://", uri.scheme_str().unwrap_or_default())?;
        match user.map(|user| user.split_once(':')) {
            None => {}
            Some(Some((name, _))) => write!(f, "{name}:{MASK}@")?,
            // A user alone is a token, more often than a name.
            Some(None) => write!(f, "{MASK}@")?,
        }
        write!(f, "{place}")?;
        if uri.path() != "/" {
            write!(f, "{}", uri.path())?;
        }
        for (at, pair) in uri.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            match pair.split_once('=') {
                Some((name, _)) => write!(f, "{separator}{name}={MASK}")?,
                None => write!(f, "{separator}{MASK}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DrainUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrainUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_secret() {
        let check = |text: &str, expected: &str| {
            let shown =
                text.parse::<DrainUrl>().map_or_else(|error| error.to_string(), |url| url.to_string());
            assert_eq!(shown, expected);
        };
        check("syslog://logs.example.com", "syslog://logs.example.com");
        check("syslog+tls://[::1]:6514", "syslog+tls://[::1]:6514");
        check("https://ann:s3cret@logs.example.com/in", "https://ann:***@logs.example.com/in");
        check("https://t0ken@logs.example.com", "https://***@logs.example.com");
        check(
            "https://logs.example.com/in?token=s3cret&x&a=b",
            "https://logs.example.com/in?token=***&***&a=***",
        );
        check("ftp://logs.example.com", &NoDrainUrl::Scheme.to_string());
        check("logs.example.com:514", &NoDrainUrl::Form.to_string());
        check("syslog://ann:pw@logs.example.com", &NoDrainUrl::SyslogParts.to_string());
        check("syslog+tcp://logs.example.com/path", &NoDrainUrl::SyslogParts.to_string());
        let url: DrainUrl = "https://ann:s3cret@logs.example.com".parse().unwrap();
        assert!(!format!("{url:?}").contains("s3cret"));
    }

    #[test]
    fn ports_have_defaults() {
        let port = |text: &str| text.parse::<DrainUrl>().unwrap().port();
        assert_eq!(port("syslog://a"), 514);
        assert_eq!(port("syslog+tcp://a"), 514);
        assert_eq!(port("syslog+tls://a"), 6514);
        assert_eq!(port("syslog+tls://a:1"), 1);
        assert_eq!("syslog://[::1]".parse::<DrainUrl>().unwrap().host(), "::1");
    }
}
