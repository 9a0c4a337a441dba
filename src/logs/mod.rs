//! What an app's instances write, as one stream.
//!
//! Lines come from the engine, which keeps them with each container; those of several instances are merged by time as far
//! as they are old, and as they arrive from then on. A stream that follows takes up instances that start later, so that
//! `logs -f` goes on across a deploy. Lines of a container that was removed are gone with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use crate::controller::{InstanceView, View};
use crate::engine::{Engine, LogLine, LogQuery};
use crate::name::{AppName, InstanceId, ReleaseId, Slot};

/// How many lines may wait for a reader; beyond, the containers' own logs wait, and nothing is lost.
const LINES_MAX: usize = 1024;
/// How many of the newest lines of each instance are given when nothing is said.
const TAIL_DEFAULT: u32 = 100;

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The app.
    pub app: AppName,
    /// Only this process type (`web`) or slot (`web.1`).
    pub process: Option<String>,
    /// At most so many of the newest from each instance.
    pub tail: Option<u32>,
    /// Go on.
    pub follow: bool,
}

/// One line, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The slot.
    pub slot: Slot,
    /// The release.
    pub release: ReleaseId,
    /// The line.
    pub line: LogLine,
}

/// Reads until there is no more, or the reader goes away. Dropping the receiver ends every task behind it.
#[must_use]
pub fn read(query: Query, engine: Arc<dyn Engine>, view: watch::Receiver<Arc<View>>) -> mpsc::Receiver<Line> {
    let (lines, receiver) = mpsc::channel(LINES_MAX);
    tokio::spawn(async move {
        if query.follow {
            tokio::select! {
                () = lines.closed() => {}
                () = follow(&query, &engine, view, &lines) => {}
            }
        } else {
            let instances = wanted(&query, &view.borrow().clone());
            past(&query, engine.as_ref(), &instances, &lines).await;
        }
    });
    receiver
}

/// The newest lines of these instances, in the order they were written.
async fn past(query: &Query, engine: &dyn Engine, instances: &[InstanceView], lines: &mpsc::Sender<Line>) {
    let tail = Some(query.tail.unwrap_or(TAIL_DEFAULT));
    let reads = instances.iter().map(|instance| async {
        let found = match &instance.container {
            Some(container) => engine.logs(container, LogQuery { tail, follow: false }).await.ok(),
            None => None,
        };
        match found {
            Some(stream) => stream.map(|line| line_of(instance, line)).collect::<Vec<_>>().await,
            None => Vec::new(),
        }
    });
    let mut all: Vec<_> = futures_util::future::join_all(reads).await.into_iter().flatten().collect();
    all.sort_by_key(|line| line.line.at);
    for line in all {
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

async fn follow(
    query: &Query,
    engine: &Arc<dyn Engine>,
    mut view: watch::Receiver<Arc<View>>,
    lines: &mpsc::Sender<Line>,
) {
    let mut known: BTreeSet<InstanceId> = BTreeSet::new();
    let mut is_first = true;
    let mut readers = tokio::task::JoinSet::new();
    loop {
        let now = view.borrow_and_update().clone();
        for instance in wanted(query, &now) {
            let Some((container, id)) = instance.container.clone().zip(instance.id.clone()) else { continue };
            if !known.insert(id) {
                continue;
            }
            // What is new since we began is wanted whole.
            let tail = is_first.then(|| query.tail.unwrap_or(TAIL_DEFAULT));
            let (engine, lines) = (Arc::clone(engine), lines.clone());
            readers.spawn(async move {
                let Ok(mut stream) = engine.logs(&container, LogQuery { tail, follow: true }).await else {
                    return;
                };
                while let Some(line) = stream.next().await {
                    if lines.send(line_of(&instance, line)).await.is_err() {
                        return;
                    }
                }
            });
        }
        is_first = false;
        if view.changed().await.is_err() {
            return;
        }
    }
}

fn wanted(query: &Query, view: &View) -> Vec<InstanceView> {
    let app = view.apps.iter().find(|app| app.name == query.app);
    let is_wanted = |instance: &&InstanceView| match &query.process {
        Some(process) => instance.slot.process.as_str() == process || instance.slot.to_string() == *process,
        None => true,
    };
    app.into_iter().flat_map(|app| &app.instances).filter(is_wanted).cloned().collect()
}

fn line_of(instance: &InstanceView, line: LogLine) -> Line {
    Line { slot: instance.slot.clone(), release: instance.release, line }
}
