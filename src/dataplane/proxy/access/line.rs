//! How a line is written: logfmt, by hand, because this is done for every request.
//!
//! What a client sends may not end a line, a value or the quotes around it. In quotes, what is not printable ASCII, a quote or
//! a backslash is escaped as JSON does it; bytes beyond ASCII are taken one by one. So each line can be read back exactly.

use std::cell::RefCell;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What is written of one value; the rest of a longer one becomes `...`.
const VALUE_BYTES_MAX: usize = 4096;
/// What is written for a value that is masked.
const MASK: &[u8] = b"***";
/// `2026-01-01T00:00:00`.
const DATE_BYTES: usize = 19;

/// The last second that a thread wrote, as text.
struct Second {
    /// A moment on both clocks: the one of the machine is read once a second.
    anchor: Instant,
    anchor_millis: u64,
    number: u64,
    text: [u8; DATE_BYTES],
}

thread_local! {
    static SECOND: RefCell<Option<Second>> = const { RefCell::new(None) };
}

/// Bytes that may stand without quotes.
static IS_BARE: [bool; 256] = {
    let mut is_bare = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is_bare[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'.' | b'-' | b'_' | b':' | b'/' | b'*');
        byte += 1;
    }
    is_bare
};

/// Bytes that are not escaped between quotes.
static IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        is_plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    is_plain
};

/// A field whose value needs no quotes, whatever it is.
pub(super) fn bare(line: &mut Vec<u8>, key: &str, value: &str) {
    line.extend_from_slice(key.as_bytes());
    line.extend_from_slice(value.as_bytes());
}

/// A field with a number.
pub(super) fn number(line: &mut Vec<u8>, key: &str, value: u64) {
    line.extend_from_slice(key.as_bytes());
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// A field with a time: `18ms`.
pub(super) fn millis(line: &mut Vec<u8>, key: &str, value: Duration) {
    number(line, key, u64::try_from(value.as_millis()).unwrap_or(u64::MAX));
    line.extend_from_slice(b"ms");
}

/// A value, in quotes if it needs them.
pub(super) fn value(line: &mut Vec<u8>, value: &[u8]) {
    if !value.is_empty()
        && value.len() <= VALUE_BYTES_MAX
        && value.iter().all(|byte| IS_BARE[usize::from(*byte)])
    {
        line.extend_from_slice(value);
        return;
    }
    line.push(b'"');
    escape(line, value);
    line.push(b'"');
}

/// A value that stands between quotes.
pub(super) fn escape(line: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
    while let Some(at) = rest.iter().position(|byte| !IS_PLAIN[usize::from(*byte)]) {
        line.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => line.extend_from_slice(&[b'\\', byte]),
            byte => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 0xf)];
                line.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
        }
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
    if value.len() > VALUE_BYTES_MAX {
        line.extend_from_slice(b"...");
    }
}

/// Hides the values of these parameters in the query that is there in the line; `*` is all.
pub(super) fn mask(line: &mut Vec<u8>, query: Range<usize>, names: &[String]) {
    let after = line.split_off(query.end);
    let query = line.split_off(query.start);
    let is_all = names.iter().any(|name| name == "*");
    for part in query.split_inclusive(|byte| matches!(byte, b'&' | b';')) {
        let (pair, separator) = match part.split_last() {
            Some((last @ (b'&' | b';'), pair)) => (pair, Some(*last)),
            _ => (part, None),
        };
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) if is_all || names.iter().any(|name| is_name(&pair[..at], name)) => {
                line.extend_from_slice(&pair[..=at]);
                line.extend_from_slice(MASK);
            }
            // A value without a name.
            None if is_all && !pair.is_empty() => line.extend_from_slice(MASK),
            _ => line.extend_from_slice(pair),
        }
        line.extend(separator);
    }
    line.extend_from_slice(&after);
}

/// The time in UTC, to the millisecond; `at` is about now.
pub(super) fn timestamp(line: &mut Vec<u8>, at: Instant) {
    SECOND.with_borrow_mut(|second| {
        let known = second.as_ref().map(|known| (known, known.millis(at)));
        let (text, millis) = match known {
            Some((known, millis)) if millis / 1000 == known.number => (known.text, millis),
            _ => {
                let new = second.insert(Second::at(at));
                (new.text, new.anchor_millis)
            }
        };
        let millis = millis % 1000;
        line.extend_from_slice(&text);
        let digit = |place: u64| b'0' + (millis / place % 10) as u8;
        line.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
    });
}

