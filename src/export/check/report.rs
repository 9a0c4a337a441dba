//! The problems of one object, as they are found.

use super::{Judge, Problem};
use crate::export::Object;

/// Where what is found goes.
#[derive(Debug)]
pub(super) struct Report<'a> {
    object: &'a Object,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(super) fn new(object: &'a Object) -> Self {
        Self { object, problems: Vec::new() }
    }

    /// What the schema of the kind refuses.
    pub(super) fn schema(&mut self, field: &str, rule: impl Into<String>) {
        self.add(Judge::Schema, field, rule.into());
    }

    /// What the server refuses, though the schema does not.
    pub(super) fn server(&mut self, field: &str, rule: impl Into<String>) {
        self.add(Judge::Server, field, rule.into());
    }

    pub(super) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    fn add(&mut self, judge: Judge, field: &str, rule: String) {
        let (kind, name) = (self.object.kind().to_owned(), self.object.name().to_owned());
        self.problems.push(Problem { kind, name, field: field.to_owned(), judge, rule });
    }
}
