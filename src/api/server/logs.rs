//! Apps' streams of lines.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::stream::{answer, push_line};
use super::{Api, app_name};
use crate::api::{LogLine, LogsQuery};
use crate::logs::{self, Item, Line, Moment, NoMoment, Pattern, Source};
use crate::name::ReleaseId;
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Read an app's stream: what its instances write, and what the box says about it";
    vec![
        Endpoint::new(Method::GET, "/v1/apps/{app}/logs", Needs::OfApp(Role::Viewer), summary, read)
            .streaming::<LogLine>(),
    ]
}

async fn read(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refusal> {
    let app = app_name(&name)?;
    let view = api.controller.view();
    // A first deploy that failed may have left a log, and no app.
    if !view.apps.iter().any(|known| known.name == app) && !api.logs.has(&app).await {
        return Err(Refusal::no_app(&app, &view));
    }
    let query = parsed(logs::Query::of(app), query)?;
    Ok(of_items(api.logs.read(query)))
}

fn parsed(all: logs::Query, wire: LogsQuery) -> Result<logs::Query, Refusal> {
    let source = wire.source.map(|name| {
        Source::named(&name).ok_or_else(|| {
            let names = Source::ALL.map(Source::as_str).join(", ");
            Refusal::bad_request(format!("`{name}` is no source of lines; there are {names}"))
        })
    });
    let release = wire
        .release
        .map(|text| text.parse::<ReleaseId>().map_err(|error| Refusal::bad_request(error.to_string())));
    let moment = |text: Option<String>| {
        let moment = text.map(|text| text.parse::<Moment>().map(Moment::nanos));
        moment.transpose().map_err(|error: NoMoment| Refusal::bad_request(error.to_string()))
    };
    let grep =
        wire.grep.map(|text| Pattern::new(&text).map_err(|error| Refusal::bad_request(error.to_string())));
    Ok(logs::Query {
        follow: wire.follow,
        tail: wire.tail,
        process: wire.process,
        source: source.transpose()?,
        release: release.transpose()?,
        since: moment(wire.since)?,
        until: moment(wire.until)?,
        grep: grep.transpose()?,
        ..all
    })
}

/// The answer that is these lines; what was read together is sent together.
fn of_items(items: mpsc::Receiver<Vec<Item>>) -> Response {
    let chunks = stream::unfold(items, |mut items| async move {
        let mut json = Vec::new();
        items.recv().await?.into_iter().map(wire).for_each(|line| push_line(&mut json, &line));
        Some((Bytes::from(json), items))
    });
    answer(chunks.boxed())
}

fn wire(item: Item) -> LogLine {
    match item {
        Item::Line(line) => of_line(line),
        Item::Skipped(lines) => LogLine {
            at: crate::clock::now(),
            slot: "logs".to_owned(),
            release: String::new(),
            is_stderr: true,
            text: format!("… {lines} lines skipped …"),
            source: Source::Platform.as_str().to_owned(),
            is_cut: false,
            skipped: Some(lines),
        },
    }
}

fn of_line(line: Line) -> LogLine {
    LogLine {
        at: line.at / 1_000_000,
        slot: line.speaker.process.clone(),
        release: line.speaker.release.map_or_else(String::new, |release| release.to_string()),
        is_stderr: line.is_stderr,
        text: line.text,
        source: line.speaker.source.as_str().to_owned(),
        is_cut: line.is_cut,
        skipped: None,
    }
}
