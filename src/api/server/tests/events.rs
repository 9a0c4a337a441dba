//! What the audit log is told of requests: from where, and of those that are refused.

use std::sync::Arc;

use super::super::denials::Denials;
use super::super::{audit, idempotency};
use super::*;
use crate::answers::Answers;
use crate::events::{Event, Query};

/// Where a world's events go.
struct Book {
    journal: Journal,
    record: endpoint::Record,
    _folders: [TempDir; 2],
}

impl Book {
    async fn new() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let journal = Journal::in_folder(folders[0].path()).await;
        let answers = Answers::in_folder(folders[1].path());
        let kept = Arc::new(idempotency::Kept::new(answers));
        let denials = Arc::new(Denials::new(journal.reporter()));
        let record = endpoint::Record { journal: journal.clone(), kept, denials };
        Self { journal, record, _folders: folders }
    }

    /// All events, once there are so many.
    async fn events(&self, count: u64) -> Vec<Event> {
        self.journal.newest().wait_for(|newest| *newest >= count).await.unwrap();
        self.journal.read(Query { limit: 100, ..Query::default() }).await.unwrap().events
    }
}

#[tokio::test]
async fn who_is_refused_is_in_the_audit_log_once_a_minute() {
    let (mut world, book) = (World::new().await, Book::new().await);
    let router = endpoint::router(stubs(), &world.gate(), Some(&book.record));
    let change = |world: &mut World, caller| world.request(caller, &Method::PATCH, "/v1/apps/shop/config");
    for _ in 0..3 {
        assert_eq!(answer(&router, change(&mut world, "viewer")).await.0, 403);
    }
    // What one may not see is not there: that tells nothing of whoever asked.
    assert_eq!(answer(&router, change(&mut world, "member")).await.0, 404);
    assert_eq!(answer(&router, change(&mut world, "nobody")).await.0, 401);
    let req = world.request("member", &Method::GET, "/v1/users");
    assert_eq!(answer(&router, req).await.0, 403);
    assert_eq!(answer(&router, change(&mut world, "collaborator")).await.0, 200);
    let told = |event: &Event| {
        let news = &event.news;
        let app = news.app.as_ref().map_or("-", AppName::as_str);
        format!("{} {app} {} {:?} {}", news.actor, news.action, news.outcome, news.detail)
    };
    let events = book.events(3).await;
    let failed = "Failed(\"forbidden\")";
    let viewer = format!(
        "vera shop denied {failed} config-set: `vera` is viewer of `shop`, and this needs collaborator"
    );
    assert_eq!(told(&events[0]), viewer);
    assert!(
        told(&events[1]).starts_with(&format!("member - denied {failed} users-read: ")),
        "{:?}",
        events[1]
    );
    assert_eq!(told(&events[2]), "carl shop config-set Ok Set variables and take them out, with a release");
    assert_eq!(events.len(), 3);
    assert!(
        events.iter().all(|event| event.news.from.as_deref().is_some_and(|from| from.starts_with("10.")))
    );
}

#[tokio::test]
async fn an_event_has_the_handlers_words_and_the_clients_address() {
    let (mut world, book) = (World::new().await, Book::new().await);
    let handler = || async { (Extension(audit::Detail("set\u{1b} A".to_owned())), StatusCode::NO_CONTENT) };
    let needs = Needs::OfApp(Role::Viewer);
    let endpoint = Endpoint::<()>::new(Method::PUT, "/v1/apps/{app}/things", needs, "Set things", handler);
    let router = endpoint::router(vec![endpoint], &world.gate(), Some(&book.record));
    for caller in ["owner", "system"] {
        let req = world.request(caller, &Method::PUT, "/v1/apps/shop/things");
        assert_eq!(answer(&router, req).await.0, 204);
    }
    let events = book.events(2).await;
    let told: Vec<_> =
        events.iter().map(|event| (event.news.detail.as_str(), event.news.from.as_deref())).collect();
    assert_eq!(told, [("set  A", Some("10.0.0.1")), ("set  A", None)]);
}
