//! Paths that are elsewhere now.

/// One path, or everything below one, answered with a redirect.
///
/// `/old` matches that path alone; `/old/*` matches everything below it, and a `*` at the end of `to` stands for what the
/// other matched. The query goes along unless `to` has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The path, starting with `/`.
    pub from: String,
    /// A path, or a URL with `http://` or `https://`.
    pub to: String,
    /// 301, 302, 303, 307 or 308. Default 308.
    pub status: u16,
}

impl Redirect {
    /// Where a request for this path and query leads; `None` when the redirect is not for it.
    #[must_use]
    pub fn location(&self, path: &str, query: Option<&str>) -> Option<String> {
        let rest = match self.from.strip_suffix('*') {
            Some(prefix) => path.strip_prefix(prefix)?,
            None if path == self.from => "",
            None => return None,
        };
        let mut location = match self.to.strip_suffix('*') {
            // A rest that begins with a slash would make `//host` of `/`, which leads to another host; browsers take a
            // backslash for one.
            Some("/") => format!("/{}", rest.trim_start_matches(['/', '\\'])),
            Some(to) => format!("{to}{rest}"),
            None => self.to.clone(),
        };
        if let Some(query) = query.filter(|_| !self.to.contains('?')) {
            location.push('?');
            location.push_str(query);
        }
        Some(location)
    }
}

#[cfg(test)]
mod tests {
    use super::Redirect;

    #[test]
    fn a_star_stands_for_the_rest() {
        for (from, to, path, query, expected) in [
            ("/old", "/new", "/old", None, Some("/new")),
            ("/old", "/new", "/old", Some("a=b"), Some("/new?a=b")),
            ("/old", "/new?x", "/old", Some("a=b"), Some("/new?x")),
            ("/old", "/new", "/old/", None, None),
            ("/old", "/new", "/older", None, None),
            ("/old/*", "/new/*", "/old/a/b", None, Some("/new/a/b")),
            ("/old/*", "https://h.example/*", "/old/a", Some("q"), Some("https://h.example/a?q")),
            ("/old/*", "/", "/old/a", None, Some("/")),
            ("/old/*", "/*", "/old//evil.example", None, Some("/evil.example")),
            ("/old/*", "/*", "/old/\\/evil.example", None, Some("/evil.example")),
        ] {
            let redirect = Redirect { from: from.to_owned(), to: to.to_owned(), status: 308 };
            assert_eq!(redirect.location(path, query).as_deref(), expected, "{from} -> {to}: {path}");
        }
    }
}
