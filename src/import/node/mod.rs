//! A document of YAML, JSON or TOML, with the line of each of its values.
//!
//! The formats differ in how they are written, not in what they say, so all readers read a [`Node`]. A [`Section`] is a
//! mapping of which keys are taken one by one; what is left at its end is unknown, and named as not carried.

mod section;
mod toml;
mod yaml;

use std::sync::Arc;

use super::findings::{Findings, Place};

pub(super) use section::Section;
pub(super) use toml::read as read_toml;
pub(super) use yaml::read as read_yaml;

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) tag: Option<Tag>,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) at: Place,
    pub(super) text: String,
}

/// What compose has a value mean when files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// `!reset`: as if it had never been said.
    Reset,
    /// `!override`: not merged with what was said before.
    Override,
}

impl Node {
    pub(super) fn new(at: Place, value: Value) -> Self {
        Self { at, tag: None, value }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn map(&self) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.map()?.iter().find(|(known, _)| known.text == key).map(|(_, node)| node)
    }

    /// A scalar as it is written; `None` for null, lists and mappings.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A scalar; anything else is a problem.
    pub(super) fn string(&self, what: &str, findings: &mut Findings) -> Option<String> {
        let scalar = self.scalar();
        if scalar.is_none() {
            findings.problem(&self.at, format!("{what} is {}; it takes a text", self.kind()));
        }
        scalar
    }

    /// True or false, also as a text that an interpolation left.
    pub(super) fn boolean(&self, what: &str, findings: &mut Findings) -> Option<bool> {
        let flag = match self.scalar().as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        if flag.is_none() {
            findings.problem(&self.at, format!("{what} is {}; it takes true or false", self.shown()));
        }
        flag
    }

    /// A whole number within the bounds.
    pub(super) fn count(&self, what: &str, (min, max): (u32, u32), findings: &mut Findings) -> Option<u32> {
        let number = self.scalar().and_then(|text| text.parse().ok());
        let found = number.filter(|number| (min..=max).contains(number));
        if found.is_none() {
            let rule = format!("{what} is {}; it takes a whole number from {min} to {max}", self.shown());
            findings.problem(&self.at, rule);
        }
        found
    }

    /// A port.
    pub(super) fn port(&self, what: &str, findings: &mut Findings) -> Option<u16> {
        self.count(what, (1, 65_535), findings).and_then(|port| u16::try_from(port).ok())
    }

    /// A list of texts, or one text.
    pub(super) fn strings(&self, what: &str, findings: &mut Findings) -> Vec<(String, Place)> {
        match &self.value {
            Value::Null => Vec::new(),
            Value::List(list) => {
                list.iter().filter_map(|node| Some((node.string(what, findings)?, node.at.clone()))).collect()
            }
            _ => self.string(what, findings).map(|text| (text, self.at.clone())).into_iter().collect(),
        }
    }

    /// A value for a message: short scalars as they are.
    pub(super) fn shown(&self) -> String {
        self.scalar().map_or_else(|| self.kind().to_owned(), |text| format!("`{}`", text.escape_debug()))
    }

    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "empty",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Calls this with every node, parents first.
    pub(super) fn visit(&mut self, change: &mut impl FnMut(&mut Self)) {
        change(self);
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|node| node.visit(change)),
            Value::Map(map) => map.iter_mut().for_each(|(_, node)| node.visit(change)),
            _ => {}
        }
    }

    /// Says which file all of it stands in.
    fn locate(&mut self, file: &Arc<str>) {
        self.at.file = Arc::clone(file);
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|node| node.locate(file)),
            Value::Map(map) => {
                for (key, node) in map {
                    key.at.file = Arc::clone(file);
                    node.locate(file);
                }
            }
            _ => {}
        }
    }
}
