//! The server asked over real sockets, as a container's resolver does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use async_trait::async_trait;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, NameServer, Names, framed, read_framed};

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Fixed(&'static str, Answer);

#[async_trait]
impl Names for Fixed {
    async fn find(&self, name: &str, _asker: IpAddr) -> Answer {
        match name {
            name if name == self.0 => self.1,
            name if name.ends_with(".internal") => Answer::Nothing,
            _ => Answer::Elsewhere,
        }
    }
}

async fn start(names: Fixed, others: Vec<SocketAddr>) -> (SocketAddr, AbortOnDropHandle<()>) {
    let server = NameServer::bind(LOOPBACK, names).await.unwrap().asking(others);
    (server.local_addr().unwrap(), AbortOnDropHandle::new(tokio::spawn(server.serve())))
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

async fn by_udp(server: SocketAddr, question: &[u8]) -> Message {
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.send_to(question, server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn by_tcp(server: SocketAddr, question: &[u8]) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&framed(question).unwrap()).await.unwrap();
    Message::from_vec(&read_framed(&mut stream).await.unwrap()).unwrap()
}

fn told(message: &Message) -> (ResponseCode, Vec<String>) {
    (message.metadata.response_code, message.answers.iter().map(|record| record.data.to_string()).collect())
}

#[tokio::test]
async fn an_apps_name_has_an_address_and_nothing_else() {
    let names = Fixed("billing.internal", Answer::Host([172, 18, 0, 1].into()));
    let (server, _serving) = start(names, Vec::new()).await;
    let host = (ResponseCode::NoError, vec!["172.18.0.1".to_owned()]);
    let asked = question("Billing.Internal.", RecordType::A);
    assert_eq!(told(&by_udp(server, &asked).await), host);
    assert_eq!(told(&by_tcp(server, &asked).await), host);
    let v6 = by_udp(server, &question("billing.internal.", RecordType::AAAA)).await;
    assert_eq!(told(&v6), (ResponseCode::NoError, vec![]));
    let other = by_udp(server, &question("shop.internal.", RecordType::A)).await;
    assert_eq!(told(&other), (ResponseCode::NXDomain, vec![]));
}

#[tokio::test]
async fn other_names_are_asked_for_elsewhere() {
    let elsewhere = Fixed("example.com", Answer::Host([192, 0, 2, 1].into()));
    let (other, _other) = start(elsewhere, Vec::new()).await;
    let nobody = Fixed("", Answer::Nothing);
    // The first refuses.
    let closed = UdpSocket::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let (server, _serving) = start(nobody, vec![closed, other]).await;
    let asked = question("example.com.", RecordType::A);
    let host = (ResponseCode::NoError, vec!["192.0.2.1".to_owned()]);
    assert_eq!(told(&by_udp(server, &asked).await), host);
    assert_eq!(told(&by_tcp(server, &asked).await), host);
    let unknown = by_udp(server, &question("example.org.", RecordType::A)).await;
    assert_eq!(told(&unknown).0, ResponseCode::ServFail, "nobody knows it");
}

#[tokio::test]
async fn what_is_no_question_gets_no_answer() {
    let (server, _serving) = start(Fixed("a.internal", Answer::Nothing), Vec::new()).await;
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    for junk in [&b""[..], b"x", &[0xff; 40]] {
        socket.send_to(junk, server).await.unwrap();
    }
    let fine = by_udp(server, &question("a.internal.", RecordType::A)).await;
    assert_eq!(told(&fine).0, ResponseCode::NXDomain, "it goes on");
}
