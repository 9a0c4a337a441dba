//! Where a CA's certificate comes from: the home's own box, another box over http, or a file.
//!
//! The own box's certificate is read from its home, which needs no daemon; the daemon is asked where the home has none, or is
//! not ours to read. Another box is asked over plain http, as its https is what is not trusted yet; redirects are not followed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::failure::{Failure, Kind};
use super::super::{Session, daemon};
use crate::api::client::ClientError;
use crate::tls::{CA_PATH, CaCertificate};

/// Where a box keeps its certificate, in its home.
const CERTIFICATE_FILE: &str = "ca/ca.crt";
/// From the first packet to the last byte.
const FETCH_TIME_MAX: Duration = Duration::from_secs(10);
/// A certificate with as many constraints as there can be has some 3 KiB.
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

/// Whose certificate is meant. Its `Display` names it to a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The box of the home.
    OwnBox,
    /// The box at this address.
    OtherBox(Uri),
    /// What is in this file.
    File(PathBuf),
}

impl Source {
    /// What was typed: `http://box:8080`, `box:8080`, or the path of a file that there is.
    pub(super) fn of(from: Option<&str>) -> Result<Self, Failure> {
        let Some(from) = from else { return Ok(Self::OwnBox) };
        if !from.contains("://") && PathBuf::from(from).is_file() {
            return Ok(Self::File(from.into()));
        }
        let rule =
            "use the box's plain http address, as in `http://box` or `http://192.168.1.7:8080`, or a file";
        let wrong = |what: &str| Failure::usage(format!("`{from}` {what}; {rule}"));
        let address = if from.contains("://") { from.to_owned() } else { format!("http://{from}") };
        let uri: Uri = address.parse().map_err(|_| wrong("is no address"))?;
        match (uri.scheme_str(), uri.host(), uri.path()) {
            (Some("https"), ..) => Err(wrong("needs the trust that it is to bring")),
            (Some("http"), Some(host), "/" | CA_PATH) if !host.is_empty() => Ok(Self::OtherBox(uri)),
            _ => Err(wrong("is no box")),
        }
    }

    /// The certificate, as it is now: no daemon is started.
    pub(super) async fn certificate(&self, session: &Session) -> Result<CaCertificate, Failure> {
        let pem = match self {
            Self::OwnBox => match read_own(session) {
                Some(pem) => pem,
                None => session.local_client().ca_pem().await.map_err(not_made)?,
            },
            Self::OtherBox(uri) => fetch(uri)
                .await
                .with_context(|| format!("cannot fetch the CA's certificate of {self}"))
                .map_err(|error| Failure::new(Kind::Unreachable, error))?,
            Self::File(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read `{}`", path.display()))
                .map_err(|error| Failure::new(Kind::Failed, error))?,
        };
        self.read(&pem)
    }

    /// The own box's certificate, by a daemon that is started if need be.
    pub(super) async fn certificate_or_start(&self, session: &Session) -> Result<CaCertificate, Failure> {
        let pem = match read_own(session) {
            Some(pem) => pem,
            None => daemon::ensure(session).await?.ca_pem().await?,
        };
        self.read(&pem)
    }

    fn read(&self, pem: &str) -> Result<CaCertificate, Failure> {
        let certificate = CaCertificate::from_pem(pem).map_err(anyhow::Error::new).and_then(|certificate| {
            if certificate.is_ca() { Ok(certificate) } else { Err(anyhow!("it may not sign others")) }
        });
        certificate
            .with_context(|| format!("what {self} has is not a CA's certificate"))
            .map_err(|error| Failure::new(Kind::Failed, error))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnBox => f.write_str("this box"),
            Self::OtherBox(uri) => {
                write!(f, "`{}`", uri.authority().map_or("", |authority| authority.as_str()))
            }
            Self::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

fn read_own(session: &Session) -> Option<String> {
    std::fs::read_to_string(session.home.join(CERTIFICATE_FILE)).ok()
}

fn not_made(error: ClientError) -> Failure {
    match error {
        ClientError::Unreachable { .. } => Failure::unreachable(
            "there is no certificate yet: the daemon makes it when it starts, and none runs",
        )
        .hint("`minipaas up` or `minipaas server` starts it"),
        error => error.into(),
    }
}

async fn fetch(uri: &Uri) -> anyhow::Result<String> {
    let late = || format!("there was no answer within {}s", FETCH_TIME_MAX.as_secs());
    timeout(FETCH_TIME_MAX, fetch_patiently(uri)).await.with_context(late)?
}

async fn fetch_patiently(uri: &Uri) -> anyhow::Result<String> {
    let authority = uri.authority().context("there is no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what goes wrong in it, the request says.
    tokio::spawn(connection);
    let request = Request::get(CA_PATH).header(HOST, authority.as_str()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        bail!("it answered {}: it is no minipaas, or an older one", response.status());
    }
    let body = Limited::new(response.into_body(), CERTIFICATE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow!(error).context("the answer broke off, or is too long"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_named_by_its_plain_address() {
        for (from, expected) in [
            ("http://box", "`box`"),
            ("box", "`box`"),
            ("box:8080", "`box:8080`"),
            ("http://[::1]:8080/", "`[::1]:8080`"),
            ("http://box/.well-known/minipaas/ca.crt", "`box`"),
        ] {
            assert_eq!(Source::of(Some(from)).unwrap().to_string(), expected, "{from}");
        }
        for (from, expected) in [
            ("https://box", "`https://box` needs the trust that it is to bring"),
            ("ftp://box", "`ftp://box` is no box"),
            ("http://box/other", "`http://box/other` is no box"),
            ("a b", "`a b` is no address"),
        ] {
            let failure = Source::of(Some(from)).unwrap_err().to_string();
            assert!(
                failure.starts_with(&format!("error: {expected}; use the box's plain http")),
                "{failure}"
            );
        }
    }
}
