//! The hosts of an app.

use http::Method;

use super::query::{encoded, query};
use super::{Client, ClientError, WORK_TIMEOUT, empty, json};
use crate::api::{Domains, DomainsQuery, DomainsRequest};
use crate::name::AppName;

impl Client {
    /// `GET /v1/apps/{app}/domains`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn domains(&self, app: &AppName, wanted: &DomainsQuery) -> Result<Domains, ClientError> {
        let path = format!("/apps/{app}/domains{}", query(wanted));
        // Names of others are asked.
        self.send(Method::GET, &path, empty(), WORK_TIMEOUT).await?.json(WORK_TIMEOUT).await
    }

    /// `POST /v1/apps/{app}/domains`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn add_domains(&self, app: &AppName, hosts: &DomainsRequest) -> Result<Domains, ClientError> {
        self.change(Method::POST, &format!("/apps/{app}/domains"), json(hosts)).await
    }

    /// `DELETE /v1/apps/{app}/domains/{host}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn remove_domain(&self, app: &AppName, host: &str) -> Result<Domains, ClientError> {
        self.change(Method::DELETE, &format!("/apps/{app}/domains/{}", encoded(host)), empty()).await
    }

    /// `DELETE /v1/apps/{app}/domains`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn clear_domains(&self, app: &AppName) -> Result<Domains, ClientError> {
        self.change(Method::DELETE, &format!("/apps/{app}/domains"), empty()).await
    }
}
