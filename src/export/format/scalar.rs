//! Strings as YAML scalars that every parser reads as that string.
//!
//! `kubectl` reads YAML 1.1, where `on`, `0777`, `1e3` and `2024-01-01` are no strings; other tools read 1.2, or something
//! between. So whatever could be anything but a string to any of them is quoted, and numbers with a unit (`500m`, `1Gi`, `30s`)
//! are not, as nobody writes them so.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What some parser takes for a truth value or nothing, in lower case.
const WORDS: &[&str] = &["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "="];
/// Numbers without a digit, without their sign, and what begins or ends a document.
const SPECIAL: &[&str] = &[".inf", ".nan", "", ".", "..."];
/// Of what numbers, dates and times are made in some notation.
const NUMERIC: &str = "0123456789abcdefABCDEFxXoO_+-.:tTzZ inIN";

/// The text of a string on one line: plain, or in quotes.
pub(super) fn inline(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return text.into();
    }
    let has_special = text.chars().any(|c| !is_printable(c) || c == '\'' || c == '\t');
    if !has_special && (text.contains('"') || text.contains('\\')) {
        return format!("'{text}'").into();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_printable(c) => quoted.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(quoted, "\\x{code:02x}"),
                    0x100..=0xffff => write!(quoted, "\\u{code:04x}"),
                    _ => write!(quoted, "\\U{code:08x}"),
                };
            }
        }
    }
    quoted.push('"');
    quoted.into()
}

/// The indicator of a literal block for the text, if it is one that any parser gives back as it is.
pub(super) fn block(text: &str) -> Option<&'static str> {
    let body = text.trim_end_matches('\n');
    let is_blank = |c: char| c == ' ' || c == '\t';
    let is_good = body.contains('\n') || text.len() > body.len();
    let is_good = is_good
        && !body.is_empty()
        && !body.starts_with(|c: char| is_blank(c) || c == '\n')
        && !body.ends_with(is_blank)
        && body.lines().all(|line| line.is_empty() || !line.chars().all(is_blank))
        && body.chars().all(|c| c == '\n' || c == '\t' || is_printable(c));
    match text.len() - body.len() {
        _ if !is_good => None,
        0 => Some("|-"),
        1 => Some("|"),
        _ => Some("|+"),
    }
}

fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let lower = text.to_ascii_lowercase();
    let begins_well = first.is_ascii_alphanumeric()
        || matches!(first, '/' | '_' | '.' | '$' | '(' | '+')
        || (first == '-' && text.len() > 1 && !text[1..].starts_with(' '));
    let is_number_like = (first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
        && (text.chars().any(|c| c.is_ascii_digit())
            || SPECIAL.contains(&lower.trim_start_matches(['+', '-'])))
        && text.chars().all(|c| NUMERIC.contains(c));
    begins_well
        && !WORDS.contains(&lower.as_str())
        && !is_number_like
        && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

/// What YAML lets stand as it is, without what some parser takes for the end of a line.
fn is_printable(c: char) -> bool {
    matches!(c, '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_as_something_else_is_quoted() {
        for text in [
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "N",
            "true",
            "FALSE",
            "null",
            "~",
            "",
            "1e3",
            "0x1F",
            "012",
            "0o17",
            "1_000",
            "2024-01-01",
            "12:30:00",
            "1.33",
            "-1",
            "+2",
            ".5",
            ".inf",
            "-.inf",
            ".nan",
            "a: b",
            "a #b",
            "a:",
            " a",
            "a ",
            "#a",
            "- a",
            "-",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "[a",
            "{a",
            "|",
            ">",
            "?",
            "=",
            "<<",
            "a\tb",
            "\"a\"",
            "'a'",
            "{{ a }}",
        ] {
            let written = inline(text);
            assert!(written.starts_with(['"', '\'']), "{text}: {written}");
        }
    }

    #[test]
    fn what_people_write_without_quotes_has_none() {
        for text in [
            "web",
            "500m",
            "1Gi",
            "30s",
            "-c",
            "nginx:1.27",
            "--port",
            "$(PORT)",
            "/up?x=1",
            "npm start",
            "a.b/c",
            "ghcr.io/x/y@sha256:00ff",
            "10.0.0.0/8",
            "v42",
            "http://shop",
            "Europe/Berlin",
            "*/5 * * * *",
        ] {
            let is_plain = inline(text) == text;
            assert_eq!(is_plain, !text.starts_with('*'), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(inline("a\u{7f}\u{2028}\u{feff}\r\n"), r#""a\x7f\u2028\ufeff\r\n""#);
        assert_eq!(inline(r#"{"a": "\d"}"#), r#"'{"a": "\d"}'"#);
    }
}
