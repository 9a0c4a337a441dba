//! Records by dynamic updates (RFC 2136), signed by TSIG (RFC 8945): BIND, Knot, PowerDNS, NSD's primaries.
//!
//! The name server is asked for the SOA of the name, whose owner is the zone, and is sent one update of one record; both
//! over TCP, as an update over UDP that gets no answer may have been made or not. Servers do nothing for a record that is
//! there already, and for one that is not, so nothing is read first. The answer's signature is checked as well.

use std::fmt;
use std::io;
use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::op::{Message, MessageType, Query, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{Name, RData, Record as Resource, RecordSet, RecordType, TSigVerifier, TSigner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::credentials::Credentials;
use super::record::Record;
use super::{DnsError, Provider, limits};

pub(super) const KIND: &str = "rfc2136";
const PORT_DEFAULT: u16 = 53;
/// For one question and its answer.
const TIME_MAX: Duration = Duration::from_secs(10);
/// How far the clocks may be apart, as BIND's nsupdate has it.
const FUDGE_SECONDS: u16 = 300;
const ADVICE: &str = "check `RFC2136_TSIG_KEY`, `RFC2136_TSIG_SECRET` and `RFC2136_TSIG_ALGORITHM`, and that the server allows this key \
     to update TXT records there";

pub(super) struct Rfc2136 {
    /// Host and port.
    server: String,
    signer: Option<TSigner>,
}

/// What a server said, after its signature was checked if the question was signed.
struct Answer {
    message: Message,
    tsig: Option<TsigError>,
}

// === impl Rfc2136 ===

impl Rfc2136 {
    pub(super) fn new(credentials: &Credentials<'_>) -> Result<Self, DnsError> {
        let server = credentials.need("RFC2136_NAMESERVER", "ns1.example.com:53")?;
        let Some(server) = with_port(server) else {
            let problem = "is no host and port such as `ns1.example.com:53` or `[2001:db8::1]:53`";
            return Err(credentials.invalid("RFC2136_NAMESERVER", problem));
        };
        let signer = match credentials.get("RFC2136_TSIG_KEY") {
            Some(key) => Some(signer(key, credentials)?),
            None => None,
        };
        Ok(Self { server, signer })
    }

    /// The longest zone that the server has the name in.
    async fn zone(&self, doing: &str, record: &Record) -> Result<Name, DnsError> {
        for above in super::record::ancestors(record.name()) {
            let name = absolute(above);
            let mut question = Message::query();
            question.metadata.recursion_desired = false;
            question.add_query(Query::query(name.clone(), RecordType::SOA));
            let answer = self.ask(doing, question).await?;
            self.check_signature(doing, &answer)?;
            // Of a name within a zone the SOA is in the authority section.
            let message = &answer.message;
            let found =
                message.answers.iter().chain(&message.authorities).find(|resource| {
                    resource.record_type() == RecordType::SOA && resource.name.zone_of(&name)
                });
            if let Some(found) = found.filter(|_| message.metadata.authoritative) {
                return Ok(found.name.clone());
            }
        }
        Err(DnsError::NoZone {
            provider: KIND,
            name: record.name().to_owned(),
            advice: format!(
                "`RFC2136_NAMESERVER` must be its primary name server, and `{}` is not",
                self.server
            ),
        })
    }

    async fn update(
        &self,
        doing: &str,
        record: &Record,
        make: impl FnOnce(RecordSet, Name) -> Message + Send,
    ) -> Result<(), DnsError> {
        let zone = self.zone(doing, record).await?;
        let text = RData::TXT(TXT::new(vec![record.value().to_owned()]));
        let resource = Resource::from_rdata(absolute(record.name()), limits::TTL_SECONDS, text);
        let answer = self.ask(doing, make(resource.into(), zone)).await?;
        self.check_signature(doing, &answer)?;
        let code = answer.message.metadata.response_code;
        match code {
            ResponseCode::NoError => Ok(()),
            ResponseCode::Refused | ResponseCode::NotAuth => Err(self.denied(doing, code.to_str())),
            _ => Err(self.failed(doing, format!("`{}` answered {}", self.server, code.to_str()))),
        }
    }

    fn check_signature(&self, doing: &str, answer: &Answer) -> Result<(), DnsError> {
        match answer.tsig {
            None => Ok(()),
            Some(TsigError::BadKey) => {
                Err(self.denied(doing, "BADKEY, it does not know the key by that name and algorithm"))
            }
            Some(TsigError::BadSig) => Err(self.denied(doing, "BADSIG, its secret of that key is another")),
            Some(TsigError::BadTime) => {
                Err(self.denied(doing, "BADTIME, its clock and this machine's are too far apart"))
            }
            Some(other) => Err(self.denied(doing, &format!("TSIG error {}", u16::from(other)))),
        }
    }

    fn denied(&self, doing: &str, reason: &str) -> DnsError {
        let reason = format!("`{}` answered {reason}", self.server);
        DnsError::Denied { provider: KIND, doing: doing.to_owned(), reason, advice: ADVICE.to_owned() }
    }

    fn failed(&self, doing: &str, reason: String) -> DnsError {
        DnsError::Failed { provider: KIND, doing: doing.to_owned(), reason }
    }

    async fn ask(&self, doing: &str, mut question: Message) -> Result<Answer, DnsError> {
        let id = u16::from_ne_bytes(crate::random::bytes());
        question.metadata.id = id;
        let now = crate::clock::now() / 1000;
        let verifier = match &self.signer {
            Some(signer) => question.finalize(signer, now),
            None => Ok(None),
        };
        let (bytes, verifier) = verifier
            .and_then(|verifier| Ok((question.to_vec()?, verifier)))
            .map_err(|error| self.failed(doing, format!("the question has no form: {error}")))?;

        let answer = match timeout(TIME_MAX, exchange(&self.server, &bytes)).await {
            Ok(answer) => answer,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {TIME_MAX:?}"))),
        };
        let answer = answer.map_err(|source| DnsError::Io {
            provider: KIND,
            place: self.server.clone(),
            doing: doing.to_owned(),
            source,
        })?;
        self.read(doing, id, &answer, verifier)
    }

    fn read(
        &self,
        doing: &str,
        id: u16,
        bytes: &[u8],
        verifier: Option<TSigVerifier>,
    ) -> Result<Answer, DnsError> {
        let strange = |what: &str| self.failed(doing, format!("the answer of `{}` {what}", self.server));
        let message = Message::from_vec(bytes).map_err(|_| strange("is no DNS message"))?;
        if message.metadata.id != id || message.metadata.message_type != MessageType::Response {
            return Err(strange("is to another question"));
        }
        let tsig = message.signature.as_ref().and_then(|signature| signature.data.error);
        let is_error = message.metadata.response_code != ResponseCode::NoError || tsig.is_some();
        // A refusal may be unsigned (RFC 8945, 5.3.2). Somebody in between could make one up, and gain nothing by it.
        if let Some(mut verifier) = verifier.filter(|_| !is_error)
            && verifier.verify(bytes).is_err()
        {
            return Err(strange("is not signed by the key"));
        }
        Ok(Answer { message, tsig })
    }
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.signer.as_ref().map(|signer| signer.signer_name().to_string());
        f.debug_struct("Rfc2136").field("server", &self.server).field("key", &key).finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Rfc2136 {
    fn name(&self) -> &str {
        KIND
    }

    async fn add_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let make = |set, zone| update_message::append(set, zone, false, false);
        self.update(&record.adding(), &record, make).await
    }

    async fn remove_txt(&self, name: &str, value: &str) -> Result<(), DnsError> {
        let record = Record::new(name, value)?;
        let make = |set, zone| update_message::delete_by_rdata(set, zone, false);
        self.update(&record.removing(), &record, make).await
    }
}

fn signer(key: &str, credentials: &Credentials<'_>) -> Result<TSigner, DnsError> {
    let name = Name::from_str(key)
        .map_err(|_| credentials.invalid("RFC2136_TSIG_KEY", "is no key's name, such as `acme`"))?;
    let algorithm = credentials.get("RFC2136_TSIG_ALGORITHM").unwrap_or("hmac-sha256");
    let algorithm = match algorithm.to_ascii_lowercase().trim_end_matches('.') {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        _ => {
            let problem = "is none of `hmac-sha256`, `hmac-sha384` and `hmac-sha512`";
            return Err(credentials.invalid("RFC2136_TSIG_ALGORITHM", problem));
        }
    };
    let secret = credentials.need("RFC2136_TSIG_SECRET", "1kCFBQzn2CTeOQIHJVZZpKEDh5YhyQ3cCGMzTjWtHn0=")?;
    let secret = STANDARD.decode(secret).map_err(|_| {
        credentials.invalid("RFC2136_TSIG_SECRET", "is not base64; copy the `secret` of the key as it is")
    })?;
    TSigner::new(secret, algorithm, name, FUDGE_SECONDS)
        .map_err(|_| credentials.invalid("RFC2136_TSIG_ALGORITHM", "is not supported"))
}

async fn exchange(server: &str, question: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(question.len()).expect("one record is shorter than 64 KiB");
    let mut stream = TcpStream::connect(server).await?;
    // In one piece: some servers wait for a segment each.
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn with_port(server: &str) -> Option<String> {
    if server.contains(char::is_whitespace) || server.contains('/') {
        return None;
    }
    if server.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(format!("[{server}]:{PORT_DEFAULT}"));
    }
    match server.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !server.ends_with(']') => {
            port.parse::<u16>().ok().filter(|port| *port > 0).map(|_| server.to_owned())
        }
        _ => Some(format!("{server}:{PORT_DEFAULT}")),
    }
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_str(name).expect("a record's name was checked");
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn a_server_without_a_port_has_the_one_of_dns() {
        for (given, expected) in [
            ("ns.example.com", Some("ns.example.com:53")),
            ("ns.example.com:5353", Some("ns.example.com:5353")),
            ("2001:db8::1", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]", Some("[2001:db8::1]:53")),
            ("[2001:db8::1]:5353", Some("[2001:db8::1]:5353")),
            ("ns:0", None),
            ("ns:x", None),
            ("https://ns", None),
        ] {
            assert_eq!(with_port(given).as_deref(), expected, "{given}");
        }
    }
}
