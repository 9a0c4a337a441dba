//! The PROXY protocol, versions 1 and 2: a few bytes at the very start of a connection in which a proxy says for whom it
//! was opened (<https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>).
//!
//! [`parse`] is pure and strict: one way to write each header, no sign, no leading zero, nothing after the last field. As long
//! as a header is incomplete it tells how many bytes are certainly missing, so that `read` never takes one byte of what
//! comes after. [`encode`] writes what [`parse`] reads.
//!
//! What this module does not do: extensions (TLVs) of version 2 are passed over, their checksum with them, and addresses of
//! unix sockets are as good as none. Whether a connection may or must begin with a header is the listener's decision.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::policy::ProxyVersion;

/// The longest header of version 1, with its line end.
const V1_BYTES_MAX: usize = 107;
/// The shortest: `PROXY UNKNOWN` and a line end.
const V1_BYTES_MIN: usize = 15;
/// The longest header of version 2 that is read. The addresses take 52 bytes, or 232; the rest are extensions, of which the
/// largest that is seen, a client's certificate, takes 2 or 3 KiB.
const V2_BYTES_MAX: usize = 16 + 4096;
/// What a header of version 2 begins with: signature, version and command, family and protocol, length.
const V2_PREFIX_BYTES: usize = 16;
const V1_START: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// For whom the connection was opened; `None` when the proxy speaks for itself, or does not know.
    pub addresses: Option<Addresses>,
    /// How many bytes the header has.
    pub length: usize,
}

/// The two ends of the connection that a proxy accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub from: SocketAddr,
    /// Where the client connected to. Of the same family.
    pub to: SocketAddr,
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// What there is may become one.
    #[error("the PROXY header has at least {missing} more bytes")]
    Incomplete {
        /// So many bytes more belong to it, whatever they are. At least 1.
        missing: usize,
    },
    /// This is none, whatever follows.
    #[error("no PROXY header: {0}")]
    Invalid(&'static str),
}

/// Reads the header that the bytes begin with.
///
/// # Errors
///
/// [`ParseError`].
pub fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let begins = |start: &[u8]| {
        let common = bytes.len().min(start.len());
        bytes[..common] == start[..common]
    };
    if begins(V1_START) {
        parse_v1(bytes)
    } else if begins(V2_SIGNATURE) {
        parse_v2(bytes)
    } else {
        Err(ParseError::Invalid("the connection begins with something else"))
    }
}

