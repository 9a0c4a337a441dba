//! Who is at the other end of a connection: somebody at the box itself, or the box's own proxy.
//!
//! Over the unix socket the system says whose process asks. Over TLS a request comes through the proxy, to a listener on
//! loopback alone; as any process of the machine can connect there, each request shows a key that the proxy's route sets
//! and nobody else knows. Without it nothing is believed, and nothing answered.

use std::net::IpAddr;

use axum::extract::connect_info::Connected;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};

use crate::people::{Actor, is_same};
use crate::{hex, random};

/// By which the proxy is known; whatever a client says here, the proxy replaces.
pub const DOOR_HEADER: HeaderName = HeaderName::from_static("x-minipaas-door");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Users of the system, as POSIX has them.
const PASSWD: &str = "/etc/passwd";

/// Where requests come in that the proxy passes on.
#[derive(Debug)]
pub struct Door {
    /// On loopback.
    pub listener: TcpListener,
    /// What the proxy shows.
    pub key: DoorKey,
}

/// What the proxy shows with each request; its `Debug` does not.
#[derive(Clone)]
pub struct DoorKey(HeaderValue);

/// Who connected.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// A process of the box's own system.
    System(Actor),
    /// Some process of this machine, which may be the proxy.
    Loopback,
}

// === impl DoorKey ===

impl DoorKey {
    /// A new one; it lives as long as the process.
    #[must_use]
    pub fn random() -> Self {
        let mut value = HeaderValue::from_str(&hex::encode(random::bytes::<32>()))
            .expect("hexadecimal digits are a header's value");
        value.set_sensitive(true);
        Self(value)
    }

    /// What the proxy is to set as [`DOOR_HEADER`].
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Takes the key out of the headers, and says whether it was there, once.
    pub(super) fn opens(&self, headers: &mut HeaderMap) -> bool {
        let is_right = {
            let mut shown = headers.get_all(DOOR_HEADER).iter();
            let first = shown.next().is_some_and(|shown| is_same(shown.as_bytes(), self.0.as_bytes()));
            first && shown.next().is_none()
        };
        headers.remove(DOOR_HEADER);
        is_right
    }
}

impl std::fmt::Debug for DoorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoorKey")
    }
}

// === impl Peer ===

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        // Who may open the socket may do anything, so one that cannot be named is let in as well.
        let uid = stream.io().peer_cred().map(|credentials| credentials.uid());
        Self::System(uid.map_or_else(|_| Actor::unknown(), system_user))
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::Loopback
    }
}

/// The client as the proxy saw it; loopback when it does not say.
pub(super) fn client(headers: &HeaderMap) -> IpAddr {
    let said = headers.get_all(FORWARDED_FOR).iter().next_back().and_then(|value| value.to_str().ok());
    let last = said.and_then(|addrs| addrs.rsplit(',').next()).and_then(|addr| addr.trim().parse().ok());
    last.unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

fn system_user(uid: u32) -> Actor {
    // Directories of users elsewhere are not asked: who is only there is a number.
    let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
    Actor::named(user_of(&passwd, uid).unwrap_or_else(|| format!("uid {uid}")))
}

fn user_of(passwd: &str, uid: u32) -> Option<String> {
    let users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse::<u32>().ok()?))
    });
    users.into_iter().find(|(_, theirs)| *theirs == uid).map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_users_have_names() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:100::/home/alice:/bin/sh\n";
        assert_eq!(user_of(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(user_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(user_of(passwd, 100), None);
    }

    #[test]
    fn only_the_key_itself_opens() {
        let key = DoorKey::random();
        let opens = |values: &[&HeaderValue]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(DOOR_HEADER, (*value).clone());
            }
            let opened = key.opens(&mut headers);
            assert!(!headers.contains_key(DOOR_HEADER));
            opened
        };
        let other = DoorKey::random().value();
        assert!(opens(&[&key.value()]));
        assert!(!opens(&[]) && !opens(&[&other]) && !opens(&[&HeaderValue::from_static("")]));
        assert!(!opens(&[&key.value(), &other]) && !opens(&[&other, &key.value()]));
        assert!(!format!("{key:?}").contains(key.value().to_str().unwrap()));
    }

    #[test]
    fn the_client_is_whom_the_proxy_named_last() {
        let client_of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            client(&headers).to_string()
        };
        assert_eq!(client_of(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client_of(&["10.0.0.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(client_of(&["10.0.0.1", "2001:db8::1"]), "2001:db8::1");
        assert_eq!(client_of(&["nobody"]), "127.0.0.1");
        assert_eq!(client_of(&[]), "127.0.0.1");
    }
}
