//! A JSON value as a YAML document, as a person writes it, with comments above what they are about.
//!
//! Block style throughout; lists begin in the column of their key, as in the handbook. A text of several lines is a literal
//! block. A template of Helm's has [`Hole`]s where values come in, and all other braces are escaped.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{COMMENT_WIDTH, order, scalar};
use crate::export::Comment;

/// A place in a template where a value comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hole {
    /// The text of an expression, for a scalar.
    Scalar(String),
    /// The text of an expression that gives a map.
    Map(String),
}

/// Holes by the JSON pointers of what they stand for.
pub(super) type Holes = BTreeMap<String, Hole>;

/// What writes one document.
struct Writer<'a> {
    text: String,
    /// By JSON pointer.
    comments: BTreeMap<String, Vec<&'a str>>,
    /// `Some` in a template.
    holes: Option<&'a Holes>,
}

/// The document, ending with a line's end. A comment whose place is not there stands above the next greater one that is.
#[must_use]
pub fn document(value: &Value, comments: &[Comment]) -> String {
    write(value, comments, None)
}

/// The document as a template of Helm's.
pub(super) fn template(value: &Value, comments: &[Comment], holes: &Holes) -> String {
    write(value, comments, Some(holes))
}

/// The text as comment lines in this column, as many as it needs.
pub(super) fn comment(out: &mut String, column: usize, text: &str) {
    let pad = " ".repeat(column);
    // What hangs below the first line of an item is indented as its text.
    let hanging =
        text.len() - text.trim_start().len() + if text.trim_start().starts_with("- ") { 2 } else { 0 };
    let mut line = format!("{pad}# {}", &text[..text.len() - text.trim_start().len()]);
    let mut is_empty = true;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > COMMENT_WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = format!("{pad}# {}", " ".repeat(hanging));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn write(value: &Value, comments: &[Comment], holes: Option<&Holes>) -> String {
    let mut placed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for comment in comments {
        let mut at = comment.at.as_str();
        while !at.is_empty() && value.pointer(at).is_none() {
            at = at.rfind('/').map_or("", |end| &at[..end]);
        }
        placed.entry(at.to_owned()).or_default().push(&comment.text);
    }
    let mut writer = Writer { text: String::new(), comments: placed, holes };
    writer.comment("", 0);
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, "", "", 0, false),
        Value::Array(items) if !items.is_empty() => writer.list(items, "", 0),
        other => {
            let text = writer.scalar(other, "", 0);
            writer.text.push_str(&text);
            writer.text.push('\n');
        }
    }
    writer.text
}

impl Writer<'_> {
    /// A map whose keys begin in this column; the first one's line has begun if `is_begun`.
    fn map(&mut self, map: &Map<String, Value>, at: &str, parent: &str, column: usize, mut is_begun: bool) {
        for (key, value) in order::ordered(map, parent) {
            let below = pointer(at, key);
            if !is_begun {
                self.comment(&below, column);
                self.pad(column);
            }
            is_begun = false;
            let written = self.escaped(&scalar::inline(key)).into_owned();
            self.text.push_str(&written);
            self.text.push(':');
            self.value(value, &below, key, column);
        }
    }

    fn list(&mut self, items: &[Value], at: &str, column: usize) {
        for (index, item) in items.iter().enumerate() {
            let below = format!("{at}/{index}");
            self.comment(&below, column);
            match item {
                Value::Object(map) if !map.is_empty() && !self.is_hole(&below) => {
                    // Between the dash and the first key there is no line for what is said of that.
                    if let Some((key, _)) = order::ordered(map, "").first() {
                        self.comment(&pointer(&below, key), column);
                    }
                    self.pad(column);
                    self.text.push_str("- ");
                    self.map(map, &below, "", column + 2, true);
                }
                Value::Array(inner) if !inner.is_empty() => {
                    self.pad(column);
                    self.text.push_str("-\n");
                    self.list(inner, &below, column + 2);
                }
                other => {
                    self.pad(column);
                    self.text.push('-');
                    self.value(other, &below, "", column);
                }
            }
        }
    }

    /// What stands behind a `key:` or a dash in this column, to the end of its last line.
    fn value(&mut self, value: &Value, at: &str, key: &str, column: usize) {
        match value {
            Value::Object(map) if !map.is_empty() && !self.is_hole(at) => {
                self.text.push('\n');
                self.map(map, at, key, column + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                self.text.push('\n');
                self.list(items, at, column);
            }
            other => {
                let text = self.scalar(other, at, column);
                self.text.push(' ');
                self.text.push_str(&text);
                if !text.ends_with('\n') {
                    self.text.push('\n');
                }
            }
        }
    }

    fn scalar(&self, value: &Value, at: &str, column: usize) -> String {
        match self.holes.and_then(|holes| holes.get(at)) {
            Some(Hole::Scalar(expression)) => return format!("{{{{ {expression} }}}}"),
            Some(Hole::Map(expression)) => {
                return format!("{{{{- toYaml ({expression}) | nindent {} }}}}", column + 2);
            }
            None => {}
        }
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => self::number(number),
            Value::Array(_) => "[]".to_owned(),
            Value::Object(_) => "{}".to_owned(),
            Value::String(text) => match scalar::block(text).filter(|_| !at.is_empty()) {
                Some(indicator) => {
                    let mut block = format!("{indicator}\n");
                    for line in text.split_inclusive('\n') {
                        if line != "\n" {
                            block.push_str(&" ".repeat(column + 2));
                        }
                        block.push_str(&self.escaped(line));
                    }
                    if !block.ends_with('\n') {
                        block.push('\n');
                    }
                    block
                }
                None => self.escaped(&scalar::inline(text)).into_owned(),
            },
        }
    }

    /// What is said of this place, once.
    fn comment(&mut self, at: &str, column: usize) {
        for text in self.comments.remove(at).unwrap_or_default() {
            let text = if self.holes.is_some() { Cow::Owned(unbraced(text)) } else { Cow::Borrowed(text) };
            comment(&mut self.text, column, &text);
        }
    }

    /// In a template braces that are meant as such are said so.
    fn escaped<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.holes.is_some() { escape(text) } else { text.into() }
    }

    fn is_hole(&self, at: &str) -> bool {
        self.holes.is_some_and(|holes| holes.contains_key(at))
    }

    fn pad(&mut self, column: usize) {
        self.text.extend(std::iter::repeat_n(' ', column));
    }
}

/// The text in a template of Helm's, which gives it back as it is.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains("{{") { text.replace("{{", r#"{{ "{{" }}"#).into() } else { text.into() }
}

/// The text for a comment in a template, where an expression could be broken over two lines.
pub(super) fn unbraced(text: &str) -> String {
    text.replace("{{", "{ {")
}

/// The place of a key below another (RFC 6901).
pub(super) fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// As every parser reads it: YAML 1.1 wants a point and a sign in what has an exponent.
fn number(number: &Number) -> String {
    let text = number.to_string();
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}
