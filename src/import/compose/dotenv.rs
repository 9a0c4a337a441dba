//! `.env` and `env_file`s as compose reads them: quotes, comments, and variables of what stands before.
//!
//! It is more than `minipaas config push` takes, which expands nothing.

use std::collections::BTreeMap;

use super::super::findings::{Findings, Place};
use super::super::secret;
use super::interpolate::interpolate;

/// A line of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Place,
    pub(super) name: String,
    /// `None` has the value come from whoever reads the project.
    pub(super) value: Option<String>,
}

/// The lines of a text. Values may name `outer` variables and those above them.
pub(super) fn read(
    file: &str,
    text: &str,
    outer: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut known = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let at = Place { line: number, ..Place::file(file) };
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let bare = rest.trim_start();
        let bare = bare.strip_prefix("export ").unwrap_or(bare).trim_start();
        let end = bare.find(['=', '\n']).unwrap_or(bare.len());
        let name = bare[..end].trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            findings.problem(&at, "this is no variable; write NAME=value");
            rest = after;
            continue;
        }
        if !bare[end..].starts_with('=') {
            lines.push(Line { at, name: name.to_owned(), value: None });
            rest = after;
            continue;
        }
        let Some((raw, is_literal, after)) = value(&bare[end + 1..]) else {
            findings.problem(&at, format!("the quote of `{name}` is never closed"));
            return lines;
        };
        rest = after;
        let lookup =
            |name: &str| outer.get(name).or_else(|| known.get(name)).map(|value| secret::masked(name, value));
        let value = if is_literal {
            raw
        } else {
            match interpolate(&raw, &lookup, &mut Vec::new()) {
                Ok(value) => value,
                Err(error) => {
                    findings.problem(&at, error.to_string());
                    continue;
                }
            }
        };
        known.insert(name.to_owned(), value.clone());
        lines.push(Line { at, name: name.to_owned(), value: Some(value) });
    }
    lines
}

/// A value, whether its `$` mean nothing, and what comes after its line; `None` when a quote is never closed.
fn value(text: &str) -> Option<(String, bool, &str)> {
    let start = text.trim_start_matches([' ', '\t']);
    let next_line = |text: &'_ str| text.find('\n').map_or(text.len(), |at| at + 1);
    if let Some(inner) = start.strip_prefix('\'') {
        let end = inner.find('\'')?;
        let after = &inner[end + 1..];
        return Some((inner[..end].to_owned(), true, &after[next_line(after)..]));
    }
    if let Some(inner) = start.strip_prefix('"') {
        let mut out = String::new();
        let mut characters = inner.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    let after = &inner[at + 1..];
                    return Some((out, false, &after[next_line(after)..]));
                }
                '\\' => match characters.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    // Still to be interpolated.
                    '$' => out.push_str("$$"),
                    c @ ('"' | '\\') => out.push(c),
                    c => out.extend(['\\', c]),
                },
                c => out.push(c),
            }
        }
        return None;
    }
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let bare = if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line) };
    Some((bare.trim().to_owned(), false, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_compose_reads_them() {
        let text =
            "# x\nA=1\nexport B=\"two ${A}\\n$$\" # c\nC='$A'\nD=a b # c\nE\nF=\nG=${X:-$A}\nH=\"\\$A\"\n";
        let outer = [("X".to_owned(), String::new())].into();
        let mut findings = Findings::default();
        let lines = read(".env", text, &outer, &mut findings);
        let told: Vec<_> = lines.iter().map(|l| (l.at.line, l.name.as_str(), l.value.as_deref())).collect();
        let expected = [
            (2, "A", Some("1")),
            (3, "B", Some("two 1\n$")),
            (4, "C", Some("$A")),
            (5, "D", Some("a b")),
            (6, "E", None),
            (7, "F", Some("")),
            (8, "G", Some("1")),
            (9, "H", Some("$A")),
        ];
        assert_eq!(told, expected);
        assert_eq!(findings.problems, []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let mut findings = Findings::default();
        read(".env", "A=1\na b=2\nC=\"x\n", &BTreeMap::new(), &mut findings);
        let told: Vec<_> = findings.problems.iter().map(ToString::to_string).collect();
        let expected =
            [".env:2: this is no variable; write NAME=value", ".env:3: the quote of `C` is never closed"];
        assert_eq!(told, expected);
    }
}
