//! Variables as text: `.env` files, read and written, and what an editor is shown.
//!
//! A line is `NAME=value`, also after `export`; `#` begins a comment at a line's start, and after a space behind a bare value.
//! A value may stand in single quotes, which take everything as it is, or in double quotes, where `\n`, `\t`, `\"`, `\\`
//! and `\$` are what they are in a shell; either may go on over lines. Nothing is expanded: `$HOME` is five characters.

use std::fmt::Write as _;

/// Where a text is no list of variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct DotenvError {
    /// From 1.
    pub(crate) line: usize,
    message: &'static str,
}

/// Names and values, in the text's order.
pub(crate) fn read(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
    let mut variables = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let failed = |message| DotenvError { line, message };
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let start = first.find(trimmed).expect("it is a part of it");
        let skipped =
            trimmed.strip_prefix("export ").map_or(0, |bare| trimmed.len() - bare.trim_start().len());
        let assignment = &rest[start + skipped..];
        let end_of_line = assignment.find('\n').unwrap_or(assignment.len());
        let equals = assignment[..end_of_line].find('=').ok_or_else(|| failed("write NAME=value"))?;
        let name = assignment[..equals].trim();
        let value = &assignment[equals + 1..];
        let (value, left) = match value.trim_start_matches([' ', '\t']) {
            quoted if quoted.starts_with('\'') => {
                let end = quoted[1..].find('\'').ok_or_else(|| failed("its quote is never closed"))?;
                (quoted[1..=end].to_owned(), &quoted[end + 2..])
            }
            quoted if quoted.starts_with('"') => {
                unescape(&quoted[1..]).ok_or_else(|| failed("its quote is never closed"))?
            }
            bare => {
                let end = bare.find('\n').unwrap_or(bare.len());
                let value = bare[..end].split(" #").next().unwrap_or_default().trim();
                (value.to_owned(), &bare[end..])
            }
        };
        let (tail, after) = left.split_once('\n').unwrap_or((left, ""));
        if !tail.trim().is_empty() && !tail.trim_start().starts_with('#') {
            return Err(failed("there is more after its value; put the whole value in quotes"));
        }
        variables.push((name.to_owned(), value));
        rest = after;
    }
    Ok(variables)
}

/// A line that [`read`] and a shell read back; always quoted, so that no value means something else.
pub(crate) fn line(name: &str, value: &str) -> String {
    let mut line = format!("{name}=");
    if value.contains('\'') {
        line.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '$' | '`') {
                line.push('\\');
            }
            line.push(c);
        }
        line.push('"');
    } else {
        let _ = write!(line, "'{value}'");
    }
    line
}

/// What stands in double quotes, and what comes after them.
fn unescape(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        let text = "# a comment\n\nA=1\n export B = two words # said\nC='it #is'\nD=\"a\\nb \\\"c\\\" $HOME\"\nE=\nF='two\nlines'\nG=x#y";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "it #is"),
            ("D", "a\nb \"c\" $HOME"),
            ("E", ""),
            ("F", "two\nlines"),
            ("G", "x#y"),
        ];
        assert_eq!(read(text).unwrap(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn says_where_it_is_wrong() {
        let said = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(said("A=1\nB"), "line 2: write NAME=value");
        assert_eq!(said("\nA='x"), "line 2: its quote is never closed");
        assert_eq!(said("A='x' y"), "line 1: there is more after its value; put the whole value in quotes");
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(values in prop::collection::vec("[^\u{0}]*", 1..4)) {
            let text: String = values.iter().map(|value| line("A", value) + "\n").collect();
            let read: Vec<_> = read(&text).unwrap().into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(read, values);
        }
    }
}
