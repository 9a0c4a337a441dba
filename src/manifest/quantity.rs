//! Durations, sizes and CPU shares as people write them.

use std::fmt;
use std::time::Duration;

/// The longest duration that something may take: a day.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time for which a client may remember something: ten years.
const AGE_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// The least memory that an engine accepts for a container.
const MEMORY_MIN: u64 = 6 * 1024 * 1024;

/// A size in bytes. `256M` is 256 × 1024², as in Docker and Heroku.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A share of CPU in thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MilliCpu(pub u32);

/// `500ms`, `30s`, `5m`, `1h`; up to a day.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let rule =
        || format!("`{text}` is not a duration; write a number with `ms`, `s`, `m` or `h`, such as `30s`");
    match any_duration(text) {
        None => Err(rule()),
        Some(duration) if duration > DURATION_MAX => Err(format!("`{text}` is longer than a day")),
        Some(duration) => Ok(duration),
    }
}

/// `10m`, `30d`, `1y`: up to ten years.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn age(text: &str) -> Result<Duration, String> {
    let rule = || {
        format!(
            "`{text}` is not a duration; write a number with `s`, `m`, `h`, `d`, `w` or `y`, such as `1y`"
        )
    };
    match any_duration(text) {
        None => Err(rule()),
        Some(duration) if duration > AGE_MAX => Err(format!("`{text}` is longer than ten years")),
        Some(duration) => Ok(duration),
    }
}

/// A year has 365 days.
fn any_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        "w" => 7 * 24 * 3_600_000,
        "y" => 365 * 24 * 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A size that an engine accepts for a container: `256M`.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn memory(text: &str) -> Result<Bytes, String> {
    let bytes = size(text)?;
    if bytes.0 < MEMORY_MIN {
        Err(format!("`{text}` is less than an engine gives a container; use `6M` or more"))
    } else {
        Ok(bytes)
    }
}

/// `64M`, `1G`, `512K`, `1048576`.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn size(text: &str) -> Result<Bytes, String> {
    let rule = || format!("`{text}` is not a size; write a number with `K`, `M` or `G`, such as `256M`");
    let trimmed = text.trim_end_matches(['B', 'b']).trim_end_matches('i');
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let number: u64 = trimmed[..digits].parse().map_err(|_| rule())?;
    let unit: u64 = match &trimmed[digits..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return Err(rule()),
    };
    number.checked_mul(unit).map(Bytes).ok_or_else(rule)
}

/// Cores as a number: `0.5`, `2`.
pub(super) fn cores(number: f64) -> Result<MilliCpu, String> {
    let milli = (number * 1000.0).round();
    if (10.0..=1_000_000.0).contains(&milli) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be within 10..=1,000,000"
        )]
        Ok(MilliCpu(milli as u32))
    } else {
        Err(format!("`{number}` is not a share of CPU; write cores, such as `0.5` or `2`"))
    }
}

/// Cores as Kubernetes writes them: `500m`, or `0.5`.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn cpu(text: &str) -> Result<MilliCpu, String> {
    let rule = || format!("`{text}` is not a share of CPU; write cores, such as `0.5`, or `500m`");
    match text.strip_suffix('m') {
        Some(milli) => cores(milli.parse::<f64>().map_err(|_| rule())? / 1000.0),
        None => cores(text.parse().map_err(|_| rule())?),
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 30 && n % (1 << 30) == 0 => write!(f, "{}G", n >> 30),
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{}M", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{}K", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["30", "s", "", "1.5s", "-1s", "25h", "2d", "1M"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_are_longer() {
        assert_eq!(age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(age("1y"), Ok(Duration::from_secs(31_536_000)));
        for bad in ["1", "y", "11y", "99999999999999999y"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for text in ["256M", "256MB", "256MiB", "256m"] {
            assert_eq!(memory(text), Ok(Bytes(256 << 20)), "{text}");
        }
        assert_eq!(Bytes(1 << 30).to_string(), "1G");
        for bad in ["1K", "M", "256X", "-1G", ""] {
            assert!(memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cpu_is_cores_or_thousandths() {
        assert_eq!(cpu("500m"), Ok(MilliCpu(500)));
        assert_eq!(cores(0.5), Ok(MilliCpu(500)));
        assert!(cores(0.0).is_err() && cpu("fast").is_err() && cores(f64::NAN).is_err());
    }
}
