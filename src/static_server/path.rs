//! The path of a request, decoded and judged before anything touches the disk.
//!
//! A path is cut at its literal slashes first and decoded afterwards, so an encoded slash can never make a new
//! segment. A segment that means something to a file system (`..`, `.`, a slash, a backslash, NUL) is refused here,
//! although [`super::root`] would not follow it either: two locks, each enough on its own.

/// The one dot directory that is served: RFC 8615 reserves it for files meant to be public.
const WELL_KNOWN: &str = ".well-known";

/// A request path as the names it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SitePath {
    segments: Vec<String>,
    /// The last segment as it was sent, still encoded: it goes back out in a redirect.
    raw_last: String,
    is_directory: bool,
}

/// The path is no path of a site, whatever the site holds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("request path is not a path below the site's root")]
pub(super) struct BadPath;

impl SitePath {
    /// Parses the path of a request target, without its query.
    ///
    /// # Errors
    /// [`BadPath`] for a path that does not start with `/`, a broken percent escape, text that is not UTF-8, and every
    /// segment that is `.` or `..` or holds a slash, a backslash or NUL once decoded.
    pub(super) fn parse(raw: &str) -> Result<SitePath, BadPath> {
        let rest = raw.strip_prefix('/').ok_or(BadPath)?;
        let (rest, is_directory) = match rest.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (rest, rest.is_empty()),
        };
        if rest.is_empty() && !raw[1..].is_empty() {
            // `//` is not `/`.
            return Err(BadPath);
        }
        let segments = match rest {
            "" => Vec::new(),
            rest => rest.split('/').map(decode_segment).collect::<Result<Vec<_>, _>>()?,
        };
        let raw_last = rest.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(SitePath { segments, raw_last, is_directory })
    }

    /// Whether the path ends in a slash, the root included.
    pub(super) fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Whether any segment is a dotfile's name. `.well-known` is not.
    pub(super) fn is_hidden(&self) -> bool {
        self.segments.iter().any(|segment| segment.starts_with('.') && segment != WELL_KNOWN)
    }

    /// Whether the last segment names a kind of file (`app.js`), which is how a missing asset is told from a route of
    /// a single-page app.
    pub(super) fn has_extension(&self) -> bool {
        self.segments.last().is_some_and(|last| last.contains('.'))
    }

    /// The path below the root: no leading or trailing slash, empty for the root itself.
    pub(super) fn relative(&self) -> String {
        self.segments.join("/")
    }

    /// The path of `name` below this path.
    pub(super) fn child(&self, name: &str) -> String {
        if self.segments.is_empty() { name.to_owned() } else { format!("{}/{name}", self.relative()) }
    }

    /// Where the directory of this path is, relative to the request's own URL.
    ///
    /// Relative, so it is right behind a proxy that strips a prefix, and so a path like `//evil.example/x` can never
    /// become another host. The leading `./` keeps a colon in the name from reading as a scheme.
    pub(super) fn directory_location(&self, query: Option<&str>) -> String {
        match query {
            Some(query) => format!("./{}/?{query}", self.raw_last),
            None => format!("./{}/", self.raw_last),
        }
    }
}

fn decode_segment(raw: &str) -> Result<String, BadPath> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = bytes.next().and_then(hex_digit).ok_or(BadPath)?;
            let low = bytes.next().and_then(hex_digit).ok_or(BadPath)?;
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    let segment = String::from_utf8(decoded).map_err(|_| BadPath)?;
    let is_special = matches!(segment.as_str(), "" | "." | "..");
    if is_special || segment.contains(['/', '\\', '\0']) { Err(BadPath) } else { Ok(segment) }
}

fn hex_digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Option<&str>) {
        assert_eq!(SitePath::parse(raw).ok().map(|path| path.relative()).as_deref(), expected, "{raw}");
    }

    #[test]
    fn percent_escapes_are_decoded_once() {
        check("/", Some(""));
        check("/a/b.txt", Some("a/b.txt"));
        check("/a%20b", Some("a b"));
        check("/caf%C3%A9", Some("café"));
        check("/%2541", Some("%41"));
        check("/a/", Some("a"));
        check("/a..b/...", Some("a..b/..."));
    }

    #[test]
    fn paths_that_mean_something_to_a_file_system_are_refused() {
        for raw in [
            "",
            "*",
            "a",
            "//",
            "//a",
            "/a//b",
            "/..",
            "/../a",
            "/a/..",
            "/a/../",
            "/%2e%2e/a",
            "/%2E./a",
            "/.",
            "/a/./b",
            "/a%2fb",
            "/%2fetc",
            "/a%5cb",
            "/a\\b",
            "/%00",
            "/a%00.html",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
        ] {
            check(raw, None);
        }
    }

    #[test]
    fn dotfiles_are_hidden_and_well_known_is_not() {
        let hidden = |raw| SitePath::parse(raw).expect("a good path").is_hidden();
        assert!(hidden("/.env"));
        assert!(hidden("/%2eenv"));
        assert!(hidden("/a/.git/config"));
        assert!(hidden("/.well-known/.secret"));
        assert!(!hidden("/.well-known/security.txt"));
        assert!(!hidden("/a.b"));
    }

    #[test]
    fn directory_redirect_is_relative_and_keeps_the_query() {
        let path = SitePath::parse("/docs/a%20b").expect("a good path");
        assert_eq!(path.directory_location(Some("x=1&y=%2F")), "./a%20b/?x=1&y=%2F");
        assert_eq!(path.directory_location(None), "./a%20b/");
    }
}
