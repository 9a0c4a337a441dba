//! One hook's task: from the journal to the other side, one event after the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};

use super::payload::{self, DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, signature};
use super::{DELIVERIES_MAX, Delivery, DeliveryState, Hook, Parts, Progress, lock, reach};
use crate::events::{Event, News, Query};
use crate::plain::plain;
use crate::{clock, random, web};

/// After a reading or writing of the disk that failed.
const DISK_PAUSE: Duration = Duration::from_secs(30);
/// What of an error is kept.
const ERROR_CHARS_MAX: usize = 200;

/// Carries a hook's events; clones carry the same one's.
#[derive(Clone)]
pub(super) struct Courier(Arc<Inner>);

struct Inner {
    hook: Hook,
    progress: Arc<Mutex<Progress>>,
    client: web::Client,
    parts: Parts,
    /// Held while something is stored; closed when nothing may be any more.
    storing: tokio::sync::Semaphore,
}

/// What the other side said, or why it did not.
struct Answered {
    status: Option<StatusCode>,
    error: Option<String>,
}

impl Courier {
    pub(super) fn new(hook: Hook, progress: Arc<Mutex<Progress>>, client: web::Client, parts: Parts) -> Self {
        Self(Arc::new(Inner { hook, progress, client, parts, storing: tokio::sync::Semaphore::new(1) }))
    }

    pub(super) fn hook(&self) -> &Hook {
        &self.0.hook
    }

    pub(super) fn progress(&self) -> Progress {
        lock(&self.0.progress).clone()
    }

    /// Waits for what is being stored, and stores nothing more.
    pub(super) async fn stop(&self) {
        let _last = self.0.storing.acquire().await;
        self.0.storing.close();
    }

    /// Sends what happens, until the hook is disabled or the journal ends.
    pub(super) async fn run(self) {
        let mut newest = self.0.parts.journal.newest();
        while self.progress().disabled.is_none() {
            // Before the reading: what comes during it is looked for at once.
            newest.borrow_and_update();
            match self.next().await {
                Ok(Some(event)) => self.deliver(&event).await,
                Ok(None) => {
                    if newest.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(hook = self.0.hook.id, %error, "events cannot be read");
                    tokio::time::sleep(DISK_PAUSE).await;
                }
            }
        }
    }

    /// Sends a test, once.
    pub(super) async fn test(&self) -> Delivery {
        let hook = &self.0.hook;
        let news = match &hook.app {
            Some(app) => News::of_app(app, "test", "a test, sent by hand"),
            None => News::of_box("test", "a test, sent by hand"),
        };
        let event = Event { id: 0, at: clock::now(), news };
        let answered = self.send(&event).await;
        let state = if answered.is_taken() { DeliveryState::Delivered } else { DeliveryState::GivenUp };
        let delivery = self.noted(&event, 1, state, answered);
        self.store().await;
        delivery
    }

    /// The first event that is wanted and not done with.
    async fn next(&self) -> Result<Option<Event>, crate::store::StoreError> {
        let hook = &self.0.hook;
        loop {
            let after = lock(&self.0.progress).after;
            let query = Query {
                after: Some(after),
                limit: 1,
                apps: hook.app.clone().map(|app| vec![app]),
                actions: hook.events.clone(),
                ..Query::default()
            };
            let page = self.0.parts.journal.read(query).await?;
            if let Some(event) = page.events.into_iter().next() {
                return Ok(Some(event));
            }
            // What is not wanted is passed over; that it was need not be stored.
            lock(&self.0.progress).after = page.after;
            if !page.has_more {
                return Ok(None);
            }
        }
    }

    /// Tries until the event is taken or given up.
    async fn deliver(&self, event: &Event) {
        let retry = self.0.parts.retry;
        let age_max = u64::try_from(retry.age_max.as_millis()).unwrap_or(u64::MAX);
        loop {
            let before = self.under_way(event.id);
            let attempts = before.as_ref().map_or(0, |before| before.attempts) + 1;
            if let Some(DeliveryState::Waiting(until)) = before.map(|before| before.state) {
                tokio::time::sleep(Duration::from_millis(until.saturating_sub(clock::now()))).await;
            }
            let answered = self.send(event).await;
            let now = clock::now();
            let state = if answered.is_taken() {
                DeliveryState::Delivered
            } else if answered.status == Some(StatusCode::GONE)
                || attempts >= retry.attempts_max
                || now.saturating_sub(event.at) > age_max
            {
                DeliveryState::GivenUp
            } else {
                let pause = retry.pause(attempts, f64::from(random::bits()) / f64::from(u32::MAX));
                DeliveryState::Waiting(now + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
            };
            if answered.status == Some(StatusCode::GONE) {
                lock(&self.0.progress).disabled = Some("it answered 410 Gone".to_owned());
                tracing::warn!(hook = self.0.hook.id, "hook is disabled, it answered 410 Gone");
            }
            let is_over = !matches!(state, DeliveryState::Waiting(_));
            if state == DeliveryState::GivenUp {
                tracing::warn!(hook = self.0.hook.id, event = event.id, attempts, "event is given up");
            }
            self.noted(event, attempts, state, answered);
            if is_over {
                lock(&self.0.progress).after = event.id;
            }
            self.store().await;
            if is_over {
                return;
            }
        }
    }

    fn under_way(&self, event: u64) -> Option<Delivery> {
        lock(&self.0.progress).deliveries.iter().find(|found| found.event == event && event > 0).cloned()
    }

    fn noted(&self, event: &Event, attempts: u32, state: DeliveryState, answered: Answered) -> Delivery {
        let delivery = Delivery {
            event: event.id,
            action: event.news.action.clone(),
            at: clock::now(),
            attempts,
            state,
            status: answered.status.map(|status| status.as_u16()),
            error: answered.error,
        };
        let deliveries = &mut lock(&self.0.progress).deliveries;
        match deliveries.iter_mut().find(|found| found.event == event.id && event.id > 0) {
            Some(known) => *known = delivery.clone(),
            None => {
                deliveries.truncate(DELIVERIES_MAX - 1);
                deliveries.push_front(delivery.clone());
            }
        }
        delivery
    }

    async fn store(&self) {
        let Ok(_storing) = self.0.storing.acquire().await else { return };
        let Inner { hook, parts, .. } = &*self.0;
        if let Err(error) = parts.store.save_hook_progress(&hook.id, &self.progress()).await {
            // It only means that this event may be sent again.
            tracing::error!(hook = hook.id, %error, "how far a hook is cannot be stored");
        }
    }

    async fn send(&self, event: &Event) -> Answered {
        let Inner { hook, client, parts, .. } = &*self.0;
        let body = payload::body(event, hook.format, parts);
        let req = Request::post(&hook.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, signature(&hook.secret, clock::now() / 1000, &body))
            .header(EVENT_HEADER, &event.news.action)
            .header(DELIVERY_HEADER, event.id)
            .body(Bytes::from(body))
            .expect("the URL was checked when it was added, and actions are words");
        // A literal address goes past the lookup, where the others are refused.
        if let Err(error) = reach::check(req.uri(), hook.may_be_here) {
            return Answered { status: None, error: Some(error) };
        }
        match client.send(req).await {
            Ok(res) if res.status().is_success() => Answered { status: Some(res.status()), error: None },
            Ok(res) => {
                Answered { status: Some(res.status()), error: Some(format!("it answered {}", res.status())) }
            }
            Err(error) => Answered { status: None, error: Some(plain(&error.to_string(), ERROR_CHARS_MAX)) },
        }
    }
}

impl Answered {
    fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }
}
