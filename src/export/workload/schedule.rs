//! A schedule, as a CronJob takes it: five fields of numbers, ranges and steps.
//!
//! It is written anew from what it matches, not from its text: the two read nicknames, Sunday's number, question marks and names
//! differently, and a CronJob that is refused, or runs at other times, is worse than one that looks otherwise.

use crate::cron::Schedule;

/// What becomes of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Crontab {
    /// The same times.
    Same(String),
    /// The full minute, instead of this second of it.
    Moved {
        /// The fields.
        schedule: String,
        /// The second.
        second: u16,
    },
    /// Once in each of its minutes, instead of several times.
    Seldomer {
        /// The fields.
        schedule: String,
        /// How often in a minute it was.
        times: usize,
    },
    /// It cannot be said.
    None,
}

/// The schedule's five fields.
pub(super) fn crontab(schedule: &Schedule) -> Crontab {
    let Some(fields) = schedule.fields() else { return Crontab::None };
    let parts = [
        (&fields.minutes, 0, 59),
        (&fields.hours, 0, 23),
        (&fields.days, 1, 31),
        (&fields.months, 1, 12),
        (&fields.weekdays, 0, 6),
    ];
    let schedule = parts.map(|(values, first, last)| field(values, first, last)).join(" ");
    match fields.seconds.as_slice() {
        [0] => Crontab::Same(schedule),
        [second] => Crontab::Moved { schedule, second: *second },
        seconds => Crontab::Seldomer { schedule, times: seconds.len() },
    }
}

/// As a person would write it: `*`, `*/15`, or numbers and ranges.
fn field(values: &[u16], first: u16, last: u16) -> String {
    if values.len() == usize::from(last - first) + 1 {
        return "*".to_owned();
    }
    if let [start, second, ..] = *values {
        let step = second - start;
        let steps = (first..=last).step_by(usize::from(step));
        let is_even = (last - first + 1).is_multiple_of(step);
        let is_plain = values.len() > 2 || is_even;
        if start == first && step > 1 && is_plain && steps.eq(values.iter().copied()) {
            return format!("*/{step}");
        }
    }
    let ranges = values.chunk_by(|one, next| one + 1 == *next).map(|range| match range {
        [only] => only.to_string(),
        [one, other] => format!("{one},{other}"),
        [one, .., other] => format!("{one}-{other}"),
        [] => String::new(),
    });
    ranges.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &str) {
        assert_eq!(
            crontab(&Schedule::new(pattern, "UTC").unwrap()),
            Crontab::Same(expected.to_owned()),
            "{pattern}"
        );
    }

    #[test]
    fn what_both_can_say_stays_the_same() {
        for pattern in ["0 3 * * *", "*/15 * * * *", "0 9 * * 1-5", "5,35 0-6,20 1 1-3,12 *", "0 0 */2 * 1"] {
            check(pattern, pattern);
        }
    }

    #[test]
    fn nicknames_names_and_sundays_are_numbers() {
        check("@daily", "0 0 * * *");
        check("@weekly", "0 0 * * 0");
        check("0 9 * jan,Feb MON-FRI", "0 9 * 1,2 1-5");
        check("0 9 * * 7", "0 9 * * 0");
        check("0 9 ? * 5-7", "0 9 * * 0,5,6");
        check("0 0 3 * * *", "0 3 * * *");
        check("0,30 0,12 * * *", "*/30 */12 * * *");
        check("0,59 * * * *", "0,59 * * * *");
    }

    #[test]
    fn every_day_by_number_beside_a_weekday_is_every_day() {
        check("0 9 1-31 * 1", "0 9 * * *");
        check("0 9 1 * 0-6", "0 9 * * *");
        check("0 9 1-31 * +1", "0 9 * * 1");
    }

    #[test]
    fn what_a_cluster_cannot_say_is_told() {
        let of = |pattern| crontab(&Schedule::new(pattern, "UTC").unwrap());
        let every = || "* * * * *".to_owned();
        assert_eq!(of("30 * * * * *"), Crontab::Moved { schedule: every(), second: 30 });
        assert_eq!(of("*/10 * * * * *"), Crontab::Seldomer { schedule: every(), times: 6 });
        for pattern in
            ["0 9 L * *", "0 9 15W * *", "0 9 * * 1#2", "0 9 * * 5L", "0 9 13 * +5", "0 0 9 * * * 2030"]
        {
            assert_eq!(of(pattern), Crontab::None, "{pattern}");
        }
    }
}
