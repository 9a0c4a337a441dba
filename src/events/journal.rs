//! The handle on the journal, and the task that writes it.

use tokio::sync::{mpsc, oneshot, watch};

use super::{Event, KEPT_FOR, KEPT_MAX, KEPT_MIN, News};
use crate::clock;
use crate::name::AppName;
use crate::store::{Store, StoreError};

/// Events that may wait to be written; whoever records one more waits.
const WAITING_MAX: usize = 1024;
/// Events of one write.
const BATCH_MAX: usize = 256;
/// Old events are looked for after so many new ones.
const PRUNE_EVERY: u64 = 256;

/// Where events go and come from; clones are handles on the same one. The task ends with the last handle.
#[derive(Debug, Clone)]
pub struct Journal {
    writes: mpsc::Sender<Write>,
    newest: watch::Receiver<u64>,
    store: Store,
}

/// A way into the journal for those that may not wait; the default one leads nowhere.
#[derive(Debug, Clone, Default)]
pub struct Reporter(Option<mpsc::Sender<Write>>);

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only those after the one of this number, the oldest first; `None` for the newest there are.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// Only those of these apps, and with `None` of the box, too.
    pub apps: Option<Vec<AppName>>,
    /// Only those by this actor.
    pub actor: Option<String>,
    /// Only those of these actions; all when it is empty.
    pub actions: Vec<String>,
    /// Only those that are not older than this, in milliseconds since the Unix epoch.
    pub since: u64,
}

/// Some events, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// The number to go on after; what follows it was not looked at.
    pub after: u64,
    /// Whether there may be more after it already.
    pub has_more: bool,
}

/// Why an event was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It could not be written.
    #[error("the audit log cannot be written")]
    Write,
    /// The daemon is ending.
    #[error("the daemon is stopping")]
    Stopping,
}

#[derive(Debug)]
struct Write {
    news: News,
    written: Option<oneshot::Sender<Result<u64, JournalError>>>,
}

impl Journal {
    /// Starts the task that writes to this store.
    ///
    /// # Errors
    ///
    /// When it cannot be read which number was given last.
    pub async fn start(store: Store) -> Result<Self, StoreError> {
        let last = store.last_event().await?;
        let (writes, inbox) = mpsc::channel(WAITING_MAX);
        let (newest_tx, newest) = watch::channel(last);
        tokio::spawn(write(store.clone(), inbox, newest_tx));
        Ok(Self { writes, newest, store })
    }

    /// An empty one, in a state of its own in this folder.
    #[cfg(test)]
    pub(crate) async fn in_folder(folder: &std::path::Path) -> Self {
        Self::start(Store::open(folder).expect("a store")).await.expect("no events")
    }

    /// Records what was done; returns its number once it is on disk.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub async fn record(&self, news: News) -> Result<u64, JournalError> {
        let (written, answer) = oneshot::channel();
        let write = Write { news, written: Some(written) };
        self.writes.send(write).await.map_err(|_| JournalError::Stopping)?;
        answer.await.map_err(|_| JournalError::Stopping)?
    }

    /// A way in for those that may not wait.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        Reporter(Some(self.writes.clone()))
    }

    /// Some of the events.
    ///
    /// # Errors
    ///
    /// When they cannot be read back.
    pub async fn read(&self, query: Query) -> Result<Page, StoreError> {
        self.store.events(query).await
    }

    /// The number of the newest event; a receiver that wakes at every new one.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }
}

impl Reporter {
    /// Has it recorded soon. Should the disk be so slow that `WAITING_MAX` events wait, it is only logged.
    pub fn tell(&self, news: News) {
        let Some(writes) = &self.0 else { return };
        if let Err(error) = writes.try_send(Write { news, written: None }) {
            let news = error.into_inner().news;
            tracing::error!(action = news.action, detail = news.detail, "an event is not in the audit log");
        }
    }
}

impl Query {
    /// Whether the event is among those that are wanted; `after` and `limit` are not looked at.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let Event { at, news, .. } = event;
        *at >= self.since
            && self.apps.as_ref().is_none_or(|apps| news.app.as_ref().is_some_and(|app| apps.contains(app)))
            && self.actor.as_ref().is_none_or(|actor| news.actor.as_str() == actor)
            && (self.actions.is_empty() || self.actions.contains(&news.action))
    }
}

async fn write(store: Store, mut inbox: mpsc::Receiver<Write>, newest: watch::Sender<u64>) {
    let mut last = *newest.borrow();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while inbox.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let at = clock::now();
        let (events, waiting): (Vec<_>, Vec<_>) = (last + 1..)
            .zip(batch.drain(..))
            .map(|(id, write)| (Event { id, at, news: write.news }, (id, write.written)))
            .unzip();
        let count = u64::try_from(events.len()).expect("a batch is small");
        let result = store.append_events(events).await;
        if let Err(error) = &result {
            tracing::error!(%error, count, "events are not in the audit log");
        } else {
            let before = last;
            last += count;
            newest.send_replace(last);
            if before / PRUNE_EVERY != last / PRUNE_EVERY {
                prune(&store).await;
            }
        }
        for (id, written) in waiting {
            let Some(written) = written else { continue };
            // Whoever does not wait any more does not need to know.
            let _ = written.send(if result.is_ok() { Ok(id) } else { Err(JournalError::Write) });
        }
    }
}

