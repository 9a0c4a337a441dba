//! One value of a TXT record, checked before it goes anywhere.
//!
//! What passes needs no escaping in an address, in XML, on a command line or between the quotes of a zone file.

use super::DnsError;

/// Of one character string of a TXT record (RFC 1035, 3.3).
const VALUE_BYTES_MAX: usize = 255;
/// Of a name as text (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A value that a name has, or should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    name: String,
    value: String,
}

impl Record {
    pub(super) fn new(name: &str, value: &str) -> Result<Self, DnsError> {
        let bad = |problem| DnsError::Record { name: name.to_owned(), problem };
        let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if plain.len() > NAME_BYTES_MAX || !plain.split('.').all(is_label) {
            return Err(bad(
                "the name has a label that is empty, longer than 63 bytes, or not of letters, digits, `-` and `_`",
            ));
        }
        if value.is_empty() || value.len() > VALUE_BYTES_MAX {
            return Err(bad("a value has 1 to 255 bytes"));
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\&<>'".contains(&byte)) {
            return Err(bad(
                "a value has printable ASCII, without spaces, quotes, backslashes, `&`, `<` and `>`",
            ));
        }
        Ok(Self { name: plain, value: value.to_owned() })
    }

    /// In lower case and without a final dot.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn value(&self) -> &str {
        &self.value
    }

    /// As in a zone file.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.value)
    }

    /// Whether a provider that shows values with or without quotes means this one.
    pub(super) fn is(&self, shown: &str) -> bool {
        shown == self.value
            || shown.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(&self.value)
    }

    /// What zones the name can be in, the longest first. Nobody is served a top-level domain by a provider.
    pub(super) fn zones(&self) -> impl Iterator<Item = &str> {
        ancestors(&self.name).filter(|zone| zone.contains('.'))
    }

    /// The name within a zone that has it, `@` for the zone itself.
    pub(super) fn within(&self, zone: &str) -> &str {
        let rest = self.name.strip_suffix(zone).unwrap_or(&self.name);
        if rest.is_empty() { "@" } else { rest.trim_end_matches('.') }
    }

    /// For errors.
    pub(super) fn adding(&self) -> String {
        format!("add the TXT record of `{}`", self.name)
    }

    /// For errors.
    pub(super) fn removing(&self) -> String {
        format!("remove the TXT record of `{}`", self.name)
    }
}

/// The name, and each name above it, without the root.
pub(super) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_knows_its_possible_zones_and_its_name_in_them() {
        let record = Record::new("_acme-challenge.Shop.example.com.", "v").unwrap();
        let zones: Vec<_> = record.zones().collect();
        assert_eq!(zones, ["_acme-challenge.shop.example.com", "shop.example.com", "example.com"]);
        assert_eq!(record.within("example.com"), "_acme-challenge.shop");
        assert_eq!(record.within("_acme-challenge.shop.example.com"), "@");
    }

    #[test]
    fn a_value_is_recognised_with_and_without_quotes() {
        let record = Record::new("a.b", "v").unwrap();
        assert!(record.is("v") && record.is("\"v\""));
        assert!(!record.is("\"v") && !record.is("\"w\"") && !record.is(""));
    }

    #[test]
    fn what_would_need_escaping_is_refused() {
        for (name, value) in [
            ("a..b", "v"),
            ("", "v"),
            ("*.b", "v"),
            ("a/../b", "v"),
            ("a b", "v"),
            ("a", ""),
            ("a", "a b"),
            ("a", "a\"b"),
            ("a", "é"),
            ("a", "a\nb"),
        ] {
            assert!(matches!(Record::new(name, value), Err(DnsError::Record { .. })), "{name} {value}");
        }
        assert!(Record::new("a", &"v".repeat(256)).is_err());
        assert!(Record::new(&"a".repeat(64), "v").is_err());
        assert!(Record::new("a", &"v".repeat(255)).is_ok());
    }
}
