//! The audit log: read in pages, or followed.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{self as streams, BoxStream};

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name, stream};
use crate::api::{Event, Events, EventsQuery, Failure};
use crate::events::{self, Journal, Outcome};
use crate::name::AppName;
use crate::people::Role;

/// Events of a page, unless something else is asked for.
const PAGE_DEFAULT: u32 = 100;
/// Events of a page at most.
const PAGE_MAX: u32 = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/v1/events", Needs::Admin, "List what was done and what happened", all)
            .answering::<Events>(),
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/events",
            Needs::OfApp(Role::Viewer),
            "List what was done with an app and what happened to it",
            of_app,
        )
        .answering::<Events>(),
    ]
}

async fn all(
    State(api): State<Api>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(&api, None, query, &headers).await
}

/// Also of an app that is gone: its events are not.
async fn of_app(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    answer(&api, Some(app_name(&name)?), query, &headers).await
}

async fn answer(
    api: &Api,
    app: Option<AppName>,
    asked: EventsQuery,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::bad_request(format!("`limit` is {limit}; it is from 1 to {PAGE_MAX}")));
    }
    let split = |text: &str| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let query = events::Query {
        after: stream::after(asked.after, headers),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        apps: app.clone().map(|app| vec![app]),
        actor: asked.actor.clone(),
        actions: asked.action.as_deref().map(split).unwrap_or_default(),
        since: asked.since.unwrap_or(0),
    };
    if asked.follow {
        return Ok(stream::of_values(followed(api.journal.clone(), query)));
    }
    let page = read(&api.journal, query).await?;
    let next = page.has_more.then(|| next(app.as_ref(), &asked, page.after));
    let link =
        next.as_deref().and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
    let events = page.events.into_iter().map(wire).collect();
    let mut res = Json(Events { events, after: page.after, next }).into_response();
    if let Some(link) = link {
        res.headers_mut().insert(LINK, link);
    }
    Ok(res)
}

async fn read(journal: &Journal, query: events::Query) -> Result<events::Page, Refusal> {
    journal.read(query).await.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be read");
        let failure = Failure::new("internal", "the audit log cannot be read").caused_by(error.to_string());
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failure)
    })
}

/// What is there, and what comes, until the client goes away or the log cannot be read.
fn followed(journal: Journal, query: events::Query) -> BoxStream<'static, Event> {
    let newest = journal.newest();
    let state = (journal, query, newest, VecDeque::new());
    streams::unfold(state, |(journal, mut query, mut newest, mut found)| async move {
        loop {
            if let Some(event) = found.pop_front() {
                return Some((wire(event), (journal, query, newest, found)));
            }
            // Before the reading: what comes during it is looked for at once.
            newest.borrow_and_update();
            let page = read(&journal, query.clone()).await.ok()?;
            query.after = Some(page.after);
            found.extend(page.events);
            if found.is_empty() && !page.has_more {
                newest.changed().await.ok()?;
            }
        }
    })
    .boxed()
}

fn next(app: Option<&AppName>, asked: &EventsQuery, after: u64) -> String {
    let path = app.map_or_else(|| "/v1/events".to_owned(), |app| format!("/v1/apps/{app}/events"));
    let asked = EventsQuery { after: Some(after), ..asked.clone() };
    format!("{path}{}", crate::api::client::query(&asked))
}

fn wire(event: events::Event) -> Event {
    let events::Event { id, at, news } = event;
    let (outcome, code) = match news.outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Failed(code) => ("failed", Some(code)),
    };
    Event {
        id,
        at,
        actor: news.actor.to_string(),
        app: news.app.map(|app| app.to_string()),
        action: news.action,
        detail: news.detail,
        outcome: outcome.to_owned(),
        code,
        from: news.from,
        release: news.release.map(|release| release.id.to_string()),
    }
}
