//! Names whose certificates authorities give, and the accounts there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::record::{decode, encode, parse};
use super::{Store, StoreError};
use crate::certs::{NameRecord, OpenOrder, Problem, Renewal};

/// What the keys of orders begin with.
const ORDERS: &str = "certificate-order/";

#[derive(Serialize, Deserialize)]
struct NameForm {
    name: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_try: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemForm>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tried_with: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewal: Option<RenewalForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwanted_since: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_demanded: bool,
}

#[derive(Serialize, Deserialize)]
struct ProblemForm {
    kind: String,
    message: String,
    at: u64,
}

#[derive(Serialize, Deserialize)]
struct OrderForm {
    authority: String,
    url: Option<String>,
    /// Sealed, in base64.
    key: String,
}

#[derive(Serialize, Deserialize)]
struct RenewalForm {
    certificate: String,
    start: u64,
    end: u64,
    check_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct AccountForm {
    /// Sealed, in base64.
    credentials: String,
}

impl Store {
    /// Every name that is remembered.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back.
    pub async fn certificate_names(&self) -> Result<Vec<NameRecord>, StoreError> {
        self.blocking(|store| store.scan("certificate/", name)).await
    }

    /// Keeps what is to be remembered of a name.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub async fn save_certificate_name(&self, name: &NameRecord) -> Result<(), StoreError> {
        self.save_certificate_names(std::slice::from_ref(name)).await
    }

    /// Keeps what is to be remembered of several names, of all or of none.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then they are as they were.
    pub async fn save_certificate_names(&self, names: &[NameRecord]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for name in names {
            batch.insert(format!("certificate/{}", name.name).as_bytes(), encode(&from_name(name)));
        }
        self.apply(batch).await
    }

    /// Forgets a name and its order.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then they are still there.
    pub async fn remove_certificate_name(&self, name: &str) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.remove(format!("certificate/{name}").as_bytes());
        batch.remove(order_key(name).as_bytes());
        self.apply(batch).await
    }

    /// The order for a name that was under way.
    ///
    /// # Errors
    ///
    /// When it cannot be read back.
    pub async fn certificate_order(&self, name: &str) -> Result<Option<OpenOrder>, StoreError> {
        let key = order_key(name);
        self.blocking(move |store| {
            let found = store.db.get(&key).map_err(|error| store.failed("read", error))?;
            found.map(|bytes| order(&key, &bytes)).transpose()
        })
        .await
    }

    /// The names whose orders were under way.
    ///
    /// # Errors
    ///
    /// When they cannot be read back.
    pub async fn certificate_orders(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|store| store.scan(ORDERS, |key, _| Ok(key[ORDERS.len()..].to_owned()))).await
    }

    /// Keeps an order; the one before it, if any, is forgotten.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is as it was.
    pub async fn save_certificate_order(&self, name: &str, order: &OpenOrder) -> Result<(), StoreError> {
        let form = OrderForm {
            authority: order.authority.clone(),
            url: order.url.clone(),
            key: STANDARD.encode(&order.key),
        };
        let mut batch = sled::Batch::default();
        batch.insert(order_key(name).as_bytes(), encode(&form));
        self.apply(batch).await
    }

    /// Forgets the order for a name, because it has ended.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is still there.
    pub async fn remove_certificate_order(&self, name: &str) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.remove(order_key(name).as_bytes());
        self.apply(batch).await
    }

    /// The sealed credentials of the account at the authority whose directory this is.
    ///
    /// # Errors
    ///
    /// When they cannot be read back.
    pub async fn acme_account(&self, directory: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = format!("acme-account/{directory}");
        self.blocking(move |store| {
            let found = store.db.get(&key).map_err(|error| store.failed("read", error))?;
            found.map(|bytes| account(&key, &bytes)).transpose()
        })
        .await
    }

    /// Keeps the sealed credentials of an account.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub async fn save_acme_account(&self, directory: &str, sealed: &[u8]) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        batch.insert(
            format!("acme-account/{directory}").as_bytes(),
            encode(&AccountForm { credentials: STANDARD.encode(sealed) }),
        );
        self.apply(batch).await
    }
}

fn from_name(name: &NameRecord) -> NameForm {
    NameForm {
        name: name.name.clone(),
        failures: name.failures,
        next_try: name.next_try,
        tried_with: name.tried_with.clone(),
        problem: name.problem.as_ref().map(|problem| ProblemForm {
            kind: problem.kind.clone(),
            message: problem.message.clone(),
            at: problem.at,
        }),
        renewal: name.renewal.as_ref().map(|renewal| RenewalForm {
            certificate: renewal.certificate.to_string(),
            start: renewal.window.start,
            end: renewal.window.end,
            check_at: renewal.check_at,
            explanation: renewal.explanation.clone(),
        }),
        issued: name.issued,
        unwanted_since: name.unwanted_since,
        is_demanded: name.is_demanded,
    }
}

fn name(key: &str, bytes: &[u8]) -> Result<NameRecord, StoreError> {
    let form: NameForm = decode(key, bytes)?;
    let renewal = form.renewal.map(|form| -> Result<_, StoreError> {
        Ok(Renewal {
            certificate: parse(key, &form.certificate)?,
            window: form.start..form.end,
            check_at: form.check_at,
            explanation: form.explanation,
        })
    });
    Ok(NameRecord {
        name: form.name,
        failures: form.failures,
        next_try: form.next_try,
        tried_with: form.tried_with,
        problem: form.problem.map(|form| Problem { kind: form.kind, message: form.message, at: form.at }),
        issued: form.issued,
        renewal: renewal.transpose()?,
        unwanted_since: form.unwanted_since,
        is_demanded: form.is_demanded,
    })
}

fn order(key: &str, bytes: &[u8]) -> Result<OpenOrder, StoreError> {
    let form: OrderForm = decode(key, bytes)?;
    Ok(OpenOrder { authority: form.authority, url: form.url, key: self::bytes(key, &form.key)? })
}

fn order_key(name: &str) -> String {
    format!("{ORDERS}{name}")
}

fn account(key: &str, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let form: AccountForm = decode(key, bytes)?;
    self::bytes(key, &form.credentials)
}

fn bytes(key: &str, text: &str) -> Result<Vec<u8>, StoreError> {
    let reason = |error: base64::DecodeError| error.to_string();
    STANDARD.decode(text).map_err(|error| StoreError::Record { key: key.to_owned(), reason: reason(error) })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
