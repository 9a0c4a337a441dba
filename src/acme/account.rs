//! The account at an authority: taken from the journal, or made and kept at the first order.
//!
//! It belongs to a directory: what was kept for another one of the same name is no account here.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::Deserialize;
use tracing::{debug, info};
use zeroize::Zeroizing;

use super::authority::{AuthorityConfig, Eab};
use super::wire::{Wire, repeated};
use super::{Journal, OrderError, OrderErrorKind};
use crate::web;

/// As authorities print them, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What of kept credentials says whether they are for this directory.
#[derive(Deserialize)]
struct Kept {
    directory: Option<String>,
}

/// The account of the journal, if it has one for this directory.
pub(super) async fn kept(
    config: &AuthorityConfig,
    web: &web::Client,
    journal: &dyn Journal,
) -> Result<Option<Account>, OrderError> {
    let kept = journal.account(&config.name).await.map_err(|error| OrderError::journal(&error))?;
    let Some(kept) = kept else { return Ok(None) };
    let is_ours = |kept: &Kept| kept.directory.as_deref() == Some(config.directory.as_str());
    if !serde_json::from_str::<Kept>(&kept).is_ok_and(|kept| is_ours(&kept)) {
        info!(authority = config.name, "the account that was kept is of another directory");
        return Ok(None);
    }
    let credentials: AccountCredentials = serde_json::from_str(&kept)
        .map_err(|_| OrderError::new(OrderErrorKind::Journal, "the account that was kept cannot be read"))?;
    let builder = Account::builder_with_http(Box::new(Wire(web.clone())));
    Ok(Some(builder.from_credentials(credentials).await?))
}

/// A new account, agreed to the terms of service, in the journal.
pub(super) async fn make(
    config: &AuthorityConfig,
    web: &web::Client,
    journal: &dyn Journal,
) -> Result<Account, OrderError> {
    let contact = config.contact.as_deref().map(|email| format!("mailto:{email}"));
    let contact: Vec<_> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let eab = config.eab.as_ref().map(external_key).transpose()?;
    let made = repeated!({
        let builder = Account::builder_with_http(Box::new(Wire(web.clone())));
        builder.create(&new, config.directory.clone(), eab.as_ref()).await
    });
    let (account, credentials) = made.map_err(|error| of_making(error, config.eab.is_some()))?;
    let text = serde_json::to_string(&credentials).map(Zeroizing::new);
    let text = text.expect("strings alone are in it");
    journal.keep_account(&config.name, &text).await.map_err(|error| OrderError::journal(&error))?;
    debug!(authority = config.name, account = account.id(), "account made");
    Ok(account)
}

/// A refusal of an account that comes with the key of another one is about that key.
fn of_making(error: instant_acme::Error, has_eab: bool) -> OrderError {
    let error = OrderError::from(error);
    if has_eab && matches!(error.kind, OrderErrorKind::Account | OrderErrorKind::Protocol) {
        let message = format!("{}; see whether the keys in `acme_eab_file` are right", error.message);
        return OrderError { kind: OrderErrorKind::EabRequired, message, ..error };
    }
    error
}

fn external_key(eab: &Eab) -> Result<ExternalAccountKey, OrderError> {
    let key = BASE64.decode(eab.hmac_key.trim()).map(Zeroizing::new).map_err(|_| {
        let message =
            format!("the key of `{}` in `acme_eab_file` is not base64url; copy it again", eab.key_id);
        OrderError::new(OrderErrorKind::EabRequired, message)
    })?;
    Ok(ExternalAccountKey::new(eab.key_id.clone(), &key))
}
