//! Who signs the certificate of a route's host, and which names it may be for.

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
