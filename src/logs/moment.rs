//! A moment as a person names it: so long ago, or a date and a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

/// A moment in the past, mostly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long before now: `10m`.
    Ago(Duration),
    /// Then: `2026-11-23T20:37:00Z`.
    At(Timestamp),
}

/// The name of no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no time; write how long ago, such as `10m`, `2h` or `3d`, or when, such as `2026-11-23T20:37:00Z`"
)]
pub struct NoMoment(String);

impl Moment {
    /// In nanoseconds since the Unix epoch; what was before is the epoch.
    #[must_use]
    pub fn nanos(self) -> u64 {
        match self {
            Self::Ago(duration) => {
                crate::clock::nanos().saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
            }
            Self::At(time) => u64::try_from(time.as_nanosecond()).unwrap_or(0),
        }
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let wrong = || NoMoment(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match &text[digits..] {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            "w" => 7 * 24 * 60 * 60,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(|secs| Self::Ago(Duration::from_secs(secs))).ok_or_else(wrong)
    }
}

/// As it is read back.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(duration) => write!(f, "{}s", duration.as_secs()),
            Self::At(time) => time.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ages_or_times() {
        let check = |text: &str, expected: &str| {
            let moment = text.parse::<Moment>();
            assert_eq!(moment.map_or_else(|error| error.to_string(), |moment| moment.to_string()), expected);
        };
        check("10m", "600s");
        check("2h", "7200s");
        check("1w", "604800s");
        check("2026-11-23T20:37:00Z", "2026-11-23T20:37:00Z");
        check("2026-11-23T21:37:00.5+01:00", "2026-11-23T20:37:00.5Z");
        for wrong in ["", "10", "m", "-5m", "10y", "yesterday", "99999999999999999999s", "99999999999999999w"]
        {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
