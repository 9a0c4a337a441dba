//! What objects are called, and by which labels they find one another.
//!
//! An app's and a process type's names are DNS labels already (RFC 1123); joined they can be too long, and some kinds take less
//! than 63 characters. A name that is too long is cut and ends in a digest of the whole, so it stays the same from export to
//! export, and two that differ stay different.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::hex;
use crate::name::{AppName, ProcessType, ReleaseId};

/// The longest name of a Service, and the longest value of a label (RFC 1123 labels).
pub const NAME_LENGTH_MAX: usize = 63;
/// The longest name of a CronJob: its Jobs append 11 characters (Kubernetes, "CronJob limitations").
pub const CRON_NAME_LENGTH_MAX: usize = 52;
/// How much of a digest tells two cut names apart, in hexadecimal digits.
const DIGEST_LENGTH: usize = 8;

/// The names of one app's objects.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    app: &'a AppName,
}

/// The labels of one app's objects.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    app: &'a AppName,
}

impl<'a> Names<'a> {
    /// Those of this app.
    #[must_use]
    pub fn of(app: &'a AppName) -> Self {
        Self { app }
    }

    /// What all of the app shares: its ServiceAccount, ConfigMap, Secret, Ingress.
    #[must_use]
    pub fn app(&self) -> String {
        self.app.to_string()
    }

    /// A process type's Deployment and Service: `shop-worker`; that of `web` is the app's own name, so that others find it at
    /// `http://shop`.
    #[must_use]
    pub fn process(&self, process: &ProcessType) -> String {
        if process.is_web() { self.app() } else { self.part(&process.to_string(), NAME_LENGTH_MAX) }
    }

    /// A part of the app that is not a process type: `shop-data`, at most this long.
    #[must_use]
    pub fn part(&self, part: &str, length_max: usize) -> String {
        cut(&format!("{}-{part}", self.app), length_max)
    }

    /// The Job of a release's own command: `shop-release-v42`.
    #[must_use]
    pub fn release(&self, release: ReleaseId) -> String {
        self.part(&format!("release-{release}"), NAME_LENGTH_MAX)
    }
}

impl<'a> Labels<'a> {
    /// Those of this app.
    #[must_use]
    pub fn of(app: &'a AppName) -> Self {
        Self { app }
    }

    /// What every object of the app has: the recommended labels (kubernetes.io, "Recommended Labels").
    #[must_use]
    pub fn app(&self) -> BTreeMap<String, String> {
        [
            ("app.kubernetes.io/name", self.app.to_string()),
            ("app.kubernetes.io/managed-by", "minipaas".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// What every object of one part of it has: a process type, a job.
    #[must_use]
    pub fn part(&self, part: &str) -> BTreeMap<String, String> {
        let mut labels = self.app();
        labels.insert("app.kubernetes.io/component".to_owned(), cut(part, NAME_LENGTH_MAX));
        labels
    }

    /// What selects the pods of one part. It never changes: a Deployment's selector cannot.
    #[must_use]
    pub fn selector(&self, part: &str) -> BTreeMap<String, String> {
        let mut labels = self.part(part);
        labels.remove("app.kubernetes.io/managed-by");
        labels
    }
}

/// The name, or as much of it as fits with a digest of the whole behind it.
fn cut(name: &str, length_max: usize) -> String {
    if name.len() <= length_max {
        return name.to_owned();
    }
    let digest = hex::encode(&Sha256::digest(name)[..DIGEST_LENGTH / 2]);
    let kept = name[..length_max - DIGEST_LENGTH - 1].trim_end_matches('-');
    format!("{kept}-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_has_the_apps_name_and_others_theirs_behind_it() {
        let app = "shop".parse().unwrap();
        let names = Names::of(&app);
        assert_eq!(names.process(&"web".parse().unwrap()), "shop");
        assert_eq!(names.process(&"worker".parse().unwrap()), "shop-worker");
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_stays_its_own() {
        let app = "a".repeat(60).parse().unwrap();
        let names = Names::of(&app);
        let (one, two) =
            (names.part("report", CRON_NAME_LENGTH_MAX), names.part("rebuild", CRON_NAME_LENGTH_MAX));
        assert_eq!(one.len(), CRON_NAME_LENGTH_MAX);
        assert_ne!(one, two);
    }
}
