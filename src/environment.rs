//! An app's variables: what `minipaas config` sets, over the manifest's `[env]`.
//!
//! An [`Environment`] is part of a release and as immutable as it is; an [`EnvironmentChange`] makes the next one of it. A
//! variable is plain, or secret: a secret is never shown again, and reaches the app as a file below `/run/secrets`, also as a
//! variable if that was wanted. Values are wiped when they are dropped, and no `Debug` shows one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// Where secrets are files inside a container, each under its variable's name.
pub const SECRETS_DIR: &str = "/run/secrets";
/// A value of this size is data, not configuration; Linux allows 128 KiB for one variable.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// All values of an app together: Linux gives a process a few MiB for all its variables and arguments.
pub const ENVIRONMENT_BYTES_MAX: usize = 1024 * 1024;
/// What minipaas says itself.
const RESERVED: [&str; 1] = ["PORT"];
/// What begins so is said by minipaas.
const RESERVED_PREFIX: &str = "MINIPAAS_";

/// The name of a variable: letters, digits and `_`, not beginning with a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(String);

/// Why something is no name or value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Other characters, or none.
    #[error("`{0}` is no name for a variable; use letters, digits and `_`, not beginning with a digit")]
    Name(String),
    /// What minipaas says itself.
    #[error("`{0}` is set by minipaas{hint}", hint = if .0 == "PORT" { "; set `port` in its [process] table" } else { "" })]
    Reserved(String),
    /// No container can have it.
    #[error("the value of `{0}` has a NUL character")]
    Nul(String),
    /// Longer than any configuration.
    #[error("the value of `{name}` has more than {max} KiB; put it into a file or a volume", max = VALUE_BYTES_MAX / 1024)]
    Long {
        /// Whose it is.
        name: String,
    },
}

/// A value that nobody is to see: wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Zeroizing<String>);

/// A variable's value, and how the app gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The value.
    pub value: Value,
    /// How it is kept and given.
    pub kind: Kind,
}

/// How a variable is kept and given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shown to whoever may see the app's config; given as a variable.
    Plain,
    /// Never shown; given as the file `/run/secrets/NAME`, whose path is in `NAME_FILE`.
    Secret,
    /// The same, and also given as a variable.
    ExportedSecret,
}

/// An app's variables, as a release has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<VariableName, Variable>);

/// What is to be different about an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvironmentChange {
    /// Variables to set.
    pub set: BTreeMap<VariableName, Variable>,
    /// Variables to take out.
    pub unset: BTreeSet<VariableName>,
}

/// Which names differ between two environments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// In the later one alone.
    pub added: BTreeSet<VariableName>,
    /// In both, with other values or kinds.
    pub changed: BTreeSet<VariableName>,
    /// In the earlier one alone.
    pub removed: BTreeSet<VariableName>,
}

// === impl VariableName ===

impl VariableName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = VariableError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut characters = text.chars();
        let is_name = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err(VariableError::Name(text.to_owned()));
        }
        if RESERVED.contains(&text) || text.starts_with(RESERVED_PREFIX) {
            return Err(VariableError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Value ===

impl Value {
    /// This value.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The value itself: for the app, and for whoever may see it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

// === impl Variable ===

impl Variable {
    /// A variable of this value.
    ///
    /// # Errors
    ///
    /// When no container could have the value; `name` is whose it is to be.
    pub fn new(name: &VariableName, value: String, kind: Kind) -> Result<Self, VariableError> {
        let value = Value::new(value);
        if value.reveal().contains('\0') {
            return Err(VariableError::Nul(name.to_string()));
        }
        if value.reveal().len() > VALUE_BYTES_MAX {
            return Err(VariableError::Long { name: name.to_string() });
        }
        Ok(Self { value, kind })
    }

    /// Whether it is never shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind != Kind::Plain
    }
}

// === impl Environment ===

impl Environment {
    /// Those with names of their own; of two for one name the later one counts.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (VariableName, Variable)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// Every variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&VariableName, &Variable)> {
        self.0.iter()
    }

    /// The variable of this name.
    #[must_use]
    pub fn get(&self, name: &VariableName) -> Option<&Variable> {
        self.0.get(name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all names and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, variable)| name.as_str().len() + variable.value.reveal().len()).sum()
    }

    /// What it is with this change.
    #[must_use]
    pub fn with(&self, change: &EnvironmentChange) -> Self {
        let mut variables = self.0.clone();
        variables.retain(|name, _| !change.unset.contains(name));
        variables.extend(change.set.iter().map(|(name, variable)| (name.clone(), variable.clone())));
        Self(variables)
    }

    /// What makes it of `before`.
    #[must_use]
    pub fn difference(&self, before: &Self) -> Difference {
        let names = |left: &Self, right: &Self| -> BTreeSet<_> {
            left.0.keys().filter(|name| !right.0.contains_key(*name)).cloned().collect()
        };
        let is_other = |(name, variable): &(&VariableName, &Variable)| {
            before.get(name).is_some_and(|before| before != *variable)
        };
        Difference {
            added: names(self, before),
            changed: self.iter().filter(is_other).map(|(name, _)| name.clone()).collect(),
            removed: names(before, self),
        }
    }

    /// What a container has of it as variables: plain ones, exported secrets, and the paths of all secrets.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.iter().flat_map(|(name, variable)| {
            let value = || (name.to_string(), variable.value.reveal().to_owned());
            let file = || (format!("{name}_FILE"), format!("{SECRETS_DIR}/{name}"));
            match variable.kind {
                Kind::Plain => vec![value()],
                Kind::Secret => vec![file()],
                Kind::ExportedSecret => vec![value(), file()],
            }
        })
    }

    /// What a container has of it as files, by their paths.
    pub fn files(&self) -> impl Iterator<Item = (String, Value)> {
        let secrets = self.iter().filter(|(_, variable)| variable.is_secret());
        secrets.map(|(name, variable)| (format!("{SECRETS_DIR}/{name}"), variable.value.clone()))
    }
}

