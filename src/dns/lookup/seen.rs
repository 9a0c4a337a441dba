//! Waiting until a TXT record is where a certificate authority will look: at each of the zone's own name servers.
//!
//! The servers are those of the nearest name that has NS records, at all of their addresses. One that does not answer is
//! left out while another does: authorities pass over it as well. Where none answers (a firewall, or a
//! network without NS records) the word of the [`Lookup`] itself has to do.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::{Lookup, LookupError, ancestors};

/// Addresses of a zone's servers that are asked; large providers have 8.
const SERVERS_MAX: usize = 16;
/// For the answer of one server.
const SERVER_TIME_MAX: Duration = Duration::from_secs(3);
/// Between two rounds; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// What it doubles up to.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A name server of the zone.
struct Server {
    name: String,
    addr: SocketAddr,
}

/// What a server says of the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Seen,
    Lacking,
    Silent,
}

/// Waits until every name server of the zone shows the value, or the name that it is an alias of has it. Looks at least
/// once. Cancel-safe.
///
/// # Errors
///
/// [`LookupError::NotSeen`] names the servers that do not show it when the limit has passed.
pub async fn wait_until_seen(
    lookup: &Lookup,
    name: &str,
    value: &str,
    limit: Duration,
) -> Result<(), LookupError> {
    let deadline = Instant::now() + limit;
    let mut pause = PAUSE_MIN;
    let mut servers = Vec::new();
    // As long as it cannot be looked up it may be an alias; until then the name itself will do.
    let name = lookup.canonical(name).await.unwrap_or_else(|_| name.to_owned());
    loop {
        if servers.is_empty() {
            servers = authorities(lookup, &name).await;
        }
        let lacking = lacking(lookup, &servers, &name, value).await;
        if lacking.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(LookupError::NotSeen { name, lacking, limit });
        }
        tracing::debug!(name, lacking = lacking.join(", "), "TXT record not seen yet");
        sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The servers of the zone that has the name; none if they are not known.
async fn authorities(lookup: &Lookup, name: &str) -> Vec<Server> {
    for zone in ancestors(name).filter(|zone| zone.contains('.')) {
        match lookup.name_servers(zone).await {
            Ok(names) => {
                let addresses = join_all(names.iter().map(|name| lookup.addresses(name))).await;
                let of = |(name, addresses): (String, Result<Vec<_>, _>)| {
                    addresses.unwrap_or_default().into_iter().map(move |ip| Server {
                        name: name.clone(),
                        addr: SocketAddr::new(ip, lookup.authority_port),
                    })
                };
                return names.into_iter().zip(addresses).flat_map(of).take(SERVERS_MAX).collect();
            }
            Err(error) if error.is_absent() => {}
            Err(_) => return Vec::new(),
        }
    }
    Vec::new()
}

/// Who does not show the value.
async fn lacking(lookup: &Lookup, servers: &[Server], name: &str, value: &str) -> Vec<String> {
    let verdicts = join_all(servers.iter().map(|server| ask(server, name, value))).await;
    if verdicts.iter().any(|verdict| *verdict != Verdict::Silent) {
        let lacking = servers.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Lacking);
        return lacking.map(|(server, _)| format!("`{}` ({})", server.name, server.addr.ip())).collect();
    }
    match lookup.txt(name).await {
        Ok(values) if values.iter().any(|shown| shown == value) => Vec::new(),
        _ => vec!["the name servers that are asked here".to_owned()],
    }
}

async fn ask(server: &Server, name: &str, value: &str) -> Verdict {
    match timeout(SERVER_TIME_MAX, Lookup::at(server.addr).txt(name)).await {
        Ok(Ok(values)) if values.iter().any(|shown| shown == value) => Verdict::Seen,
        Ok(Ok(_)) => Verdict::Lacking,
        Ok(Err(error)) if error.is_absent() => Verdict::Lacking,
        Ok(Err(_)) | Err(_) => Verdict::Silent,
    }
}
