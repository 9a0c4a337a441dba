//! Questions that are none of ours, passed on as they came to the host's name servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use std::{fs, io};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::{framed, read_framed};

/// Where the system's name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where name servers listen.
const DNS_PORT: u16 = 53;
/// For one server, so that another has its turn before whoever asks gives up (glibc: 5 s).
const SERVER_TIME_MAX: Duration = Duration::from_secs(2);
/// Servers that are asked.
const SERVERS_MAX: usize = 3;
/// The longest answer by UDP.
const ANSWER_BYTES_MAX: usize = 65_535;
/// The question's number, and whether it is an answer, are in the first three bytes (RFC 1035, 4.1.1).
const HEADER_BYTES: usize = 12;
const RESPONSE_BIT: u8 = 0x80;

/// How a question came, and is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Who is asked.
#[derive(Debug)]
pub(super) struct Forwarder {
    /// `None`: the host's, read anew for each question, as laptops move.
    servers: Option<Vec<SocketAddr>>,
}

impl Forwarder {
    /// To the host's name servers.
    pub(super) fn of_host() -> Self {
        Self { servers: None }
    }

    #[cfg(test)]
    pub(super) fn to(servers: Vec<SocketAddr>) -> Self {
        Self { servers: Some(servers) }
    }

    /// The first answer that comes, asking one server after the other.
    pub(super) async fn ask(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        if question.len() < HEADER_BYTES {
            return None;
        }
        let servers = self.servers.clone().unwrap_or_else(of_system);
        for server in servers.into_iter().take(SERVERS_MAX) {
            let asked = async {
                match transport {
                    Transport::Udp => ask_udp(server, question).await,
                    Transport::Tcp => ask_tcp(server, question).await,
                }
            };
            match timeout(SERVER_TIME_MAX, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a name server does not answer"),
                Err(_) => tracing::debug!(%server, "a name server does not answer in time"),
            }
        }
        None
    }
}

fn of_system() -> Vec<SocketAddr> {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addrs = named.filter_map(|addr| addr.trim().parse::<IpAddr>().ok());
    addrs.map(|addr| SocketAddr::new(addr, DNS_PORT)).collect()
}

/// From a port that nobody can guess, as every question has a socket of its own; connected, so that no other host is heard.
async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if is_answer(&buffer[..length], question) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&framed(question)?).await?;
    let answer = read_framed(&mut stream).await?;
    if is_answer(&answer, question) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn is_answer(answer: &[u8], question: &[u8]) -> bool {
    answer.len() >= HEADER_BYTES && answer[..2] == question[..2] && answer[2] & RESPONSE_BIT != 0
}
