//! The app that the tests deploy: a small server of HTTP/1.1 and HTTP/2, which misbehaves when told to.
//!
//! It listens on `0.0.0.0:$PORT` (8080 by default; 0 takes a free one). It prints `test app VERSION started` when it
//! can be asked to stop, and `listening on ADDR` when it listens. On SIGTERM or SIGINT it prints `asked to stop`, stops
//! accepting, finishes the requests it has, and exits with 0. Every request is one line on stdout: method, target, status.
//!
//! | variable | what it does |
//! |---|---|
//! | `VERSION` | what `/` and the header `x-version` say; default `dev` |
//! | `START_DELAY_MS` | listens only after that long |
//! | `READY_AFTER_MS` | `/up` is 503 with the body `warming up` until that long after the start |
//! | `EXIT_AFTER_MS`, `EXIT_CODE` | prints `boom: a fatal error` to stderr after that long, and exits (default: 1) |
//! | `LISTEN_PORT` | listens there instead of on `$PORT` |
//! | `NO_LISTEN=1` | never listens |
//! | `TCP_PORT` | also listens there: each connection gets `VERSION` and a line end, then its own bytes, until stopping |
//! | `PROBE_REDIRECT=1` | `/up` is a redirect to `https://elsewhere.example/up` |
//! | `WARN=1` | once ready, `/status/aggregate` says `WARN` |
//! | `IGNORE_TERM=1` | goes on as before when asked to stop |
//! | `TERM_DELAY_MS` | goes on for that long when asked to stop, then stops |
//! | `WS_SILENT=1` | when stopping, drops WebSockets without a close frame |
//! | `SSE_SILENT=1` | when stopping, closes the connections of event streams without ending the responses |
//!
//! | path | what it answers |
//! |---|---|
//! | `/` | `version=VERSION instance=HOSTNAME` |
//! | `/up` | `ready`, or what the knobs above make of it |
//! | `/slow?ms=N` | `slow`, after N ms |
//! | `/stream?ms=N&chunks=M` | M chunks (default 10), `chunk 1` to `chunk M`, one a line, spread over N ms |
//! | `/echo` | the request's body, as it comes in |
//! | `/upload` | `bytes=N sum=S` of the request's body; for each byte S becomes 31 S plus the byte, in 32 bits |
//! | `/grpc` | as a gRPC call would be: the request's body as it comes in, then the trailer `grpc-status: 0` |
//! | `/grpc.health.v1.Health/Check` | gRPC's health service: `NOT_SERVING` as long as `/up` is 503, then `SERVING` |
//! | `/status/aggregate` | the health-checks API: `CRIT` as long as `/up` is 503, then `OK` |
//! | `/headers` | the request's first line and headers as they came, one `name: value` a line |
//! | `/status/NNN` | that status |
//! | `/cut` | nothing: closes the connection |
//! | `/half` | announces 100 bytes, sends 10, closes the connection |
//! | `/ws` | a WebSocket: each text comes back as `VERSION:text`, binary as it is; Close 1001 when stopping |
//! | `/sse` | server-sent events, `tick 1`, `tick 2` ..., ten a second, until stopping |
//!
//! Any other path is 404.

// A test app talks to its test on stdout.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{net::Ipv4Addr, pin::pin, process::ExitCode, sync::Arc};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::App,
    knobs::{Knobs, Stopping},
};

mod app;
mod knobs;
mod socket;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Knobs::from_env()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until asked to stop.
async fn run(knobs: Knobs) -> std::io::Result<()> {
    // Before anything else: as a container's first process, it would not be stopped by a signal it does not handle.
    let stop = stop_on_signal(knobs.stopping)?;
    println!("test app {} started", knobs.version);
    if let Some(exit) = knobs.exit {
        tokio::spawn(async move {
            sleep(exit.after).await;
            eprintln!("boom: a fatal error");
            std::process::exit(exit.code);
        });
    }
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = sleep(knobs.start_delay) => {}
    }
    if !knobs.listens {
        stop.cancelled().await;
        return Ok(());
    }

    if let Some(port) = knobs.tcp_port {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        tokio::spawn(echo(listener, format!("{}\n", knobs.version)));
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, knobs.port)).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, Arc::new(App::new(knobs)), stop).await;
    Ok(())
}

/// Sends back what each connection brings.
async fn echo(listener: TcpListener, greeting: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let greeting = greeting.clone();
        tokio::spawn(async move {
            stream.write_all(greeting.as_bytes()).await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}

/// Answers connections until asked to stop, then finishes those it has.
async fn serve(listener: TcpListener, app: Arc<App>, stopping: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(answer(stream, app.clone(), tasks.clone(), stopping.clone()));
                }
                Err(error) => eprintln!("cannot accept: {error}"),
            },
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Answers one connection. What outlives it, a WebSocket, runs on `tasks`.
async fn answer(stream: TcpStream, app: Arc<App>, tasks: TaskTracker, stopping: CancellationToken) {
    let stop = stopping.clone();
    let service = service_fn(move |req| {
        let (app, tasks, stop) = (Arc::clone(&app), tasks.clone(), stop.clone());
        async move { app.answer(req, &tasks, stop).await }
    });
    let http = auto::Builder::new(TokioExecutor::new());
    let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // What went wrong is the client's to see; `/cut` and `/half` end here on purpose.
    drop(ended);
}

/// A token that is cancelled when it is time to stop.
fn stop_on_signal(knobs: Stopping) -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            println!("asked to stop");
            if !knobs.ignored {
                sleep(knobs.delay).await;
                stopper.cancel();
            }
        }
    });
    Ok(stop)
}