/// Takes the header, and nothing beyond it, off a connection.
///
/// # Errors
///
/// When it is none, the connection ends in it, or breaks.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Addresses>> {
    let mut header = Vec::with_capacity(V1_BYTES_MAX);
    loop {
        match parse(&header) {
            Ok(parsed) => return Ok(parsed.addresses),
            Err(ParseError::Incomplete { missing }) => {
                let length = header.len();
                header.resize(length + missing, 0);
                stream.read_exact(&mut header[length..]).await?;
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// The header that says for whom a connection was opened. Addresses of two families are both written as IPv6.
#[must_use]
pub fn encode(version: ProxyVersion, addresses: Addresses) -> Vec<u8> {
    let Addresses { from, to } = addresses;
    let (from_ip, to_ip) = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (IpAddr::V4(from), IpAddr::V4(to)),
        (from, to) => (v6(from).into(), v6(to).into()),
    };
    let is_v4 = from_ip.is_ipv4();
    match version {
        ProxyVersion::V1 => {
            let family = if is_v4 { "TCP4" } else { "TCP6" };
            let v1_text = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_string(),
                // Mapped addresses in pure hexadecimal, which every reader knows.
                IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
                    let [.., high, low] = ip.segments();
                    format!("::ffff:{high:x}:{low:x}")
                }
                IpAddr::V6(ip) => ip.to_string(),
            };
            let (from_text, to_text) = (v1_text(from_ip), v1_text(to_ip));
            format!("PROXY {family} {from_text} {to_text} {} {}\r\n", from.port(), to.port()).into_bytes()
        }
        ProxyVersion::V2 => {
            let mut header = V2_SIGNATURE.to_vec();
            // Version 2, command PROXY; the family, over TCP; the length of what follows.
            header.extend_from_slice(if is_v4 { &[0x21, 0x11, 0, 12] } else { &[0x21, 0x21, 0, 36] });
            for ip in [from_ip, to_ip] {
                match ip {
                    IpAddr::V4(ip) => header.extend_from_slice(&ip.octets()),
                    IpAddr::V6(ip) => header.extend_from_slice(&ip.octets()),
                }
            }
            header.extend_from_slice(&from.port().to_be_bytes());
            header.extend_from_slice(&to.port().to_be_bytes());
            header
        }
    }
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        if window.len() == V1_BYTES_MAX {
            return Err(ParseError::Invalid("the line has no end within 107 bytes"));
        }
        let to_shortest = V1_BYTES_MIN.saturating_sub(window.len());
        let to_line_end = if window.ends_with(b"\r") { 1 } else { 2 };
        let to_longest = V1_BYTES_MAX - window.len();
        return Err(ParseError::Incomplete { missing: to_shortest.max(to_line_end).min(to_longest) });
    };
    let invalid = ParseError::Invalid("the line is no address of a client");
    let line = std::str::from_utf8(&window[V1_START.len()..end]).map_err(|_| invalid)?;
    let length = end + 2;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Parsed { addresses: None, length });
    }
    let mut fields = line.split(' ');
    let mut next = || fields.next().ok_or(invalid);
    let (family, from, to, from_port, to_port) = (next()?, next()?, next()?, next()?, next()?);
    if fields.next().is_some() {
        return Err(invalid);
    }
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => Some(text.parse::<Ipv4Addr>().ok()?.into()),
            "TCP6" => Some(text.parse::<Ipv6Addr>().ok()?.into()),
            _ => None,
        }
    };
    let port = |text: &str| {
        let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| is_plain)
    };
    let address = |text, port_text| Some(SocketAddr::new(ip(text)?, port(port_text)?));
    let (from, to) = address(from, from_port).zip(address(to, to_port)).ok_or(invalid)?;
    Ok(Parsed { addresses: Some(Addresses { from, to }), length })
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let Some((prefix, rest)) = bytes.split_at_checked(V2_PREFIX_BYTES) else {
        return Err(ParseError::Incomplete { missing: V2_PREFIX_BYTES - bytes.len() });
    };
    let is_local = match prefix[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(ParseError::Invalid("neither PROXY nor LOCAL of version 2")),
    };
    let size = usize::from(u16::from_be_bytes([prefix[14], prefix[15]]));
    let length = V2_PREFIX_BYTES + size;
    if length > V2_BYTES_MAX {
        return Err(ParseError::Invalid("longer than any that is read"));
    }
    let Some(body) = rest.get(..size) else {
        return Err(ParseError::Incomplete { missing: size - rest.len() });
    };
    if is_local {
        return Ok(Parsed { addresses: None, length });
    }
    let short = ParseError::Invalid("too short for its addresses");
    let addresses = match prefix[13] {
        // Not specified, and unix streams.
        0x00 | 0x31 => None,
        0x11 => {
            let body: &[u8; 12] = body.first_chunk().ok_or(short)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *body;
            Some(ends(Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into(), ports))
        }
        0x21 => {
            let body: &[u8; 36] = body.first_chunk().ok_or(short)?;
            let (from, rest) = body.split_first_chunk::<16>().ok_or(short)?;
            let (to, ports) = rest.split_first_chunk::<16>().ok_or(short)?;
            let ports = *ports.first_chunk().ok_or(short)?;
            Some(ends(Ipv6Addr::from(*from).into(), Ipv6Addr::from(*to).into(), ports))
        }
        _ => return Err(ParseError::Invalid("not over TCP")),
    };
    Ok(Parsed { addresses, length })
}

fn ends(from: IpAddr, to: IpAddr, [a, b, c, d]: [u8; 4]) -> Addresses {
    Addresses {
        from: SocketAddr::new(from, u16::from_be_bytes([a, b])),
        to: SocketAddr::new(to, u16::from_be_bytes([c, d])),
    }
}

#[cfg(test)]
mod tests;
