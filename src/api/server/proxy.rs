//! An app's proxy settings: shown, and changed by command.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Needs};
use super::failure::Refusal;
use super::{Api, app_name};
use crate::api::{self, Failure, Proxy, ProxyRequest, RouteSettings};
use crate::controller::{
    Command, IgnoredSetting, Layer, ProxyChange, ProxyEdit, ProxySettings, Setting, Stopping,
};
use crate::manifest::{RouteName, Settings};
use crate::name::{Host, PathPrefix};
use crate::people::Role;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/apps/{app}/proxy",
            Needs::OfApp(Role::Viewer),
            "Show how an app's requests are treated",
            show,
        ),
        Endpoint::new(
            Method::PATCH,
            "/v1/apps/{app}/proxy",
            Needs::OfApp(Role::Collaborator),
            "Change how an app's requests are treated, without a release",
            change,
        )
        .action("proxy-set"),
    ]
}

async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Proxy>, Refusal> {
    ask(&api, &name, None).await
}

async fn change(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<ProxyRequest>,
) -> Result<Json<Proxy>, Refusal> {
    ask(&api, &name, Some(wanted(request)?)).await
}

async fn ask(api: &Api, name: &str, change: Option<ProxyChange>) -> Result<Json<Proxy>, Refusal> {
    let app = app_name(name)?;
    let (reply, changed) = oneshot::channel();
    api.controller.send(Command::Proxy { app, change, reply }).await?;
    let settings = changed.await.map_err(|_| Stopping)?;
    let settings = settings.map_err(|error| Refusal::from_proxy(error, &api.controller.view()))?;
    Ok(Json(proxy(settings)))
}

fn wanted(request: ProxyRequest) -> Result<ProxyChange, Refusal> {
    let ProxyRequest { route, set, files, unset, user, reset } = request;
    let route = route.as_deref().map(route_name).transpose()?;
    let edit = match (set.is_empty(), unset.is_empty(), user, reset) {
        (false, true, None, false) => ProxyEdit::Set(Settings { values: set, files }),
        (true, false, None, false) => ProxyEdit::Unset(unset),
        (true, true, Some((user, hash)), false) => ProxyEdit::User { user, hash },
        (true, true, None, true) => ProxyEdit::Reset,
        _ => {
            let message = "a change is one of `set`, `unset`, `user` and `reset`";
            return Err(Refusal::bad_request(message.to_owned()));
        }
    };
    Ok(ProxyChange { route, edit })
}

/// `shop.example.com/api`, or `/api` of the app's own host.
fn route_name(text: &str) -> Result<(Option<Host>, PathPrefix), Refusal> {
    let refused = |error: &dyn std::fmt::Display| {
        let failure = Failure::new("manifest", error.to_string());
        let hint =
            "a route is a host and a path such as `shop.example.com/api`, or a path of the app's own host";
        Refusal::new(axum::http::StatusCode::BAD_REQUEST, failure.hinted(hint))
    };
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let path = if path.is_empty() { "/" } else { path };
    let host = (!host.is_empty()).then(|| host.parse::<Host>().map_err(|error| refused(&error)));
    Ok((host.transpose()?, path.parse().map_err(|error: crate::name::NameError| refused(&error))?))
}

fn proxy(settings: ProxySettings) -> Proxy {
    let route = |(host, path): RouteName| format!("{host}{path}");
    let ProxySettings { app, routes, ignored } = settings;
    let routes = routes.into_iter();
    let ignored = ignored.into_iter().map(|one| {
        let IgnoredSetting { route: at, key, reason } = one;
        api::IgnoredSetting { route: at.map(route), key, reason }
    });
    Proxy {
        settings: each(app),
        routes: routes
            .map(|(name, settings)| RouteSettings { route: route(name), settings: each(settings) })
            .collect(),
        ignored: ignored.collect(),
    }
}

fn each(settings: Vec<Setting>) -> Vec<api::Setting> {
    let wire = |Setting { key, value, from }| api::Setting {
        key: str::to_owned(key),
        value,
        from: match from {
            Layer::Default => api::Layer::Default,
            Layer::Manifest => api::Layer::Manifest,
            Layer::Command => api::Layer::Command,
        },
    };
    settings.into_iter().map(wire).collect()
}
