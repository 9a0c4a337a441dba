//! A response's head, as bytes.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use hyper::body::Body;

use super::super::list;
use super::super::sender::{Framing, Sender};
use super::head::Wishes;

/// What tells a client to send the body that it holds back.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Room for an ordinary head.
const HEAD_BYTES: usize = 512;

/// Puts the response into the sender; whether another request may follow it.
pub(super) fn response<B>(
    response: Response<B>,
    wishes: &Wishes,
    may_go_on: bool,
    sender: &mut Sender<B>,
) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, body) = response.into_parts();
    let out = &mut sender.out;
    out.reserve(HEAD_BYTES);
    status_line(head.status, out);
    let (mut has_length, mut has_date, mut ends) = (false, false, !may_go_on);
    let is_switching = head.status == StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in &head.headers {
        if name == TRANSFER_ENCODING {
            continue;
        }
        if name == CONNECTION && !is_switching {
            ends |= list::has(value.as_bytes(), "close");
            continue;
        }
        has_length |= name == CONTENT_LENGTH;
        has_date |= name == DATE;
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    if !has_date {
        date(out);
    }
    let may_have_body = !matches!(head.status.as_u16(), 100..200 | 204 | 304);
    let mut framing = Framing::Plain;
    if may_have_body && !has_length {
        if let Some(length) = body.size_hint().exact() {
            // What the body of the same GET would have is not known of an answer to HEAD.
            if !wishes.is_head || length > 0 {
                out.put_slice(format!("content-length: {length}\r\n").as_bytes());
            }
        } else if wishes.is_http10 {
            ends = true;
        } else if !wishes.is_head {
            framing = Framing::Chunked;
            out.put_slice(b"transfer-encoding: chunked\r\n");
        }
    }
    if !is_switching {
        match (ends, wishes.is_http10) {
            (true, _) => out.put_slice(b"connection: close\r\n"),
            (false, true) => out.put_slice(b"connection: keep-alive\r\n"),
            (false, false) => {}
        }
    }
    out.put_slice(b"\r\n");
    let has_body = may_have_body && !wishes.is_head && !body.is_end_stream();
    // A body without bytes is dropped with the response: its end is the end of the head.
    sender.start(
        Some(body).filter(|_| has_body || framing == Framing::Chunked),
        framing,
        wishes.takes_trailers,
    );
    !ends
}

/// The answer to a request that was not understood.
pub(super) fn refusal(status: StatusCode, out: &mut BytesMut) {
    status_line(status, out);
    date(out);
    out.put_slice(b"content-length: 0\r\nconnection: close\r\n\r\n");
}

fn status_line(status: StatusCode, out: &mut BytesMut) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

/// `Date`, made once a second by each thread (RFC 9110, 6.6.1).
fn date(out: &mut BytesMut) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with_borrow_mut(|(of, text)| {
        if *of != seconds {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            (*of, *text) = (seconds, format!("date: {}\r\n", httpdate::fmt_http_date(time)));
        }
        out.put_slice(text.as_bytes());
    });
}
