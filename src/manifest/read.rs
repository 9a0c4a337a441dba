//! A reader over a parsed TOML document that remembers which keys were asked for.
//!
//! Each `take` names a key and the kind of value it holds; [`Table::finish`] then reports whatever is left as unknown, with
//! the nearest key that was asked for. So the schema is written once, as the code that reads it, and cannot disagree with
//! its error messages. The server's settings are read with it, too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Problem, quantity};

/// Names at most this many edits apart are suggested for one another.
const SUGGESTION_DISTANCE_MAX: usize = 3;

/// Where problems of one text are put, with their lines.
pub(crate) struct Report<'a> {
    file: &'static str,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

/// One table of the document.
pub(crate) struct Table<'d> {
    /// As a person writes it: `[process.web]`.
    title: String,
    left: BTreeMap<&'d str, Entry<'d>>,
    known: Vec<&'static str>,
}

/// One value, with the key that holds it.
#[derive(Clone)]
pub(crate) struct Entry<'d> {
    key: &'d str,
    key_span: Range<usize>,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'static str, text: &'a str, problems: &'a mut Vec<Problem>) -> Self {
        Self { file, text, problems }
    }

    /// From 1.
    pub(crate) fn line(&self, at: &Range<usize>) -> usize {
        self.text[..at.start.min(self.text.len())].matches('\n').count() + 1
    }

    pub(crate) fn problem(&mut self, at: &Range<usize>, message: String, hint: Option<String>) {
        let line = self.line(at);
        self.problems.push(Problem { file: self.file, line, message, hint });
    }
}

impl<'d> Table<'d> {
    pub(crate) fn new(title: impl Into<String>, table: &'d DeTable<'d>) -> Self {
        let left = table
            .iter()
            .map(|(key, value)| {
                let name: &str = key.get_ref();
                (name, Entry { key: name, key_span: key.span(), value })
            })
            .collect();
        Self { title: title.into(), left, known: Vec::new() }
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<Entry<'d>> {
        self.known.push(key);
        self.left.remove(key)
    }

    /// Puts what `read` makes of the key's value there; without the key, or with a bad value, what is there stays.
    pub(crate) fn set<T>(
        &mut self,
        key: &'static str,
        place: &mut T,
        read: impl FnOnce(&Entry<'d>) -> Option<T>,
    ) {
        if let Some(value) = self.take(key).and_then(|entry| read(&entry)) {
            *place = value;
        }
    }

    /// Every entry, for tables whose keys are names that the author chose.
    pub(crate) fn take_all(&mut self) -> Vec<Entry<'d>> {
        std::mem::take(&mut self.left).into_values().collect()
    }

    /// Reports the keys that nothing asked for.
    pub(crate) fn finish(self, report: &mut Report<'_>) {
        for (key, entry) in self.left {
            let hint = nearest(key, self.known.iter().copied()).map_or_else(
                || format!("known here: {}", quoted(&self.known)),
                |near| format!("did you mean `{near}`?"),
            );
            report.problem(&entry.key_span, format!("unknown key `{key}` in {}", self.title), Some(hint));
        }
    }
}

