//! What the vault keeps, as the task knows it: found at the start, put right after a kill, dropped when nobody wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Task, warn_if_err};
use crate::certs::order::{blocking, is_done};
use crate::certs::record::NameRecord;
use crate::tls::{Source, Summary};

impl Task {
    /// Finds each name's certificate in the vault, and those that were brought.
    pub(super) fn read_vault(&mut self) {
        let mut own = Vec::new();
        let mut newest: BTreeMap<String, Arc<Summary>> = BTreeMap::new();
        for summary in self.parts.vault.list() {
            let summary = Arc::new(summary);
            match (&summary.source, summary.names.as_slice()) {
                (Source::Own, _) => own.push(summary),
                (Source::Acme { .. }, [name]) => {
                    // One of an authority that is still asked before one that is to be replaced, however long that lasts; then
                    // as the vault prefers them.
                    let rank = |summary: &Summary| {
                        let authority = summary.source.authority();
                        let is_asked = self.authorities.iter().any(|known| Some(known.as_str()) == authority);
                        (is_asked, summary.not_after, summary.added)
                    };
                    let is_newer = newest.get(name).is_none_or(|other| rank(other) < rank(&summary));
                    if is_newer {
                        newest.insert(name.clone(), summary);
                    }
                }
                (Source::Acme { .. }, _) => {}
            }
        }
        own.sort_by_key(|summary| std::cmp::Reverse(summary.not_after));
        self.own = own;
        for name in newest.keys() {
            self.add_name(NameRecord::new(name));
        }
        for (text, name) in &mut self.names {
            name.certificate = newest.remove(text);
        }
    }

    /// Ends what was cut short between a certificate and what is remembered of its order.
    pub(super) async fn recover(&mut self) {
        let open = self.parts.store.certificate_orders().await;
        let open = open.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "orders that are open cannot be read");
            Vec::new()
        });
        for text in open {
            let certificate = self.names.get(&text).and_then(|name| name.certificate.as_ref());
            let Some(id) = certificate.map(|summary| summary.id) else { continue };
            match is_done(&self.parts, &text, id).await {
                Ok(true) => self.ordered(&text, Ok(id)).await,
                Ok(false) => {}
                Err(error) => warn_if_err(&text, Err(error)),
            }
        }
        self.sweep().await;
    }

    /// Removes certificates that were replaced.
    pub(super) async fn sweep(&self) {
        let current: BTreeSet<_> =
            self.names.values().filter_map(|name| name.certificate.as_ref()).map(|found| found.id).collect();
        for summary in self.parts.vault.list() {
            let is_ordered = summary.source != Source::Own && summary.names.len() == 1;
            if is_ordered && !current.contains(&summary.id) {
                let vault = self.parts.vault.clone();
                warn_if_err(&summary.names[0], blocking(move || vault.remove(summary.id)).await);
            }
        }
    }

    /// Forgets a name that nobody wants, and its certificate.
    pub(super) async fn drop_name(&mut self, text: &str) {
        let Some(name) = self.names.remove(text) else { return };
        tracing::info!(name = text, "forgotten, no route has it");
        if let Some(summary) = name.certificate {
            let vault = self.parts.vault.clone();
            warn_if_err(text, blocking(move || vault.remove(summary.id)).await);
        }
        warn_if_err(text, self.parts.store.remove_certificate_name(text).await);
    }
}
