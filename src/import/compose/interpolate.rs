//! `${NAME}` in values, with the forms that compose knows.

/// How deep a default may hold another.
const DEPTH_MAX: usize = 16;

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum InterpolationError {
    /// A `$` that begins nothing.
    #[error("`{0}` is no variable; write `${{NAME}}`, and `$$` for a `$` that is one")]
    Format(String),
    /// `${NAME:?message}`.
    #[error("variable `{name}` is not set{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
    /// Defaults within defaults.
    #[error("defaults stand in one another more than {DEPTH_MAX} deep")]
    Depth,
}

/// The text with its variables' values; those that are not set are empty, and named in `unset`.
///
/// # Errors
///
/// A `$` that begins no variable, or a variable that has to be set and is not.
pub(in super::super) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
) -> Result<String, InterpolationError> {
    expand(text, lookup, unset, 0)
}

fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    if depth > DEPTH_MAX {
        return Err(InterpolationError::Depth);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let (dollar, after) = (&rest[at..], &rest[at + 1..]);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing(inner).ok_or_else(|| format_error(dollar))?;
            out.push_str(&braced(&inner[..end], dollar, lookup, unset, depth)?);
            rest = &inner[end + 1..];
        } else {
            let name = name_of(after);
            if name.is_empty() {
                return Err(format_error(dollar));
            }
            out.push_str(&value(name, lookup, unset));
            rest = &after[name.len()..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between the braces.
fn braced(
    inner: &str,
    dollar: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    let name = name_of(inner);
    if name.is_empty() {
        return Err(format_error(dollar));
    }
    let found = lookup(name);
    let filled = found.clone().filter(|value| !value.is_empty());
    let mut other = |word: &str| expand(word, lookup, unset, depth + 1);
    let rest = &inner[name.len()..];
    if rest.is_empty() {
        Ok(value(name, lookup, unset))
    } else if let Some(word) = rest.strip_prefix(":-") {
        filled.map_or_else(|| other(word), Ok)
    } else if let Some(word) = rest.strip_prefix('-') {
        found.map_or_else(|| other(word), Ok)
    } else if let Some(word) = rest.strip_prefix(":+") {
        if filled.is_some() { other(word) } else { Ok(String::new()) }
    } else if let Some(word) = rest.strip_prefix('+') {
        if found.is_some() { other(word) } else { Ok(String::new()) }
    } else if let Some(word) = rest.strip_prefix(":?") {
        let message = other(word)?;
        filled.ok_or_else(|| InterpolationError::Required { name: name.to_owned(), message })
    } else if let Some(word) = rest.strip_prefix('?') {
        let message = other(word)?;
        found.ok_or_else(|| InterpolationError::Required { name: name.to_owned(), message })
    } else {
        Err(format_error(dollar))
    }
}

fn value(name: &str, lookup: &dyn Fn(&str) -> Option<String>, unset: &mut Vec<String>) -> String {
    lookup(name).unwrap_or_else(|| {
        if !unset.iter().any(|known| known == name) {
            unset.push(name.to_owned());
        }
        String::new()
    })
}

/// Letters, digits and `_`, not beginning with a digit.
fn name_of(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Where the brace closes that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

fn format_error(dollar: &str) -> InterpolationError {
    // No more than the variable: the rest of the text may be a secret.
    let brace = usize::from(dollar[1..].starts_with('{'));
    let name = name_of(&dollar[1 + brace..]).len();
    InterpolationError::Format(dollar.chars().take(1 + brace + name + 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let told = match interpolate(text, &lookup, &mut Vec::new()) {
            Ok(text) => text,
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn every_form_of_compose_is_known() {
        check("a$A-${A}b", "a1-1b");
        check("$$A ${A:-x} ${B:-x} ${EMPTY:-x} ${EMPTY-x}", "$A 1 x x ");
        check("${B:-${A}} ${B-a:${C:-d}} ${A:+y} ${B:+y} ${EMPTY+y} ${EMPTY:+y}", "1 a:d y  y ");
        check("${B}", "");
        check("${A:?no} ${EMPTY?no}", "1 ");
    }

    #[test]
    fn what_is_no_variable_is_told() {
        check("${B:?set it}", "error: variable `B` is not set: set it");
        check("${EMPTY:?}", "error: variable `EMPTY` is not set");
        check("${B?}", "error: variable `B` is not set");
        check("a $(b)", "error: `$(` is no variable; write `${NAME}`, and `$$` for a `$` that is one");
        check("${A", "error: `${A` is no variable; write `${NAME}`, and `$$` for a `$` that is one");
        check("${A!x}", "error: `${A!` is no variable; write `${NAME}`, and `$$` for a `$` that is one");
        check("${1}", "error: `${1` is no variable; write `${NAME}`, and `$$` for a `$` that is one");
    }
}
