//! One pattern of a `.dockerignore` file.
//!
//! Docker translates a pattern to a regular expression, with two shortcuts (a leading and a trailing `**`) that match a
//! little more than the expression would; those are part of the format by now and kept here. The rest is a small
//! automaton of its own: its states advance together over the path, so no pattern can make matching slow.
//!
//! It departs from Docker where Docker contradicts its own syntax check: an escaped letter is that letter (Docker reads
//! `\d` as a digit), and `*` in a class is a star.

/// A compiled pattern, without the `!` of an exception.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    matcher: Matcher,
}

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `[` opens a class that is empty, never closed or has a `-` that is no range.
    #[error(
        "its `[...]` is empty, not closed or has a `-` at an end; write `\\[` and `\\-` for the characters"
    )]
    Class,
    /// A range such as `z-a`.
    #[error("its range `{low}-{high}` runs backwards")]
    Range {
        /// The first character.
        low: char,
        /// The last one.
        high: char,
    },
    /// The pattern ends in a backslash.
    #[error("its last `\\` escapes nothing")]
    Escape,
    /// An exception of nothing.
    #[error("its `!` is followed by no path")]
    LoneException,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// `dir/**`: every path that starts so.
    Prefix(String),
    /// `**/name` and `**name`: every path that ends so.
    Suffix(String),
    Tokens(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: one character that is no slash.
    NoSlash,
    /// `*`: any run without a slash.
    NoSlashes,
    /// `**` before something else: nothing, or the [`Token::Directories`] that always follows it.
    MaybeDirectories,
    /// Any run that ends in a slash.
    Directories,
    /// `**` at the end: any run.
    Anything,
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Compiles a pattern that [`clean`] has cleaned.
    pub(super) fn compile(text: &str) -> Result<Pattern, PatternError> {
        Ok(Pattern { text: text.to_owned(), matcher: compile(text)? })
    }

    /// Whether the pattern matches this very path, whatever its parents.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Prefix(prefix) => path.starts_with(prefix),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix('/').is_some_and(|name| path == name)
            }
            Matcher::Tokens(tokens) => tokens_match(tokens, path),
        }
    }

    /// Whether the pattern could match something below `dir`. Says yes when in doubt.
    pub(super) fn may_match_below(&self, dir: &str) -> bool {
        let is_literal = match &self.matcher {
            Matcher::Tokens(tokens) => tokens.iter().all(|token| matches!(token, Token::Char(_))),
            Matcher::Prefix(_) | Matcher::Suffix(_) => false,
        };
        let is_below = || self.text.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        // An escape makes the text differ from what it matches.
        !is_literal || self.text.contains('\\') || is_below()
    }
}

/// Shortens a path as Go's `filepath.Clean` does: no `.`, no empty segment, `..` taken with what it undoes.
pub(super) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if is_rooted => {}
                _ => kept.push(".."),
            },
            segment => kept.push(segment),
        }
    }
    match (is_rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}

