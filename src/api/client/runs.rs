//! Runs, commands in instances, files and ports: routes of which most are upgraded to frames.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame as BodyFrame;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{ReadHalf, WriteHalf};
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Answer, RequestName, within};
use super::query::{encoded, query};
use super::{ANSWER_TIMEOUT, Body, Client, ClientError, WORK_TIMEOUT, empty, json};
use crate::api::frame::{Frame, FrameError, FrameReader, FrameWriter, PROTOCOL};
use crate::api::{ExecRequest, FilesQuery, RunRequest, Started, VERSION};
use crate::name::AppName;

/// An upgraded connection with the daemon. Dropping it hangs up.
pub struct Connected {
    /// What was begun.
    pub started: Started,
    /// What the daemon says.
    pub receiver: Receiver,
    /// What it is told.
    pub sender: Sender,
}

/// Where the daemon is told what to do with what it began.
pub type Sender = FrameWriter<WriteHalf<TokioIo<Upgraded>>>;

/// What the daemon says of what it began.
pub struct Receiver {
    frames: FrameReader<ReadHalf<TokioIo<Upgraded>>>,
    /// For errors.
    request: RequestName,
}

impl Client {
    /// `POST /v1/apps/{app}/runs`, upgraded: returns once the run has begun.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn run(&self, app: &AppName, run: &RunRequest) -> Result<Connected, ClientError> {
        self.upgraded(&format!("/apps/{app}/runs"), Some(&run)).await
    }

    /// `POST /v1/apps/{app}/runs`: a run that goes on by itself.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn run_detached(&self, app: &AppName, run: &RunRequest) -> Result<Started, ClientError> {
        self.send(Method::POST, &format!("/apps/{app}/runs"), json(run), WORK_TIMEOUT)
            .await?
            .json(WORK_TIMEOUT)
            .await
    }

    /// `POST /v1/apps/{app}/instances/{slot}/exec`: returns once the command has begun.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn exec(
        &self,
        app: &AppName,
        slot: &str,
        exec: &ExecRequest,
    ) -> Result<Connected, ClientError> {
        self.upgraded(&format!("/apps/{app}/instances/{}/exec", encoded(slot)), Some(&exec)).await
    }

    /// `POST /v1/apps/{app}/instances/{slot}/ports/{port}`: one connection.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn port(&self, app: &AppName, slot: &str, port: u16) -> Result<Connected, ClientError> {
        let path = format!("/apps/{app}/instances/{}/ports/{port}", encoded(slot));
        self.upgraded(&path, None::<&()>).await
    }

    /// `GET /v1/apps/{app}/instances/{slot}/files`: a tar archive of one root, in pieces.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn read_files(
        &self,
        app: &AppName,
        slot: &str,
        path: &str,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, ClientError> {
        let path = files_path(app, slot, path);
        let answer = self.send(Method::GET, &path, empty(), WORK_TIMEOUT).await?.successful().await?;
        let Answer { res, connection, .. } = answer;
        let pieces = res.into_body().into_data_stream().map(move |piece| {
            // Kept for as long as somebody reads.
            let _connection = &connection;
            piece.map_err(io::Error::other)
        });
        Ok(pieces.boxed())
    }

    /// `PUT /v1/apps/{app}/instances/{slot}/files`: unpacks a tar archive into a folder.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn write_files(
        &self,
        app: &AppName,
        slot: &str,
        folder: &str,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<(), ClientError> {
        let path = files_path(app, slot, folder);
        let body = StreamBody::new(archive.map(|piece| piece.map(BodyFrame::data))).boxed_unsync();
        let body = Body::Stream(body);
        self.send(Method::PUT, &path, body, WORK_TIMEOUT).await?.text(WORK_TIMEOUT).await.map(drop)
    }

    /// Asks for frames, says what is to be done, and waits until it has begun.
    async fn upgraded(&self, path: &str, begin: Option<&impl Serialize>) -> Result<Connected, ClientError> {
        let path = format!("/{VERSION}{path}");
        let request = RequestName(format!("POST {path}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.stream().await?))
            .await
            .map_err(|error| request.cut_off(Some(error)))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Whatever ends it also ends what it was upgraded to.
            let _ = connection.with_upgrades().await;
        }));
        let req = self
            .request(&Method::POST, &path)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, PROTOCOL)
            .body(Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync())
            .expect("paths are made of names and encoded text");
        let res = within(ANSWER_TIMEOUT, &request, sender.send_request(req)).await?;
        let res = res.map_err(|error| request.cut_off(Some(error)))?;
        if res.status() != StatusCode::SWITCHING_PROTOCOLS {
            let answer = Answer { request: request.clone(), res, connection }.successful().await?;
            return Err(answer.request.protocol("the connection was not upgraded"));
        }
        let upgraded = hyper::upgrade::on(res).await.map_err(|error| request.cut_off(Some(error)))?;
        // It ends by itself once the connection is handed over.
        connection.detach();
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let mut receiver = Receiver { frames: FrameReader::new(read), request };
        let mut sender = FrameWriter::new(write);
        if let Some(begin) = begin {
            let text = serde_json::to_vec(begin).expect("the API's types are JSON");
            sender.send(Frame::Begin(text.into())).await.map_err(|_| receiver.request.cut_off(None))?;
        }
        let request = receiver.request.clone();
        match within(WORK_TIMEOUT, &request, receiver.next()).await?? {
            Frame::Started(text) => {
                let started =
                    serde_json::from_slice(&text).map_err(|error| request.protocol(error.to_string()))?;
                Ok(Connected { started, receiver, sender })
            }
            frame => Err(receiver.failed(frame)),
        }
    }
}

impl Receiver {
    /// The next frame. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the connection ended before the last one, or is none of this protocol.
    pub async fn next(&mut self) -> Result<Frame, ClientError> {
        match self.frames.next().await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) | Err(FrameError::Io(_)) => Err(self.request.cut_off(None)),
            Err(error) => Err(self.request.protocol(error.to_string())),
        }
    }

    /// What a frame means after which nothing follows, or which cannot come here.
    #[must_use]
    pub fn failed(&self, frame: Frame) -> ClientError {
        match frame {
            Frame::Failed(text) => match serde_json::from_slice(&text) {
                Ok(failure) => ClientError::Failed(failure),
                Err(error) => self.request.protocol(error.to_string()),
            },
            _ => self.request.protocol("a frame came that cannot come here"),
        }
    }
}

fn files_path(app: &AppName, slot: &str, path: &str) -> String {
    let files = FilesQuery { path: path.to_owned() };
    format!("/apps/{app}/instances/{}/files{}", encoded(slot), query(&files))
}
