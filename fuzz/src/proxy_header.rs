//! The PROXY header: what is written is read, and no byte of what follows is ever taken.

use std::net::{IpAddr, SocketAddr};

use minipaas::policy::ProxyVersion;
use minipaas::proxy::proxy_protocol::{Addresses, ParseError, encode, parse};

use super::Input;

const WORDS: [&str; 20] = [
    "PROXY ",
    "TCP4",
    "TCP6",
    "UNKNOWN",
    " ",
    "\r\n",
    "\r",
    "\n",
    "192.0.2.1",
    "255.255.255.255",
    "::1",
    "::ffff:1.2.3.4",
    "0",
    "80",
    "65535",
    "65536",
    "01",
    "+1",
    "\r\n\r\n\0\r\nQUIT\n",
    "!",
];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => whole(input.take(usize::MAX)),
        1 => whole(&input.words(&WORDS, 24)),
        _ => {
            let version = if input.flag() { ProxyVersion::V1 } else { ProxyVersion::V2 };
            let addresses = Addresses { from: address(&mut input), to: address(&mut input) };
            let header = encode(version, addresses);
            let parsed = parse(&header).expect("what we write can be read");
            assert_eq!(parsed.length, header.len());
            let read = parsed.addresses.expect("it names them");
            assert_eq!(canonical(read), canonical(addresses));
            assert_eq!(read.from.is_ipv4(), read.to.is_ipv4());
            whole(&[&header, input.take(64)].concat());
            let mut changed = header;
            for _ in 0..input.below(4) {
                let at = input.below(changed.len());
                changed[at] = input.byte();
            }
            whole(&changed);
        }
    }
}

/// Reads a header as it comes, as the listener does.
fn whole(bytes: &[u8]) {
    let mut have = 0;
    let parsed = loop {
        match parse(&bytes[..have]) {
            Ok(parsed) => break parsed,
            Err(ParseError::Incomplete { missing }) => {
                assert!(missing >= 1);
                have += missing;
                if have > bytes.len() {
                    let all = parse(bytes);
                    assert!(all.is_err(), "{bytes:?} has {all:?} and more was asked for");
                    return;
                }
            }
            Err(ParseError::Invalid(_)) => {
                assert!(matches!(parse(bytes), Err(ParseError::Invalid(_))), "{bytes:?}");
                return;
            }
        }
    };
    assert_eq!(parsed.length, have, "{bytes:?}");
    assert_eq!(parse(bytes), Ok(parsed), "what follows does not matter: {bytes:?}");
    for length in 0..have {
        let Err(ParseError::Incomplete { missing }) = parse(&bytes[..length]) else {
            panic!("{length} bytes of {bytes:?} are {:?}", parse(&bytes[..length]));
        };
        assert!((1..=have - length).contains(&missing), "{missing} after {length} of {bytes:?}");
    }
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    let port = u16::from_be_bytes([input.byte(), input.byte()]);
    let ip: IpAddr = if input.flag() {
        std::array::from_fn::<u8, 4, _>(|_| input.byte()).into()
    } else {
        // Zeroes are what text forms differ in.
        std::array::from_fn::<u16, 8, _>(|_| [0, 0xffff, 1, u16::from(input.byte())][input.below(4)]).into()
    };
    SocketAddr::new(ip, port)
}

fn canonical(addresses: Addresses) -> [(IpAddr, u16); 2] {
    [addresses.from, addresses.to].map(|addr| (addr.ip().to_canonical(), addr.port()))
}
