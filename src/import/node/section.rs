//! A mapping of which keys are taken one by one.

use super::super::findings::{Findings, Place};
use super::{Key, Node, Value};
use crate::manifest::nearest;

/// What begins so is somebody's own, and means nothing to anybody else.
const OWN_PREFIX: &str = "x-";

/// A mapping, and what was asked of it.
#[derive(Debug)]
pub(in super::super) struct Section<'n> {
    /// As a person names it: "service `web`".
    title: String,
    pub(in super::super) at: Place,
    left: Vec<(&'n Key, &'n Node)>,
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// Null is an empty mapping; what is no mapping is a problem, and empty too.
    pub(in super::super) fn new(title: impl Into<String>, node: &'n Node, findings: &mut Findings) -> Self {
        let title = title.into();
        let left = match &node.value {
            Value::Map(map) => map.iter().map(|(key, node)| (key, node)).collect(),
            Value::Null => Vec::new(),
            _ => {
                findings.problem(&node.at, format!("{title} is {}; it takes a mapping", node.kind()));
                Vec::new()
            }
        };
        Self { title, at: node.at.clone(), left, known: Vec::new() }
    }

    /// The key's value, unless it is null or not there.
    pub(in super::super) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.take_key(key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// The key's value with the key, which is the better place for a note about a mapping.
    pub(in super::super) fn take_key(&mut self, key: &'static str) -> Option<(&'n Key, &'n Node)> {
        self.known.push(key);
        let at = self.left.iter().position(|(known, _)| known.text == key)?;
        Some(self.left.remove(at))
    }

    /// Names a key as not carried, if it is there and says more than nothing.
    pub(in super::super) fn lose(&mut self, key: &'static str, instead: &str, findings: &mut Findings) {
        if let Some((found, node)) = self.take_key(key)
            && !is_empty(node)
        {
            findings.lost(&found.at, format!("`{key}` of {}", self.title), instead);
        }
    }

    /// Names whatever nobody asked for.
    pub(in super::super) fn finish(self, findings: &mut Findings) {
        for (key, _) in self.left {
            if key.text.starts_with(OWN_PREFIX) {
                continue;
            }
            let hint = nearest(&key.text, self.known.iter().copied())
                .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
            findings.lost(&key.at, format!("unknown key `{}` of {}", key.text, self.title), &hint);
        }
    }
}

/// Whether it says what is so anyway.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}
