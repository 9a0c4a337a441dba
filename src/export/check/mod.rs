//! What a cluster of a given version would refuse, found without one.
//!
//! Two things are asked of each object. The *schemas* of the version (`schema`, distilled from the published ones and embedded)
//! say which fields there are, how their values look and which are required; `walk` goes through an object along them. What the
//! API server knows beyond that (names, references within a pod, numbers that exclude each other) is in `rules`, by the type of
//! the part that it is about. Objects of kinds that are no part of Kubernetes (`HTTPRoute`, `SealedSecret`) have rules alone.
//!
//! It does not look at what a cluster has: whether a class, an issuer or a Gateway is there, or a quota is full.

mod cron;
mod node;
mod quantity;
mod report;
mod rules;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;
mod values;
mod walk;

use std::collections::BTreeSet;
use std::fmt;

use super::{Object, Version};

use node::Node;
use report::Report;
use schema::Schemas;
use walk::Walk;

/// Something that an API server would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The object's kind: `Deployment`.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The part that is wrong: `spec.template.spec.containers[0].image`; empty: the whole object.
    pub field: String,
    /// Who would refuse it.
    pub judge: Judge,
    /// What is wrong with it, with the rule: a sentence that begins behind the field.
    pub rule: String,
}

/// Who refuses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judge {
    /// The schema of its kind: a field that there is not, is missing, or is of another type.
    Schema,
    /// The API server, or the controller of the kind, by a rule that no schema has.
    Server,
}

/// Why nothing was checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// No schemas of this version are here.
    #[error("the schemas of Kubernetes {version} are not known here; known are {oldest} to {newest}")]
    Version {
        /// The version that was asked for.
        version: Version,
        /// The oldest that is known.
        oldest: Version,
        /// The newest that is known.
        newest: Version,
    },
}

/// Everything that a cluster of this version would refuse, in the order of the objects; empty: it takes them all.
///
/// # Errors
///
/// [`CheckError::Version`] if the schemas of the version are not known; [`versions`] are.
pub fn check(objects: &[Object], version: Version) -> Result<Vec<Problem>, CheckError> {
    let schemas = Schemas::embedded();
    if !schemas.versions().contains(&version) {
        let (oldest, newest) = schemas.versions().into_inner();
        return Err(CheckError::Version { version, oldest, newest });
    }
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for object in objects {
        let mut report = Report::new(object);
        let identity = ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"]
            .map(|pointer| object.value.pointer(pointer).map(ToString::to_string));
        if !seen.insert(identity) {
            report.server(
                "metadata.name",
                "is that of another object of the kind; the second would replace the first",
            );
        }
        of_object(object, version, schemas, &mut report);
        problems.extend(report.finish());
    }
    Ok(problems)
}

/// The versions whose schemas are known, oldest first.
#[must_use]
pub fn versions() -> Vec<Version> {
    let (oldest, newest) = Schemas::embedded().versions().into_inner();
    (oldest.minor..=newest.minor).map(|minor| Version { major: oldest.major, minor }).collect()
}

fn of_object(object: &Object, version: Version, schemas: &'static Schemas, report: &mut Report<'_>) {
    let root = Node::root(&object.value);
    let kind = format!("{}/{}", root.text("apiVersion").unwrap_or_default(), object.kind());
    if let Some(name) = schemas.kind(&kind, version) {
        Walk { schemas, version, report }.object(name, &root);
    } else if let Some(rule) = rules::custom(&kind) {
        rules::metadata(&root, version, report);
        rule(&root, report);
    } else {
        report
            .schema("kind", format!("is `{kind}`, which neither Kubernetes {version} nor this check knows"));
    }
    rules::name(&root, report);
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: ", self.kind, self.name)?;
        if !self.field.is_empty() {
            write!(f, "`{}` ", self.field)?;
        }
        f.write_str(&self.rule)
    }
}
