//! The line of a connection to a TCP port: the fields of a request's line as far as they make sense.
//!
//! ```text
//! 2026-01-01T00:00:00.123Z router: at=info method=TCP port=5432 fwd="192.0.2.1" app=shop instance=db.1 release=v3
//!   connect=0ms service=912ms bytes_in=30 bytes=13 protocol=tcp
//! ```
//!
//! There are far fewer connections than requests, so that nothing here is saved for the next one.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::line;
use crate::proxy::Proxy;
use crate::proxy::error::Error;
use crate::traffic::Upstream;

/// What is known of a connection when it has ended.
#[derive(Debug)]
pub(in crate::proxy) struct StreamEntry<'e> {
    /// The port of the box.
    pub port: u16,
    /// The other end, or whom it speaks for.
    pub client: IpAddr,
    /// The app, if the port is one's.
    pub app: Option<&'e str>,
    /// Since when it was open.
    pub since: Instant,
    /// How it went.
    pub end: StreamEnd<'e>,
}

/// How a connection went.
#[derive(Debug)]
pub(in crate::proxy) enum StreamEnd<'e> {
    /// No instance had it.
    Failed(&'e Error),
    /// An instance had it.
    Carried {
        /// Which.
        upstream: &'e Upstream,
        /// How long it took to reach it.
        connect: Duration,
        /// A name for programs, of an end that was not the two sides' own.
        code: Option<&'static str>,
        /// Bytes of the client.
        bytes_in: u64,
        /// Bytes to the client.
        bytes: u64,
    },
}

impl StreamEntry<'_> {
    /// Writes the line, where there is an access log.
    pub(in crate::proxy) fn log(&self, proxy: &Proxy) {
        if let Some(log) = &proxy.0.config.access_log {
            let total = self.since.elapsed();
            log.append(|line| self.write(line, total));
        }
    }

    fn write(&self, line: &mut Vec<u8>, total: Duration) {
        line::timestamp(line, self.since + total);
        match &self.end {
            StreamEnd::Failed(error) => {
                line::bare(line, " router: at=error code=", error.code());
                line.extend_from_slice(b" desc=\"");
                line::escape(line, error.to_string().as_bytes());
                line::bare(line, "\" side=", error.side().as_str());
            }
            StreamEnd::Carried { code, .. } => {
                line.extend_from_slice(b" router: at=info");
                if let Some(code) = code {
                    line::bare(line, " code=", code);
                }
            }
        }
        line::number(line, " method=TCP port=", self.port.into());
        line::bare(line, " fwd=\"", &self.client.to_string());
        line.push(b'"');
        if let Some(app) = self.app {
            line::bare(line, " app=", app);
        }
        let (connect, bytes_in, bytes) = match &self.end {
            StreamEnd::Failed(_) => (Duration::ZERO, 0, 0),
            StreamEnd::Carried { upstream, connect, bytes_in, bytes, .. } => {
                line::bare(line, " instance=", upstream.metrics().slot());
                line::bare(line, " release=", upstream.metrics().release());
                (*connect, *bytes_in, *bytes)
            }
        };
        line::millis(line, " connect=", connect);
        line::millis(line, " service=", total.saturating_sub(connect));
        line::number(line, " bytes_in=", bytes_in);
        line::number(line, " bytes=", bytes);
        line.extend_from_slice(b" protocol=tcp\n");
    }
}
