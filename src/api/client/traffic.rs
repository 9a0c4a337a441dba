//! How an app's traffic is seen and steered: its mode, its canary, its proxy settings, its external upstreams.

use http::Method;

use super::query::query;
use super::{Client, ClientError, empty, json};
use crate::api::{
    App, CanaryReply, CanaryRequest, MaintenanceRequest, PauseRequest, Proxy, ProxyRequest, Traffic,
    TrafficMode, TrafficQuery, UpstreamsRequest,
};
use crate::name::AppName;

impl Client {
    /// `GET /v1/traffic`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn traffic(&self, wanted: &TrafficQuery) -> Result<Traffic, ClientError> {
        self.get(&format!("/traffic{}", query(wanted))).await
    }

    /// `PUT /v1/apps/{app}/maintenance`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn maintain(&self, app: &AppName, to: &MaintenanceRequest) -> Result<TrafficMode, ClientError> {
        self.change(Method::PUT, &format!("/apps/{app}/maintenance"), json(to)).await
    }

    /// `DELETE /v1/apps/{app}/maintenance`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn end_maintenance(&self, app: &AppName) -> Result<TrafficMode, ClientError> {
        self.change(Method::DELETE, &format!("/apps/{app}/maintenance"), empty()).await
    }

    /// `PUT /v1/apps/{app}/pause`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn pause(&self, app: &AppName, pause: &PauseRequest) -> Result<TrafficMode, ClientError> {
        self.change(Method::PUT, &format!("/apps/{app}/pause"), json(pause)).await
    }

    /// `DELETE /v1/apps/{app}/pause`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn resume(&self, app: &AppName) -> Result<TrafficMode, ClientError> {
        self.change(Method::DELETE, &format!("/apps/{app}/pause"), empty()).await
    }

    /// `GET /v1/apps/{app}/proxy`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn proxy(&self, app: &AppName) -> Result<Proxy, ClientError> {
        self.get(&format!("/apps/{app}/proxy")).await
    }

    /// `PATCH /v1/apps/{app}/proxy`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn change_proxy(&self, app: &AppName, to: &ProxyRequest) -> Result<Proxy, ClientError> {
        self.change(Method::PATCH, &format!("/apps/{app}/proxy"), json(to)).await
    }

    /// `PATCH /v1/apps/{app}/canary`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn share_canary(&self, app: &AppName, to: &CanaryRequest) -> Result<CanaryReply, ClientError> {
        self.change(Method::PATCH, &format!("/apps/{app}/canary"), json(to)).await
    }

    /// `POST /v1/apps/{app}/canary/promote`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn promote_canary(&self, app: &AppName) -> Result<CanaryReply, ClientError> {
        self.change(Method::POST, &format!("/apps/{app}/canary/promote"), empty()).await
    }

    /// `DELETE /v1/apps/{app}/canary`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn abort_canary(&self, app: &AppName) -> Result<CanaryReply, ClientError> {
        self.change(Method::DELETE, &format!("/apps/{app}/canary"), empty()).await
    }

    /// `PUT /v1/apps/{app}/upstreams`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn put_upstreams(&self, app: &AppName, to: &UpstreamsRequest) -> Result<App, ClientError> {
        self.change(Method::PUT, &format!("/apps/{app}/upstreams"), json(to)).await
    }
}
