//! Hooks against another side that takes what it likes.

use std::collections::VecDeque;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::events::News;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was sent: headers and body.
type Sent = (HeaderMap, Bytes);

/// Takes what is sent, and answers with these statuses, then with 200.
struct Receiver {
    addr: SocketAddr,
    sent: mpsc::UnboundedReceiver<Sent>,
}

struct World {
    _dir: tempfile::TempDir,
    parts: Parts,
}

impl Receiver {
    async fn answering(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tx, sent) = mpsc::unbounded_channel();
        let left = Arc::new(StdMutex::new(statuses.iter().copied().collect::<VecDeque<_>>()));
        let answer = move |headers: HeaderMap, body: Bytes| async move {
            tx.send((headers, body)).unwrap();
            let status = lock(&left).pop_front().unwrap_or(200);
            StatusCode::from_u16(status).unwrap()
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, sent }
    }

    async fn next(&mut self) -> (serde_json::Value, HeaderMap, Bytes) {
        let sent = tokio::time::timeout(PATIENCE, self.sent.recv()).await;
        let (headers, body) = sent.expect("it is sent in time").expect("the receiver listens");
        (serde_json::from_slice(&body).unwrap(), headers, body)
    }

    fn url(&self) -> String {
        format!("http://{}/hook?token=hidden", self.addr)
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let journal = Journal::start(store.clone()).await.unwrap();
        let retry = Retry { first: Duration::from_millis(5), attempts_max: 3, ..Retry::default() };
        let (key, box_id) = (BoxKey::new(&[7; 32]), "1a2b3c4d".to_owned());
        Self { _dir: dir, parts: Parts { store, key, journal, retry, box_id, https_port: 8443 } }
    }

    async fn hooks(&self) -> Hooks {
        Hooks::start(self.parts.clone()).await.unwrap()
    }

    async fn happens(&self, app: &str, action: &str) -> u64 {
        self.parts.journal.record(News::of_app(&app.parse().unwrap(), action, "for a test")).await.unwrap()
    }
}

fn wanted(url: &str) -> Wanted {
    Wanted {
        app: None,
        url: url.to_owned(),
        secret: None,
        events: vec!["release-active".to_owned()],
        format: Format::Json,
        by: Actor::named("ann"),
        may_be_here: true,
    }
}

