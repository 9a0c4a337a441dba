//! Changes that are asked for twice and done once.
//!
//! A layer around each route that changes something. A request with an `Idempotency-Key` is served, and its answer kept; the
//! same caller's next request with that key is answered with it if it is the same request, waits if that is still being
//! worked on, and is refused if it is another one. Answers that say that the box is to blame (5xx) are not kept: asking again
//! is right then.
//!
//! The stream of a deploy is not kept on disk. While its recording is there, it is given from its beginning; after that the
//! deploy is asked for anew, and finds that nothing has changed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use super::failure::Refusal;
use super::recording::Recording;
use super::stream;
use crate::answers::{Answers, KeptAnswer};
use crate::api::{Failure, IDEMPOTENCY_HEADER};
use crate::clock;
use crate::people::Actor;

/// As `Json` has it: what is longer is refused there, too.
const REQUEST_BYTES_MAX: usize = 2 << 20;
/// An answer that is longer is not kept.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A UUID has 36.
const KEY_BYTES_MAX: usize = 200;
/// Streams that can be given again.
const STREAMS_MAX: usize = 20;

/// Whose key it is, as a digest.
type Id = [u8; 32];

/// What was answered, and what is being worked on.
pub(super) struct Kept {
    answers: Answers,
    /// A lock for each key that is in use, held while its request is worked on.
    running: Mutex<HashMap<Id, Arc<AsyncMutex<()>>>>,
    streams: Mutex<VecDeque<KeptStream>>,
}

/// A stream that can be given again.
struct KeptStream {
    id: Id,
    /// The digest of the request that it answers.
    request: [u8; 32],
    recording: Arc<Recording>,
}

/// The recording that an answer streams, beside the answer.
#[derive(Clone)]
pub(super) struct Recorded(pub(super) Arc<Recording>);

/// A key in use; others wait until it is dropped.
struct Turn {
    kept: Arc<Kept>,
    id: Id,
    lock: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Kept {
    pub(super) fn new(answers: Answers) -> Self {
        Self { answers, running: Mutex::default(), streams: Mutex::default() }
    }

    /// Waits until nobody else works on this key.
    async fn turn(self: &Arc<Self>, id: Id) -> Turn {
        let lock = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(running.entry(id).or_default())
        };
        Turn { kept: Arc::clone(self), id, lock: Some(lock.lock_owned().await) }
    }

    fn stream(&self, id: &Id) -> Option<([u8; 32], Arc<Recording>)> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let found = streams.iter().find(|found| found.id == *id);
        found.map(|found| (found.request, Arc::clone(&found.recording)))
    }

    fn keep_stream(&self, id: Id, request: [u8; 32], recording: Arc<Recording>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.truncate(STREAMS_MAX - 1);
        streams.push_front(KeptStream { id, request, recording });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.kept.running.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.lock.take());
        // Ours and the map's: nobody waits.
        if running.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            running.remove(&self.id);
        }
    }
}

/// Serves the request, or answers it as before.
pub(super) async fn once(
    State(kept): State<Arc<Kept>>,
    Extension(actor): Extension<Actor>,
    req: Request,
    next: Next,
) -> Response {
    let Some(key) = req.headers().get(IDEMPOTENCY_HEADER).cloned() else { return next.run(req).await };
    match answered(&kept, &actor, &key, req, next).await {
        Ok(res) => res,
        Err(refusal) => refusal.into_response(),
    }
}

async fn answered(
    kept: &Arc<Kept>,
    actor: &Actor,
    key: &HeaderValue,
    req: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("`Idempotency-Key` has 1 to {KEY_BYTES_MAX} characters");
        return Err(Refusal::bad_request(message));
    }
    let (parts, body) = req.into_parts();
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| {
        let message = format!("the request has more than {} MiB, or broke off", REQUEST_BYTES_MAX >> 20);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Failure::new("too-large", message))
    })?;
    let id = digest(&[actor.as_str().as_bytes(), key.as_bytes()]);
    let request = digest(&[parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), &body]);
    let _turn = kept.turn(id).await;
    if let Some((before, recording)) = kept.stream(&id) {
        check_same(before == request)?;
        return Ok(stream::of_recording(&recording, 0));
    }
    let found = kept.answers.find(&id).await.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer that was kept cannot be read");
        None
    });
    if let Some(answer) = found {
        check_same(answer.request == request)?;
        return Ok(again(answer));
    }
    let res = next.run(Request::from_parts(parts, Body::from(body))).await;
    if let Some(Recorded(recording)) = res.extensions().get::<Recorded>() {
        kept.keep_stream(id, request, Arc::clone(recording));
        return Ok(res);
    }
    keep(kept, &id, request, res).await
}

async fn keep(kept: &Kept, id: &Id, request: [u8; 32], res: Response) -> Result<Response, Refusal> {
    let is_kept = res.status().as_u16() < 500 && !stream::is_stream(&res);
    if !is_kept {
        return Ok(res);
    }
    let (parts, body) = res.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let answer = KeptAnswer {
        request,
        at: clock::now(),
        status: parts.status.as_u16(),
        content_type: content_type.map(str::to_owned),
        body: body.to_vec(),
    };
    if answer.body.len() <= ANSWER_BYTES_MAX
        && let Err(error) = kept.answers.keep(id, &answer).await
    {
        tracing::error!(%error, "an answer is not kept: the request would be done again");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn check_same(is_same: bool) -> Result<(), Refusal> {
    if is_same {
        return Ok(());
    }
    let message = "this `Idempotency-Key` was used for another request";
    let failure = Failure::new("idempotency-mismatch", message).hinted("give each request a new random key");
    Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, failure))
}

fn again(answer: KeptAnswer) -> Response {
    let KeptAnswer { status, content_type, body, .. } = answer;
    let mut res = Response::new(Body::from(Bytes::from(body)));
    *res.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(value) = content_type.and_then(|text| HeaderValue::from_str(&text).ok()) {
        res.headers_mut().insert(CONTENT_TYPE, value);
    }
    res.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    res
}

/// Of these parts, each with its length before it, so that no two lists are alike.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}
