//! `Accept-Encoding`: the coding that is chosen is one that the client takes, and none that it likes better is offered.

use http::{HeaderMap, HeaderValue};
use minipaas::policy::Encoding;
use minipaas::proxy::fuzzing;

use super::Input;

const WORDS: [&str; 24] = [
    "gzip", "br", "zstd", "BR", "*", "identity", "deflate", ",", ", ", ";", "; ", "q=", "Q=", "0", "1",
    "0.5", ".5", "0.001", "0.999", "1.000", "1e3", "inf", "nan", "-1",
];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let all = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];
    let offered: Vec<_> = (0..input.below(4)).map(|_| all[input.below(3)]).collect();
    let mut headers = HeaderMap::new();
    for _ in 0..input.below(3) {
        if let Ok(value) = HeaderValue::from_bytes(&input.words(&WORDS, 16)) {
            headers.append("accept-encoding", value);
        }
    }
    let members: Vec<(String, u32)> = headers
        .get_all("accept-encoding")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(member)
        .collect();
    let weight = |encoding: Encoding| {
        let named = |name: &str| members.iter().find(|(coding, _)| coding == name).map(|(_, weight)| *weight);
        named(encoding.as_str()).or_else(|| named("*")).unwrap_or(0)
    };
    let chosen = fuzzing::negotiate(&offered, &headers);
    let best = offered.iter().map(|encoding| weight(*encoding)).max().unwrap_or(0);
    assert_eq!(chosen.map_or(0, weight), best, "{chosen:?} of {offered:?} for {headers:?}");
    let first = offered.iter().find(|encoding| weight(**encoding) == best && best > 0);
    assert_eq!(chosen.as_ref(), first, "the policy's order decides between equals: {headers:?}");
}

/// A coding and its weight in thousandths, read digit by digit.
fn member(text: &str) -> (String, u32) {
    let mut parts = text.split(';').map(str::trim);
    let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
    let Some(number) = parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('=')) else {
        return (coding, 1000);
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !is_number {
        return (coding, 0);
    }
    if whole.bytes().any(|b| b != b'0') {
        return (coding, 1000);
    }
    // Three digits are all that there may be; of more the first are as good as exact.
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |b| u32::from(b - b'0'));
    let rounds_up = u32::from(digit(3) >= 5);
    (coding, digit(0) * 100 + digit(1) * 10 + digit(2) + rounds_up)
}
