//! Users, roles, tokens and invites.

use http::Method;

use super::query::encoded;
use super::{ANSWER_TIMEOUT, Client, ClientError, empty, json};
use crate::api::{
    Access, AccessRequest, InviteInfo, InviteReply, InviteRequest, RedeemReply, RedeemRequest, TokenInfo,
    TokenReply, TokenRequest, TransferRequest, UserChange, UserInfo, UserRemoved, UserRequest, Whoami,
};
use crate::name::AppName;

impl Client {
    /// `GET /v1/whoami`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        self.get("/whoami").await
    }

    /// `GET /v1/users`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn users(&self) -> Result<Vec<UserInfo>, ClientError> {
        self.get("/users").await
    }

    /// `POST /v1/users`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn add_user(&self, user: &UserRequest) -> Result<UserInfo, ClientError> {
        self.change(Method::POST, "/users", json(user)).await
    }

    /// `PATCH /v1/users/{user}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn change_user(&self, user: &str, change: UserChange) -> Result<UserInfo, ClientError> {
        self.change(Method::PATCH, &format!("/users/{}", encoded(user)), json(&change)).await
    }

    /// `DELETE /v1/users/{user}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn remove_user(&self, user: &str) -> Result<UserRemoved, ClientError> {
        self.change(Method::DELETE, &format!("/users/{}", encoded(user)), empty()).await
    }

    /// `GET /v1/apps/{app}/access`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn access(&self, app: &AppName) -> Result<Vec<Access>, ClientError> {
        self.get(&format!("/apps/{app}/access")).await
    }

    /// `PUT /v1/apps/{app}/access/{user}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn grant(&self, app: &AppName, user: &str, role: &AccessRequest) -> Result<(), ClientError> {
        self.done(Method::PUT, &format!("/apps/{app}/access/{}", encoded(user)), json(role)).await
    }

    /// `DELETE /v1/apps/{app}/access/{user}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn withdraw_grant(&self, app: &AppName, user: &str) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/apps/{app}/access/{}", encoded(user)), empty()).await
    }

    /// `POST /v1/apps/{app}/transfer`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn transfer(&self, app: &AppName, to: &TransferRequest) -> Result<(), ClientError> {
        self.done(Method::POST, &format!("/apps/{app}/transfer"), json(to)).await
    }

    /// `GET /v1/tokens`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, ClientError> {
        self.get("/tokens").await
    }

    /// `POST /v1/tokens`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn add_token(&self, token: &TokenRequest) -> Result<TokenReply, ClientError> {
        self.change(Method::POST, "/tokens", json(token)).await
    }

    /// `POST /v1/tokens/{token}/rotate`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn rotate_token(&self, token: &str) -> Result<TokenReply, ClientError> {
        self.change(Method::POST, &format!("/tokens/{}/rotate", encoded(token)), empty()).await
    }

    /// `DELETE /v1/tokens/{token}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn revoke_token(&self, token: &str) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/tokens/{}", encoded(token)), empty()).await
    }

    /// `GET /v1/invites`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn invites(&self) -> Result<Vec<InviteInfo>, ClientError> {
        self.get("/invites").await
    }

    /// `POST /v1/invites`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn invite(&self, invite: &InviteRequest) -> Result<InviteReply, ClientError> {
        self.change(Method::POST, "/invites", json(invite)).await
    }

    /// `DELETE /v1/invites/{invite}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn withdraw_invite(&self, invite: &str) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/invites/{}", encoded(invite)), empty()).await
    }

    /// `POST /v1/invites/redeem`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn redeem(&self, invite: &RedeemRequest) -> Result<RedeemReply, ClientError> {
        self.change(Method::POST, "/invites/redeem", json(invite)).await
    }

    async fn done(&self, method: Method, path: &str, body: super::Body) -> Result<(), ClientError> {
        self.send(method, path, body, ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }
}
