//! Changing the number of a process type's instances with what they have to do.
//!
//! [`Autoscale`] is the rule that somebody wrote, by command or in `[process.NAME.autoscale]`. [`decide()`] is the algorithm of
//! Kubernetes' horizontal pod autoscaler with its default behaviour, pure: what was measured goes in, a number and its reason
//! come out, and [`History`] is all that it remembers. [`Autoscaler`] is the task that measures, decides, and asks the
//! controller for it as `minipaas scale` does.
//!
//! What this does not do: scale to or from zero (a count of 0 by hand turns the rule off), or look ahead.

mod decide;
mod task;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::formation::REPLICAS_MAX;
use crate::manifest;

pub use decide::{Decision, History, Reading, Sample, decide};
pub use task::{Autoscaler, Changed, INTERVAL, Status};

/// A rule by which the number of instances changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscale {
    /// The fewest instances; at least one.
    pub min: u32,
    /// The most instances.
    pub max: u32,
    /// What the instances are to have to do, on average.
    pub target: Target,
}

/// What instances are to have to do, on average.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Percent of the CPU limit, or of one core where there is none.
    Cpu(u32),
    /// The time that 95 of 100 requests do not exceed.
    P95(Duration),
    /// Requests that an instance has at a time, with those that wait for one.
    InFlight(u32),
}

/// Why a rule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AutoscaleError {
    /// More at least than at most.
    #[error("autoscaling takes 1 to {REPLICAS_MAX} instances, `min` not above `max`; not {min} to {max}")]
    Range {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Not a target.
    #[error("`{text}` is no target for `{key}`; write {}", Target::example(.key))]
    Target {
        /// What it is for.
        key: String,
        /// What was written.
        text: String,
    },
    /// There is no such metric.
    #[error("there is no metric `{0}`; there are `cpu`, `p95` and `in-flight`")]
    Metric(String),
}

impl Autoscale {
    /// The rule, if it can be followed.
    ///
    /// # Errors
    ///
    /// [`AutoscaleError::Range`].
    pub fn validated(self) -> Result<Self, AutoscaleError> {
        let Self { min, max, .. } = self;
        if min >= 1 && min <= max && max <= REPLICAS_MAX {
            Ok(self)
        } else {
            Err(AutoscaleError::Range { min, max })
        }
    }
}

impl Target {
    /// The target for this metric: `cpu` takes `70%`, `p95` a duration, `in-flight` a number.
    ///
    /// # Errors
    ///
    /// When there is no such metric, or the text is no target for it.
    pub fn named(key: &str, text: &str) -> Result<Self, AutoscaleError> {
        let bad = || AutoscaleError::Target { key: key.to_owned(), text: text.to_owned() };
        let positive = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        match key {
            // Of one core, a process with several threads may use more than all.
            "cpu" => positive(text.trim_end_matches('%')).filter(|percent| *percent <= 10_000).map(Self::Cpu),
            "p95" => manifest::duration(text).ok().filter(|time| !time.is_zero()).map(Self::P95),
            "in-flight" | "in_flight" => positive(text).map(Self::InFlight),
            _ => return Err(AutoscaleError::Metric(key.to_owned())),
        }
        .ok_or_else(bad)
    }

    /// How a target for this metric is written.
    #[must_use]
    pub fn example(key: &str) -> &'static str {
        match key {
            "cpu" => "percent of the `cpu` limit such as `70%`",
            "p95" => "a duration such as `300ms`",
            _ => "a number of requests such as `20`",
        }
    }

    /// The metric's name.
    #[must_use]
    pub fn metric(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::P95(_) => "p95",
            Self::InFlight(_) => "in-flight",
        }
    }

    /// A value of this metric, for people.
    #[must_use]
    pub fn shown(&self, value: f64) -> String {
        match self {
            Self::Cpu(_) => format!("{value:.0}%"),
            Self::P95(_) => format!("{value:.0}ms"),
            Self::InFlight(_) => format!("{value:.1}"),
        }
    }

    /// The target as a number: percent, milliseconds, requests.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self {
            Self::Cpu(percent) => f64::from(*percent),
            Self::P95(time) => time.as_secs_f64() * 1_000.0,
            Self::InFlight(requests) => f64::from(*requests),
        }
    }
}

impl FromStr for Target {
    type Err = AutoscaleError;

    fn from_str(text: &str) -> Result<Self, AutoscaleError> {
        let (key, value) = text.split_once('=').ok_or_else(|| AutoscaleError::Metric(text.to_owned()))?;
        Self::named(key, value)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(percent) => write!(f, "cpu={percent}%"),
            Self::P95(time) => write!(f, "p95={}ms", time.as_millis()),
            Self::InFlight(requests) => write!(f, "in-flight={requests}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back_as_they_print() {
        for text in ["cpu=70%", "p95=300ms", "in-flight=20"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!(Target::named("cpu", "80"), Ok(Target::Cpu(80)));
        for (key, text) in [("cpu", "0"), ("cpu", "x"), ("p95", "300"), ("p95", "0s"), ("in-flight", "0")] {
            assert!(Target::named(key, text).is_err(), "{key} {text}");
        }
        let error = Target::named("p95", "300").unwrap_err().to_string();
        assert_eq!(error, "`300` is no target for `p95`; write a duration such as `300ms`");
    }

    #[test]
    fn a_range_has_room() {
        let rule = |min, max| Autoscale { min, max, target: Target::Cpu(70) }.validated();
        assert!(rule(1, 1).is_ok() && rule(1, 100).is_ok());
        assert!(rule(0, 5).is_err() && rule(3, 2).is_err() && rule(1, 101).is_err());
    }
}
