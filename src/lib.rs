//! minipaas: builds the app in a folder, runs it in Docker, waits until it is ready, routes https to it, and swaps the
//! next version in without dropping a request. One binary is the command line, the daemon and the static file server.
//!
//! # Bird's-eye view
//!
//! ```text
//!   minipaas up ──── HTTP/JSON over a unix socket ────┐
//!                                                     ▼
//!   manifest ─► plan ─► build ─► release ─► rollout ─► route table     controller: owns what is wanted
//!    (pure)    (pure)  (engine)  (store)  (engine, probe)  │           store: what survives
//!                                                          ▼
//!   client ─► listener ─► TLS ─► route ─► upstream claimed and counted ─► container
//!             └──────────────────────── data plane ───────────────────────┘
//! ```
//!
//! The control plane publishes an immutable [`route::RouteTable`], whole, with a generation that only grows. The data
//! plane reads the newest one and asks nobody. The engine may hang, and the proxy still serves.
//!
//! # Code map
//!
//! *Vocabulary*, pure values with rules and no I/O: [`name`] (every name, valid by construction), [`manifest`]
//! (`minipaas.toml` and `Procfile`), [`environment`] (what `config` sets), [`formation`] (how many instances commands want),
//! [`release`], [`plan`] (what a deploy would do, as data), [`route`], [`policy`] (how the proxy treats a route's requests),
//! [`external`] (apps whose upstreams run elsewhere; one file of it looks their names up), [`import`] (other tools' projects, as
//! manifests).
//!
//! *State and decisions*: [`controller`] is the one task that owns every app; [`people`] owns who may use the box, and says what
//! each may do; [`rollout`] lets one release take over from another; [`instance`] is one container's life, watched; [`oneoff`] is
//! one run of a command in a release; [`store`] keeps what must survive.
//!
//! *What is told of it*: [`events`] is the audit log, who did what and what happened; [`hooks`] tells others of it; [`answers`] are
//! kept for clients that ask twice.
//!
//! *What happens by itself*: [`autoscale`] changes the number of instances with what they have to do; [`cron`] runs jobs at times.
//! The rules of both are vocabulary, their tasks ask the [`controller`] as a command does.
//!
//! *The world outside*: [`engine`] is the seam to whatever runs containers, with Docker and a scripted fake behind it;
//! [`probe`] asks an instance whether it is ready; [`builder`] makes images of folders; [`logs`] keeps what instances write and
//! what the box says, for readers and drains; [`registry`] is where images go for other machines, [`kubernetes`] a cluster that an
//! [`export`] is applied to.
//!
//! *Data plane*, in a crate of its own (`src/dataplane/`, whose modules are this crate's, too): [`traffic`] is what both planes
//! share, the published table and a live count for each upstream; [`metrics`] is what is counted of requests; [`proxy`] serves
//! them; [`http1`] is HTTP/1 on both of its sides, [`http2`] speaks with upstreams; [`tls`] is handshakes: which certificate each
//! gets, the tickets by which clients come back, the certificates that they show, those that the box keeps, and the local CA and
//! the machine's trust in it.
//!
//! *Certificates*: [`certs`] is the one task that owns every name's; [`acme`] has authorities give them; [`dns`] makes the TXT
//! records that prove a name, at whoever serves its zone, asks name servers what they say, and is one for containers.
//!
//! *The ways out and in*: [`export`] makes objects of a Kubernetes cluster of apps, pure, and [`kubernetes`] applies them to one;
//! [`registry`] is where images are pushed, and who one is there; [`import`] makes manifests of other tools' projects, pure.
//!
//! *Edges*: [`cli`] is what people type; [`api`] is what it and the daemon say to each other; [`config`] holds the
//! server's settings; [`server`] composes the daemon out of all the above; [`static_server`] runs inside the containers
//! of static sites. Small helpers: `alarm` (a deadline that moves), [`clock`], `file` (replaced whole), [`hex`], `plain` (words of
//! strangers, for terminals), [`port`] (listening on one, and who does), [`random`], [`seal`] (the box's key), [`watch`] (changed
//! files), [`web`] (requests of our own).
//!
//! # How a deploy happens
//!
//! 1. `cli::up` reads the folder with [`manifest::Manifest::parse`] and [`builder::detect`]; nothing has been touched.
//!    It makes sure of a daemon, starting one if none answers, and of an engine.
//! 2. [`builder::context`] lists and digests the files. If the engine has an image of that digest nothing is sent; else
//!    the archive goes through [`api`] to [`builder::image`], and the log of the build comes back line by line.
//! 3. [`controller::Command::Deploy`] reaches the controller with a [`controller::Change`]: code, as here, or config, limits, or
//!    an earlier release. It makes a [`release::Release`] and its [`plan`], and appends the release to the [`store`], flushed. A
//!    change that changes nothing is answered as such; one that comes while another is rolled out waits for its turn.
//! 4. [`rollout::run`] runs the release's own command, if it has one, once ([`oneoff`]). Then it starts an [`instance::Instance`] for each slot and waits until all are ready at one moment.
//!    Failure or cancellation removes the new ones; the old ones were never touched.
//! 5. The controller stores the switch, builds the whole table anew and publishes it with [`traffic::Routes::publish`].
//! 6. The old instances are drained ([`traffic::Upstream::drain`]), stopped and removed; the rollout is forgotten.
//!
//! With `canary` in `[deploy]` step 5 waits until somebody says so, and the new release has a share of the requests
//! meanwhile; with `watch_window` step 6 waits until the new release has proved to fail no more often than the old one.
//!
//! Every [`rollout::Phase`] is stored before its effect. After a `kill -9` the controller reads the store, lists the
//! box's containers by label, and finishes or undoes what was half done.
//!
//! # How a change is let in
//!
//! 1. `api::server` hears it on the unix socket, where the system says who it is, or over TLS at the box's own host, through the
//!    proxy, where a token says it. Every route says what it needs; a gate before each handler compares, and denies by default.
//! 2. A change that was sent with an `Idempotency-Key` before is answered as it was then ([`answers`]).
//! 3. The handler asks whoever owns the matter, mostly the [`controller`], and answers once that is stored; a deploy is followed,
//!    also by a client that comes back after its connection broke.
//! 4. Before the answer goes out the change is in the audit log ([`events`]), with who made it; [`hooks`] read on from there.
//!
//! # How a request travels
//!
//! 1. `proxy::listener` (TCP and TLS) or `proxy::http3` (QUIC) accepts the connection and takes a place for it; HTTP/1 is
//!    [`http1::server`]'s to read, HTTP/2 hyper's.
//! 2. `proxy::exchange` asks [`proxy::Trust`] who the client is, and finds the route in the newest table, without a lock.
//! 3. On a route with a [`policy`], `proxy::guard` decides: maintenance, redirects, addresses, rate, password, size. Any of
//!    them may answer in the app's place.
//! 4. An upstream is claimed, which is chosen and counted ([`traffic::InFlight`]) in one step. Where there is none, the
//!    request waits if its route is held, paused or full, and is answered with 503 otherwise.
//! 5. `proxy::onward` rewrites the head; `proxy::forward` sends it over an idle or new connection, and once more where that
//!    cannot do harm.
//! 6. The response's body is carried back. At its last byte the upstream is uncounted, the metrics count, and the access log
//!    has its line.
//!
//! # How a certificate comes about
//!
//! 1. [`certs`]' task is woken by a new route table and works out which names the box wants ([`certs::Wanted`], pure): public
//!    ones of an authority, private ones of the local CA, those of `on_demand` once a handshake has asked and the app agreed.
//! 2. For a name that the [`tls::Vault`] has nothing for, or whose time is near ([`certs::schedule`], pure), it looks whether
//!    the name leads here at all, as an authority counts failures.
//! 3. Key and order are stored, sealed with the [`seal::BoxKey`]; then [`acme`] orders, answers the challenge through
//!    [`tls::Challenges`] or a TXT record at a [`dns::Provider`], and has the request signed.
//! 4. The vault has the chain on disk, flushed, before the order is forgotten; so after a `kill -9` at any moment the order is
//!    gone on with, or the certificate is there.
//! 5. A handshake asks the [`tls::Resolver`]: for a host that is served it takes the vault's best certificate, and has the
//!    local CA sign one where there is none. It never waits for the task or for an authority.
//! 6. With a third of its life left, or when the authority says so, steps 2 to 4 come again; connections keep what they have.
//!    A failure is noted with its reason, for `minipaas certs` and `status`, and tried again with patience.
//!
//! # How an app leaves
//!
//! 1. `cli::export` asks the box for all that it knows of an app, and makes an [`export::Subject`] of it: the manifest, with what
//!    commands have set over it. Values of secrets are asked for only where the result has them, and the box notes who asked.
//! 2. With `--push` the engine at the box sends the image to a registry, which says its digest.
//! 3. [`export::export`] makes typed objects, and a note for each thing that a cluster does otherwise or not at all.
//!    [`export::secrets`] says how secrets are handed over.
//! 4. [`export::format`] writes yaml, a kustomization or a chart; [`export::check`] says what a version of Kubernetes would refuse;
//!    or [`kubernetes`] plans what a cluster's API server says would change, applies it in order, waits, and deletes what an
//!    earlier export made.
//!
//! # Invariants
//!
//! - Desired state has one owner. Others send it commands and read snapshots; there is no lock around an app.
//! - Everything is level-triggered: what is done follows from what is, so an event that is lost or doubled costs time only.
//! - A write is acknowledged after it was flushed. A failed release leaves the old one serving.
//! - A request is counted on its upstream from before it is sent until its last byte is gone. No container is stopped
//!   before that count is zero or its limit has passed.
//! - Objects of the engine are ours only by their labels. Without the box's id on it, nothing is listed, changed or removed. In a
//!   cluster the same is true of the labels that an export gives.
//! - Dependencies point one way. Vocabulary knows no runtime; the data plane knows neither controller, store nor engine, which
//!   the compiler keeps so; one module each knows bollard, kube, sled, rcgen and notify; [`cli`] reaches the daemon through [`api`]
//!   alone. `tests/tidy.rs` keeps that so.
//! - Domain types are not serialised: the manifest, the wire and the disk each have forms of their own.
//!
//! The feature `testing` compiles in what only tests use: the scripted engine, and the modules `fuzzing` of [`proxy`] and
//! [`http1`], through which the targets in `fuzz/` reach functions that are private.
//!
//! Deliberately absent: `unsafe`; a lock that a request could wait for (the table is an atomic pointer, the counters are
//! atomics); restarts by the engine (the controller restarts); a database server; consensus between machines; anything that a
//! daemon of its own would have to install on a host; guesses how a language is built without a Dockerfile.
//!
//! # Files on disk
//!
//! All of a box is in `$MINIPAAS_HOME`; a second home is a second box.
//!
//! | file | what it is | written by |
//! |---|---|---|
//! | `store/` | apps, releases, phases, users, digests of tokens, what commands have set, events, hooks, the key of sticky cookies, the last route table | [`store`] |
//! | `minipaas.lock` | held by the running daemon, names its process | [`store`] |
//! | `minipaas.sock` | the control API, for the owner and its group | [`server`] |
//! | `box.key` | seals keys and secrets at rest (0600), made once; a copy of the rest without it reveals none | [`seal`] |
//! | `ca/` | `ca.key` (0600, sealed) and `ca.crt`, made once | [`tls`] |
//! | `certs/` | certificates, with their keys sealed, and an index of them | [`tls`] |
//! | `logs/` | every app's stream of lines, in segments, and where its drains stand | [`logs`] |
//! | `tickets` | the keys of TLS session tickets (0600), sealed | [`tls`] |
//! | `daemon.log` | the log of a daemon that was started in the background | [`cli`] |
//! | `server.toml` | settings, if somebody wrote any | nobody; [`config`] reads it |
//! | any, by `access_log` | a line for each request; default standard error | [`proxy::AccessLog`] |

pub mod acme;
pub mod answers;
pub mod api;
pub mod autoscale;
pub mod builder;
pub mod certs;
pub mod cli;
pub mod config;
pub mod controller;
pub mod cron;
pub mod dns;
pub mod engine;
pub mod environment;
pub mod events;
pub mod export;
pub mod external;
pub mod formation;
pub mod hooks;
pub mod import;
pub mod instance;
pub mod kubernetes;
pub mod logs;
pub mod manifest;
pub mod oneoff;
pub mod people;
pub mod plan;
pub mod probe;
pub mod registry;
pub mod release;
pub mod rollout;
pub mod server;
pub mod static_server;
pub mod store;
pub mod watch;
pub mod web;

pub use minipaas_dataplane::{
    clock, hex, http1, http2, metrics, name, policy, port, proxy, random, route, seal, tls, traffic,
};
use minipaas_dataplane::{file, plain};