/// Waits until this event's delivery is over.
async fn settled(hooks: &Hooks, id: &str, event: u64) -> Delivery {
    let wait = async {
        loop {
            let mut all = hooks.deliveries(None, id).await.unwrap().into_iter();
            match all.find(|found| found.event == event) {
                Some(delivery) if !matches!(delivery.state, DeliveryState::Waiting(_)) => return delivery,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is over in time")
}

#[tokio::test]
async fn what_happens_is_sent_signed_and_in_order() {
    let (world, mut receiver) = (World::new().await, Receiver::answering(&[]).await);
    let hooks = world.hooks().await;
    world.happens("shop", "release-active").await;
    let hook = hooks.add(wanted(&receiver.url())).await.unwrap();
    assert!(hook.secret.starts_with("whsec_"));
    let first = world.happens("shop", "release-active").await;
    world.happens("shop", "deploy").await;
    let second = world.happens("blog", "release-active").await;

    let (value, headers, body) = receiver.next().await;
    assert_eq!(
        (&value["id"], &value["app"]),
        (&first.into(), &"shop".into()),
        "nothing from before it was added"
    );
    assert_eq!((&value["event"], &value["box"]), (&"release-active".into(), &"1a2b3c4d".into()));
    let given = headers[SIGNATURE_HEADER].to_str().unwrap();
    let seconds = given.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(given, signature(&hook.secret, seconds, &body));
    assert_eq!(headers["x-minipaas-delivery"], first.to_string());
    let (value, ..) = receiver.next().await;
    assert_eq!(value["id"], second, "what it is not for is passed over");
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_and_given_up_at_last() {
    let (world, mut receiver) =
        (World::new().await, Receiver::answering(&[500, 503, 200, 500, 500, 500]).await);
    let hooks = world.hooks().await;
    let hook = hooks.add(wanted(&receiver.url())).await.unwrap();
    let first = world.happens("shop", "release-active").await;
    for _ in 0..3 {
        assert_eq!(receiver.next().await.0["id"], first);
    }
    let delivery = settled(&hooks, &hook.id, first).await;
    assert_eq!(
        (delivery.state, delivery.attempts, delivery.status),
        (DeliveryState::Delivered, 3, Some(200))
    );

    let second = world.happens("shop", "release-active").await;
    let third = world.happens("shop", "release-active").await;
    for _ in 0..3 {
        assert_eq!(receiver.next().await.0["id"], second);
    }
    assert_eq!(receiver.next().await.0["id"], third, "the next one's turn comes");
    settled(&hooks, &hook.id, third).await;
    let deliveries = hooks.deliveries(None, &hook.id).await.unwrap();
    let states: Vec<_> = deliveries.iter().map(|found| (found.event, found.state)).collect();
    let (delivered, given_up) = (DeliveryState::Delivered, DeliveryState::GivenUp);
    assert_eq!(states, [(third, delivered), (second, given_up), (first, delivered)]);
    assert_eq!(deliveries[1].error.as_deref(), Some("it answered 500 Internal Server Error"));
}

#[tokio::test]
async fn gone_is_the_end_of_it() {
    let (world, mut receiver) = (World::new().await, Receiver::answering(&[410]).await);
    let hooks = world.hooks().await;
    let hook = hooks.add(wanted(&receiver.url())).await.unwrap();
    let event = world.happens("shop", "release-active").await;
    receiver.next().await;
    settled(&hooks, &hook.id, event).await;
    let listed = hooks.list(None).await;
    assert_eq!(listed[0].1.disabled.as_deref(), Some("it answered 410 Gone"));
    let is_stored =
        async { while world.parts.store.hooks(&world.parts.key).await.unwrap()[0].1.disabled.is_none() {} };
    tokio::time::timeout(PATIENCE, is_stored).await.expect("it is stored in time");
    drop(hooks);
    world.happens("shop", "release-active").await;
    let hooks = world.hooks().await;
    hooks.test(None, &hook.id).await.unwrap();
    assert_eq!(receiver.next().await.0["event"], "test", "nothing else was sent");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let (world, mut receiver) = (World::new().await, Receiver::answering(&[500]).await);
    let hooks = world.hooks().await;
    hooks.add(wanted(&receiver.url())).await.unwrap();
    let first = world.happens("shop", "release-active").await;
    assert_eq!(receiver.next().await.0["id"], first);
    drop(hooks);
    let second = world.happens("shop", "release-active").await;
    let _hooks = world.hooks().await;
    assert_eq!(receiver.next().await.0["id"], first, "it was not taken");
    assert_eq!(receiver.next().await.0["id"], second);
}

#[tokio::test]
async fn an_owners_hook_hears_of_its_app_and_stays_outside() {
    let (world, mut receiver) = (World::new().await, Receiver::answering(&[]).await);
    let hooks = world.hooks().await;
    let app: AppName = "shop".parse().unwrap();
    let owners = |url: &str| Wanted { app: Some(app.clone()), may_be_here: false, ..wanted(url) };
    let refused = hooks.add(owners(&receiver.url())).await.unwrap_err();
    assert!(refused.to_string().contains("is this machine"), "{refused}");
    // A name that leads here is found out when it is connected to.
    let named = format!("http://localhost:{}/", receiver.addr.port());
    let hook = hooks.add(owners(&named)).await.unwrap();
    let test = hooks.test(Some(&app), &hook.id).await.unwrap();
    assert!(test.error.unwrap().contains("has no address that may be asked"));
    assert!(hooks.remove(Some(&"blog".parse().unwrap()), &hook.id).await.is_err(), "it is another app's");
    hooks.remove(Some(&app), &hook.id).await.unwrap();

    hooks.add(Wanted { may_be_here: true, ..owners(&receiver.url()) }).await.unwrap();
    world.happens("blog", "release-active").await;
    let shops = world.happens("shop", "release-active").await;
    assert_eq!(receiver.next().await.0["id"], shops);
}

#[tokio::test]
async fn secrets_are_sealed_and_not_shown() {
    let world = World::new().await;
    let hooks = world.hooks().await;
    let hook = hooks.add(wanted("https://hooks.example.com/services/T0/B0/hidden")).await.unwrap();
    assert_eq!(hook.shown(), "https://hooks.example.com/…");
    assert!(!format!("{hook:?}").contains("hidden"));
    let kept = world.parts.store.hooks(&world.parts.key).await.unwrap();
    assert!(kept[0].0 == hook);
    assert!(world.parts.store.hooks(&BoxKey::new(&[8; 32])).await.unwrap().is_empty(), "another key");
    let refused = async |url: &str| hooks.add(wanted(url)).await.unwrap_err().to_string();
    expect_test::expect!["a hook's URL begins with https:// or http:// and a host"]
        .assert_eq(&refused("ftp://example.com").await);
    expect_test::expect!["a hook's URL has no user and no password; what is sent is signed with its secret"]
        .assert_eq(&refused("https://ann:pw@example.com").await);
}

#[test]
fn pauses_grow_to_a_day_in_ten_tries() {
    let retry = Retry::default();
    let pauses: Vec<_> = (1..retry.attempts_max).map(|n| retry.pause(n, 0.5).as_secs()).collect();
    assert_eq!(pauses, [10, 30, 90, 270, 810, 2_430, 7_290, 21_870, 43_200]);
    assert_eq!(retry.pause(1, 0.0), Duration::from_secs(8));
    assert_eq!(retry.pause(1, 1.0), Duration::from_secs(12));
}
