//! An app that is only a route, as it lies on disk: a part of the app's record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::record::parse;
use crate::external::External;
use crate::manifest::Source;

#[derive(Serialize, Deserialize)]
pub(super) struct ExternalForm {
    upstreams: Vec<UpstreamForm>,
    last: u32,
    hosts: Vec<String>,
    path: String,
    health: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct UpstreamForm {
    number: u32,
    address: String,
}

pub(super) fn from_external(external: &External) -> ExternalForm {
    let upstreams = external.upstreams.iter();
    ExternalForm {
        upstreams: upstreams
            .map(|(number, address)| UpstreamForm { number: *number, address: address.to_string() })
            .collect(),
        last: external.last,
        hosts: external.hosts.iter().map(ToString::to_string).collect(),
        path: external.path.as_str().to_owned(),
        health: external.health.to_string(),
        manifest: external.source.toml.clone(),
        files: external.source.files.clone(),
    }
}

pub(super) fn external(key: &str, form: ExternalForm) -> Result<External, StoreError> {
    let upstream = |form: UpstreamForm| Ok((form.number, parse(key, &form.address)?));
    Ok(External {
        upstreams: form.upstreams.into_iter().map(upstream).collect::<Result<_, StoreError>>()?,
        last: form.last,
        hosts: form.hosts.iter().map(|host| parse(key, host)).collect::<Result<_, _>>()?,
        path: parse(key, &form.path)?,
        health: parse(key, &form.health)?,
        source: Source { toml: form.manifest, procfile: None, files: form.files },
    })
}