fn compile(text: &str) -> Result<Matcher, PatternError> {
    let mut tokens = Vec::new();
    let mut is_suffix = false;
    let mut is_plain = true;
    let mut chars = text.chars().peekable();
    let mut is_first = true;
    while let Some(char) = chars.next() {
        match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` is the same as `**`.
                chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    if is_plain && !is_suffix {
                        let literal = text.trim_end_matches('/');
                        let literal = literal.strip_suffix("**").unwrap_or(literal);
                        return Ok(Matcher::Prefix(literal.to_owned()));
                    }
                    tokens.push(Token::Anything);
                    is_plain = false;
                } else {
                    tokens.push(Token::MaybeDirectories);
                    tokens.push(Token::Directories);
                    if is_first {
                        is_suffix = true;
                    } else {
                        is_plain = false;
                    }
                }
            }
            '*' => {
                tokens.push(Token::NoSlashes);
                is_plain = false;
            }
            '?' => {
                tokens.push(Token::NoSlash);
                is_plain = false;
            }
            '\\' => {
                tokens.push(Token::Char(chars.next().ok_or(PatternError::Escape)?));
                is_plain = false;
            }
            '[' => {
                tokens.push(class(&mut chars)?);
                is_plain = false;
            }
            char => tokens.push(Token::Char(char)),
        }
        is_first = false;
    }
    match text.strip_prefix("**") {
        Some(suffix) if is_suffix && is_plain => Ok(Matcher::Suffix(suffix.to_owned())),
        _ => Ok(Matcher::Tokens(tokens)),
    }
}

/// The rest of a class whose `[` has been read.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, PatternError> {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { is_negated, ranges });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        if high < low {
            return Err(PatternError::Range { low, high });
        }
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, PatternError> {
    match chars.next() {
        None | Some('-' | ']') => Err(PatternError::Class),
        Some('\\') => chars.next().ok_or(PatternError::Class),
        Some(char) => Ok(char),
    }
}

fn tokens_match(tokens: &[Token], path: &str) -> bool {
    // `here[i]`: what was read so far matches the tokens before `i`.
    let mut here = vec![false; tokens.len() + 1];
    here[0] = true;
    skip_optional(tokens, &mut here);
    for char in path.chars() {
        let mut next = vec![false; tokens.len() + 1];
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| here[*at]) {
            match token {
                Token::Char(expected) => next[at + 1] |= *expected == char,
                Token::NoSlash => next[at + 1] |= char != '/',
                Token::NoSlashes => next[at] |= char != '/',
                Token::Anything => next[at] = true,
                Token::MaybeDirectories => {}
                Token::Directories => {
                    next[at] = true;
                    next[at + 1] |= char == '/';
                }
                Token::Class { is_negated, ranges } => {
                    let is_in = ranges.iter().any(|(low, high)| (*low..=*high).contains(&char));
                    next[at + 1] |= is_in != *is_negated;
                }
            }
        }
        skip_optional(tokens, &mut next);
        here = next;
    }
    here[tokens.len()]
}

/// Lets every state pass the tokens that may match nothing.
fn skip_optional(tokens: &[Token], states: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if states[at] {
            match token {
                Token::NoSlashes | Token::Anything => states[at + 1] = true,
                Token::MaybeDirectories => {
                    states[at + 1] = true;
                    states[at + 2] = true;
                }
                Token::Char(_) | Token::NoSlash | Token::Directories | Token::Class { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cases: &[(&str, &str, bool)]) {
        for (pattern, path, expected) in cases {
            let compiled = Pattern::compile(&clean(pattern)).expect("a good pattern");
            assert_eq!(compiled.matches(path), *expected, "`{pattern}` on `{path}`: {compiled:?}");
        }
    }

    #[test]
    fn double_star_matches_as_in_docker() {
        check(&[
            ("**", "file", true),
            ("**/", "file", true),
            ("**", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("dir/**", "dir", false),
            ("**/dir", "dir", true),
            ("**/dir", "dir/file", false),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/*", "dir/dir2/dir3/file", false),
            ("**/dir2/**", "dir/dir2/dir3/file", true),
            ("**file", "file", true),
            ("**file", "dir/file", true),
            ("**file", "dir/myfile", true),
            ("**/file", "dir/dir/file", true),
            ("**/file", "dir/myfile", false),
            ("**/file*", "dir/dir/file.txt", true),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/file*.txt*", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/dir/file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("**/*.txt", "file.txt", true),
            ("**/**/*.txt", "file.txt", true),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a/*.txt", "a/dir/file.txt", false),
            ("a/*.txt**", "a/file.txt", true),
            ("a**", "abc/d", true),
            ("**/foo/bar", "foo/bar", true),
            ("**/foo/bar", "dir/dir2/foo/bar", true),
            ("abc/**", "abc/def/ghi", true),
            ("**/.foo", ".foo", true),
            ("**/.foo", "bar.foo", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "ab", false),
        ]);
    }

    #[test]
    fn star_question_mark_and_class_match_as_in_docker() {
        check(&[
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("a[b-d]e", "ace", true),
            ("a[b-d]e", "aae", false),
            ("a[^b-d]e", "aze", true),
            ("ab[^e-g]", "abc", true),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("abc?def", "abcZdef", true),
            ("abc?def", "abc/def", false),
            ("a?b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[\\-x]", "a", false),
        ]);
    }

    #[test]
    fn everything_else_is_literal() {
        check(&[
            ("abc.def", "abcZdef", false),
            ("a(b)c/def", "a(b)c/def", true),
            ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
            ("dist/x-2.4+g08.whl", "dist/x-2.4+g08.whl", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a\\\\", "a\\", true),
            ("ABC", "abc", false),
        ]);
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a["] {
            assert_eq!(Pattern::compile(pattern).expect_err(pattern), PatternError::Class, "{pattern}");
        }
        assert_eq!(Pattern::compile("\\").expect_err("an escape"), PatternError::Escape);
        let range = PatternError::Range { low: 'z', high: 'a' };
        assert_eq!(Pattern::compile("[z-a]").expect_err("a range"), range);
    }

    #[test]
    fn matching_takes_no_time_exponential_in_the_stars() {
        let pattern = Pattern::compile(&"a*".repeat(40)).expect("a good pattern");
        assert!(!pattern.matches(&format!("{}b/", "a".repeat(200))));
    }

    #[test]
    fn clean_shortens_as_go_does() {
        for (path, expected) in [
            ("a//b/", "a/b"),
            ("./a/./b", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a/..", "."),
            ("/", "/"),
            ("**/", "**"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
