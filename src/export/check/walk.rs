//! The way through an object along the schema of its kind.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::{Node, entry_of};
use super::report::Report;
use super::schema::{Elsewhere, Field, Schemas, Shape};
use super::{quantity, rules, syntax, values};
use crate::export::Version;
use crate::manifest::nearest;

/// What a field has by which items of a list are told apart, where an item does not say.
const KEY_DEFAULTS: &[(&str, &str)] = &[("protocol", "TCP")];

/// Looks at every field, and asks the rules of each type.
#[derive(Debug)]
pub(super) struct Walk<'r, 'o> {
    pub(super) schemas: &'static Schemas,
    pub(super) version: Version,
    pub(super) report: &'r mut Report<'o>,
}

impl Walk<'_, '_> {
    /// A value that is to be of this type.
    pub(super) fn object(&mut self, name: &str, node: &Node<'_>) {
        let Value::Object(entries) = node.value else {
            self.wrong_type(&Shape::Object(name.to_owned()), node);
            return;
        };
        let fields = self.schemas.fields(name, self.version);
        if fields.is_empty() {
            return;
        }
        for (key, value) in entries {
            let inner = Node { value, path: node.at(key) };
            match fields.iter().find(|field| field.name == *key) {
                Some(_) if value.is_null() => {}
                Some(field) => self.field(name, field, &inner),
                None => self.unknown(name, key, &fields, &inner.path),
            }
        }
        for field in fields.iter().filter(|field| field.is_required && !node.has(&field.name)) {
            self.report.schema(&node.at(&field.name), "is missing");
        }
        rules::of_type(name, node, self.version, self.report);
    }

    fn field(&mut self, name: &str, field: &Field, node: &Node<'_>) {
        self.value(&field.shape, node);
        if let Some(keys) = &field.keys {
            self.unique(keys, node);
        }
        if let (Some(allowed), Some(text)) = (values::allowed(name, &field.name), node.as_text())
            && !allowed.contains(&text)
        {
            self.report.server(&node.path, format!("is `{text}`; one of {}", syntax::listed(allowed)));
        }
    }

    fn value(&mut self, shape: &Shape, node: &Node<'_>) {
        let value = node.value;
        let fits = match shape {
            Shape::Object(name) => {
                self.object(name, node);
                return;
            }
            Shape::List(inner) => match value {
                Value::Array(items) => {
                    for (index, value) in items.iter().enumerate() {
                        self.value(inner, &Node { value, path: format!("{}[{index}]", node.path) });
                    }
                    true
                }
                _ => false,
            },
            Shape::Map(inner) => match value {
                Value::Object(entries) => {
                    for (key, value) in entries {
                        self.value(inner, &Node { value, path: entry_of(&node.path, key) });
                    }
                    true
                }
                _ => false,
            },
            Shape::Boolean => value.is_boolean(),
            Shape::Int32 => {
                if value.as_i64().is_some_and(|number| i32::try_from(number).is_err()) {
                    self.report.server(&node.path, format!("is {value}, which is no 32-bit number"));
                }
                value.is_i64() || value.is_u64()
            }
            Shape::Int64 => value.is_i64() || value.is_u64(),
            Shape::IntOrString => value.is_i64() || value.is_u64() || value.is_string(),
            Shape::Quantity => {
                if let Some(text) = value.as_str().filter(|text| quantity::parse(text).is_none()) {
                    self.report.server(
                        &node.path,
                        format!("is `{text}`, which is no quantity such as `256Mi` or `500m`"),
                    );
                }
                value.is_number() || value.is_string()
            }
            Shape::Bytes => {
                if value.as_str().is_some_and(|text| !syntax::is_base64(text)) {
                    // Not what it is: that is a secret.
                    self.report.server(&node.path, "is not base64");
                }
                value.is_string()
            }
            Shape::String => value.is_string(),
        };
        if !fits {
            self.wrong_type(shape, node);
        }
    }

    /// Two items of a list that the server takes for one.
    fn unique(&mut self, keys: &[String], list: &Node<'_>) {
        let mut seen = BTreeSet::new();
        for (index, item) in list.value.as_array().into_iter().flatten().enumerate() {
            let key_of = |key: &String| {
                let default =
                    KEY_DEFAULTS.iter().find(|(name, _)| name == key).map(|(_, value)| Value::from(*value));
                item.get(key).cloned().or(default).unwrap_or_default().to_string()
            };
            let identity =
                if keys.is_empty() { vec![item.to_string()] } else { keys.iter().map(key_of).collect() };
            if !seen.insert(identity.clone()) {
                let told: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
                let rule = if told.is_empty() {
                    "is there already; each item once".to_owned()
                } else {
                    format!("has the {} of another one, {}", told.join(" and "), identity.join(" and "))
                };
                self.report.server(&format!("{}[{index}]", list.path), rule);
            }
        }
    }

    fn unknown(&mut self, name: &str, key: &str, fields: &[&Field], path: &str) {
        let version = self.version;
        let rule = match self.schemas.elsewhere(name, key, version) {
            Some(Elsewhere::Since(first)) => {
                format!("is known since Kubernetes {first}, and this is for {version}")
            }
            Some(Elsewhere::Until(last)) => {
                format!("is known up to Kubernetes {last} alone, and this is for {version}")
            }
            None => {
                let known = fields.iter().map(|field| field.name.as_str());
                let meant = nearest(key, known).map(|near| format!("; did you mean `{near}`?"));
                format!("is no field that there is{}", meant.unwrap_or_default())
            }
        };
        self.report.schema(path, rule);
    }

    fn wrong_type(&mut self, shape: &Shape, node: &Node<'_>) {
        let found = match node.value {
            Value::Null => "null",
            Value::Bool(_) => "`true` or `false`",
            Value::Number(number) if number.is_f64() => "a fraction",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.report.schema(&node.path, format!("is {found}; it takes {}", shape.noun()));
    }
}
