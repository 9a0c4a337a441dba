//! When a job runs: a cron pattern in a time zone.
//!
//! The pattern has five fields, or six with seconds first, or is a nickname such as `@daily`. Time zones are those of the
//! database that is built in, so that a release means the same on every machine.
//!
//! Where a zone changes its clock, a job at fixed times runs once: in the place of a time that is left out as soon as the clock is
//! beyond it, and of a time that comes twice the first counts. A job that runs every hour, or more often, runs by what time has passed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use croner::parser::CronParser;
use croner::{Cron, CronComponent};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// When a job runs. Equal ones were written alike.
#[derive(Clone)]
pub struct Schedule {
    pattern: String,
    zone: String,
    parsed: Arc<(Cron, TimeZone)>,
}

/// What a pattern matches, field by field, each ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// 0 to 59; `[0]` for a pattern of five fields.
    pub seconds: Vec<u16>,
    /// 0 to 59.
    pub minutes: Vec<u16>,
    /// 0 to 23.
    pub hours: Vec<u16>,
    /// 1 to 31.
    pub days: Vec<u16>,
    /// 1 to 12.
    pub months: Vec<u16>,
    /// 0 to 6, from Sunday.
    pub weekdays: Vec<u16>,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not a pattern.
    #[error(
        "`{pattern}` is no schedule: {reason}; write minute, hour, day, month and weekday, such as `0 3 * * *`"
    )]
    Pattern {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It matches no time that comes.
    #[error("`{0}` never comes; write minute, hour, day, month and weekday, such as `0 3 * * *`")]
    Never(String),
    /// Not a time zone.
    #[error("there is no time zone `{0}`; write one such as `Europe/Berlin` or `UTC`")]
    Zone(String),
}

impl Schedule {
    /// This pattern, in this time zone.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`].
    pub fn new(pattern: &str, zone: &str) -> Result<Self, ScheduleError> {
        let bad = |error: croner::errors::CronError| ScheduleError::Pattern {
            pattern: pattern.to_owned(),
            reason: reason(&error),
        };
        let cron = CronParser::new().parse(pattern).map_err(bad)?;
        let no_zone = |_| ScheduleError::Zone(zone.to_owned());
        let tz = TimeZoneDatabase::bundled().get(zone).map_err(no_zone)?;
        let schedule =
            Self { pattern: pattern.to_owned(), zone: zone.to_owned(), parsed: Arc::new((cron, tz)) };
        // From any time at all: what comes on the 30th of February comes never.
        if schedule.after(0).is_none() {
            return Err(ScheduleError::Never(pattern.to_owned()));
        }
        Ok(schedule)
    }

    /// The next time after this one, both in milliseconds since the Unix epoch; `None` when there is none.
    #[must_use]
    pub fn after(&self, millis: u64) -> Option<u64> {
        let (cron, zone) = &*self.parsed;
        let from = Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?.to_zoned(zone.clone());
        let next = cron.find_next_occurrence(&from, false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok().filter(|next| *next > millis)
    }

    /// A time as its clock shows it: `2026-11-23 03:00:00 CET`.
    #[must_use]
    pub fn shown(&self, millis: u64) -> String {
        let at = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        at.map_or_else(
            || millis.to_string(),
            |at| at.to_zoned(self.parsed.1.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        )
    }

    /// What it matches, where that is all that it says: `None` when it counts weekdays of a month or from its end, names years, or
    /// wants the day and the weekday both. A time comes when its minute, hour and month are named, and its day or its weekday is;
    /// one of the two that names every day leaves it to the other.
    #[must_use]
    pub fn fields(&self) -> Option<Fields> {
        let pattern = &self.parsed.0.pattern;
        let parts = [
            &pattern.seconds,
            &pattern.minutes,
            &pattern.hours,
            &pattern.days,
            &pattern.months,
            &pattern.days_of_week,
        ];
        if !pattern.years.from_wildcard || parts.iter().any(|part| part.has_modifiers()) {
            return None;
        }
        let [seconds, minutes, hours, mut days, months, mut weekdays] = parts.map(CronComponent::values);
        // Sunday's other number stays in a field of all days.
        weekdays.retain(|day| *day < 7);
        let (every_day, every_weekday) = (days.len() == 31, weekdays.len() == 7);
        if pattern.matches_dom_and_dow() && !every_day && !every_weekday {
            return None;
        }
        // `1-31` beside a weekday is every day, and not what `*` is there.
        if !pattern.matches_dom_and_dow() {
            if every_day && !pattern.is_dom_wildcard() {
                weekdays = (0..7).collect();
            }
            if every_weekday && !pattern.is_dow_wildcard() {
                days = (1..=31).collect();
            }
        }
        Some(Fields { seconds, minutes, hours, days, months, weekdays })
    }

    /// The pattern, as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The time zone's name, as it was written.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The time zone's name, as the database has it: `Europe/Berlin` for `europe/berlin`.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.parsed.1.iana_name().unwrap_or(&self.zone)
    }
}

/// Without the parser's own subject and full stop, which are not in the words of ours.
fn reason(error: &croner::errors::CronError) -> String {
    let text = match error {
        croner::errors::CronError::InvalidPattern(text)
        | croner::errors::CronError::IllegalCharacters(text)
        | croner::errors::CronError::ComponentError(text) => text.clone(),
        croner::errors::CronError::EmptyPattern => "it is empty".to_owned(),
        other => other.to_string(),
    };
    let text = text.trim().trim_end_matches('.');
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_lowercase().collect::<String>());
    format!("{}{}", first.unwrap_or_default(), characters.as_str())
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        (&self.pattern, &self.zone) == (&other.pattern, &other.zone)
    }
}

