//! What a file's name says about it: its media type, and how long it may be cached.

use http::HeaderValue;

/// A name with a fingerprint never has other content: browsers need not ask again for a year.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Everything else may be kept but is asked about each time, which costs one 304. A lifetime, however short, would
/// show a new release's page with an old release's style sheet.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// Shortest hash that bundlers put into names (Vite, Rollup, Parcel and esbuild: 8 digits).
const FINGERPRINT_CHARS_MIN: usize = 8;
/// SHA-256 in hexadecimal.
const FINGERPRINT_CHARS_MAX: usize = 64;

/// The `Content-Type` of a file, by its name.
pub(super) fn content_type(path: &str) -> HeaderValue {
    let Some(media_type) = mime_guess::from_path(path).first_raw() else {
        return HeaderValue::from_static("application/octet-stream");
    };
    // RFC 9239 made this the one name of JavaScript.
    let media_type = if media_type == "application/javascript" { "text/javascript" } else { media_type };
    if !media_type.starts_with("text/") {
        return HeaderValue::from_static(media_type);
    }
    HeaderValue::try_from(format!("{media_type}; charset=utf-8")).expect("a media type is visible ASCII")
}

/// The `Cache-Control` of a file, by its name.
pub(super) fn cache_control(path: &str) -> HeaderValue {
    if is_fingerprinted(path) { IMMUTABLE } else { REVALIDATE }
}

/// `Cache-Control` of what is no file's content, as an error page.
pub(super) fn uncached() -> HeaderValue {
    REVALIDATE
}

/// Whether the name carries a hash of the content, as in `app.3f2a9c1b.js` or `index-BfS3k1aZ.css`.
///
/// Strict on purpose: to miss a hash costs a 304, to see one that is none costs a year of old content. So a date
/// (`report-20240101.pdf`) is none, and neither is a word (`user-settings.js`).
fn is_fingerprinted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    // A page is found by its name; one that changes must not be kept, whatever it is called.
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    if matches!(extension, "html" | "htm") {
        return false;
    }
    let stem = stem.strip_suffix(".min").unwrap_or(stem);
    // `app.3f2a9c1b.js.map` and `app.3f2a9c1b.chunk.js` carry the hash one part earlier.
    let stem_before = stem.rsplit_once('.').map(|(before, _)| before);
    [Some(stem), stem_before].into_iter().flatten().any(|stem| {
        stem.rsplit_once(['.', '-']).is_some_and(|(before, hash)| !before.is_empty() && is_hash(hash))
    })
}

fn is_hash(text: &str) -> bool {
    if !(FINGERPRINT_CHARS_MIN..=FINGERPRINT_CHARS_MAX).contains(&text.len()) {
        return false;
    }
    let has = |class: fn(&u8) -> bool| text.as_bytes().iter().any(class);
    let is_one_case = !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase));
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    if is_mixed && is_one_case && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    // Base 64 or 32: always 8 characters, and telling them from words takes more than a digit. A word with a capital
    // or a number (`Windows8`, `iPhone15`) changes its kind of character 2 or 3 times; 8 random ones about 5 times.
    let is_base64 = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let changes_min = if is_one_case && has(u8::is_ascii_uppercase) { 2 } else { 4 };
    text.len() == FINGERPRINT_CHARS_MIN
        && is_base64
        && is_mixed
        && has(u8::is_ascii_uppercase)
        && class_changes(text) >= changes_min
}

fn class_changes(text: &str) -> usize {
    let class = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    text.as_bytes().windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_type(path: &str, expected: &str) {
        assert_eq!(content_type(path), expected, "{path}");
    }

    #[track_caller]
    fn check_immutable(path: &str, expected: bool) {
        assert_eq!(cache_control(path) == IMMUTABLE, expected, "{path}");
    }

    #[test]
    fn text_says_its_charset() {
        check_type("index.html", "text/html; charset=utf-8");
        check_type("a/app.mjs", "text/javascript; charset=utf-8");
        check_type("style.CSS", "text/css; charset=utf-8");
        check_type("logo.svg", "image/svg+xml");
        check_type("data.json", "application/json");
        check_type("app.wasm", "application/wasm");
        check_type("LICENSE", "application/octet-stream");
    }

    #[test]
    fn fingerprinted_names_are_immutable() {
        for path in [
            "app.3f2a9c1b.js",
            "assets/index-BfS3k1aZ.css",
            "chunk-OKTH5RLX.js",
            "main.8d2f1c0b9a7e6d5c4b3a.js.map",
            "app.3f2a9c1b.chunk.js",
            "app-3f2a9c1b.min.js",
            "font-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.woff2",
        ] {
            check_immutable(path, true);
        }
    }

    #[test]
    fn names_that_only_look_fingerprinted_are_revalidated() {
        for path in [
            "index.html",
            "page-3f2a9c1b.html",
            "app.js",
            "user-settings.js",
            "jquery-3.7.1.min.js",
            "report-20240101.pdf",
            "icon-Windows8.png",
            "hero-iPhone15.png",
            "release-version2.js",
            "cafe-deadbeef.txt",
            "3f2a9c1b",
            ".3f2a9c1b.js",
        ] {
            check_immutable(path, false);
        }
    }
}