impl Second {
    /// `at` is now.
    fn at(at: Instant) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let anchor_millis = u64::try_from(since.as_millis()).unwrap_or(0);
        let number = anchor_millis / 1000;
        let date = i64::try_from(number).ok().and_then(|number| jiff::Timestamp::from_second(number).ok());
        let date = date.unwrap_or_default().to_string();
        let text = date.as_bytes().first_chunk().copied().unwrap_or([b'-'; DATE_BYTES]);
        Self { anchor: at, anchor_millis, number, text }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.anchor).as_millis();
        self.anchor_millis + u64::try_from(since).unwrap_or(u64::MAX / 2)
    }
}

/// Whether a parameter's name, as the client wrote it, is this one: `%70assword` is `password`, whatever its case.
fn is_name(written: &[u8], name: &str) -> bool {
    let mut wanted = name.bytes();
    let mut rest = written;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', &rest[1..]),
            },
            (b'+', after) => (b' ', after),
            (byte, after) => (*byte, after),
        };
        rest = after;
        if !wanted.next().is_some_and(|wanted| wanted.eq_ignore_ascii_case(&byte)) {
            return false;
        }
    }
    wanted.next().is_none()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_value_can_be_read_back_and_forges_nothing() {
        for (given, expected) in [
            (&b"shop.example.com:8443"[..], "shop.example.com:8443"),
            (b"", r#""""#),
            (b"a b", r#""a b""#),
            (b"x status=200", r#""x status=200""#),
            (b"\" at=info \"", r#""\" at=info \"""#),
            (b"back\\slash", r#""back\\slash""#),
            (b"one\ntwo\r\t\x1b[31m\x7f", r#""one\u000atwo\u000d\u0009\u001b[31m\u007f""#),
            ("gr\u{fc}n\u{2028}".as_bytes(), r#""gr\u00c3\u00bcn\u00e2\u0080\u00a8""#),
        ] {
            let line = written(|line| value(line, given));
            assert_eq!(line, expected);
            if line.starts_with('"') {
                let read: String = serde_json::from_str(&line).unwrap();
                assert_eq!(
                    read.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>(),
                    given
                );
            }
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let line = written(|line| value(line, &[b'a'; VALUE_BYTES_MAX + 1]));
        assert_eq!(line.len(), VALUE_BYTES_MAX + 5);
        assert!(line.ends_with("a...\""));
    }

    #[test]
    fn masked_parameters_keep_their_names() {
        let check = |query: &str, names: &[&str], expected: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut line = format!("path=\"/?{query}\" host=h").into_bytes();
            mask(&mut line, 8..8 + query.len(), &names);
            assert_eq!(String::from_utf8(line).unwrap(), format!("path=\"/?{expected}\" host=h"));
        };
        check("a=1&token=x&b=2", &["token"], "a=1&token=***&b=2");
        check("token=x=y", &["token"], "token=***");
        check(
            "%74oken=x&TOKEN=y&tokens=z&my+key=v",
            &["token", "my key"],
            "%74oken=***&TOKEN=***&tokens=z&my+key=***",
        );
        check("a=1;token=x;;&", &["token"], "a=1;token=***;;&");
        check("a=1&secret&b=", &["*"], "a=***&***&b=***");
        check("token%=1&%zz=2", &["token", "a"], "token%=1&%zz=2");
        check("", &["*"], "");
    }

    #[test]
    fn numbers_and_times_read_as_they_should() {
        assert_eq!(written(|line| number(line, " n=", 0)), " n=0");
        assert_eq!(written(|line| number(line, " n=", u64::MAX)), format!(" n={}", u64::MAX));
        assert_eq!(written(|line| millis(line, " t=", Duration::from_micros(18_900))), " t=18ms");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_goes_on_within_a_second_and_beyond() {
        let start = Instant::now();
        let read = |at: Instant| {
            let text = written(|line| timestamp(line, at));
            assert_eq!(text.len(), "2026-01-01T00:00:00.000Z".len(), "{text}");
            text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
        };
        let first = read(start);
        let within = 999 - first % 1000;
        let offset = Duration::from_millis(u64::try_from(within).unwrap());
        assert_eq!(read(start + offset), first + within, "the machine's clock is not read again");
        let now = jiff::Timestamp::now().as_millisecond();
        assert!((now - read(start + Duration::from_secs(1))).abs() < 1000, "it is read in the next second");
    }
}
