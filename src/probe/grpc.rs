//! gRPC's own health service, `grpc.health.v1.Health/Check`, over HTTP/2 without TLS.
//!
//! Its two messages have one field each, so they are written and read by hand: `HealthCheckRequest { string service = 1; }` and
//! `HealthCheckResponse { ServingStatus status = 1; }`.

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::network::{USER_AGENT, broken, connect};
use super::{Passed, ProbeFailure, Question};

const PATH: &str = "/grpc.health.v1.Health/Check";
/// The longest answer: it is a number.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// Whether a message is compressed, and its length (gRPC over HTTP/2).
const PREFIX_BYTES: usize = 5;
/// Field 1, as a string and as a number (protobuf's wire format).
const STRING_FIELD: u8 = 0x0a;
const NUMBER_FIELD: u8 = 0x08;

/// Asks for one service of a process, or the process as a whole.
pub(super) async fn ask(
    question: &Question<'_>,
    service: Option<&str>,
    port: Option<u16>,
) -> Result<Passed, ProbeFailure> {
    let failed = |error: &dyn std::error::Error| broken(question, error.to_string());
    let stream = connect(question, port).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
    let request = Request::post(format!("http://{}{PATH}", question.host))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::new(message(service.unwrap_or_default())))
        .map_err(|error| failed(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Err(ProbeFailure::Status { question: question.words(), status: head.status.as_u16() });
        }
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| failed(&*error))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        judge(question, [&trailers, &head.headers], &body.to_bytes())
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    // The connection is driven here, not spawned: dropping the probe drops it.
    tokio::select! {
        judged = &mut exchange => judged,
        ended = &mut connection => {
            ended.map_err(|error| failed(&error))?;
            exchange.await
        }
    }
}

fn judge(question: &Question<'_>, headers: [&HeaderMap; 2], body: &[u8]) -> Result<Passed, ProbeFailure> {
    let reported =
        |said: &str| Err(ProbeFailure::Reported { question: question.words(), said: said.to_owned() });
    let text = |name: &str| headers.into_iter().find_map(|map| map.get(name)).and_then(|it| it.to_str().ok());
    match text("grpc-status") {
        None => return Err(ProbeFailure::Unclear { question: question.words() }),
        Some("0") => {}
        Some("5") => return reported("that there is no such service"),
        Some("12") => return reported("that it has no health service"),
        Some(status) => {
            let message = text("grpc-message").unwrap_or_default();
            return reported(format!("status {status} {message}").trim_end());
        }
    }
    match status(body) {
        Some(1) => Ok(Passed::default()),
        Some(0) => reported("UNKNOWN"),
        Some(2) => reported("NOT_SERVING"),
        Some(3) => reported("SERVICE_UNKNOWN"),
        _ => Err(ProbeFailure::Unclear { question: question.words() }),
    }
}

fn message(service: &str) -> Bytes {
    let length = u8::try_from(service.len()).expect("the manifest bounds a service's name");
    let mut field = Vec::new();
    if length > 0 {
        field.extend_from_slice(&[STRING_FIELD, length]);
        field.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(field.len()).expect("a name is short");
    [&[0], &length.to_be_bytes()[..], &field].concat().into()
}

/// The serving status; a message without the field has its default, 0.
fn status(mut body: &[u8]) -> Option<u8> {
    if body.len() < PREFIX_BYTES || body.get_u8() != 0 {
        return None;
    }
    let length = usize::try_from(body.get_u32()).ok()?;
    match (length == body.len(), body) {
        (true, []) => Some(0),
        (true, [NUMBER_FIELD, status, ..]) if *status < 0x80 => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_protobuf_has_them() {
        assert_eq!(message(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(message("a.B"), &[0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B'][..]);
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        for wrong in [&[][..], &[0, 0, 0, 0, 2, 8], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 2, 9, 1]] {
            assert_eq!(status(wrong), None, "{wrong:?}");
        }
    }
}
