//! A part of an object, with the place where it stands.
//!
//! What is absent, `null`, or of another type than the one asked for is all the same to a rule: the schema has had its say
//! about that.

use serde_json::Value;

/// A value within an object.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    /// As people write it: `spec.ports[0].name`.
    pub(super) path: String,
}

impl<'a> Node<'a> {
    /// The whole object.
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// A field of it.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Node { value, path: self.at(key) })
    }

    /// A field some levels down.
    pub(super) fn find(&self, keys: &[&str]) -> Option<Node<'a>> {
        keys.iter().try_fold(self.clone(), |node, key| node.get(key))
    }

    /// The text that it is.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// A field that is a text.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value.get(key)?.as_str()
    }

    /// A field that is a whole number.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.value.get(key)?.as_i64()
    }

    /// Whether a field is there at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Those of these fields that are there.
    pub(super) fn among<'k>(&self, keys: &[&'k str]) -> Vec<&'k str> {
        keys.iter().copied().filter(|key| self.has(key)).collect()
    }

    /// What a field lists.
    pub(super) fn items(&self, key: &str) -> Vec<Node<'a>> {
        let path = self.at(key);
        let values = self.value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let item = |(index, value)| Node { value, path: format!("{path}[{index}]") };
        values.iter().enumerate().map(item).collect()
    }

    /// What a field has by name.
    pub(super) fn entries(&self, key: &str) -> Vec<(&'a str, Node<'a>)> {
        let path = self.at(key);
        let entry = |(name, value): (&'a String, &'a Value)| {
            (name.as_str(), Node { value, path: entry_of(&path, name) })
        };
        self.value.get(key).and_then(Value::as_object).into_iter().flatten().map(entry).collect()
    }

    /// Where a field of it stands, or would.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Where an entry of a map stands; names have dots and slashes of their own.
pub(super) fn entry_of(path: &str, name: &str) -> String {
    format!("{path}[{name}]")
}
