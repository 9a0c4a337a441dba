//! Which containers may call whom, as it lies on disk: a part of the last route table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::record::parse;
use crate::name::AppName;
use crate::route::{Bridge, Caller, Callers};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct CallersForm {
    bridge: Option<BridgeForm>,
    /// By address.
    known: BTreeMap<String, CallerForm>,
}

#[derive(Serialize, Deserialize)]
struct BridgeForm {
    gateway: String,
    subnet: String,
}

#[derive(Serialize, Deserialize)]
struct CallerForm {
    app: String,
    links: Vec<String>,
}

pub(super) fn from_callers(callers: &Callers) -> CallersForm {
    let bridge = callers
        .bridge
        .map(|bridge| BridgeForm { gateway: bridge.gateway.to_string(), subnet: bridge.subnet.to_string() });
    let known = callers.known.iter().map(|(addr, caller)| {
        let links = caller.links.iter().map(ToString::to_string).collect();
        (addr.to_string(), CallerForm { app: caller.app.to_string(), links })
    });
    CallersForm { bridge, known: known.collect() }
}

pub(super) fn callers(key: &str, form: CallersForm) -> Result<Callers, StoreError> {
    let bridge = form.bridge.map(|bridge| -> Result<_, StoreError> {
        Ok(Bridge { gateway: parse(key, &bridge.gateway)?, subnet: parse(key, &bridge.subnet)? })
    });
    let caller = |(addr, form): (String, CallerForm)| -> Result<_, StoreError> {
        let links = form.links.iter().map(|app| parse::<AppName>(key, app));
        let links: BTreeSet<_> = links.collect::<Result<_, _>>()?;
        Ok((parse(key, &addr)?, Caller { app: parse(key, &form.app)?, links: Arc::new(links) }))
    };
    Ok(Callers {
        bridge: bridge.transpose()?,
        known: form.known.into_iter().map(caller).collect::<Result<_, _>>()?,
    })
}