// === impl EnvironmentChange ===

impl EnvironmentChange {
    /// Whether it changes nothing, whatever there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }

    /// This one, and then the other.
    #[must_use]
    pub fn then(mut self, other: &Self) -> Self {
        for name in &other.unset {
            self.set.remove(name);
            self.unset.insert(name.clone());
        }
        for (name, variable) in &other.set {
            self.unset.remove(name);
            self.set.insert(name.clone(), variable.clone());
        }
        self
    }

    /// What of it does not hold in `environment` yet.
    #[must_use]
    pub fn not_in(mut self, environment: &Environment) -> Self {
        self.set.retain(|name, variable| environment.get(name) != Some(variable));
        self.unset.retain(|name| environment.get(name).is_some());
        self
    }

    /// Every name that it is about.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&VariableName> {
        self.set.keys().chain(&self.unset).collect()
    }
}

// === impl Difference ===

impl Difference {
    /// Whether the two are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl fmt::Display for EnvironmentChange {
    /// The names: `set A, B, took out C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: Vec<&str>| names.join(", ");
        let set = list(self.set.keys().map(VariableName::as_str).collect());
        let unset = list(self.unset.iter().map(VariableName::as_str).collect());
        match (set.as_str(), unset.as_str()) {
            (set, "") => write!(f, "set {set}"),
            ("", unset) => write!(f, "took out {unset}"),
            (set, unset) => write!(f, "set {set}, took out {unset}"),
        }
    }
}

impl fmt::Display for Difference {
    /// As the ledger says it: `added A, B and changed C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &BTreeSet<VariableName>| {
            names.iter().map(VariableName::as_str).collect::<Vec<_>>().join(", ")
        };
        let all = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let said: Vec<_> = all
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {}", list(names)))
            .collect();
        match said.as_slice() {
            [] => f.write_str("changed nothing"),
            [first @ .., last] if !first.is_empty() => write!(f, "{} and {last}", first.join(", ")),
            [only, ..] => f.write_str(only),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> VariableName {
        text.parse().unwrap()
    }

    fn set(variables: &[(&str, &str, Kind)]) -> EnvironmentChange {
        let variable = |&(key, value, kind): &(&str, &str, Kind)| {
            (name(key), Variable::new(&name(key), value.to_owned(), kind).unwrap())
        };
        EnvironmentChange { set: variables.iter().map(variable).collect(), unset: BTreeSet::new() }
    }

    #[test]
    fn names_follow_the_shell() {
        for good in ["A", "_a", "DATABASE_URL", "a1"] {
            assert_eq!(good.parse::<VariableName>().unwrap().as_str(), good);
        }
        for bad in ["", "1A", "A-B", "A B", "Ä", "A="] {
            assert!(matches!(bad.parse::<VariableName>(), Err(VariableError::Name(_))), "{bad}");
        }
        let error = "PORT".parse::<VariableName>().unwrap_err().to_string();
        assert_eq!(error, "`PORT` is set by minipaas; set `port` in its [process] table");
        assert!(matches!("MINIPAAS_APP".parse::<VariableName>(), Err(VariableError::Reserved(_))));
    }

    #[test]
    fn values_are_bounded_and_never_shown() {
        let a = name("A");
        let error = Variable::new(&a, "x".repeat(VALUE_BYTES_MAX + 1), Kind::Plain).unwrap_err();
        assert_eq!(error, VariableError::Long { name: "A".to_owned() });
        assert_eq!(
            Variable::new(&a, "\0".to_owned(), Kind::Plain).unwrap_err(),
            VariableError::Nul("A".to_owned())
        );
        let environment = Environment::default().with(&set(&[("A", "hunter2", Kind::Plain)]));
        assert!(!format!("{environment:?}").contains("hunter2"));
    }

    #[test]
    fn changes_follow_one_another() {
        let first = set(&[("A", "1", Kind::Plain), ("B", "1", Kind::Plain)]);
        let mut second = set(&[("B", "2", Kind::Plain), ("C", "1", Kind::Secret)]);
        second.unset.insert(name("A"));
        let one_by_one = Environment::default().with(&first).with(&second);
        assert_eq!(Environment::default().with(&first.clone().then(&second)), one_by_one);

        let difference = one_by_one.difference(&Environment::default().with(&first));
        assert_eq!(difference.to_string(), "added C, changed B and removed A");
        assert_eq!(Difference::default().to_string(), "changed nothing");
        assert!(first.then(&second).not_in(&one_by_one).is_empty());
    }

    #[test]
    fn secrets_are_files() {
        let change =
            set(&[("A", "1", Kind::Plain), ("B", "2", Kind::Secret), ("C", "3", Kind::ExportedSecret)]);
        let environment = Environment::default().with(&change);
        let variables: Vec<_> = environment.variables().collect();
        let expected = [("A", "1"), ("B_FILE", "/run/secrets/B"), ("C", "3"), ("C_FILE", "/run/secrets/C")];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let files: Vec<_> =
            environment.files().map(|(path, value)| (path, value.reveal().to_owned())).collect();
        assert_eq!(
            files,
            [("/run/secrets/B", "2"), ("/run/secrets/C", "3")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }
}
