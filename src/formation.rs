//! How many instances of each process type run, and by what rule that changes, where commands say otherwise than the manifest.
//!
//! A [`Formation`] is a setting of the app and no part of a release: it hides the manifest's `replicas` until it is reset, and
//! survives deploys, rollbacks and restarts. A count for a process type that the release does not have means nothing until a
//! release has it again. [`Change`] is what is typed: `web=3`, `worker+1`, `web-1`.
//!
//! Pure: whether a host has room for what is wanted is decided by who can see the host.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::autoscale::Autoscale;
use crate::manifest::nearest;
use crate::name::{NameError, ProcessType};

/// More instances than this of one process type are a typing mistake.
pub const REPLICAS_MAX: u32 = 100;

/// What commands have set of an app's processes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Formation {
    /// How many instances of each; a process type that is not in it has as many as the manifest says.
    pub counts: BTreeMap<ProcessType, u32>,
    /// The rule of each; `None` is none, whatever the manifest says.
    pub autoscale: BTreeMap<ProcessType, Option<Autoscale>>,
}

/// One change of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of which process type.
    pub process: ProcessType,
    /// To what.
    pub amount: Amount,
}

/// What a count becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Exactly(u32),
    /// So many more than now.
    More(u32),
    /// So many fewer than now.
    Fewer(u32),
}

/// Why a formation is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormationError {
    /// Not a change.
    #[error("`{0}` is no change of a process type's number; write `web=3`, `web+1` or `web-1`")]
    NotAChange(String),
    /// A size, as Heroku has them.
    #[error(
        "`{0}` names a size, and there are none; write `web=3`, and `minipaas limits set web=512M` says how much each may use"
    )]
    Size(String),
    /// Not a process type.
    #[error(transparent)]
    Name(#[from] NameError),
    /// More than anybody means.
    #[error("`{process}` cannot have {count} instances; {REPLICAS_MAX} is the most")]
    TooMany {
        /// The process type.
        process: ProcessType,
        /// How many it would have.
        count: u64,
    },
    /// Fewer than none.
    #[error("`{process}` has {now} and cannot have {fewer} fewer")]
    Negative {
        /// The process type.
        process: ProcessType,
        /// How many it has.
        now: u32,
        /// How many are to go.
        fewer: u32,
    },
    /// The release has none of this name.
    #[error("there is no process type `{process}` in the release that serves; it has {}", listed(.known))]
    Unknown {
        /// What was named.
        process: ProcessType,
        /// Those that there are.
        known: Vec<ProcessType>,
    },
}

impl Formation {
    /// Whether commands have set nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.autoscale.is_empty()
    }

    /// How many instances a process type has whose manifest says so many.
    #[must_use]
    pub fn count(&self, process: &ProcessType, manifest: u32) -> u32 {
        self.counts.get(process).copied().unwrap_or(manifest)
    }

    /// The rule that holds for a process type whose manifest has this one.
    #[must_use]
    pub fn rule(&self, process: &ProcessType, manifest: Option<&Autoscale>) -> Option<Autoscale> {
        match self.autoscale.get(process) {
            Some(by_command) => by_command.clone(),
            None => manifest.cloned(),
        }
    }

    /// This formation after the changes; `now` is how many instances each process type of the release has.
    ///
    /// # Errors
    ///
    /// The first change that breaks a rule; then nothing has changed.
    pub fn changed(
        &self,
        changes: &[Change],
        now: &BTreeMap<ProcessType, u32>,
    ) -> Result<Self, FormationError> {
        let mut changed = self.clone();
        for Change { process, amount } in changes {
            let manifest = *now.get(process).ok_or_else(|| unknown(process, now))?;
            let count = changed.count(process, manifest);
            let process = process.clone();
            let count = match *amount {
                Amount::Exactly(count) => u64::from(count),
                Amount::More(more) => u64::from(count) + u64::from(more),
                Amount::Fewer(fewer) if fewer > count => {
                    return Err(FormationError::Negative { process, now: count, fewer });
                }
                Amount::Fewer(fewer) => u64::from(count - fewer),
            };
            match u32::try_from(count).ok().filter(|count| *count <= REPLICAS_MAX) {
                Some(count) => changed.counts.insert(process, count),
                None => return Err(FormationError::TooMany { process, count }),
            };
        }
        Ok(changed)
    }

    /// This formation with the counts of these process types as the manifest says, or of all when none is named.
    ///
    /// # Errors
    ///
    /// When there is no such process type, neither in `now` nor among those that were set.
    pub fn reset(
        &self,
        processes: &[ProcessType],
        now: &BTreeMap<ProcessType, u32>,
    ) -> Result<Self, FormationError> {
        let mut changed = self.clone();
        if processes.is_empty() {
            changed.counts.clear();
        }
        for process in processes {
            if changed.counts.remove(process).is_none() && !now.contains_key(process) {
                return Err(unknown(process, now));
            }
        }
        Ok(changed)
    }
}

