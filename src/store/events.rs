//! The audit log as it lies on disk: a record an event, its key the event's number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{decode, encode, parse};
use super::{Store, StoreError};
use crate::events::{Event, News, Outcome, Page, Query, ReleaseFacts};
use crate::people::Actor;

/// What the keys begin with; sixteen hexadecimal digits follow, so that they are in order.
const PREFIX: &str = "event/";
/// Events that one reading looks at; a filter that fits few of them says where to go on.
const LOOKED_AT_MAX: usize = 20_000;

#[derive(Serialize, Deserialize)]
struct EventForm {
    at: u64,
    actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    action: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseForm>,
}

#[derive(Serialize, Deserialize)]
struct ReleaseForm {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    took_ms: u64,
    routes: Vec<(String, String)>,
}

impl Store {
    /// Adds events. Their numbers must be new.
    ///
    /// # Errors
    ///
    /// When they cannot be written; then none of them is there.
    pub async fn append_events(&self, events: Vec<Event>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for event in &events {
            batch.insert(key(event.id).as_bytes(), encode(&from_event(event)));
        }
        self.apply(batch).await
    }

    /// The number of the newest event; 0 when there was none yet.
    ///
    /// # Errors
    ///
    /// When it cannot be read back.
    pub async fn last_event(&self) -> Result<u64, StoreError> {
        self.blocking(|store| {
            let last = store.db.scan_prefix(PREFIX).next_back();
            let last = last.transpose().map_err(|error| store.failed("read", error))?;
            last.map_or(Ok(0), |(key, _)| number(&key))
        })
        .await
    }

    /// The events that are wanted, the oldest first.
    ///
    /// # Errors
    ///
    /// When one cannot be read back.
    pub async fn events(&self, query: Query) -> Result<Page, StoreError> {
        self.blocking(move |store| match query.after {
            Some(after) => store.events_after(&query, after),
            None => store.newest_events(&query),
        })
        .await
    }

    /// Removes the oldest events, as long as there are more than `max`, or more than `min` and they are from before `old`.
    ///
    /// # Errors
    ///
    /// When they cannot be removed; then all are there.
    pub async fn prune_events(&self, min: u64, max: u64, old: u64) -> Result<(), StoreError> {
        let last = self.last_event().await?;
        let batch = self
            .blocking(move |store| {
                let mut batch = sled::Batch::default();
                for entry in store.db.scan_prefix(PREFIX) {
                    let (key, value) = entry.map_err(|error| store.failed("read", error))?;
                    let event = event(&key, &value)?;
                    // Numbers have no gaps: this one and those after it.
                    let count = last.saturating_sub(event.id) + 1;
                    if count <= min || count <= max && event.at >= old {
                        break;
                    }
                    batch.remove(key);
                }
                Ok(batch)
            })
            .await?;
        self.apply(batch).await
    }

    fn events_after(&self, query: &Query, after: u64) -> Result<Page, StoreError> {
        let mut page = Page { events: Vec::new(), after, has_more: false };
        // All keys of the prefix are shorter than or equal to sixteen f.
        let range = key(after.saturating_add(1))..=key(u64::MAX);
        for (looked_at, entry) in self.db.range(range).enumerate() {
            if page.events.len() >= query.limit || looked_at >= LOOKED_AT_MAX {
                page.has_more = true;
                break;
            }
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let event = event(&key, &value)?;
            page.after = event.id;
            if query.wants(&event) {
                page.events.push(event);
            }
        }
        Ok(page)
    }

    fn newest_events(&self, query: &Query) -> Result<Page, StoreError> {
        let mut page = Page { events: Vec::new(), after: 0, has_more: false };
        for entry in self.db.scan_prefix(PREFIX).rev().take(LOOKED_AT_MAX) {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let event = event(&key, &value)?;
            page.after = page.after.max(event.id);
            if page.events.len() >= query.limit || event.at < query.since {
                break;
            }
            if query.wants(&event) {
                page.events.push(event);
            }
        }
        page.events.reverse();
        Ok(page)
    }
}

fn key(id: u64) -> String {
    format!("{PREFIX}{id:016x}")
}

fn number(key: &[u8]) -> Result<u64, StoreError> {
    let key = String::from_utf8_lossy(key);
    u64::from_str_radix(&key[PREFIX.len()..], 16)
        .map_err(|error| StoreError::Record { key: key.to_string(), reason: error.to_string() })
}

fn from_event(event: &Event) -> EventForm {
    let News { actor, app, action, detail, outcome, from, release } = &event.news;
    EventForm {
        at: event.at,
        actor: actor.to_string(),
        app: app.as_ref().map(ToString::to_string),
        action: action.clone(),
        detail: detail.clone(),
        failed: match outcome {
            Outcome::Ok => None,
            Outcome::Failed(code) => Some(code.clone()),
        },
        from: from.clone(),
        release: release.as_ref().map(|release| ReleaseForm {
            id: release.id.to_string(),
            by: release.by.as_ref().map(ToString::to_string),
            summary: release.summary.clone(),
            commit: release.commit.clone(),
            took_ms: u64::try_from(release.took.as_millis()).unwrap_or(u64::MAX),
            routes: release.routes.clone(),
        }),
    }
}

fn event(key: &[u8], bytes: &[u8]) -> Result<Event, StoreError> {
    let id = number(key)?;
    let key = String::from_utf8_lossy(key);
    let form: EventForm = decode(&key, bytes)?;
    let release = form.release.map(|form| -> Result<_, StoreError> {
        Ok(ReleaseFacts {
            id: parse(&key, &form.id)?,
            by: form.by.map(Actor::named),
            summary: form.summary,
            commit: form.commit,
            took: Duration::from_millis(form.took_ms),
            routes: form.routes,
        })
    });
    Ok(Event {
        id,
        at: form.at,
        news: News {
            actor: Actor::named(form.actor),
            app: form.app.map(|app| parse(&key, &app)).transpose()?,
            action: form.action,
            detail: form.detail,
            outcome: form.failed.map_or(Outcome::Ok, Outcome::Failed),
            from: form.from,
            release: release.transpose()?,
        },
    })
}
