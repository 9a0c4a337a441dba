//! Names of another tool as names here: labels of DNS.

/// The longest DNS label (RFC 1035, 2.3.4).
const LENGTH_MAX: usize = 63;

/// The nearest label: lower case, anything else than letters and digits as one dash, cut. It may still be none.
pub(super) fn of(name: &str) -> String {
    let lower = name.to_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let dashed = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let cut: String = dashed.chars().take(LENGTH_MAX).collect();
    cut.trim_end_matches('-').to_owned()
}

/// The nearest name of a variable.
pub(super) fn variable(name: &str) -> String {
    let mapped: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if mapped.starts_with(|c: char| c.is_ascii_digit()) { format!("_{mapped}") } else { mapped }
}

/// Whether it can name a variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['-', '.']) && variable(name) == name
}
