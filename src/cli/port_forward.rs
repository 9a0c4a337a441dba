//! `minipaas port-forward`: ports of this machine that lead into an instance.
//!
//! Each connection here is one there. Only this machine can connect. It goes on until it is interrupted; a connection that
//! cannot be made there is closed here and told, and the others go on.

use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::args::{AppArgs, PortForwardArgs, Ports};
use super::exec::split;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::{Session, project};
use crate::api::client::{Client, ClientError, Connected};
use crate::api::frame::Frame;
use crate::name::AppName;

/// How many connections may be open at once; more wait.
const CONNECTIONS_MAX: usize = 256;
/// How much is read at a time.
const READ_BYTES: usize = 32 * 1024;

/// A port that is listened on, with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listening<'a> {
    instance: &'a str,
    local: String,
    remote: u16,
}

/// Where connections go.
#[derive(Clone)]
struct Goal {
    client: Client,
    app: AppName,
    slot: Arc<str>,
    places: Arc<Semaphore>,
    out: Output,
}

pub(crate) async fn run(session: &Session, args: &PortForwardArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    let (slot, words) = split(&client.app(&app).await?, &args.words);
    let ports = words.iter().map(|word| word.parse::<Ports>()).collect::<Result<Vec<_>, _>>();
    let ports = ports.map_err(Failure::usage)?;
    if ports.is_empty() {
        return Err(Failure::usage(format!("there is no port to forward to `{slot}`")));
    }
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let goal = Goal { client, app, slot: slot.into(), places, out: session.out };
    let mut listening = JoinSet::new();
    for ports in ports {
        let listener = TcpListener::bind((Ports::HOST, ports.local)).await;
        let listener =
            listener.with_context(|| format!("cannot listen on {}:{}", Ports::HOST, ports.local)).map_err(
                |error| Failure::new(Kind::Failed, error).hint("`0:PORT` takes any port that is free"),
            )?;
        let local = listener
            .local_addr()
            .context("cannot tell the port")
            .map_err(|error| Failure::new(Kind::Failed, error))?;
        if session.out.is_json() {
            session.out.json(&Listening {
                instance: &goal.slot,
                local: local.to_string(),
                remote: ports.remote,
            })?;
        } else {
            session.out.line(format_args!("{local} -> {}:{}", goal.slot, ports.remote))?;
        }
        listening.spawn(accept(listener, goal.clone(), ports.remote));
    }
    session.out.notice("Ctrl-C ends it");
    while listening.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: TcpListener, goal: Goal, port: u16) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&goal.places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let goal = goal.clone();
        connections.spawn(async move {
            if let Err(error) = forward(stream, &goal, port).await {
                goal.out.warning(error);
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(stream: TcpStream, goal: &Goal, port: u16) -> Result<(), ClientError> {
    let connected = goal.client.port(&goal.app, &goal.slot, port).await?;
    let (mut read, mut write) = stream.into_split();
    let Connected { mut receiver, mut sender, .. } = connected;
    let there = async {
        let mut buffer = bytes::BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            let frame = match read.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => Frame::InputEnd,
                Ok(_) => Frame::Input(buffer.split().freeze()),
            };
            let is_last = frame == Frame::InputEnd;
            if sender.send(frame).await.is_err() {
                return Err(());
            }
            if is_last {
                return Ok(());
            }
        }
    };
    let back = async {
        loop {
            match receiver.next().await {
                Ok(Frame::Output(mut bytes)) => write.write_all_buf(&mut bytes).await.map_err(drop)?,
                Ok(Frame::OutputEnd) => return write.shutdown().await.map_err(drop),
                _ => return Err(()),
            }
        }
    };
    // Whoever is connected sees a break as what it is: the connection's end.
    let _ = futures_util::future::try_join(there, back).await;
    Ok(())
}
