//! What an upstream answered, by whichever version of HTTP.

use http::{HeaderMap, Response, StatusCode};

use super::body::ResponseBody;
use super::headers;
use crate::http1::{self, Switched};
use crate::http2;
use crate::traffic::InFlight;

/// What an upstream answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// A response of HTTP/1.
    Http1(Response<http1::ResponseBody>),
    /// A response of HTTP/2.
    Http2(Response<Box<http2::ResponseBody>>),
    /// `101 Switching Protocols`.
    Switched(Response<()>, Switched),
}

/// What is done with an answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is passed on.
    Response(Response<ResponseBody>),
    /// The connections become a tunnel.
    Switched(Response<()>, Switched, InFlight),
}

impl Answer {
    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Http1(response) => response.status(),
            Self::Http2(response) => response.status(),
            Self::Switched(response, _) => response.status(),
        }
    }

    /// The headers, to change them.
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Http1(response) => response.headers_mut(),
            Self::Http2(response) => response.headers_mut(),
            Self::Switched(response, _) => response.headers_mut(),
        }
    }

    /// The answer as the client gets it; its request is counted until it has ended.
    pub(super) fn reply(self, guard: InFlight) -> Reply {
        let mut response = match self {
            Self::Http1(response) => response.map(|body| ResponseBody::http1(body, guard)),
            Self::Http2(response) => response.map(|body| ResponseBody::http2(body, guard)),
            Self::Switched(response, upstream) => return Reply::Switched(response, upstream, guard),
        };
        // Whoever writes it says how.
        *response.version_mut() = http::Version::HTTP_11;
        headers::rewrite_response(response.headers_mut());
        Reply::Response(response)
    }
}

impl From<http1::Answer> for Answer {
    fn from(answer: http1::Answer) -> Self {
        match answer {
            http1::Answer::Response(response) => Self::Http1(response),
            http1::Answer::Switched(response, upstream) => Self::Switched(response, upstream),
        }
    }
}
