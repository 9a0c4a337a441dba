//! Headers of both versions, whole, cut and broken.

use proptest::prelude::*;

use super::{Addresses, ParseError, Parsed, V2_SIGNATURE, encode, parse, read};
use crate::policy::ProxyVersion;

fn v2(command: u8, family: u8, length: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    [&V2_SIGNATURE[..], &[command, family, high, low], body].concat()
}

#[track_caller]
fn check_v1(header: &str, expected: Option<(&str, &str)>) {
    let addresses =
        expected.map(|(from, to)| Addresses { from: from.parse().unwrap(), to: to.parse().unwrap() });
    assert_eq!(parse(header.as_bytes()), Ok(Parsed { addresses, length: header.len() }), "{header:?}");
}

#[test]
fn version_1_is_one_line() {
    check_v1(
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        Some(("192.0.2.1:56324", "198.51.100.1:443")),
    );
    check_v1("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", Some(("[2001:db8::1]:0", "[::1]:65535")));
    check_v1("PROXY UNKNOWN\r\n", None);
    check_v1("PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", None);
}

#[test]
fn version_1_is_written_in_one_way_alone() {
    for broken in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 443\nGET / HTTP/1.1\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "proxy UNKNOWN\r\n",
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01",
    ] {
        assert!(matches!(parse(broken.as_bytes()), Err(ParseError::Invalid(_))), "{broken:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert!(matches!(parse(endless.as_bytes()), Err(ParseError::Invalid(_))));
}

#[test]
fn version_2_passes_over_extensions() {
    let body = [[192, 0, 2, 1].as_slice(), &[198, 51, 100, 1], &[0xdc, 0x04], &[0x01, 0xbb]].concat();
    let with_extension = [&body[..], &[0x01, 0, 2, b'h', b'2']].concat();
    for body in [body.clone(), with_extension] {
        let header = v2(0x21, 0x11, u16::try_from(body.len()).unwrap(), &body);
        let parsed = parse(&header).unwrap();
        let Addresses { from, to } = parsed.addresses.unwrap();
        assert_eq!((from.to_string(), to.to_string()), ("192.0.2.1:56324".into(), "198.51.100.1:443".into()));
        assert_eq!(parsed.length, header.len());
    }
}

#[test]
fn version_2_may_name_nobody() {
    for (command, family, body) in
        [(0x20, 0x00, &[][..]), (0x20, 0x11, &[0; 12]), (0x21, 0x00, &[9; 7]), (0x21, 0x31, &[0; 216])]
    {
        let header = v2(command, family, u16::try_from(body.len()).unwrap(), body);
        assert_eq!(parse(&header), Ok(Parsed { addresses: None, length: header.len() }));
    }
}

#[test]
fn version_2_is_bounded_and_over_tcp() {
    for (command, family, length) in [
        (0x11, 0x11, 12),
        (0x22, 0x11, 12),
        (0x21, 0x12, 12),
        (0x21, 0x41, 12),
        (0x21, 0x11, 11),
        (0x21, 0x21, 35),
    ] {
        let header = v2(command, family, length, &[0; 40]);
        assert!(matches!(parse(&header), Err(ParseError::Invalid(_))), "{command:x} {family:x} {length}");
    }
    assert!(matches!(parse(&v2(0x21, 0x11, 5000, &[])), Err(ParseError::Invalid(_))), "before it is there");
    assert_eq!(parse(&v2(0x21, 0x11, 4096, &[])), Err(ParseError::Incomplete { missing: 4096 }));
}

fn addresses() -> impl Strategy<Value = Addresses> {
    let v4 = any::<(std::net::SocketAddrV4, std::net::SocketAddrV4)>()
        .prop_map(|(from, to)| Addresses { from: from.into(), to: to.into() });
    let v6 = any::<([u16; 8], [u16; 8], u16, u16)>().prop_map(|(from, to, from_port, to_port)| Addresses {
        from: (std::net::Ipv6Addr::from(from), from_port).into(),
        to: (std::net::Ipv6Addr::from(to), to_port).into(),
    });
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn what_is_written_is_read(addresses in addresses(), is_v2: bool, rest: Vec<u8>) {
        let version = if is_v2 { ProxyVersion::V2 } else { ProxyVersion::V1 };
        let header = encode(version, addresses);
        let parsed = Parsed { addresses: Some(addresses), length: header.len() };
        prop_assert_eq!(parse(&[&header[..], &rest].concat()), Ok(parsed));
        // Every part of it wants more, and never more than there is.
        for length in 0..header.len() {
            match parse(&header[..length]) {
                Err(ParseError::Incomplete { missing }) => {
                    prop_assert!(missing >= 1 && length + missing <= header.len());
                }
                other => prop_assert!(false, "{other:?} at {length}"),
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, is_v2: bool) {
        let start: &[u8] = if is_v2 { V2_SIGNATURE } else { b"PROXY TCP4 " };
        for bytes in [&bytes[..], &[start, &bytes].concat()] {
            if let Ok(parsed) = parse(bytes) {
                prop_assert!(parsed.length <= bytes.len());
            }
        }
    }
}

#[tokio::test]
async fn reading_takes_no_byte_of_what_follows() {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let wanted = Addresses { from: "192.0.2.1:1".parse().unwrap(), to: "192.0.2.2:2".parse().unwrap() };
        let stream = [&encode(version, wanted)[..], b"GET"].concat();
        let mut stream = &stream[..];
        assert_eq!(read(&mut stream).await.unwrap(), Some(wanted));
        assert_eq!(stream, b"GET");
    }
    assert_eq!(read(&mut &b"PROXY TCP4"[..]).await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}
