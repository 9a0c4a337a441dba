//! TOML.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::super::findings::{Place, Problem};
use super::{Key, Node, Value};

/// The document of a text.
///
/// # Errors
///
/// What is not TOML, with its line.
pub(in super::super) fn read(file: &str, text: &str) -> Result<Node, Problem> {
    let reader = Reader { file: Arc::from(file), text };
    match DeTable::parse(text) {
        Ok(document) => Ok(reader.table(reader.place(&(0..0)), document.get_ref())),
        Err(error) => Err(Problem {
            at: reader.place(&error.span().unwrap_or(0..0)),
            message: format!("not valid TOML: {}", error.message()),
        }),
    }
}

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
}

impl Reader<'_> {
    fn place(&self, at: &Range<usize>) -> Place {
        let line =
            self.text.as_bytes()[..at.start.min(self.text.len())].iter().filter(|b| **b == b'\n').count();
        Place { file: Arc::clone(&self.file), line: line + 1 }
    }

    /// In the order of the text.
    fn table(&self, at: Place, table: &DeTable<'_>) -> Node {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            let at = self.place(&key.span());
            let node = self.value(at.clone(), value.get_ref());
            (Key { at, text: key.get_ref().to_string() }, node)
        });
        Node::new(at, Value::Map(entries.collect()))
    }

    fn value(&self, at: Place, value: &DeValue<'_>) -> Node {
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Text(number.to_string()),
            },
            DeValue::Float(number) => {
                number.as_str().parse().map_or_else(|_| Value::Text(number.to_string()), Value::Float)
            }
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Array(list) => Value::List(
                list.iter().map(|item| self.value(self.place(&item.span()), item.get_ref())).collect(),
            ),
            DeValue::Table(table) => return self.table(at, table),
        };
        Node::new(at, value)
    }
}
