//! A small http server that stands in for a provider's API.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// What the API was asked.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: String,
}

/// A status and a body.
pub type Answer = (u16, String);

// === impl Request ===

impl Request {
    /// Method and path, to match on.
    pub fn line(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.split('/').skip(1).collect())
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).expect("a body of JSON")
    }

    pub fn has_token(&self, token: &str) -> bool {
        self.headers.get("authorization").is_some_and(|value| value == format!("Bearer {token}").as_str())
    }

    async fn read(request: hyper::Request<hyper::body::Incoming>) -> Self {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

/// Serves until the test ends, and gives back the address.
pub async fn serve<S: Send + 'static>(
    state: &Arc<Mutex<S>>,
    answer: fn(&mut S, &Request) -> Answer,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = Arc::clone(state);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&state);
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move {
                    let request = Request::read(request).await;
                    let (status, body) = answer(&mut state.lock().unwrap(), &request);
                    let response = Response::builder().status(status).body(Full::new(Bytes::from(body)));
                    Ok::<_, Infallible>(response.unwrap())
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}
