//! What the wire says of a release's image on its way to a registry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shown;

/// A release's image is to go to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PushRequest {
    /// The registry and a folder in it: `ghcr.io/acme`. The image is `<registry>/<app>:vN` there.
    pub registry: String,
    /// Who pushes; used for this request and kept nowhere. None: nobody in particular.
    #[serde(default)]
    pub credentials: Option<RegistryCredentials>,
}

/// Who somebody is at a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "kind")]
pub enum RegistryCredentials {
    /// A name and a password, or a token in its place.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Shown,
    },
    /// A token that the registry gave, which gets others.
    IdentityToken {
        /// The token.
        token: Shown,
    },
}
