//! What commands have set of an app's processes, as it lies on disk: a part of the app's record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::record::parse;
use crate::autoscale::{Autoscale, Target};
use crate::formation::Formation;

#[derive(Serialize, Deserialize)]
pub(super) struct FormationForm {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<String, u32>,
    /// `None` is no rule, whatever the manifest says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    autoscale: BTreeMap<String, Option<AutoscaleForm>>,
}

#[derive(Serialize, Deserialize)]
struct AutoscaleForm {
    min: u32,
    max: u32,
    /// As it is typed: `cpu=70%`.
    target: String,
}

/// `None` when commands have set nothing, so that records of such apps are as they always were.
pub(super) fn from_formation(formation: &Formation) -> Option<FormationForm> {
    let rule =
        |rule: &Autoscale| AutoscaleForm { min: rule.min, max: rule.max, target: rule.target.to_string() };
    let form = FormationForm {
        counts: formation.counts.iter().map(|(process, count)| (process.to_string(), *count)).collect(),
        autoscale: formation
            .autoscale
            .iter()
            .map(|(process, found)| (process.to_string(), found.as_ref().map(rule)))
            .collect(),
    };
    (!formation.is_empty()).then_some(form)
}

pub(super) fn formation(key: &str, form: Option<FormationForm>) -> Result<Formation, StoreError> {
    let Some(FormationForm { counts, autoscale }) = form else { return Ok(Formation::default()) };
    let rule = |form: AutoscaleForm| -> Result<Autoscale, StoreError> {
        let target: Target = parse(key, &form.target)?;
        Ok(Autoscale { min: form.min, max: form.max, target })
    };
    Ok(Formation {
        counts: counts
            .into_iter()
            .map(|(process, count)| Ok((parse(key, &process)?, count)))
            .collect::<Result<_, StoreError>>()?,
        autoscale: autoscale
            .into_iter()
            .map(|(process, form)| Ok((parse(key, &process)?, form.map(rule).transpose()?)))
            .collect::<Result<_, StoreError>>()?,
    })
}
