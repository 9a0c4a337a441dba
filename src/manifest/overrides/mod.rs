//! Settings of `[proxy]` that were made by command, over those of the manifest.
//!
//! [`Overrides`] keeps the words as they were given: keys, each with its value as TOML, for the whole app and for single
//! routes. What they mean is read by the code that reads the manifest, over whatever manifest there is by then, so that both
//! have the same rules and the same messages. A key of a route goes before the same key of the app, and either before all that
//! the manifest says.
//!
//! A setting was valid when it was made; a later manifest may make it impossible (a timeout that is longer than the manifest's
//! new one for the whole request). Such a setting is kept and ignored, and [`Overrides::apply`] says so. The others hold.
//!
//! Values may be secrets: nothing here prints one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::proxy;
use super::read::{Report, Table};
use super::references::References;
use super::{Problem, Source};
use crate::name::{Host, PathPrefix};
use crate::policy::Policy;

/// Problems of settings stand in no file.
const FILE: &str = "";
/// A value that begins so is meant to be TOML; any other that is none is a string.
const TOML_STARTS: [char; 4] = ['[', '{', '"', '\''];

/// Host and path of a route.
pub type RouteName = (Host, PathPrefix);

/// All that was set by command for one app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// For all of its routes.
    pub app: Settings,
    /// For single ones, also for those that the app does not have now.
    pub routes: BTreeMap<RouteName, Settings>,
}

/// Keys with values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Keys of `[proxy]`, each with its value as TOML.
    pub values: BTreeMap<String, String>,
    /// The texts of the files that a value names, by the paths in it.
    pub files: BTreeMap<String, String>,
}

/// A setting that was made and does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The key.
    pub key: String,
    /// Why; never empty.
    pub problems: Vec<Problem>,
}

/// Which keys a manifest has in its `[proxy]` tables, with their values as they are written there; without those that are more
/// than a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyKeys {
    /// In `[proxy]`.
    pub app: BTreeMap<String, Option<String>>,
    /// In each `[route.proxy]`, in the order of the routes.
    pub routes: Vec<BTreeMap<String, Option<String>>>,
}

// === impl Overrides ===

impl Overrides {
    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.app.is_empty() && self.routes.values().all(Settings::is_empty)
    }

    /// Every key that is set for the app or a route.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<&str> {
        let all = std::iter::once(&self.app).chain(self.routes.values());
        all.flat_map(|settings| settings.values.keys()).map(String::as_str).collect()
    }

    /// The settings of a route, or of the app.
    #[must_use]
    pub fn of(&self, route: Option<&RouteName>) -> Option<&Settings> {
        match route {
            None => Some(&self.app),
            Some(route) => self.routes.get(route),
        }
    }

    /// Changes the settings of a route, or of the app; a route that is left without any is forgotten.
    pub fn change<T>(&mut self, route: Option<&RouteName>, change: impl FnOnce(&mut Settings) -> T) -> T {
        let settings = match route {
            None => &mut self.app,
            Some(route) => self.routes.entry(route.clone()).or_default(),
        };
        let result = change(settings);
        self.routes.retain(|_, settings| !settings.is_empty());
        result
    }

    /// What holds for a route whose manifest says `base`, and which settings of the app or the route do not.
    #[must_use]
    pub fn apply(&self, route: &RouteName, base: &Arc<Policy>) -> (Arc<Policy>, Vec<Ignored>) {
        let settings = [Some(&self.app), self.routes.get(route)];
        let (mut policy, mut ignored) = (Arc::clone(base), Vec::new());
        for settings in settings.into_iter().flatten().filter(|settings| !settings.is_empty()) {
            let (over, not) = settings.apply(&policy);
            policy = Arc::new(over);
            ignored.extend(not);
        }
        (policy, ignored)
    }
}

// === impl Settings ===

impl Settings {
    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What holds where `base` would hold without these, and which of them do not.
    #[must_use]
    pub fn apply(&self, base: &Policy) -> (Policy, Vec<Ignored>) {
        let mut values: Vec<(&str, &str)> =
            self.values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut ignored = Vec::new();
        loop {
            let (policy, problems) = self.read(&values, base);
            if problems.is_empty() {
                return (policy, ignored);
            }
            // The others may hold without those that have a problem, and must be read together: a timeout bounds another.
            let (before, mut end) = (values.len(), 0);
            values.retain(|(key, value)| {
                let start = end + 1;
                end = start + value.matches('\n').count();
                let own: Vec<_> =
                    problems.iter().filter(|found| (start..=end).contains(&found.line)).cloned().collect();
                let is_good = own.is_empty();
                if !is_good {
                    ignored.push(Ignored { key: (*key).to_owned(), problems: own });
                }
                is_good
            });
            if values.len() == before {
                let all = values.drain(..);
                ignored
                    .extend(all.map(|(key, _)| Ignored { key: key.to_owned(), problems: problems.clone() }));
            }
        }
    }

