//! What operators want of certificates.

use std::sync::Arc;

use super::Task;
use crate::certs::order::blocking;
use crate::certs::{CertsError, Command};
use crate::clock::millis;
use crate::tls::{Source, Summary};

impl Task {
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Add(chain, reply) => {
                let vault = self.parts.vault.clone();
                let added = blocking(move || vault.put(&chain, Source::Own)).await;
                self.read_vault();
                let _ = reply.send(added.map_err(CertsError::from));
            }
            Command::Remove(which, reply) => {
                let removed = self.remove(&which).await;
                self.read_vault();
                let _ = reply.send(removed);
            }
            Command::Renew(name, reply) => {
                let _ = reply.send(self.renew(&name).await);
            }
        }
    }

    async fn remove(&self, which: &str) -> Result<(), CertsError> {
        let is_it = |summary: &&Arc<Summary>| {
            summary.id.to_string() == which || summary.names.iter().any(|name| name == which)
        };
        let found: Vec<_> = self.own.iter().filter(is_it).collect();
        if found.len() > 1 {
            let ids = found.iter().map(|summary| summary.id).collect();
            return Err(CertsError::Ambiguous { name: which.to_owned(), ids });
        }
        let Some(found) = found.first() else {
            let is_ours = self
                .names
                .values()
                .filter_map(|name| name.certificate.as_ref())
                .any(|summary| is_it(&summary));
            let is_local = self.wanted.local.contains_key(which);
            let which = which.to_owned();
            return Err(if is_ours || is_local {
                CertsError::NotOwn(which)
            } else {
                CertsError::Unknown(which)
            });
        };
        let (vault, id) = (self.parts.vault.clone(), found.id);
        Ok(blocking(move || vault.remove(id)).await?)
    }

    async fn renew(&mut self, name: &str) -> Result<(), CertsError> {
        let not_ordered = || CertsError::NotOrdered(name.to_owned());
        // With a certificate that was brought, none is ordered.
        if self.facts().has_own(name) {
            return Err(not_ordered());
        }
        let now = millis(self.now());
        let found = self.names.get_mut(name).filter(|found| found.want.is_some());
        let found = found.ok_or_else(not_ordered)?;
        (found.record.next_try, found.record.problem) = (Some(now), None);
        found.record.tried_with = self.settings.clone();
        let record = found.record.clone();
        Ok(self.parts.store.save_certificate_name(&record).await?)
    }
}
