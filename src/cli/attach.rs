//! Being connected with a process on the box: keys, pipes and signals go there, what it writes comes here.
//!
//! With a terminal it is in raw mode meanwhile, and every key is the process's. Without one SIGINT and SIGTERM are passed on;
//! the second one hangs up, so that a process that does not listen keeps nobody. The process's exit code becomes ours.
//!
//! Input is sent by a task of its own: a process may take no more of it until its output was read.

use std::io::{self, Read as _};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{Failure, Kind};
use super::interrupt::Interrupts;
use super::output::Output;
use super::terminal::{self, RawMode};
use crate::api::client::{ClientError, Connected, Sender};
use crate::api::frame::Frame;

/// How much input is read at a time.
const READ_BYTES: usize = 16 * 1024;
/// Pieces of input that may wait for the connection: 256 KiB.
const INPUTS_MAX: usize = 16;

/// The signals that mean something while a process is attached.
struct Signals {
    window: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Waits until a process is there that could be told anything: until then Ctrl-C ends us.
pub(crate) async fn connected(
    connecting: impl Future<Output = Result<Connected, ClientError>>,
    interrupts: &mut Interrupts,
) -> Result<Connected, Failure> {
    interrupts.or(async { connecting.await.map_err(Failure::from) }, Failure::silently_interrupted).await
}

/// Talks to the process until it has ended; its exit code is the result.
pub(crate) async fn talk(
    out: Output,
    connected: Connected,
    has_tty: bool,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let failed = |error| Failure::new(Kind::Failed, error);
    let mut signals = Signals::listen().context("cannot listen for signals").map_err(failed)?;
    let raw = has_tty.then(RawMode::enter).transpose();
    let _raw = raw.context("cannot put the terminal into raw mode").map_err(failed)?;
    let Connected { mut receiver, sender, .. } = connected;
    let (urgent, urgently) = mpsc::unbounded_channel();
    let _sending = AbortOnDropHandle::new(tokio::spawn(send(sender, urgently)));
    let tell = |frame| {
        // Once the connection is broken the receiver says so.
        let _ = urgent.send(frame);
    };
    let mut has_been_told = false;
    loop {
        tokio::select! {
            frame = receiver.next() => match frame? {
                Frame::Output(bytes) => out.pass_on(&bytes)?,
                Frame::Errors(bytes) => out.pass_on_errors(&bytes)?,
                Frame::Exit(code) => return passed_on(code),
                frame => return Err(receiver.failed(frame).into()),
            },
            _ = signals.window.recv(), if has_tty => {
                let window = terminal::window();
                tell(Frame::Resize { columns: window.columns, rows: window.rows });
            }
            // With a terminal in raw mode this is somebody's `kill`, not a key.
            () = interrupts.next() => {
                told(&mut has_been_told, SignalKind::interrupt())?;
                tell(Frame::Signal("INT".to_owned()));
            }
            _ = signals.terminate.recv() => {
                told(&mut has_been_told, SignalKind::terminate())?;
                tell(Frame::Signal("TERM".to_owned()));
            }
            // Our terminal is gone: nobody will see anything any more.
            _ = signals.hang_up.recv() => return Err(ended_by(SignalKind::hangup())),
        }
    }
}

/// Sends standard input, and before the next of it what is urgent.
async fn send(mut sender: Sender, mut urgently: mpsc::UnboundedReceiver<Frame>) {
    let mut inputs = read_input();
    let mut is_open = true;
    loop {
        let frame = tokio::select! {
            biased;
            frame = urgently.recv() => match frame {
                Some(frame) => frame,
                None => return,
            },
            input = inputs.recv(), if is_open => match input {
                Some(bytes) => Frame::Input(bytes),
                None => {
                    is_open = false;
                    Frame::InputEnd
                }
            },
        };
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

/// Standard input in pieces, read on a thread of its own; what cannot be read has ended.
fn read_input() -> mpsc::Receiver<Bytes> {
    let (tx, rx) = mpsc::channel(INPUTS_MAX);
    tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(length @ 1..) = io::stdin().lock().read(&mut buffer) {
            if tx.blocking_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                return;
            }
        }
    });
    rx
}

/// Notes that the process was told; the second time ends us.
fn told(has_been_told: &mut bool, kind: SignalKind) -> Result<(), Failure> {
    if std::mem::replace(has_been_told, true) { Err(ended_by(kind)) } else { Ok(()) }
}

/// As a shell says of a command that a signal ended.
fn ended_by(kind: SignalKind) -> Failure {
    Failure::passed_on(u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX))
}

/// The process's exit code as ours; the system knows eight bits of it.
fn passed_on(code: i32) -> Result<(), Failure> {
    match code.to_le_bytes()[0] {
        0 => Ok(()),
        code => Err(Failure::passed_on(code)),
    }
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            window: signal(SignalKind::window_change())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}
