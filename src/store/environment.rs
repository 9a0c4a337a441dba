//! An app's variables as they lie on disk: sealed with the box's key, names and all.
//!
//! What is sealed is JSON; what it is sealed as says whose it is, so that the variables of one app or release cannot be put
//! in another's place. Nothing is kept where there are none.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreError;
use super::record::parse;
use crate::environment::{Environment, EnvironmentChange, Kind, Variable, VariableName};
use crate::seal::BoxKey;

/// Why variables cannot be read without a key; a store is given one before it is read.
const NO_KEY: &str = "it is sealed, and the store was opened without the box's key";

#[derive(Serialize, Deserialize)]
struct VariableForm {
    value: String,
    #[serde(default, skip_serializing_if = "KindForm::is_plain")]
    kind: KindForm,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    #[default]
    Plain,
    Secret,
    ExportedSecret,
}

#[derive(Serialize, Deserialize, Default)]
struct ChangeForm {
    #[serde(default)]
    set: BTreeMap<String, VariableForm>,
    #[serde(default)]
    unset: Vec<String>,
}

/// The environment of `what`, sealed, in base64; `None` without variables.
pub(super) fn from_environment(
    what: &str,
    environment: &Environment,
    key: Option<&BoxKey>,
) -> Result<Option<String>, StoreError> {
    if environment.is_empty() {
        return Ok(None);
    }
    let variables = environment.iter().map(|(name, variable)| (name.to_string(), from_variable(variable)));
    seal(what, &variables.collect::<BTreeMap<_, _>>(), key).map(Some)
}

pub(super) fn environment(
    what: &str,
    sealed: Option<&str>,
    key: Option<&BoxKey>,
) -> Result<Environment, StoreError> {
    let Some(sealed) = sealed else { return Ok(Environment::default()) };
    let forms: BTreeMap<String, VariableForm> = open(what, sealed, key)?;
    Ok(Environment::new(variables(what, forms)?))
}

/// The change of `what`, sealed, in base64; `None` when it changes nothing.
pub(super) fn from_change(
    what: &str,
    change: &EnvironmentChange,
    key: Option<&BoxKey>,
) -> Result<Option<String>, StoreError> {
    if change.is_empty() {
        return Ok(None);
    }
    let set = change.set.iter().map(|(name, variable)| (name.to_string(), from_variable(variable)));
    let unset = change.unset.iter().map(ToString::to_string);
    seal(what, &ChangeForm { set: set.collect(), unset: unset.collect() }, key).map(Some)
}

pub(super) fn change(
    what: &str,
    sealed: Option<&str>,
    key: Option<&BoxKey>,
) -> Result<EnvironmentChange, StoreError> {
    let Some(sealed) = sealed else { return Ok(EnvironmentChange::default()) };
    let form: ChangeForm = open(what, sealed, key)?;
    Ok(EnvironmentChange {
        set: variables(what, form.set)?.into_iter().collect(),
        unset: form.unset.iter().map(|name| parse(what, name)).collect::<Result<_, _>>()?,
    })
}

fn variables(
    what: &str,
    forms: BTreeMap<String, VariableForm>,
) -> Result<Vec<(VariableName, Variable)>, StoreError> {
    let variable = |(name, form): (String, VariableForm)| {
        let name: VariableName = parse(what, &name)?;
        let VariableForm { value, kind } = form;
        let variable = Variable::new(&name, value, kind.into());
        let failed = |error: crate::environment::VariableError| StoreError::Record {
            key: what.to_owned(),
            reason: error.to_string(),
        };
        Ok((name.clone(), variable.map_err(failed)?))
    };
    forms.into_iter().map(variable).collect()
}

fn from_variable(variable: &Variable) -> VariableForm {
    let kind = match variable.kind {
        Kind::Plain => KindForm::Plain,
        Kind::Secret => KindForm::Secret,
        Kind::ExportedSecret => KindForm::ExportedSecret,
    };
    VariableForm { value: variable.value.reveal().to_owned(), kind }
}

fn seal<T: Serialize>(what: &str, form: &T, key: Option<&BoxKey>) -> Result<String, StoreError> {
    let key = key.ok_or_else(|| failed(what, NO_KEY.to_owned()))?;
    let plain = serde_json::to_vec(form).expect("forms hold only strings, maps and lists");
    Ok(STANDARD.encode(key.seal(what, &Zeroizing::new(plain))))
}

fn open<T: serde::de::DeserializeOwned>(
    what: &str,
    sealed: &str,
    key: Option<&BoxKey>,
) -> Result<T, StoreError> {
    let key = key.ok_or_else(|| failed(what, NO_KEY.to_owned()))?;
    let sealed = STANDARD.decode(sealed).map_err(|error| failed(what, error.to_string()))?;
    let plain = key.open(what, &sealed).map_err(|error| failed(what, error.to_string()))?;
    serde_json::from_slice(&plain).map_err(|error| failed(what, error.to_string()))
}

fn failed(what: &str, reason: String) -> StoreError {
    StoreError::Record { key: what.to_owned(), reason }
}

impl KindForm {
    fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }
}

impl From<KindForm> for Kind {
    fn from(form: KindForm) -> Self {
        match form {
            KindForm::Plain => Self::Plain,
            KindForm::Secret => Self::Secret,
            KindForm::ExportedSecret => Self::ExportedSecret,
        }
    }
}
