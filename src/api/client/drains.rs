//! Where an app's stream is handed on to.

use http::Method;

use super::query::encoded;
use super::{ANSWER_TIMEOUT, Client, ClientError, empty, json};
use crate::api::{Drain, DrainRequest};
use crate::name::AppName;

impl Client {
    /// `GET /v1/apps/{app}/drains`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn drains(&self, app: &AppName) -> Result<Vec<Drain>, ClientError> {
        self.get(&format!("/apps/{app}/drains")).await
    }

    /// `POST /v1/apps/{app}/drains`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn add_drain(&self, app: &AppName, drain: &DrainRequest) -> Result<Drain, ClientError> {
        self.change(Method::POST, &format!("/apps/{app}/drains"), json(drain)).await
    }

    /// `DELETE /v1/apps/{app}/drains/{id or URL}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn remove_drain(&self, app: &AppName, which: &str) -> Result<(), ClientError> {
        let path = format!("/apps/{app}/drains/{}", encoded(which));
        self.send(Method::DELETE, &path, empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }
}
