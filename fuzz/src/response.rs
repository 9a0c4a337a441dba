//! An upstream's response: however its bytes are cut on the way, it is the same one, or none.

use http::Method;
use minipaas::http1::fuzzing;

use super::Input;

const WORDS: [&str; 34] = [
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 304 \r\n",
    "content-length: 5\r\n",
    "content-length: 5, 5\r\n",
    "content-length: 3\r\n",
    "content-length: 0\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "transfer-encoding: identity\r\n",
    "connection: close\r\n",
    "x: y\r\n",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "a",
    "5",
    "f",
    "ffffffffffffffff",
    ";name=\"value\"",
    "hello",
    " ",
    "\t",
    ":",
    "HTTP/1.1",
    "-",
    "+",
    ",",
    "0",
];
/// Cut byte by byte up to this length; a parser starts anew at each.
const BYTES_MAX: usize = 512;

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let method = if input.below(8) == 7 { Method::HEAD } else { Method::GET };
    let cuts: Vec<usize> = (0..input.below(6)).map(|_| usize::from(input.byte())).collect();
    let mut bytes = Vec::new();
    if !input.flag() {
        bytes.extend_from_slice(WORDS[0].as_bytes());
    }
    while !input.is_empty() {
        match input.below(32) {
            // Something that is too long somewhere.
            31 => bytes.extend_from_slice(&vec![b'x'; 300 * (1 + input.below(32))]),
            30 => bytes.extend_from_slice(format!("x: {}\r\n", "y".repeat(4000)).as_bytes()),
            _ => bytes.extend_from_slice(&input.words(&WORDS, 8)),
        }
    }
    let whole = fuzzing::response(&method, std::iter::once(&*bytes));
    let mut pieces = Vec::new();
    let mut rest = &*bytes;
    for cut in cuts {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let cut = fuzzing::response(&method, pieces.iter().copied());
    assert_eq!(
        cut,
        whole,
        "{:?}",
        pieces.iter().map(|piece| piece.escape_ascii().to_string()).collect::<Vec<_>>()
    );
    let step = 1 + bytes.len() / BYTES_MAX;
    assert_eq!(fuzzing::response(&method, bytes.chunks(step)), whole, "by {step}: {}", bytes.escape_ascii());
    if let Some(whole) = whole {
        assert!(!whole.headers.contains_key("transfer-encoding"));
        let bodiless = method == Method::HEAD || matches!(whole.status.as_u16(), 204 | 304);
        assert!(!bodiless || whole.body.is_empty());
        let length = whole.headers.get("content-length").filter(|_| !bodiless);
        assert!(length.is_none_or(|length| length.as_bytes() == whole.body.len().to_string().as_bytes()
            || length.to_str().is_ok_and(|text| text.trim().parse() == Ok(whole.body.len()))));
    }
}
