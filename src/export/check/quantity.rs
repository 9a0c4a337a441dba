//! Quantities: `256Mi`, `500m`, `1.5`, `2e3` (apimachinery, `resource.Quantity`).

use serde_json::Value;

/// The suffixes, with what they multiply by.
const SUFFIXES: &[(&str, f64)] = &[
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// About how much it is; `None` if it is no quantity. Exact enough to compare two.
pub(super) fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let number: f64 = if number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        number.parse().ok()?
    } else {
        return None;
    };
    let factor = match SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        Some((_, factor)) => *factor,
        None if suffix.is_empty() => 1.0,
        None => 10_f64.powi(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor * if text.starts_with('-') { -1.0 } else { 1.0 })
}

/// The same of a value as it stands in an object.
pub(super) fn of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| parse(value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_server_does() {
        for (text, expected) in [
            ("256Mi", 268_435_456.0),
            ("500m", 0.5),
            ("1.5", 1.5),
            (".5", 0.5),
            ("2e3", 2000.0),
            ("1E", 1e18),
            ("-1k", -1000.0),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in ["", "Mi", "1 Gi", "1mb", "1MB", "0x10", "1.2.3", ".", "--1", "inf", "NaN"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