impl<'d> Entry<'d> {
    pub(crate) fn key(&self) -> &'d str {
        self.key
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.key_span.clone()
    }

    fn wrong_type(&self, report: &mut Report<'_>, takes: &str) {
        let is = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        report.problem(&self.key_span, format!("`{}` is {is}; it takes {takes}", self.key), None);
    }

    pub(crate) fn string(&self, report: &mut Report<'_>) -> Option<String> {
        self.string_such_as(report, "a string")
    }

    fn string_such_as(&self, report: &mut Report<'_>, takes: &str) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong_type(report, takes);
                None
            }
        }
    }

    pub(crate) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        if self.flag().is_none() {
            self.wrong_type(report, "`true` or `false`");
        }
        self.flag()
    }

    /// A whole number within the range, both ends included.
    pub(crate) fn integer(&self, report: &mut Report<'_>, range: (i64, i64)) -> Option<i64> {
        let DeValue::Integer(digits) = self.value.get_ref() else {
            self.wrong_type(report, &format!("a whole number such as `{}`", range.0.max(1)));
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        match number.filter(|n| (range.0..=range.1).contains(n)) {
            Some(number) => Some(number),
            None => {
                let message = format!("`{}` is {digits}; it takes {} to {}", self.key, range.0, range.1);
                report.problem(&self.key_span, message, None);
                None
            }
        }
    }

    /// A number, whole or not.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value.get_ref() {
            DeValue::Integer(digits) => {
                i32::from_str_radix(digits.as_str(), digits.radix()).ok().map(f64::from)
            }
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => None,
        }
    }

    /// A count within the range, both ends included.
    pub(crate) fn count(&self, report: &mut Report<'_>, range: (u32, u32)) -> Option<u32> {
        let number = self.integer(report, (range.0.into(), range.1.into()))?;
        Some(u32::try_from(number).expect("both ends of the range fit"))
    }

    /// A string that this function can read; its error is the message.
    pub(crate) fn parsed<T, E: ToString>(
        &self,
        report: &mut Report<'_>,
        takes: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string_such_as(report, takes)?;
        self.checked(report, parse(&text))
    }

    /// The value, or its error reported here.
    pub(crate) fn checked<T, E: ToString>(&self, report: &mut Report<'_>, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| report.problem(&self.key_span, error.to_string(), None)).ok()
    }

    /// One of these words.
    pub(crate) fn one_of<T: Copy>(&self, report: &mut Report<'_>, words: &[(&str, T)]) -> Option<T> {
        let all = quoted(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>());
        let text = self.string_such_as(report, &format!("one of {all}"))?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let hint = nearest(&text, words.iter().map(|(word, _)| *word));
            let message = format!("`{}` is `{text}`; it takes one of {all}", self.key);
            report.problem(&self.key_span, message, hint.map(|near| format!("did you mean `{near}`?")));
        }
        found.map(|(_, value)| *value)
    }

    pub(crate) fn port(&self, report: &mut Report<'_>) -> Option<u16> {
        self.integer(report, (1, 65_535)).and_then(|number| u16::try_from(number).ok())
    }

    pub(crate) fn duration(&self, report: &mut Report<'_>) -> Option<Duration> {
        self.parsed(report, "a duration such as `\"30s\"`", quantity::duration)
    }

    pub(crate) fn positive_duration(&self, report: &mut Report<'_>) -> Option<Duration> {
        let found = self.duration(report)?;
        if found.is_zero() {
            let message = format!("`{}` is zero; it takes a duration such as `\"1s\"`", self.key);
            report.problem(&self.key_span, message, None);
            return None;
        }
        Some(found)
    }

    pub(crate) fn strings(&self, report: &mut Report<'_>) -> Option<Vec<String>> {
        Some(self.spanned_strings(report)?.into_iter().map(|(_, text)| text).collect())
    }

    /// A list of strings that this function can read; each error is reported at its own line.
    pub(crate) fn list<T, E: ToString>(
        &self,
        report: &mut Report<'_>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let strings = self.spanned_strings(report)?;
        let parsed = strings.into_iter().filter_map(|(span, text)| {
            parse(&text).map_err(|error| report.problem(&span, error.to_string(), None)).ok()
        });
        Some(parsed.collect())
    }

    fn spanned_strings(&self, report: &mut Report<'_>) -> Option<Vec<(Range<usize>, String)>> {
        let strings = self.as_array().and_then(|values| {
            values
                .iter()
                .map(|value| match value.get_ref() {
                    DeValue::String(text) => Some((value.span(), text.to_string())),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()
        });
        if strings.is_none() {
            self.wrong_type(report, "a list of strings");
        }
        strings
    }

    /// The value if it is `true` or `false`.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn is_string(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }

    /// `Some(None)` for `false`, which turns off what would hold else; else what `read` makes of the value.
    pub(crate) fn or_off<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag() == Some(false) { Some(None) } else { read(self).map(Some) }
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    pub(crate) fn is_array(&self) -> bool {
        self.as_array().is_some()
    }

    fn as_array(&self) -> Option<&'d [Spanned<DeValue<'d>>]> {
        match self.value.get_ref() {
            DeValue::Array(values) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn table(&self, report: &mut Report<'_>, title: impl Into<String>) -> Option<Table<'d>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Table::new(title, table)),
            _ => {
                self.wrong_type(report, "a table");
                None
            }
        }
    }

    /// `[[key]]`: the tables, each with the place where it starts.
    pub(crate) fn tables(&self, report: &mut Report<'_>, title: &str) -> Vec<(Range<usize>, Table<'d>)> {
        let tables = self.as_array().and_then(|values| {
            values
                .iter()
                .map(|value| match value.get_ref() {
                    DeValue::Table(table) => Some((value.span(), Table::new(title, table))),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()
        });
        tables.unwrap_or_else(|| {
            self.wrong_type(report, &format!("tables, each under its own `[[{}]]`", self.key));
            Vec::new()
        })
    }
}

/// The candidate that is fewest edits away, if any is near enough to have been meant.
pub(crate) fn nearest<'c>(text: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= SUGGESTION_DISTANCE_MAX.min(candidate.len() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}

fn quoted(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
