//! HTTPRoute of the Gateway API (gateway.networking.k8s.io/v1), as much of it as is written here.
//!
//! Its standard channel alone, so that every conforming Gateway takes it; retries and session persistence are experimental.

use serde::Serialize;

/// `spec`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) parent_refs: Vec<ParentRef>,
    /// Empty: every host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hostnames: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

/// The Gateway.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ParentRef {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// What is done with requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) matches: Vec<Match>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) filters: Vec<Filter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) backend_refs: Vec<BackendRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeouts: Option<Timeouts>,
}

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Match {
    pub(super) path: PathMatch,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PathMatch {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) value: String,
}

/// Which Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct BackendRef {
    pub(super) name: String,
    pub(super) port: i32,
}

/// What happens to requests and responses; each kind once in a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub(super) enum Filter {
    RequestHeaderModifier {
        #[serde(rename = "requestHeaderModifier")]
        headers: Headers,
    },
    ResponseHeaderModifier {
        #[serde(rename = "responseHeaderModifier")]
        headers: Headers,
    },
    RequestRedirect {
        #[serde(rename = "requestRedirect")]
        redirect: Redirect,
    },
    #[serde(rename = "URLRewrite")]
    UrlRewrite {
        #[serde(rename = "urlRewrite")]
        rewrite: Rewrite,
    },
    #[serde(rename = "CORS")]
    Cors { cors: Cors },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Headers {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) set: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remove: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redirect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    pub(super) path: PathModifier,
    pub(super) status_code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Rewrite {
    pub(super) path: PathModifier,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub(super) enum PathModifier {
    #[serde(rename_all = "camelCase")]
    ReplaceFullPath { replace_full_path: String },
    #[serde(rename_all = "camelCase")]
    ReplacePrefixMatch { replace_prefix_match: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cors {
    pub(super) allow_origins: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow_credentials: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) allow_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) allow_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) expose_headers: Vec<String>,
    /// In seconds, 1 at least.
    pub(super) max_age: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Timeouts {
    /// For the whole of it, as Go writes it; `0s` is none.
    pub(super) request: String,
}
