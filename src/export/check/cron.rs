//! Schedules, as the controller of CronJobs reads them (robfig/cron, `ParseStandard`).
//!
//! It takes less than a box does: five fields, no `L`, `W` or `#`, and Sunday is 0 and not 7.

use std::ops::RangeInclusive;

const DESCRIPTORS: &[&str] =
    &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Each field's name, its numbers, and the words for them from the first number on.
const FIELDS: &[(&str, RangeInclusive<u32>, &[&str])] = &[
    ("minute", 0..=59, &[]),
    ("hour", 0..=23, &[]),
    ("day of the month", 1..=31, &[]),
    ("month", 1..=12, MONTHS),
    ("day of the week", 0..=6, DAYS),
];

/// Why it is no schedule; `None` if it is one.
pub(super) fn problem(schedule: &str) -> Option<String> {
    if schedule.starts_with('@') {
        let is_known =
            DESCRIPTORS.contains(&schedule) || schedule.strip_prefix("@every ").is_some_and(is_duration);
        return (!is_known).then(|| format!("is `{schedule}`, which is no word for a time"));
    }
    if schedule.contains("TZ=") {
        return Some("names a time zone; that is `timeZone`'s".to_owned());
    }
    let words: Vec<_> = schedule.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        return Some(format!("is `{schedule}`, which has {} fields; it takes {}", words.len(), FIELDS.len()));
    }
    let wrong = words.iter().zip(FIELDS).find(|(word, (_, numbers, names))| !is_field(word, numbers, names));
    wrong.map(|(word, (name, ..))| format!("is `{schedule}`, of which `{word}` is no {name}"))
}

fn is_field(word: &str, numbers: &RangeInclusive<u32>, names: &[&str]) -> bool {
    word.split(',').all(|part| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let is_step = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
        is_step && is_range(range, numbers, names)
    })
}

fn is_range(range: &str, numbers: &RangeInclusive<u32>, names: &[&str]) -> bool {
    let number = |word: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let number = match named {
            Some(index) => numbers.start() + u32::try_from(index).expect("there are twelve months"),
            None => word.parse().ok()?,
        };
        numbers.contains(&number).then_some(number)
    };
    match range.split_once('-') {
        None => matches!(range, "*" | "?") || number(range).is_some(),
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
    }
}

/// `1h30m`, as Go writes durations.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"].iter().find_map(|unit| digits.strip_prefix(unit));
        match unit {
            Some(after) if digits.len() < rest.len() => rest = after,
            _ => return false,
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controllers_schedules_are_taken_and_no_others() {
        for schedule in
            ["0 3 * * *", "*/5 0-6,12 1 jan-MAR mon", "0 0 ? * 0", "@daily", "@every 1h30m", "0 0 1/2 * *"]
        {
            assert_eq!(problem(schedule), None, "{schedule}");
        }
        for schedule in [
            "",
            "* * * *",
            "0 0 3 * * *",
            "60 * * * *",
            "* * * * 7",
            "* * L * *",
            "* * * * 1#2",
            "*/0 * * * *",
            "5-1 * * * *",
            "@often",
            "@every",
            "@every x",
            "CRON_TZ=UTC 0 3 * * *",
            "0 3 * foo *",
        ] {
            assert!(problem(schedule).is_some(), "{schedule}");
        }
    }
}
