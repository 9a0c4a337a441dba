//! How often a request through the proxy allocates, and how much.
//!
//!     cargo bench --locked --profile dev --bench allocations
//!
//! The proxy runs on this thread alone, whose allocations are counted; client and upstream have threads of their own. What
//! is counted are the requests after the first ones on one keep-alive connection, with the access log off and on.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[path = "support/route.rs"]
mod route;
#[path = "proxy/upstream.rs"]
mod upstream;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use minipaas::proxy::{Proxy, ProxyConfig};
use minipaas::route::RouteTable;
use minipaas::traffic::Routes;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const HOST: &str = "bench.localhost";
/// For whatever is made once.
const FIRST_REQUESTS: usize = 100;
const REQUESTS: usize = 2_000;

fn main() -> anyhow::Result<()> {
    let upstream = upstream::start()?;
    println!("{:<28} {:>12} {:>12}", "a request", "allocations", "bytes");
    for (path, bytes) in [("/small", upstream::SMALL_BYTES), ("/64k", upstream::LARGE_BYTES)] {
        measure(&format!("{path}, access log off"), path, bytes, upstream)?;
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(io::sink).finish();
        let _log = tracing::subscriber::set_default(log);
        measure(&format!("{path}, access log on"), path, bytes, upstream)?;
    }
    Ok(())
}

/// Prints a line about requests for a path that is answered with so many bytes.
fn measure(what: &str, path: &str, body_bytes: usize, upstream: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shutdown = CancellationToken::new();
    let addr = runtime.block_on(start_proxy(upstream, shutdown.clone()))?;
    let client = TcpStream::connect(addr)?;
    ask(&runtime, &client, path, body_bytes, FIRST_REQUESTS)?;
    let mut asked = Ok(());
    let counted = allocation_counter::measure(|| asked = ask(&runtime, &client, path, body_bytes, REQUESTS));
    asked?;
    shutdown.cancel();
    #[expect(clippy::cast_precision_loss, reason = "there are not so many")]
    let each = |count: u64| count as f64 / REQUESTS as f64;
    println!("{what:<28} {:>12.1} {:>12.0}", each(counted.count_total), each(counted.bytes_total));
    Ok(())
}

async fn start_proxy(upstream: SocketAddr, shutdown: CancellationToken) -> anyhow::Result<SocketAddr> {
    let routes = Routes::new();
    routes.publish(RouteTable::new(1, vec![route::to(HOST, upstream)?]));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(Proxy::new(routes, ProxyConfig::new("localhost")).serve_http(listener, shutdown));
    Ok(addr)
}

/// Has the proxy run until a thread has sent so many requests, one after the other, and read the answers.
fn ask(
    runtime: &Runtime,
    client: &TcpStream,
    path: &str,
    body_bytes: usize,
    count: usize,
) -> anyhow::Result<()> {
    let mut client = client.try_clone()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n");
    let exchange = move || {
        let mut answer = vec![0; 2 * body_bytes + 4096];
        for _ in 0..count {
            client.write_all(request.as_bytes())?;
            let mut filled = 0;
            while !is_whole(&answer[..filled], body_bytes) {
                let read = client.read(&mut answer[filled..])?;
                anyhow::ensure!(read > 0, "the proxy closed the connection");
                filled += read;
            }
            anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "a request was not answered");
        }
        Ok(())
    };
    runtime.block_on(async { tokio::task::spawn_blocking(exchange).await })?
}

/// Whether a head and so many bytes are there.
fn is_whole(answer: &[u8], body_bytes: usize) -> bool {
    answer.len() > body_bytes && answer[..answer.len() - body_bytes].ends_with(b"\r\n\r\n")
}
