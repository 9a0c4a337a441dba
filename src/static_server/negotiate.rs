//! Which precompressed sibling of a file a client gets.
//!
//! A build tool leaves `app.js.br` beside `app.js`; whoever accepts `br` gets those bytes. Nothing is compressed here:
//! doing it once at build time is better and cheaper than on each request.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A content coding, best first: the order breaks ties between equal weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    Brotli,
    Zstd,
    Gzip,
}

/// What a client accepts, from `Accept-Encoding`.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// In thousandths; `None` for a coding the client did not name.
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Encoding {
    pub(super) const ALL: [Encoding; 3] = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];

    /// The name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
        }
    }

    /// What the sibling's name has after the file's own.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Encoding::Brotli => ".br",
            Encoding::Zstd => ".zst",
            Encoding::Gzip => ".gz",
        }
    }
}

impl Accepted {
    /// Reads `Accept-Encoding`; a member that makes no sense is left out.
    pub(super) fn from_headers(headers: &HeaderMap) -> Accepted {
        let mut accepted = Accepted::default();
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for member in values.flat_map(|value| value.split(',')) {
            let mut parts = member.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let Some(weight) = weight(parts) else { continue };
            let slot = match name.as_str() {
                "br" => &mut accepted.brotli,
                "zstd" => &mut accepted.zstd,
                "gzip" | "x-gzip" => &mut accepted.gzip,
                "identity" => &mut accepted.identity,
                "*" => &mut accepted.any,
                _ => continue,
            };
            *slot = Some(weight);
        }
        accepted
    }

    /// The coding to send of those there are; `None` is the file itself.
    ///
    /// The file itself is what is left when nothing better is acceptable, even where the client excludes it: a body
    /// it may not want is worth more than a 406.
    pub(super) fn choose(&self, available: &[Encoding]) -> Option<Encoding> {
        let best = available
            .iter()
            .map(|encoding| (self.weight(*encoding), *encoding))
            .filter(|(weight, _)| *weight > 0)
            .max_by(|(a, first), (b, second)| a.cmp(b).then(second.cmp(first)))?;
        // Unnamed, the file itself is acceptable but never preferred.
        (best.0 >= self.identity.unwrap_or(0)).then_some(best.1)
    }

    fn weight(&self, encoding: Encoding) -> u16 {
        let named = match encoding {
            Encoding::Brotli => self.brotli,
            Encoding::Zstd => self.zstd,
            Encoding::Gzip => self.gzip,
        };
        named.or(self.any).unwrap_or(0)
    }
}

/// The `q` among a member's parameters, in thousandths, 1000 where there is none.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let Some(q) = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    }) else {
        return Some(1000);
    };
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<Encoding>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(header).expect("a header value"));
        assert_eq!(Accepted::from_headers(&headers).choose(&Encoding::ALL), expected, "{header}");
    }

    #[test]
    fn higher_weight_wins_and_brotli_breaks_a_tie() {
        check("gzip, deflate, br, zstd", Some(Encoding::Brotli));
        check("gzip, zstd", Some(Encoding::Zstd));
        check("br;q=0.5, gzip;q=0.9", Some(Encoding::Gzip));
        check("BR;Q=0.3, x-gzip;q=0.2", Some(Encoding::Brotli));
        check("*", Some(Encoding::Brotli));
        check("br;q=0, *;q=0.1", Some(Encoding::Zstd));
    }

    #[test]
    fn excluded_or_less_wanted_encodings_are_not_sent() {
        check("", None);
        check("deflate", None);
        check("br;q=0", None);
        check("identity, gzip;q=0.5", None);
        check("gzip;q=2", None);
        check("gzip;q=0.1234", None);
        check("identity;q=0.5, gzip;q=0.5", Some(Encoding::Gzip));
    }

    #[test]
    fn only_siblings_that_are_there_count() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip;q=0.1"));
        assert_eq!(Accepted::from_headers(&headers).choose(&[Encoding::Gzip]), Some(Encoding::Gzip));
        assert_eq!(Accepted::from_headers(&headers).choose(&[]), None);
    }
}
