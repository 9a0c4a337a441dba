//! What the box says to a certificate authority that asks whether a name is its own.
//!
//! For http-01 (RFC 8555, 8.3) a token and the text to answer it with, over plain http; for tls-alpn-01 (RFC 8737) a name and a
//! certificate for the one handshake that asks by `acme-tls/1`. Whoever runs an order puts them in with a [`Posted`], which takes
//! them out again when it is dropped. Almost always there are none, and asking costs one atomic load then.
//!
//! It does not talk to authorities, and knows nothing of dns-01, which is answered elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

/// Where http-01 asks: this, and the token.
pub const HTTP01_PATH: &str = "/.well-known/acme-challenge/";
/// How ALPN names the handshake of tls-alpn-01.
pub const TLS_ALPN01: &[u8] = b"acme-tls/1";

/// The answers of the moment; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<ArcSwap<Answers>>);

/// An answer that is being given, until this is dropped.
#[derive(Debug)]
#[must_use = "the answer is taken back when this is dropped"]
pub struct Posted {
    challenges: Challenges,
    key: Key,
}

#[derive(Debug, Clone, Default)]
struct Answers {
    http: HashMap<String, Arc<str>>,
    tls: HashMap<String, Arc<CertifiedKey>>,
}

#[derive(Debug)]
enum Key {
    Token(String),
    Host(String),
}

// === impl Challenges ===

impl Challenges {
    /// Answers `token` with `authorization`.
    pub fn post_http(&self, token: &str, authorization: &str) -> Posted {
        self.change(|answers| answers.http.insert(token.to_owned(), authorization.into()));
        Posted { challenges: self.clone(), key: Key::Token(token.to_owned()) }
    }

    /// Answers a handshake by [`TLS_ALPN01`] for `host`, in lower case, with `certified`.
    pub fn post_tls(&self, host: &str, certified: &Arc<CertifiedKey>) -> Posted {
        self.change(|answers| answers.tls.insert(host.to_owned(), Arc::clone(certified)));
        Posted { challenges: self.clone(), key: Key::Host(host.to_owned()) }
    }

    /// What to answer a request for [`HTTP01_PATH`] and `token` with.
    #[must_use]
    pub fn http(&self, token: &str) -> Option<Arc<str>> {
        self.0.load().http.get(token).cloned()
    }

    /// What to answer a handshake by [`TLS_ALPN01`] for `host`, in lower case, with.
    #[must_use]
    pub fn tls(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.0.load().tls.get(host).cloned()
    }

    fn change<T>(&self, change: impl Fn(&mut Answers) -> T) {
        self.0.rcu(|answers| {
            let mut answers = Answers::clone(answers);
            change(&mut answers);
            answers
        });
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        self.challenges.change(|answers| match &self.key {
            Key::Token(token) => drop(answers.http.remove(token)),
            Key::Host(host) => drop(answers.tls.remove(host)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lasts_as_long_as_it_is_posted() {
        let challenges = Challenges::default();
        let posted = challenges.post_http("token", "token.thumbprint");
        let other = challenges.post_http("other", "other.thumbprint");
        assert_eq!(challenges.http("token").as_deref(), Some("token.thumbprint"));
        drop(posted);
        assert_eq!(challenges.http("token"), None);
        assert_eq!(challenges.http("other").as_deref(), Some("other.thumbprint"));
        drop(other);
        assert!(challenges.tls("token").is_none());
    }
}
