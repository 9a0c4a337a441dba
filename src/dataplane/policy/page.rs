//! Which of an app's own pages is shown for which status.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Policy;

/// For what a page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKey {
    /// For this status, 400 to 599.
    Status(u16),
    /// For those that begin with this digit, 4 or 5, and have no page of their own.
    Class(u8),
    /// While the app is in maintenance.
    Maintenance,
}

/// The text is no [`PageKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a status")]
pub struct PageKeyError;

// === impl PageKey ===

impl FromStr for PageKey {
    type Err = PageKeyError;

    fn from_str(text: &str) -> Result<Self, PageKeyError> {
        match text {
            "4xx" => Ok(Self::Class(4)),
            "5xx" => Ok(Self::Class(5)),
            "maintenance" => Ok(Self::Maintenance),
            _ => {
                let status =
                    text.parse().ok().filter(|status| text.len() == 3 && (400..=599).contains(status));
                status.map(Self::Status).ok_or(PageKeyError)
            }
        }
    }
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
            Self::Maintenance => f.write_str("maintenance"),
        }
    }
}

// === impl Policy ===

impl Policy {
    /// The app's own page for an error of this status: that of the status itself, else that of its class.
    #[must_use]
    pub fn page(&self, status: u16) -> Option<&Arc<str>> {
        let of_class = || self.error_pages.get(&PageKey::Class(u8::try_from(status / 100).ok()?));
        self.error_pages.get(&PageKey::Status(status)).or_else(of_class)
    }

    /// The app's own page while it is in maintenance: that one, else the one for 503.
    #[must_use]
    pub fn maintenance_page(&self) -> Option<&Arc<str>> {
        self.error_pages.get(&PageKey::Maintenance).or_else(|| self.page(503))
    }
}

#[cfg(test)]
mod tests {
    use super::{PageKey, Policy};

    #[test]
    fn a_status_wins_over_its_class() {
        let mut policy = Policy::default();
        for key in ["404", "4xx", "5xx"] {
            policy.error_pages.insert(key.parse().unwrap(), key.into());
        }
        for (status, expected) in
            [(404, Some("404")), (403, Some("4xx")), (502, Some("5xx")), (302, None), (65_535, None)]
        {
            assert_eq!(policy.page(status).map(|page| &**page), expected, "{status}");
        }
        assert_eq!(policy.maintenance_page().map(|page| &**page), Some("5xx"));
        policy.error_pages.insert(PageKey::Maintenance, "maintenance".into());
        assert_eq!(policy.maintenance_page().map(|page| &**page), Some("maintenance"));
    }

    #[test]
    fn a_key_reads_as_it_is_written() {
        for text in ["404", "4xx", "5xx", "maintenance"] {
            assert_eq!(text.parse::<PageKey>().unwrap().to_string(), text);
        }
        for bad in ["200", "3xx", "600", "+404", "0404", "", "4XX"] {
            assert!(bad.parse::<PageKey>().is_err(), "{bad}");
        }
    }
}