async fn prune(store: &Store) {
    let age_max = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
    let old = clock::now().saturating_sub(age_max);
    if let Err(error) = store.prune_events(KEPT_MIN, KEPT_MAX, old).await {
        tracing::error!(%error, "old events cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::events::{Outcome, ReleaseFacts};
    use crate::people::Actor;

    fn news(app: &str, action: &str, actor: &str) -> News {
        let app = app.parse().unwrap();
        News { actor: Actor::named(actor), ..News::of_app(&app, action, "for a test") }
    }

    async fn read(journal: &Journal, query: Query) -> String {
        let page = journal.read(query).await.unwrap();
        let mut text = String::new();
        for event in &page.events {
            let app = event.news.app.as_ref().map_or("-", AppName::as_str);
            let _ = write!(text, "{} {} {} {}; ", event.id, app, event.news.action, event.news.actor);
        }
        let _ = write!(text, "then after {}{}", page.after, if page.has_more { ", more" } else { "" });
        text
    }

    #[tokio::test]
    async fn what_was_recorded_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let journal = Journal::start(store.clone()).await.unwrap();
        let whole = News {
            from: Some("192.0.2.1".to_owned()),
            outcome: Outcome::Failed("not-ready".to_owned()),
            release: Some(ReleaseFacts {
                id: "v3".parse().unwrap(),
                by: Some(Actor::named("ann")),
                summary: Some("Deploy 1a2b3c".to_owned()),
                commit: Some("1a2b3c".to_owned()),
                took: std::time::Duration::from_millis(1_234),
                routes: vec![("shop.localhost".to_owned(), "/".to_owned())],
            }),
            ..news("shop", "release-failed", "ann")
        };
        assert_eq!(journal.record(whole.clone()).await.unwrap(), 1);
        assert_eq!(
            journal.record(News { app: None, ..news("shop", "token-created", "bob") }).await.unwrap(),
            2
        );
        drop((journal, store));

        let store = reopened(dir.path()).await;
        let journal = Journal::start(store).await.unwrap();
        assert_eq!(journal.record(news("shop", "deploy", "ann")).await.unwrap(), 3);
        let page = journal.read(Query { limit: 10, ..Query::default() }).await.unwrap();
        assert_eq!(page.events[0].news, whole);
        assert_eq!(page.events.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3]);
    }

    /// The writer's task lets go of the store a moment after its last handle.
    async fn reopened(dir: &std::path::Path) -> Store {
        loop {
            match Store::open(dir) {
                Ok(store) => return store,
                Err(StoreError::Locked(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_filters_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::start(Store::open(dir.path()).unwrap()).await.unwrap();
        for number in 0..6 {
            let app = if number % 2 == 0 { "shop" } else { "blog" };
            let actor = if number < 4 { "ann" } else { "bob" };
            journal.record(news(app, "deploy", actor)).await.unwrap();
        }
        journal.record(News { app: None, ..news("shop", "backup", "ann") }).await.unwrap();
        let all = Query { limit: 3, ..Query::default() };
        assert_eq!(
            read(&journal, all.clone()).await,
            "5 shop deploy bob; 6 blog deploy bob; 7 - backup ann; then after 7"
        );
        let first = Query { after: Some(0), ..all.clone() };
        assert_eq!(
            read(&journal, first.clone()).await,
            "1 shop deploy ann; 2 blog deploy ann; 3 shop deploy ann; then after 3, more"
        );
        let shops = Query { apps: Some(vec!["shop".parse().unwrap()]), ..first.clone() };
        assert_eq!(
            read(&journal, shops).await,
            "1 shop deploy ann; 3 shop deploy ann; 5 shop deploy bob; then after 5, more"
        );
        let bobs = Query { actor: Some("bob".to_owned()), after: Some(5), ..all.clone() };
        assert_eq!(read(&journal, bobs).await, "6 blog deploy bob; then after 7");
        let backups = Query { actions: vec!["backup".to_owned()], ..all };
        assert_eq!(read(&journal, backups).await, "7 - backup ann; then after 7");
    }

    #[tokio::test]
    async fn the_oldest_go_and_the_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let event = |id| Event { id, at: id * 100, news: news("shop", "deploy", "ann") };
        store.append_events((1..=10).map(event).collect()).await.unwrap();
        let ids = async || {
            let page = store.events(Query { after: Some(0), limit: 100, ..Query::default() }).await.unwrap();
            page.events.iter().map(|event| event.id).collect::<Vec<_>>()
        };
        store.prune_events(8, 100, 150).await.unwrap();
        assert_eq!(ids().await, [2, 3, 4, 5, 6, 7, 8, 9, 10], "only one was old");
        store.prune_events(8, 100, 10_000).await.unwrap();
        assert_eq!(ids().await, [3, 4, 5, 6, 7, 8, 9, 10], "eight are kept, however old");
        store.prune_events(2, 4, 0).await.unwrap();
        assert_eq!(ids().await, [7, 8, 9, 10], "four at most, however young");
        assert_eq!(store.last_event().await.unwrap(), 10);
    }

    #[tokio::test]
    async fn many_at_once_are_all_there() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::start(Store::open(dir.path()).unwrap()).await.unwrap();
        let records = (0..300).map(|_| journal.record(news("shop", "deploy", "ann")));
        let mut ids: Vec<_> =
            futures_util::future::join_all(records).await.into_iter().map(Result::unwrap).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=300).collect::<Vec<_>>());
        assert_eq!(*journal.newest().borrow(), 300);
    }
}
