//! Names in other scripts than Latin: how people write them, and how they are asked for.
//!
//! The DNS and TLS know a label such as `bücher` by its ASCII form, `xn--bcher-kva` (UTS 46); a [`Host`] is always of that form.

use super::{Host, NameError};

/// How a label in another script begins in ASCII.
const ENCODED: &str = "xn--";

impl Host {
    /// A host as a person writes it, in any script.
    ///
    /// # Errors
    ///
    /// When it is no host name, or no script writes it like that.
    pub fn written(text: &str) -> Result<Self, NameError> {
        if text.is_ascii() {
            return text.parse();
        }
        let (wildcard, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
        let problem = || "is no name that can be written in ASCII".to_owned();
        let ascii = idna::domain_to_ascii_strict(name)
            .map_err(|_| NameError::Host { text: text.to_owned(), problem: problem() })?;
        format!("{wildcard}{ascii}").parse()
    }

    /// As a person writes it, where that is another text.
    #[must_use]
    pub fn as_written(&self) -> Option<String> {
        let text = self.to_string();
        if !text.split('.').any(|label| label.starts_with(ENCODED)) {
            return None;
        }
        let (wildcard, name) = text.strip_prefix("*.").map_or(("", &*text), |name| ("*.", name));
        let (unicode, valid) = idna::domain_to_unicode(name);
        valid.is_ok().then(|| format!("{wildcard}{unicode}")).filter(|written| *written != text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_have_an_ascii_form_and_back() {
        let check = |written: &str, ascii: &str, back: Option<&str>| {
            let host = Host::written(written).expect("a host");
            assert_eq!((host.to_string().as_str(), host.as_written().as_deref()), (ascii, back), "{written}");
        };
        check("Bücher.example", "xn--bcher-kva.example", Some("bücher.example"));
        check("*.bücher.example", "*.xn--bcher-kva.example", Some("*.bücher.example"));
        check("xn--bcher-kva.example", "xn--bcher-kva.example", Some("bücher.example"));
        check("shop.example.com", "shop.example.com", None);
        assert_eq!(Host::written("*"), Ok(Host::Fallback));
        for bad in ["bücher example", "-ü.example", "http://bücher.example", "ü..example", "bücher.example/x"]
        {
            assert!(Host::written(bad).is_err(), "{bad}");
        }
    }
}
