use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record};
use minipaas::dns::{CaaRecord, Lookup, LookupError, wait_until_seen};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::named::{Named, SECRET};
use super::{NAME, ONE, OTHER, open};
use crate::support::{SOON, free_port, soon};

/// Long enough for a few rounds.
const BRIEFLY: Duration = Duration::from_millis(500);

fn caa(critical: bool, tag: &str, value: &str) -> CaaRecord {
    CaaRecord { critical, tag: tag.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn answers_are_what_the_server_says() {
    let named = Named::start().await;
    let lookup = Lookup::new(&[named.addr]);
    let addresses: [IpAddr; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    for name in ["www.example.test", "WWW.Example.test.", "alias.example.test"] {
        let mut found = lookup.addresses(name).await.unwrap();
        found.sort_unstable();
        assert_eq!(found, addresses, "{name}");
    }
    let mut texts = lookup.txt("text.example.test").await.unwrap();
    texts.sort_unstable();
    assert_eq!(texts, ["another", "one record"]);

    let name = "_acme-challenge.alias.example.test";
    assert_eq!(lookup.canonical(name).await.unwrap(), "_acme-challenge.www.example.test");
    assert_eq!(lookup.canonical("www.example.test.").await.unwrap(), "www.example.test");
    assert!(matches!(lookup.canonical("loop.example.test").await, Err(LookupError::Failed { .. })));
}

#[tokio::test]
async fn nothing_and_no_answer_are_told_apart() {
    let named = Named::start().await;
    let lookup = Lookup::new(&[named.addr]);
    let name = "gone.example.test".to_owned();
    assert_eq!(lookup.addresses(&name).await, Err(LookupError::NoSuchName { name }));
    let name = "text.example.test".to_owned();
    assert_eq!(lookup.addresses(&name).await, Err(LookupError::NoRecords { name, kind: "address" }));
    let refused = lookup.addresses("www.example.org").await.unwrap_err();
    let reason = "the server answered Query Refused".to_owned();
    assert_eq!(refused, LookupError::Failed { name: "www.example.org".to_owned(), reason });
    let nobody = soon(Lookup::new(&[free_port()]).addresses("www.example.test")).await.unwrap_err();
    assert!(!nobody.is_absent(), "{nobody}");
}

#[tokio::test]
async fn a_failure_is_forgotten_at_once() {
    let named = Named::start().await;
    let lookup = Lookup::new(&[named.addr]);
    assert!(lookup.txt(NAME).await.unwrap_err().is_absent());
    key(&named).add_txt(NAME, ONE).await.unwrap();
    assert_eq!(lookup.txt(NAME).await.unwrap(), [ONE]);
}

#[tokio::test]
async fn caa_records_are_those_of_the_nearest_name() {
    let named = Named::start().await;
    let lookup = Lookup::new(&[named.addr]);
    let mut apex = [
        caa(false, "iodef", "mailto:hostmaster@example.test"),
        caa(false, "issue", "letsencrypt.org; validationmethods=dns-01"),
    ];
    for name in ["example.test", "*.example.test", "www.example.test", "x.y.www.example.test"] {
        let mut found = lookup.caa(name).await.unwrap();
        found.sort_by(|one, other| one.tag.cmp(&other.tag));
        apex.sort_by(|one, other| one.tag.cmp(&other.tag));
        assert_eq!(found, apex, "{name}");
    }
    let strict = [caa(true, "issuewild", ";")];
    assert_eq!(lookup.caa("strict.example.test").await.unwrap(), strict);
    assert_eq!(lookup.caa("*.a.strict.example.test").await.unwrap(), strict);
    // Nobody has said what holds above; an authority would not issue.
    assert!(matches!(lookup.caa("closed.test").await, Err(LookupError::Failed { .. })));
}

/// The zone's second name server, which shows these values for every name.
struct Second {
    values: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Second {
    async fn start(first: &Named) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), first.addr.port()));
        let socket = UdpSocket::bind(addr).await.unwrap();
        let values = Arc::new(Mutex::new(vec![OTHER.to_owned()]));
        let shown = Arc::clone(&values);
        let task = tokio::spawn(async move {
            let mut packet = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut packet).await {
                let question = Message::from_vec(&packet[..length]).unwrap();
                let query = question.queries[0].clone();
                let mut answer = Message::response(question.metadata.id, OpCode::Query);
                answer.metadata.authoritative = true;
                for value in shown.lock().unwrap().iter() {
                    let text = RData::TXT(TXT::new(vec![value.clone()]));
                    answer.add_answer(Record::from_rdata(query.name().clone(), 60, text));
                }
                answer.add_query(query);
                socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
            }
        });
        Self { values, task: task.abort_handle() }
    }
}

fn key(named: &Named) -> Arc<dyn minipaas::dns::Provider> {
    let server = named.addr.to_string();
    let key = ("RFC2136_TSIG_KEY", "acme");
    open("rfc2136", &[("RFC2136_NAMESERVER", &server), key, ("RFC2136_TSIG_SECRET", SECRET)])
}

#[tokio::test]
async fn a_value_is_seen_when_all_servers_of_its_zone_show_it() {
    let first = Named::start().await;
    let second = Second::start(&first).await;
    let lookup = Lookup::new(&[first.addr]).with_authority_port(first.addr.port());
    key(&first).add_txt(NAME, ONE).await.unwrap();
    let error = wait_until_seen(&lookup, NAME, ONE, BRIEFLY).await.unwrap_err();
    let expected = format!("the TXT record of `{NAME}` is not at `ns2.example.test` (127.0.0.2) after 500ms");
    assert_eq!(error.to_string(), expected);

    let waiting = tokio::spawn({
        let lookup = lookup.clone();
        async move { wait_until_seen(&lookup, NAME, ONE, SOON).await }
    });
    second.values.lock().unwrap().push(ONE.to_owned());
    waiting.await.unwrap().unwrap();

    // A server that is away is passed over.
    second.task.abort();
    key(&first).add_txt(NAME, OTHER).await.unwrap();
    wait_until_seen(&lookup, NAME, OTHER, SOON).await.unwrap();
}

#[tokio::test]
async fn a_value_is_looked_for_where_an_alias_leads() {
    let named = Named::start().await;
    let lookup = Lookup::new(&[named.addr]).with_authority_port(named.addr.port());
    key(&named).add_txt("_acme-challenge.www.example.test", ONE).await.unwrap();
    wait_until_seen(&lookup, "_acme-challenge.alias.example.test", ONE, SOON).await.unwrap();
}

#[tokio::test]
async fn where_no_server_of_the_zone_answers_the_resolver_does() {
    let named = Named::start().await;
    // Nobody listens there.
    let lookup = Lookup::new(&[named.addr]).with_authority_port(free_port().port());
    let error = wait_until_seen(&lookup, NAME, ONE, Duration::ZERO).await.unwrap_err();
    assert!(
        error.to_string().contains("is not at the name servers that are asked here after 0ns"),
        "{error}"
    );
    key(&named).add_txt(NAME, ONE).await.unwrap();
    wait_until_seen(&lookup, NAME, ONE, SOON).await.unwrap();
}