fn unknown(process: &ProcessType, now: &BTreeMap<ProcessType, u32>) -> FormationError {
    FormationError::Unknown { process: process.clone(), known: now.keys().cloned().collect() }
}

impl FormationError {
    /// What to write instead.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { process, known } => {
                let near = nearest(process.as_str(), known.iter().map(ProcessType::as_str));
                near.map(|near| format!("did you mean `{near}`?")).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

impl FromStr for Change {
    type Err = FormationError;

    /// The sign is the last `=`, `+` or `-` before the digits: `my-worker-1` takes one from `my-worker`.
    fn from_str(text: &str) -> Result<Self, FormationError> {
        let bad = || FormationError::NotAChange(text.to_owned());
        if text.contains(':') {
            return Err(FormationError::Size(text.to_owned()));
        }
        let at = text.rfind(['=', '+', '-']).ok_or_else(bad)?;
        let (process, rest) = text.split_at(at);
        let (sign, digits) = rest.split_at(1);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || process.is_empty() {
            return Err(bad());
        }
        let process = process.parse::<ProcessType>()?;
        let number = digits.parse().unwrap_or(u32::MAX);
        let amount = match sign {
            "=" if number > REPLICAS_MAX => {
                return Err(FormationError::TooMany { process, count: number.into() });
            }
            "=" => Amount::Exactly(number),
            "+" => Amount::More(number),
            _ => Amount::Fewer(number),
        };
        Ok(Self { process, amount })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, number) = match self.amount {
            Amount::Exactly(number) => ('=', number),
            Amount::More(number) => ('+', number),
            Amount::Fewer(number) => ('-', number),
        };
        write!(f, "{}{sign}{number}", self.process)
    }
}

fn listed(processes: &[ProcessType]) -> String {
    let names: Vec<_> = processes.iter().map(|process| format!("`{process}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> BTreeMap<ProcessType, u32> {
        [("web", 2), ("my-worker", 1)].map(|(name, count)| (name.parse().unwrap(), count)).into()
    }

    fn after(changes: &[&str]) -> Result<Vec<String>, String> {
        let parsed: Result<Vec<Change>, _> = changes.iter().map(|change| change.parse()).collect();
        let formation = parsed.and_then(|changes| Formation::default().changed(&changes, &now()));
        let counts = formation.map(|formation| formation.counts).map_err(|error| error.to_string())?;
        Ok(counts.iter().map(|(process, count)| format!("{process}={count}")).collect())
    }

    #[test]
    fn changes_are_absolute_or_relative_to_what_runs() {
        assert_eq!(after(&["web=3", "my-worker+1"]).unwrap(), ["my-worker=2", "web=3"]);
        assert_eq!(after(&["my-worker-1"]).unwrap(), ["my-worker=0"]);
        assert_eq!(after(&["web+1", "web+1"]).unwrap(), ["web=4"], "one after the other");
        assert_eq!(after(&["web=0"]).unwrap(), ["web=0"]);
    }

    #[test]
    fn a_change_that_cannot_be_says_which_rule_it_breaks() {
        let check = |change: &str, expected: &str| assert_eq!(after(&[change]).unwrap_err(), expected);
        let rule = "is no change of a process type's number; write `web=3`, `web+1` or `web-1`";
        for bad in ["web", "web=", "=3", "web=x", "web=1.5", ""] {
            check(bad, &format!("`{bad}` {rule}"));
        }
        let sizes = "names a size, and there are none; write `web=3`, and `minipaas limits set web=512M` says how much each may use";
        check("web=2:standard-1x", &format!("`web=2:standard-1x` {sizes}"));
        check("web-3", "`web` has 2 and cannot have 3 fewer");
        check("web=101", "`web` cannot have 101 instances; 100 is the most");
        check("web+99", "`web` cannot have 101 instances; 100 is the most");
        check("web=99999999999", "`web` cannot have 4294967295 instances; 100 is the most");
        check(
            "wbe=1",
            "there is no process type `wbe` in the release that serves; it has `my-worker`, `web`",
        );
        let unknown = Formation::default().changed(&["wbe=1".parse().unwrap()], &now()).unwrap_err();
        assert_eq!(unknown.hints(), ["did you mean `web`?"]);
        assert!("web=-1".parse::<Change>().is_err(), "a count is not negative");
    }

    #[test]
    fn a_reset_hands_back_to_the_manifest() {
        let set = Formation::default().changed(&["web=5".parse().unwrap()], &now()).unwrap();
        let web: ProcessType = "web".parse().unwrap();
        assert_eq!(set.count(&web, 2), 5);
        assert_eq!(set.reset(std::slice::from_ref(&web), &now()).unwrap().count(&web, 2), 2);
        assert!(set.reset(&[], &now()).unwrap().is_empty());
        assert!(set.reset(&["wbe".parse().unwrap()], &now()).is_err());
    }
}
