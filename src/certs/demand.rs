//! Names that are ordered because a handshake asked for them, once the app has said that they are its own.
//!
//! Anybody can ask for any name. So nobody is ordered for who is not vouched for; an answer is remembered for a while, and only
//! so many names a minute are asked about at all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use tokio::time::Instant;

use super::OnDemand;
use crate::policy::Ask;
use crate::traffic::Routes;
use crate::web;

/// Names that are asked about in a minute, at most.
const ASKED_MAX: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// How long a no is remembered.
const NO_KEPT: Duration = Duration::from_secs(10 * 60);
/// How long it is remembered that nobody answered: an app that restarts is back soon.
const SILENCE_KEPT: Duration = Duration::from_secs(30);
/// Of those so many.
const NOS_MAX: usize = 1000;

/// Asks whether a name may be ordered.
#[async_trait]
pub trait Asker: fmt::Debug + Send + Sync {
    /// Whether the one that is to be asked says yes, which is status 200; or why nobody answered.
    async fn ask(&self, on_demand: &OnDemand, host: &str) -> Result<bool, String>;
}

/// Asks the app, or whom it names, over http.
#[derive(Debug)]
pub struct AppAsker {
    /// What asks.
    pub web: web::Client,
    /// Where apps are.
    pub routes: Routes,
}

/// Who may be asked about.
#[derive(Debug, Default)]
pub(super) struct Demands {
    /// When names were asked about within the last minute.
    asked: VecDeque<Instant>,
    /// Names that are not to be asked about, and until when.
    nos: HashMap<String, Instant>,
    /// Names that somebody is being asked about.
    pending: HashSet<String>,
}

// === impl AppAsker ===

#[async_trait]
impl Asker for AppAsker {
    async fn ask(&self, on_demand: &OnDemand, host: &str) -> Result<bool, String> {
        let request = match &on_demand.ask {
            Ask::Url(url) => Request::get(with_domain(url, host)),
            Ask::Path(path) => {
                let live = self.routes.load();
                let route = live.table().routes().iter().find(|route| {
                    route.app == on_demand.app && route.host == on_demand.host && !route.upstreams.is_empty()
                });
                let route = route.ok_or_else(|| format!("app `{}` has no ready instance", on_demand.app))?;
                let url = with_domain(&format!("http://{}{path}", route.upstreams[0].addr), host);
                Request::get(url).header(header::HOST, host)
            }
        };
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        let response = self.web.send(request).await.map_err(|error| error.to_string())?;
        Ok(response.status() == StatusCode::OK)
    }
}

/// Host names need no encoding in a query.
fn with_domain(url: &str, host: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}domain={host}")
}

// === impl Demands ===

impl Demands {
    /// Whether this name may be asked about now; counts it if so, until [`Self::answered`].
    pub(super) fn admit(&mut self, host: &str) -> bool {
        let now = Instant::now();
        self.nos.retain(|_, until| now < *until);
        while self.asked.front().is_some_and(|at| now - *at >= MINUTE) {
            self.asked.pop_front();
        }
        if self.nos.contains_key(host) || self.pending.contains(host) || self.asked.len() >= ASKED_MAX {
            return false;
        }
        self.asked.push_back(now);
        self.pending.insert(host.to_owned());
        true
    }

    /// Whoever was asked about a name has answered, or not.
    pub(super) fn answered(&mut self, host: &str, answer: &Result<bool, String>) {
        self.pending.remove(host);
        let kept = match answer {
            Ok(true) => return,
            Ok(false) => NO_KEPT,
            Err(_) => SILENCE_KEPT,
        };
        if self.nos.len() < NOS_MAX {
            self.nos.insert(host.to_owned(), Instant::now() + kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_refused_is_not_asked_about_for_a_while_and_only_so_many_are() {
        let mut demands = Demands::default();
        assert!(demands.admit("a.example.com"));
        assert!(!demands.admit("a.example.com"), "it is being asked about");
        demands.answered("a.example.com", &Ok(false));
        assert!(!demands.admit("a.example.com"));
        let admitted = (0..100).filter(|n| demands.admit(&format!("{n}.example.com"))).count();
        assert_eq!(admitted, ASKED_MAX - 1);
        tokio::time::advance(MINUTE).await;
        assert!(demands.admit("b.example.com"));
        assert!(!demands.admit("a.example.com"));
        demands.answered("b.example.com", &Ok(true));
        tokio::time::advance(NO_KEPT).await;
        assert!(demands.admit("a.example.com"));
        demands.answered("a.example.com", &Err("app `blog` has no ready instance".to_owned()));
        assert!(!demands.admit("a.example.com"));
        tokio::time::advance(SILENCE_KEPT).await;
        assert!(demands.admit("a.example.com"), "silence is no answer");
    }

    #[test]
    fn the_name_is_added_to_the_query() {
        assert_eq!(with_domain("http://a/ok", "b.example"), "http://a/ok?domain=b.example");
        assert_eq!(with_domain("http://a/ok?x=1", "b.example"), "http://a/ok?x=1&domain=b.example");
    }
}
