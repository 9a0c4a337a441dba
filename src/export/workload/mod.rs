//! What runs: an app's account, config, volumes, release command, process types and jobs.
//!
//! A [`Draft`] holds what all of an app's objects are made of. Each module makes one kind of object of it; [`pod`] is what
//! Deployments, Jobs and CronJobs share.

mod autoscale;
mod cron;
mod deployment;
mod job;
mod pod;
mod probe;
mod schedule;
mod security;
mod unit;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::config::Config;
use super::error::ExportError;
use super::names::{Labels, Names};
use super::object::{Object, Sheet};
use super::subject::Subject;

pub(super) use security::User;
pub(super) use unit::seconds;

/// What an app's objects are made of.
struct Draft<'a> {
    subject: &'a Subject,
    names: Names<'a>,
    labels: Labels<'a>,
    config: Config<'a>,
    user: User,
}

/// Adds what runs, what others refer to first.
pub(super) fn add(subject: &Subject, sheet: &mut Sheet<'_>) -> Result<(), ExportError> {
    let draft = Draft::of(subject);
    sheet.add(draft.service_account());
    for object in draft.config.objects(subject, |name| draft.metadata(name, None))? {
        sheet.add(object);
    }
    volume::add(&draft, sheet);
    job::add(&draft, sheet);
    deployment::add(&draft, sheet);
    cron::add(&draft, sheet);
    autoscale::add(&draft, sheet);
    security::note(&draft, sheet);
    Ok(())
}

impl<'a> Draft<'a> {
    fn of(subject: &'a Subject) -> Self {
        Self {
            subject,
            names: Names::of(&subject.app),
            labels: Labels::of(&subject.app),
            config: Config::of(subject),
            user: User::of(&subject.image),
        }
    }

    /// An object's name and labels, of the app as a whole or one part of it.
    fn metadata(&self, name: String, part: Option<&str>) -> ObjectMeta {
        let labels = part.map_or_else(|| self.labels.app(), |part| self.labels.part(part));
        ObjectMeta { name: Some(name), labels: Some(self.with_version(labels)), ..ObjectMeta::default() }
    }

    fn with_version(&self, mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
        labels.insert("app.kubernetes.io/version".to_owned(), self.subject.release.to_string());
        labels
    }

    /// Nothing of ours talks to the API server, so nothing gets a token for it.
    fn service_account(&self) -> Object {
        let account = ServiceAccount {
            metadata: self.metadata(self.names.app(), None),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        Object::new(&self.subject.app, &account)
    }
}
