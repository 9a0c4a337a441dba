//! Certificates.

use http::Method;

use super::query::encoded;
use super::{ANSWER_TIMEOUT, Client, ClientError, empty, json};
use crate::api::{Certificate, CertificateRequest};

impl Client {
    /// `GET /v1/certs`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn certificates(&self) -> Result<Vec<Certificate>, ClientError> {
        self.get("/certs").await
    }

    /// `POST /v1/certs`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn add_certificate(&self, to: &CertificateRequest) -> Result<Certificate, ClientError> {
        self.change(Method::POST, "/certs", json(to)).await
    }

    /// `DELETE /v1/certs/{id or name}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn remove_certificate(&self, which: &str) -> Result<(), ClientError> {
        let path = format!("/certs/{}", encoded(which));
        self.send(Method::DELETE, &path, empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }

    /// `POST /v1/certs/{name}/renew`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn renew_certificate(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/certs/{}/renew", encoded(name));
        self.send(Method::POST, &path, empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }
}
