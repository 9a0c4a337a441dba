//! The upstream of all proxies: answers `/small` and `/64k` from memory, and takes what is uploaded.
//!
//! A thread a connection and one write a response, so that it costs next to nothing, whatever this program is built as. It
//! knows just the HTTP that proxies speak to upstreams.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::{io, thread};

/// The body of `/small`.
pub(crate) const SMALL_BYTES: usize = 128;
/// The body of `/64k`.
pub(crate) const LARGE_BYTES: usize = 64 * 1024;

/// What is read at once; a head fits.
const BUFFER_BYTES: usize = 64 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
    taken: Vec<u8>,
}

/// Starts it on a port of its own; it ends with the program.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    let answers =
        Arc::new(Answers { small: response(SMALL_BYTES), large: response(LARGE_BYTES), taken: response(0) });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // An error is the proxy's closing of the connection.
            thread::spawn(move || serve(stream, &answers));
        }
    });
    Ok(addr)
}

fn serve(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let received = &buffer[..filled];
        if received.starts_with(b"GET ") {
            if received.ends_with(HEAD_END) {
                let answer = if received.starts_with(b"GET /64k ") { &answers.large } else { &answers.small };
                stream.write_all(answer)?;
                filled = 0;
            }
        } else if let Some(end) = received.windows(HEAD_END.len()).position(|window| window == HEAD_END) {
            let (head, body) = received.split_at(end + HEAD_END.len());
            take_body(&mut stream, &String::from_utf8_lossy(head), body.to_vec())?;
            stream.write_all(&answers.taken)?;
            filled = 0;
        }
    }
}

/// Reads a body to its end; `begun` is what came with the head.
fn take_body(stream: &mut TcpStream, head: &str, begun: Vec<u8>) -> io::Result<()> {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    });
    let mut chunk = vec![0; BUFFER_BYTES];
    if let Some(length) = length {
        let mut missing = length.saturating_sub(begun.len() as u64);
        while missing > 0 {
            let read = stream.read(&mut chunk)? as u64;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            missing = missing.saturating_sub(read);
        }
        return Ok(());
    }
    // Chunked: nothing of ours has this in its midst.
    let mut tail = begun;
    while !tail.ends_with(b"0\r\n\r\n") {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tail.extend_from_slice(&chunk[..read]);
        tail.drain(..tail.len().saturating_sub(HEAD_END.len() + 1));
    }
    Ok(())
}

fn response(bytes: usize) -> Vec<u8> {
    let mut response =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n")
            .into_bytes();
    response.resize(response.len() + bytes, b'x');
    response
}
