//! A stand-in for an API server, on a port of this machine: as much of the protocol as an apply speaks.
//!
//! No registry has a kube-apiserver. What this does was taken from: kubernetes.io "Kubernetes API Concepts" and "Server-Side Apply" (paths,
//! `dryRun`, `fieldManager`, `force`, conflicts by leaf, deletion), apimachinery's `api/errors` (the `Status` objects, see `reply`), kubernetes'
//! validation and defaults (see `rules`). That it is no invention of this client's is checked with another one: `kubectl` applies to
//! it, and the two agree.
//!
//! It has no admission, no watch, no resource quotas but "full", and checks a bearer token.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::discovery::{self, NAMESPACE, POD, Resource};
use super::reply::Refused;
use super::state::{Key, Patch, State, Stored};

/// What it lets in.
pub const TOKEN: &str = "good";

/// A running stand-in. Dropping it ends it, and its connections.
pub struct ApiServer {
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
    end: CancellationToken,
}

/// A way to an object or a list of them.
struct Place {
    resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
    part: Option<String>,
}

impl ApiServer {
    /// One with the namespace `prod`.
    pub async fn start() -> Self {
        let mut state = State::default();
        let key = (NAMESPACE, None, "prod".to_owned());
        let value = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "prod", "uid": "uid-0" } });
        state.objects.insert(key, Stored { value, ..Stored::default() });
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, end) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (shared, ended) = (Arc::clone(&state), end.clone());
        tokio::spawn(async move {
            while let Some(Ok((stream, _))) = ended.run_until_cancelled(listener.accept()).await {
                let (shared, ended) = (Arc::clone(&shared), ended.clone());
                let service = service_fn(move |req| answer(Arc::clone(&shared), req));
                tokio::spawn(async move {
                    // A client that goes away is none of its business.
                    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    let _ = ended.run_until_cancelled(serving).await;
                });
            }
        });
        Self { addr, state, end }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The object `prod/NAME`.
    pub fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let state = self.state();
        let mut found =
            state.objects.iter().filter(|((resource, _, of), _)| resource.kind == kind && of == name);
        found.next().map(|(_, stored)| stored.value.clone())
    }

    /// Has another manager apply this.
    pub fn applied_by(&self, manager: &str, config: Value) {
        let mut state = self.state();
        let kind = config["kind"].as_str().unwrap().to_owned();
        let mut resources = discovery::resources(&state.installed);
        let resource = resources.find(|resource| resource.kind == kind).unwrap();
        drop(resources);
        let namespace = resource.is_namespaced.then(|| "prod".to_owned());
        let key = (resource, namespace, config["metadata"]["name"].as_str().unwrap().to_owned());
        let patch = Patch { manager: manager.to_owned(), is_forced: true, is_dry: false };
        state.apply(&key, config, &patch).unwrap();
        state.writes.clear();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    req: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = req.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let done = serve(&mut state.lock().unwrap(), &head, &body);
    let (status, kind, bytes) = match done {
        Ok((status, Value::String(text))) => (status, "text/plain", Bytes::from(text)),
        Ok((status, value)) => (status, "application/json", value.to_string().into()),
        Err(refused) => (refused.code, "application/json", refused.to_json().to_string().into()),
    };
    let res = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    Ok(res.body(Full::new(bytes)).unwrap())
}

fn serve(state: &mut State, head: &http::request::Parts, body: &Bytes) -> Result<(u16, Value), Refused> {
    let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !state.is_open && authorization != Some(format!("Bearer {TOKEN}").as_str()) {
        return Err(Refused::unauthorized());
    }
    let path = head.uri.path().trim_end_matches('/');
    if let (&Method::GET, Some(found)) = (&head.method, discovery::document(path, &state.installed)) {
        return Ok((200, found));
    }
    let query = pairs(head.uri.query().unwrap_or_default());
    let place = Place::of(path, state)?;
    let Place { resource, namespace, name, part } = place;
    let Some(name) = name else {
        if head.method != Method::GET {
            return Err(Refused::no_route());
        }
        let selector = query.get("labelSelector").map(String::as_str).unwrap_or_default();
        let selector: Vec<_> = selector.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let selector: Vec<_> =
            selector.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        return Ok((200, state.list(resource, namespace.as_deref(), &selector)?));
    };
    let key: Key = (resource, namespace, name);
    match (&head.method, part.as_deref()) {
        (&Method::GET, None) => Ok((200, state.get(&key)?)),
        (&Method::GET, Some("log")) if resource == POD => {
            let log = state.logs.get(&key.2).cloned();
            log.map(|log| (200, log.into())).ok_or_else(|| Refused::not_found("pods", &key.2))
        }
        (&Method::PATCH, None) => {
            let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if kind != Some("application/apply-patch+yaml") {
                return Err(Refused::bad_request("this stand-in knows server-side apply alone"));
            }
            let manager = query.get("fieldManager").filter(|manager| !manager.is_empty());
            let manager = manager.ok_or_else(|| {
                Refused::bad_request("fieldManager: Required value: is required for apply patch")
            })?;
            let patch = Patch {
                manager: manager.clone(),
                is_forced: query.get("force").is_some_and(|value| value == "true"),
                is_dry: query.get("dryRun").is_some_and(|value| value == "All"),
            };
            let config: Value = serde_saphyr::from_str(std::str::from_utf8(body).unwrap_or_default())
                .map_err(|error| Refused::bad_request(&error.to_string()))?;
            if !config["metadata"]["managedFields"].is_null() {
                return Err(Refused::bad_request("metadata.managedFields must be nil"));
            }
            state.apply(&key, config, &patch)
        }
        (&Method::DELETE, None) => {
            let options = serde_json::from_slice(body).unwrap_or(Value::Null);
            Ok((200, state.delete(&key, &options)?))
        }
        _ => Err(Refused::no_route()),
    }
}

impl Place {
    /// `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/PART`, and shorter ones.
    fn of(path: &str, state: &State) -> Result<Self, Refused> {
        let mut parts = path.split('/').skip(1).collect::<Vec<_>>().into_iter().map(str::to_owned).peekable();
        let mut next = || parts.next().ok_or_else(Refused::no_route);
        let api_version = match next()?.as_str() {
            "api" => next()?,
            "apis" => format!("{}/{}", next()?, next()?),
            _ => return Err(Refused::no_route()),
        };
        let mut rest: Vec<String> = std::iter::from_fn(|| next().ok()).collect();
        // `namespaces/prod` alone is the namespace itself.
        let namespace = (rest.len() > 2 && rest[0] == "namespaces").then(|| rest.drain(..2).nth(1).unwrap());
        let mut rest = rest.into_iter();
        let plural = rest.next().unwrap_or_default();
        let found = discovery::resources(&state.installed)
            .find(|found| found.api_version == api_version && found.plural == plural);
        let resource = found.ok_or_else(Refused::no_route)?;
        Ok(Self { resource, namespace, name: rest.next(), part: rest.next() })
    }
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let bytes = text.replace('+', " ");
        let mut decoded = Vec::new();
        let mut bytes = bytes.bytes();
        while let Some(byte) = bytes.next() {
            let pair = (byte == b'%').then(|| [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')]);
            let byte = pair.map_or(byte, |pair| {
                u8::from_str_radix(std::str::from_utf8(&pair).unwrap_or("0"), 16).unwrap_or(b'?')
            });
            decoded.push(byte);
        }
        String::from_utf8_lossy(&decoded).into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}