    /// The files that the values name, in no particular order.
    #[must_use]
    pub fn wanted_files(&self) -> BTreeSet<String> {
        let values: Vec<_> = self.values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut references = References::new(&self.files);
        // What is wrong with them is said where they are applied.
        let _ = read(&values, &Policy::default(), &mut references);
        references.wanted.into_iter().map(|wanted| wanted.path).collect()
    }

    /// Takes these over its own, and forgets the files that none names any more.
    pub fn merge(&mut self, other: Self) {
        self.values.extend(other.values);
        self.files.extend(other.files);
        self.forget_files();
    }

    /// Takes these keys out.
    pub fn remove(&mut self, keys: &[String]) {
        self.values.retain(|key, _| !keys.contains(key));
        self.forget_files();
    }

    fn forget_files(&mut self) {
        let wanted = self.wanted_files();
        self.files.retain(|path, _| wanted.contains(path));
    }

    fn read(&self, values: &[(&str, &str)], base: &Policy) -> (Policy, Vec<Problem>) {
        read(values, base, &mut References::new(&self.files))
    }
}

impl fmt::Debug for Settings {
    /// Without the values: there are secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("keys", &self.values.keys())
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

// === impl ProxyKeys ===

impl ProxyKeys {
    /// The keys in a valid manifest; those of one that is none are not all told.
    #[must_use]
    pub fn of(source: &Source) -> Self {
        let text = source.toml.as_deref().unwrap_or("");
        let Ok(document) = DeTable::parse(text) else { return Self::default() };
        // A table with a title of its own is not one value.
        let written = |value: &Spanned<DeValue<'_>>| {
            let written =
                text.get(value.span()).filter(|written| is_value(written) && !written.contains('\n'));
            written.map(str::to_owned)
        };
        let keys = |table: &DeTable<'_>| {
            let proxy = table.get("proxy").and_then(|value| value.get_ref().as_table());
            let entries = proxy.into_iter().flat_map(|proxy| proxy.iter());
            entries
                .map(|(key, value)| (key.get_ref().to_string(), written(value)))
                .collect::<BTreeMap<_, _>>()
        };
        let root = document.get_ref();
        let routes = root.get("route").and_then(|value| value.get_ref().as_array());
        let routes = routes.into_iter().flat_map(|routes| routes.iter());
        Self {
            app: keys(root),
            routes: routes.filter_map(|route| route.get_ref().as_table()).map(keys).collect(),
        }
    }
}

/// `KEY=VALUE`, as a person types it: the key, and the value as TOML. A bare word that is no TOML is a string.
///
/// # Errors
///
/// A sentence that says what to write instead, without the value.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!("`{text}` is no setting; write `key=value`, such as `body_max=20M`"));
    };
    let (key, value) = (key.trim(), value.trim());
    if is_value(value) {
        Ok((key.to_owned(), value.to_owned()))
    } else if value.starts_with(TOML_STARTS) {
        Err(format!("the value of `{key}` is not valid TOML; in a shell it stands in quotes, as `'{key}=…'`"))
    } else {
        Ok((key.to_owned(), quoted(value)))
    }
}

/// Whether the text is one value in TOML.
#[must_use]
pub fn is_value(text: &str) -> bool {
    DeTable::parse(&format!("v = {text}\n")).is_ok_and(|document| document.get_ref().len() == 1)
}

/// The text as a string in TOML.
#[must_use]
pub fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's, but for the one control character that JSON leaves as it is.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Reads one key a line, or more lines where a value has them.
fn read(values: &[(&str, &str)], base: &Policy, references: &mut References<'_>) -> (Policy, Vec<Problem>) {
    let text: String = values.iter().map(|(key, value)| format!("{} = {value}\n", quoted(key))).collect();
    let mut problems = Vec::new();
    let mut report = Report::new(FILE, &text, &mut problems);
    let policy = match DeTable::parse(&text) {
        Ok(document) => {
            proxy::policy(Table::new("[proxy]", document.get_ref()), base, references, &mut report)
        }
        Err(error) => {
            let message = format!("not valid TOML: {}", error.message());
            report.problem(&error.span().unwrap_or(0..0), message, None);
            base.clone()
        }
    };
    (policy, problems)
}
