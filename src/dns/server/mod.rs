//! A name server for the containers of the box: it knows the names of apps, and passes everything else on.
//!
//! It listens on one address, by UDP and TCP. [`Names`] says what a name is for whoever asks: an address, nothing (NXDOMAIN), or
//! none of its business, which goes as it came to the name servers of the host (`forward`). An app has an IPv4 address alone;
//! other types of records of it are an empty answer, so that a resolver that asks for IPv6 first goes on.
//!
//! Bounds: so many questions at a time, and so long for each; beyond that whoever asks hears nothing, and asks another server.
//! Nothing is kept in memory: the host's servers do that.

mod forward;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::forward::{Forwarder, Transport};

/// Questions at a time, TCP connections among them. A container that asks more often than they are answered waits.
const QUESTIONS_MAX: usize = 512;
/// The longest question by UDP: names have 255 bytes, and there are a few options.
const QUESTION_BYTES_MAX: usize = 4096;
/// For a TCP connection's next question.
const TCP_IDLE_MAX: Duration = Duration::from_secs(10);
/// How long an app's address may be remembered: an app that comes or goes is noticed soon.
const TTL_SECONDS: u32 = 5;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A host at this address.
    Host(Ipv4Addr),
    /// There is no such name.
    Nothing,
    /// Somebody else's.
    Elsewhere,
}

/// Who knows the names of the box.
#[async_trait]
pub trait Names: Send + Sync + 'static {
    /// What this name, lower case and without its final dot, is for who asks from there.
    async fn find(&self, name: &str, asker: IpAddr) -> Answer;
}

/// Where questions are heard. Dropping it, or the future of [`Self::serve`], closes it.
pub struct NameServer {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    desk: Arc<Desk>,
}

/// Where questions are answered.
struct Desk {
    names: Box<dyn Names>,
    forwarder: Forwarder,
    places: Arc<Semaphore>,
}

impl NameServer {
    /// Listens at this address, by UDP and TCP.
    ///
    /// # Errors
    ///
    /// What the system says; a port below 1024 takes root's rights.
    pub async fn bind(addr: SocketAddr, names: impl Names) -> io::Result<Self> {
        let desk = Desk {
            names: Box::new(names),
            forwarder: Forwarder::of_host(),
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        };
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind(addr).await?;
            match TcpListener::bind(udp.local_addr()?).await {
                Ok(tcp) => break (Arc::new(udp), tcp),
                // With port 0, one that is free for both.
                Err(error) if addr.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        };
        Ok(Self { udp, tcp, desk: Arc::new(desk) })
    }

    /// With these servers in place of the host's.
    #[cfg(test)]
    fn asking(mut self, servers: Vec<SocketAddr>) -> Self {
        let desk = Arc::get_mut(&mut self.desk).expect("nobody serves yet");
        desk.forwarder = Forwarder::to(servers);
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn serve(self) {
        tokio::join!(self.serve_udp(), self.serve_tcp());
    }

    async fn serve_udp(&self) {
        let mut buffer = vec![0; QUESTION_BYTES_MAX];
        loop {
            let Ok(permit) = Arc::clone(&self.desk.places).acquire_owned().await else { return };
            // An error is of a datagram that was sent: whoever it was for is gone.
            let Ok((length, from)) = self.udp.recv_from(&mut buffer).await else { continue };
            let (question, desk, udp) =
                (buffer[..length].to_vec(), Arc::clone(&self.desk), Arc::clone(&self.udp));
            tokio::spawn(async move {
                if let Some(answer) = desk.answer(&question, from.ip(), Transport::Udp).await {
                    // Whoever asked may be gone.
                    let _ = udp.send_to(&answer, from).await;
                }
                drop(permit);
            });
        }
    }

    async fn serve_tcp(&self) {
        loop {
            let Ok(permit) = Arc::clone(&self.desk.places).acquire_owned().await else { return };
            match self.tcp.accept().await {
                Ok((stream, from)) => {
                    let desk = Arc::clone(&self.desk);
                    tokio::spawn(async move {
                        if let Err(error) = desk.converse(stream, from.ip()).await {
                            tracing::debug!(%from, %error, "a connection for names broke off");
                        }
                        drop(permit);
                    });
                }
                // Out of files, or the client is gone: others may have better luck.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Desk {
    /// Answers the questions of a connection, one after the other.
    async fn converse(&self, mut stream: TcpStream, from: IpAddr) -> io::Result<()> {
        loop {
            let question = match timeout(TCP_IDLE_MAX, read_framed(&mut stream)).await {
                Ok(Ok(question)) => question,
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(()),
            };
            let Some(answer) = self.answer(&question, from, Transport::Tcp).await else { return Ok(()) };
            stream.write_all(&framed(&answer)?).await?;
        }
    }

    /// `None` for what is no question.
    async fn answer(&self, question: &[u8], from: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        let asked = Message::from_vec(question).ok()?;
        if asked.metadata.message_type != MessageType::Query {
            return None;
        }
        let found = match asked.queries.as_slice() {
            [query] if asked.metadata.op_code == OpCode::Query && query.query_class() == DNSClass::IN => {
                self.names.find(&plain(query.name()), from).await
            }
            _ => Answer::Elsewhere,
        };
        match found {
            Answer::Elsewhere => match self.forwarder.ask(question, transport).await {
                Some(answer) => Some(answer),
                None => reply(&asked, ResponseCode::ServFail, None),
            },
            Answer::Nothing => reply(&asked, ResponseCode::NXDomain, None),
            Answer::Host(addr) => reply(&asked, ResponseCode::NoError, Some(addr)),
        }
    }
}

/// What the resolver that asked understands as the answer.
fn reply(asked: &Message, code: ResponseCode, addr: Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
    reply.metadata.recursion_desired = asked.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_queries(asked.queries.iter().cloned());
    if let (Some(addr), [query]) = (addr, asked.queries.as_slice())
        && matches!(query.query_type(), RecordType::A | RecordType::ANY)
    {
        reply.add_answer(Record::from_rdata(query.name().clone(), TTL_SECONDS, RData::A(A(addr))));
    }
    reply.to_vec().ok()
}

fn plain(name: &Name) -> String {
    let name = name.to_ascii().to_ascii_lowercase();
    name.strip_suffix('.').unwrap_or(&name).to_owned()
}

/// A message by TCP has its length before it (RFC 1035, 4.2.2).
async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), message].concat())
}

#[cfg(test)]
mod tests;
