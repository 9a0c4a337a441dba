//! Settings of the proxy that were made by command, as they lie on disk: a part of the app's record.
//!
//! Values are kept as the TOML that was given, so that a newer minipaas reads them as it reads a manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::record::parse;
use crate::manifest::{Overrides, RouteName, Settings};

#[derive(Serialize, Deserialize)]
pub(super) struct OverridesForm {
    app: SettingsForm,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteForm>,
}

#[derive(Serialize, Deserialize)]
struct RouteForm {
    host: String,
    path: String,
    #[serde(flatten)]
    settings: SettingsForm,
}

#[derive(Serialize, Deserialize)]
struct SettingsForm {
    /// Keys, each with its value in TOML.
    toml: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
}

/// `None` for an app without any, so that records of such apps are as they always were.
pub(super) fn from_overrides(overrides: &Overrides) -> Option<OverridesForm> {
    let form =
        |settings: &Settings| SettingsForm { toml: settings.values.clone(), files: settings.files.clone() };
    let routes = overrides.routes.iter().map(|((host, path), settings)| RouteForm {
        host: host.to_string(),
        path: path.to_string(),
        settings: form(settings),
    });
    (!overrides.is_empty()).then(|| OverridesForm { app: form(&overrides.app), routes: routes.collect() })
}

pub(super) fn overrides(key: &str, form: Option<OverridesForm>) -> Result<Overrides, StoreError> {
    let Some(form) = form else { return Ok(Overrides::default()) };
    let settings = |form: SettingsForm| Settings { values: form.toml, files: form.files };
    let routes = form.routes.into_iter().map(|route| -> Result<(RouteName, Settings), StoreError> {
        Ok(((parse(key, &route.host)?, parse(key, &route.path)?), settings(route.settings)))
    });
    Ok(Overrides { app: settings(form.app), routes: routes.collect::<Result<_, _>>()? })
}
