use http::header::COOKIE;
use http::{HeaderValue, Request};
use minipaas::name::ReleaseId;
use minipaas::policy::Balance;
use minipaas::proxy::ProxyConfig;
use minipaas::route::{Canary, Share};

use super::{BLOG, with_policy};
use crate::support::backend::Backend;
use crate::support::client::get;
use crate::support::proxy::TestProxy;

struct Split {
    old: Backend,
    new: Backend,
    proxy: TestProxy,
}

impl Split {
    async fn start(share: Share) -> Self {
        let (old, new) = (Backend::replying("old").start().await, Backend::replying("new").start().await);
        let split = Self { old, new, proxy: TestProxy::start(ProxyConfig::new("localhost")).await };
        split.publish(share, Balance::Least);
        split
    }

    fn publish(&self, share: Share, balance: Balance) {
        let release = ReleaseId::FIRST.next();
        let mut route = self.proxy.route(BLOG, &[&self.old, &self.new]);
        route.upstreams[1].release = release;
        route.canary = Some(Canary { release, share });
        self.proxy.publish([with_policy(route, |policy| policy.balance = balance)]);
    }

    /// Who answers ten requests with this header; the same one each time.
    async fn who(&self, header: Option<(&str, &str)>) -> String {
        let mut answers = Vec::new();
        for _ in 0..10 {
            let mut request: Request<_> = get(BLOG, "/");
            if let Some((name, value)) = header {
                let name = http::HeaderName::try_from(name).unwrap();
                request.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
            }
            answers.push(self.proxy.send(request).await.body);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{header:?}: {answers:?}");
        answers.remove(0)
    }
}

#[tokio::test]
async fn a_share_of_clients_gets_the_canary_and_always_the_same_ones() {
    let split = Split::start(Share { percent: 100, ..Share::default() }).await;
    assert_eq!(split.who(None).await, "new");
    split.publish(Share { percent: 0, ..Share::default() }, Balance::Least);
    assert_eq!(split.who(None).await, "old");
    split.publish(Share { percent: 50, ..Share::default() }, Balance::RoundRobin);
    split.who(None).await;
}

#[tokio::test]
async fn a_cookie_asks_for_the_canary_or_against_it() {
    let cookie = Some("canary".to_owned());
    let split = Split::start(Share { cookie: cookie.clone(), ..Share::default() }).await;
    assert_eq!(split.who(Some(("cookie", "canary=1"))).await, "new");
    assert_eq!(split.who(Some(("cookie", "canary=never"))).await, "old");
    assert_eq!(split.who(Some(("cookie", "other=1"))).await, "old");
    split.publish(Share { percent: 100, cookie, header: None }, Balance::Least);
    assert_eq!(split.who(Some(("cookie", "a=b; canary=0"))).await, "old");
    assert_eq!(split.who(None).await, "new");
}

#[tokio::test]
async fn a_header_asks_for_the_canary() {
    let name = http::HeaderName::from_static("x-canary");
    let split = Split::start(Share { header: Some((name.clone(), None)), ..Share::default() }).await;
    assert_eq!(split.who(Some(("x-canary", "whatever"))).await, "new");
    assert_eq!(split.who(None).await, "old");
    let beta = Some((name, Some(HeaderValue::from_static("beta"))));
    split.publish(Share { header: beta, ..Share::default() }, Balance::Least);
    assert_eq!(split.who(Some(("x-canary", "beta"))).await, "new");
    assert_eq!(split.who(Some(("x-canary", "alpha"))).await, "old");
}

#[tokio::test]
async fn the_other_release_answers_when_one_cannot() {
    let gone = Backend::refusing().await;
    let split = Split::start(Share { percent: 100, ..Share::default() }).await;
    let mut table = split.proxy.routes.load().table().routes()[0].clone();
    table.upstreams[1] = split.proxy.route(BLOG, &[&gone]).upstreams.remove(0);
    table.upstreams[1].release = ReleaseId::FIRST.next();
    split.proxy.publish([table.clone()]);
    assert_eq!(split.who(None).await, "old", "a refused connection is tried on the other release");
    table.upstreams.remove(1);
    split.proxy.publish([table]);
    assert_eq!(split.who(None).await, "old");
}

#[tokio::test]
async fn a_sticky_client_stays_with_its_release_unless_it_asks() {
    let split = Split::start(Share::default()).await;
    split.publish(Share { percent: 0, ..Share::default() }, Balance::Sticky);
    let reply = split.proxy.send(get(BLOG, "/")).await;
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut route = split.proxy.routes.load().table().routes()[0].clone();
    let share = Share { percent: 100, cookie: Some("canary".to_owned()), header: None };
    route.canary = Some(Canary { release: ReleaseId::FIRST.next(), share });
    split.proxy.publish([route]);
    assert_eq!(split.who(Some((COOKIE.as_str(), &cookie))).await, "old");
    assert_eq!(split.who(Some((COOKIE.as_str(), &format!("{cookie}; canary=1")))).await, "new");
}