impl Eq for Schedule {}

impl Hash for Schedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.pattern, &self.zone).hash(state);
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pattern, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, zone: &str, after: &str, expected: &[&str]) {
        let schedule = Schedule::new(pattern, zone).unwrap();
        let mut at = millis(after);
        for expected in expected {
            at = schedule.after(at).unwrap();
            assert_eq!(at, millis(expected), "{} of `{pattern}`", schedule.shown(at));
        }
    }

    #[test]
    fn a_pattern_is_read_by_the_clock_of_its_zone() {
        check("0 3 * * *", "UTC", "2026-11-23T20:00:00Z", &["2026-11-24T03:00:00Z"]);
        check("0 3 * * *", "Europe/Berlin", "2026-11-23T20:00:00Z", &["2026-11-24T02:00:00Z"]);
        check("*/15 * * * *", "UTC", "2026-11-23T20:00:00Z", &["2026-11-23T20:15:00Z"]);
        check(
            "*/2 * * * * *",
            "UTC",
            "2026-11-23T20:00:01Z",
            &["2026-11-23T20:00:02Z", "2026-11-23T20:00:04Z"],
        );
        check("@daily", "UTC", "2026-11-23T20:00:00Z", &["2026-11-24T00:00:00Z"]);
        check("0 9 * * MON", "UTC", "2026-11-24T20:00:00Z", &["2026-11-30T09:00:00Z"]);
    }

    #[test]
    fn a_time_that_is_left_out_is_made_up_for_and_one_that_comes_twice_counts_once() {
        // 2026-03-29, 02:00 CET becomes 03:00 CEST; 2026-10-25, 03:00 CEST becomes 02:00 CET.
        let berlin = "Europe/Berlin";
        check(
            "30 2 * * *",
            berlin,
            "2026-03-28T02:00:00Z",
            &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        );
        check(
            "30 2 * * *",
            berlin,
            "2026-10-24T01:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        );
    }

    #[test]
    fn a_job_of_every_half_hour_runs_by_what_time_has_passed() {
        let berlin = "Europe/Berlin";
        let fall =
            ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"];
        check("*/30 * * * *", berlin, "2026-10-25T00:00:00Z", &fall);
        let spring = ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
        check("*/30 * * * *", berlin, "2026-03-29T00:00:00Z", &spring);
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        let message = |pattern, zone| Schedule::new(pattern, zone).unwrap_err().to_string();
        for bad in ["", "* * *", "61 * * * *", "every day", "* * * * * * * *"] {
            let said = message(bad, "UTC");
            assert!(said.starts_with(&format!("`{bad}` is no schedule: ")), "{said}");
            assert!(said.ends_with("such as `0 3 * * *`"), "{said}");
        }
        assert!(message("0 0 30 2 *", "UTC").contains("never comes"));
        assert_eq!(
            message("0 3 * * *", "Europe/Berln"),
            "there is no time zone `Europe/Berln`; write one such as `Europe/Berlin` or `UTC`"
        );
    }
}
