//! Who signs the certificate of a route's host, and which names it may be for.

use std::str::FromStr;

use http::Uri;

/// Who signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// The certificate authorities that the box has.
    Acme,
    /// The local CA.
    Local,
}

/// Who says whether a name may be ordered that nobody has listed: with status 200, to a GET with `?domain=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Somebody elsewhere.
    Url(String),
    /// The app itself, at this path.
    Path(String),
}

/// Not a place to ask at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a path such as `/domains/allowed` nor a URL")]
pub struct AskError(String);

impl FromStr for Ask {
    type Err = AskError;

    fn from_str(text: &str) -> Result<Self, AskError> {
        let uri: Uri = text.parse().map_err(|_| AskError(text.to_owned()))?;
        match (uri.scheme_str(), uri.host()) {
            (None, None) if text.starts_with('/') => Ok(Self::Path(text.to_owned())),
            (Some("http" | "https"), Some(_)) => Ok(Self::Url(text.to_owned())),
            _ => Err(AskError(text.to_owned())),
        }
    }
}
