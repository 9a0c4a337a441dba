//! Which certificates there are for a host: an immutable value, of which handshakes read the newest.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::shelf::Entry;
use super::{CertificateId, Source};
use crate::tls::chain::name_above;

/// All that is kept. A change makes a copy, which shares the entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    by_id: HashMap<CertificateId, Arc<Entry>>,
    by_name: HashMap<Arc<str>, Arc<[Arc<Entry>]>>,
}

impl Index {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let mut by_id = HashMap::with_capacity(entries.len());
        let mut by_name: HashMap<Arc<str>, Vec<Arc<Entry>>> = HashMap::with_capacity(entries.len());
        for entry in entries.into_iter().map(Arc::new) {
            for name in &entry.summary.names {
                match by_name.get_mut(name.as_str()) {
                    Some(entries) => entries.push(Arc::clone(&entry)),
                    None => drop(by_name.insert(name.as_str().into(), vec![Arc::clone(&entry)])),
                }
            }
            by_id.insert(entry.summary.id, entry);
        }
        let by_name = by_name.into_iter().map(|(name, entries)| (name, entries.into())).collect();
        Self { by_id, by_name }
    }

    /// With this entry, in the place of one of the same id.
    pub(super) fn with(&self, entry: &Arc<Entry>) -> Self {
        let mut index = self.without(entry.summary.id);
        for name in &entry.summary.names {
            let named =
                index.by_name.get(name.as_str()).into_iter().flat_map(|entries| entries.iter().cloned());
            let named = named.chain([Arc::clone(entry)]).collect();
            index.by_name.insert(name.as_str().into(), named);
        }
        index.by_id.insert(entry.summary.id, Arc::clone(entry));
        index
    }

    pub(super) fn without(&self, id: CertificateId) -> Self {
        let mut index = self.clone();
        let Some(entry) = index.by_id.remove(&id) else { return index };
        for name in &entry.summary.names {
            let named = index.by_name.get(name.as_str()).into_iter().flat_map(|entries| entries.iter());
            let left: Arc<[_]> = named.filter(|entry| entry.summary.id != id).cloned().collect();
            if left.is_empty() {
                index.by_name.remove(name.as_str());
            } else {
                index.by_name.insert(name.as_str().into(), left);
            }
        }
        index
    }

    pub(super) fn get(&self, id: CertificateId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &Arc<Entry>> {
        self.by_id.values()
    }

    /// Those for `host`, in lower case, that can be served, the best first.
    ///
    /// One that is not valid at `now` comes after all that are. Then an exact name comes before a wildcard, an own certificate
    /// before an authority's, ECDSA before RSA, the one that lasts longest, and the one that came last.
    pub(super) fn candidates(&self, host: &str, now: SystemTime) -> Vec<&Arc<Entry>> {
        let above = name_above(host);
        let named = |name: &str| self.by_name.get(name).map_or(&[][..], |entries| entries);
        let exact = named(host).iter().map(|entry| (false, entry));
        let wildcard = above.as_deref().map(named).unwrap_or_default().iter().map(|entry| (true, entry));
        let mut candidates: Vec<_> = exact.chain(wildcard).filter(|(_, entry)| !entry.is_broken()).collect();
        candidates.sort_by_key(|(is_wildcard, entry)| {
            let summary = &entry.summary;
            let is_own = summary.source == Source::Own;
            let newest = Reverse((summary.not_after, summary.added));
            (!summary.is_valid(now), *is_wildcard, !is_own, summary.key_kind, newest)
        });
        candidates.into_iter().map(|(_, entry)| entry).collect()
    }
}
