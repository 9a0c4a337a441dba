use std::sync::Arc;
use std::time::Duration;

use http::Response;
use minipaas::policy::Queue;
use minipaas::proxy::ProxyConfig;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{BLOG, with_policy};
use crate::support::backend::{Backend, full};
use crate::support::client::{Client, Reply, get};
use crate::support::eventually;
use crate::support::proxy::TestProxy;

/// An app that gets one request at a time, and answers each once it is let.
struct Busy {
    app: Backend,
    proxy: TestProxy,
    answers: Arc<Semaphore>,
}

impl Busy {
    async fn start(queue: Queue) -> Self {
        let answers = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&answers);
        let app = Backend::answering(move |seen| {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await.unwrap().forget();
                Response::new(full(seen.uri.path().to_owned()))
            }
        });
        let app = app.start().await;
        let proxy = TestProxy::start(ProxyConfig::new("localhost")).await;
        let route = proxy.route(BLOG, &[&app]);
        proxy.publish([with_policy(route, |policy| {
            policy.upstream_requests_max = Some(1);
            policy.queue = queue;
        })]);
        Self { app, proxy, answers }
    }

    fn send(&self, path: &'static str) -> JoinHandle<Reply> {
        let addr = self.proxy.http;
        tokio::spawn(async move { Client::connect(addr).await.send(get(BLOG, path)).await })
    }

    async fn send_first(&self) -> JoinHandle<Reply> {
        let first = self.send("/first");
        eventually("the first is on the instance", || self.app.seen().len() == 1).await;
        first
    }

    async fn waiting(&self, count: usize) {
        eventually("so many wait", || self.proxy.upstream().waiting() == count).await;
    }

    /// Sends a request that asks for JSON, and expects this code.
    async fn refused(&self, code: &str) {
        let mut request = get(BLOG, "/refused");
        request.headers_mut().insert("accept", "application/json".parse().unwrap());
        let reply = self.proxy.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("1")));
        assert!(reply.body.contains(code), "{}", reply.body);
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_in_line() {
    let busy = Busy::start(Queue { max: 10, ..Queue::default() }).await;
    let mut requests = vec![busy.send_first().await];
    for (index, path) in ["/second", "/third", "/fourth"].into_iter().enumerate() {
        requests.push(busy.send(path));
        busy.waiting(index + 1).await;
    }
    busy.answers.add_permits(4);
    for request in requests {
        assert_eq!(request.await.unwrap().status, 200);
    }
    let order: Vec<_> = busy.app.seen().iter().map(|seen| seen.uri.path().to_owned()).collect();
    assert_eq!(order, ["/first", "/second", "/third", "/fourth"], "whoever came first is served first");
    assert!(busy.proxy.upstream().is_idle());
}

#[tokio::test]
async fn a_line_that_is_full_is_503_at_once() {
    let busy = Busy::start(Queue { max: 1, ..Queue::default() }).await;
    let first = busy.send_first().await;
    let second = busy.send("/second");
    busy.waiting(1).await;
    busy.refused("\"queue-full\"").await;
    busy.answers.add_permits(2);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_wait_in_line_that_takes_too_long_is_503() {
    let busy = Busy::start(Queue { max: 1, wait: Duration::from_millis(20) }).await;
    let first = busy.send_first().await;
    busy.refused("\"queue-expired\"").await;
    busy.waiting(0).await;
    busy.answers.add_permits(1);
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_line() {
    let busy = Busy::start(Queue { max: 1, ..Queue::default() }).await;
    let first = busy.send_first().await;
    let second = busy.send("/second");
    busy.waiting(1).await;
    second.abort();
    busy.waiting(0).await;
    let third = busy.send("/third");
    busy.waiting(1).await;
    busy.answers.add_permits(2);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(third.await.unwrap().status, 200);
    assert_eq!(busy.app.seen().len(), 2);
}

#[tokio::test]
async fn a_new_instance_serves_those_who_wait() {
    let busy = Busy::start(Queue { max: 1, ..Queue::default() }).await;
    let first = busy.send_first().await;
    let second = busy.send("/second");
    busy.waiting(1).await;
    let other = Backend::replying("other").start().await;
    let mut route = busy.proxy.routes.load().table().routes()[0].clone();
    route.upstreams.extend(busy.proxy.route(BLOG, &[&other]).upstreams);
    busy.proxy.publish([route]);
    assert_eq!(second.await.unwrap().body, "other");
    busy.answers.add_permits(1);
    assert_eq!(first.await.unwrap().status, 200);
}
