//! From a request's head to the whole answer, body apart.
//!
//! Synchronous, as files are. What comes out is a response whose payload says where its bytes are; [`super::serve`]
//! streams them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use super::Inner;
use super::conditional::{Slice, Validators};
use super::kind;
use super::lookup::{Meaning, Page};
use super::negotiate::{Accepted, Encoding};
use super::path::SitePath;
use super::root::SiteFile;

/// Longest path and query; what nginx allows a request line by default.
const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Bodies up to this size are read at once; larger ones are streamed in pieces of it.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Where the bytes of a body are.
#[derive(Debug)]
pub(super) enum Payload {
    Memory(Bytes),
    File { file: File, first: u64, length: u64 },
}

/// The bytes to send of a page: the file itself or a precompressed sibling.
#[derive(Debug)]
struct Representation {
    file: SiteFile,
    encoding: Option<Encoding>,
    /// Whether another client could get other bytes.
    varies: bool,
}

impl Inner {
    /// Answers a request.
    pub(super) fn respond(&self, req: &Parts) -> Response<Payload> {
        let answer = self.answer(req).unwrap_or_else(|error| {
            tracing::warn!(path = req.uri.path(), %error, "cannot read the site");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        });
        let mut res = if req.method == Method::HEAD { without_body(answer) } else { answer };
        res.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        res
    }

    fn answer(&self, req: &Parts) -> io::Result<Response<Payload>> {
        if req.method != Method::GET && req.method != Method::HEAD {
            let mut res = plain(StatusCode::METHOD_NOT_ALLOWED);
            res.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(res);
        }
        let target_bytes = req.uri.path().len() + req.uri.query().map_or(0, str::len);
        if target_bytes > TARGET_BYTES_MAX {
            return Ok(plain(StatusCode::URI_TOO_LONG));
        }
        let Ok(path) = SitePath::parse(req.uri.path()) else {
            return Ok(plain(StatusCode::BAD_REQUEST));
        };
        match self.find(&path, is_navigation(&req.headers))? {
            Meaning::Page(page) => self.page_response(page, req),
            Meaning::Directory => Ok(redirect(&path.directory_location(req.uri.query()))),
            Meaning::Missing => self.missing_response(req),
        }
    }

    fn page_response(&self, page: Page, req: &Parts) -> io::Result<Response<Payload>> {
        let Page { path, file } = page;
        let representation = self.represent(&path, file, &req.headers)?;
        let version = representation.file.version;
        let etag = self.etags.of(&representation.file)?;
        let validators = Validators { etag, modified: version.modified() };

        let mut headers = representation.headers(&path);
        headers.insert(CACHE_CONTROL, kind::cache_control(&path));
        headers.insert(ETAG, validators.etag.clone());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(modified) = validators.modified {
            let date =
                HeaderValue::try_from(httpdate::fmt_http_date(modified)).expect("a date is visible ASCII");
            headers.insert(LAST_MODIFIED, date);
        }
        if validators.is_not_modified(&req.headers) {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_ENCODING);
            return Ok(respond_with(StatusCode::NOT_MODIFIED, headers, Payload::Memory(Bytes::new())));
        }
        // A range means something to GET alone (RFC 9110, 14.2).
        let slice = if req.method == Method::GET {
            validators.slice(&req.headers, version.size)
        } else {
            Slice::Whole
        };
        let (status, first, length) = match slice {
            Slice::Whole => (StatusCode::OK, 0, version.size),
            Slice::Part { first, last } => {
                headers.insert(CONTENT_RANGE, content_range(&format!("{first}-{last}"), version.size));
                (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
            }
            Slice::Unsatisfiable => {
                let mut res = plain(StatusCode::RANGE_NOT_SATISFIABLE);
                res.headers_mut().insert(CONTENT_RANGE, content_range("*", version.size));
                return Ok(res);
            }
        };
        let payload = payload(representation.file.file, first, length, &req.method)?;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Ok(respond_with(status, headers, payload))
    }

    /// The 404: neither conditional nor in parts, since what it describes is not the file that was asked for.
    fn missing_response(&self, req: &Parts) -> io::Result<Response<Payload>> {
        let Some(Page { path, file }) = self.not_found_page()? else {
            return Ok(plain(StatusCode::NOT_FOUND));
        };
        let representation = self.represent(&path, file, &req.headers)?;
        let mut headers = representation.headers(&path);
        headers.insert(CACHE_CONTROL, kind::uncached());
        let length = representation.file.version.size;
        let payload = payload(representation.file.file, 0, length, &req.method)?;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Ok(respond_with(StatusCode::NOT_FOUND, headers, payload))
    }

    /// Chooses between a file and its precompressed siblings. All three are looked for whatever the client accepts:
    /// `Vary` must be there for the client that accepts none, too.
    fn represent(&self, path: &str, file: SiteFile, headers: &HeaderMap) -> io::Result<Representation> {
        let mut siblings = Vec::new();
        for encoding in Encoding::ALL {
            if let Some(sibling) = self.page(format!("{path}{}", encoding.suffix()))? {
                siblings.push((encoding, sibling.file));
            }
        }
        let varies = !siblings.is_empty();
        let available: Vec<Encoding> = siblings.iter().map(|(encoding, _)| *encoding).collect();
        let chosen = Accepted::from_headers(headers).choose(&available);
        let sibling = siblings.into_iter().find(|(encoding, _)| Some(*encoding) == chosen);
        Ok(match sibling {
            Some((encoding, file)) => Representation { file, encoding: Some(encoding), varies },
            None => Representation { file, encoding: None, varies },
        })
    }
}

impl Representation {
    fn headers(&self, path: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind::content_type(path));
        if let Some(encoding) = self.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        if self.varies {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        headers
    }
}

/// A browser that goes to a page says that it wants HTML; a script that fetches data does not.
fn is_navigation(headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepts.any(|accept| accept.to_ascii_lowercase().contains("text/html"))
}

fn payload(file: File, first: u64, length: u64, method: &Method) -> io::Result<Payload> {
    match usize::try_from(length) {
        _ if method == Method::HEAD => Ok(Payload::Memory(Bytes::new())),
        Ok(length) if length <= CHUNK_BYTES => {
            let mut content = vec![0; length];
            file.read_exact_at(&mut content, first)?;
            Ok(Payload::Memory(content.into()))
        }
        _ => Ok(Payload::File { file, first, length }),
    }
}

fn content_range(part: &str, size: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes {part}/{size}")).expect("digits are visible ASCII")
}

fn redirect(location: &str) -> Response<Payload> {
    let mut res = plain(StatusCode::MOVED_PERMANENTLY);
    match HeaderValue::try_from(location) {
        Ok(location) => {
            res.headers_mut().insert(LOCATION, location);
            res
        }
        // Bytes that a URI may hold and a header may not.
        Err(_) => plain(StatusCode::BAD_REQUEST),
    }
}

fn plain(status: StatusCode) -> Response<Payload> {
    let text = format!("{}\n", status.canonical_reason().unwrap_or("error").to_ascii_lowercase());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(CACHE_CONTROL, kind::uncached());
    respond_with(status, headers, Payload::Memory(text.into()))
}

fn respond_with(status: StatusCode, headers: HeaderMap, payload: Payload) -> Response<Payload> {
    let mut res = Response::new(payload);
    *res.status_mut() = status;
    *res.headers_mut() = headers;
    res
}

fn without_body(res: Response<Payload>) -> Response<Payload> {
    res.map(|_| Payload::Memory(Bytes::new()))
}
