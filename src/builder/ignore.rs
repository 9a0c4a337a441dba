//! Which files of a source folder stay out of the build: `.dockerignore`, read exactly as Docker reads it.
//!
//! The last pattern that matches a path or one of its parents decides; `!` makes an exception. Patterns are anchored at
//! the folder's root, a matched folder takes all below it along, and an exception can bring a file back from an ignored
//! folder. The Dockerfile and the ignore file themselves are always sent, since the engine reads them.
//!
//! Where Docker's two builders differ, this is BuildKit: `docs` and then `!**/*.md` keeps `docs/a.md`, which the old
//! builder loses because it does not enter an ignored folder for a wildcard's sake.
//!
//! Beside the user's patterns there are a few rules of ours. `.minipaas` is never part of a build. Without an ignore
//! file, `.git` is not either; nothing else is guessed, so that what Docker would build is what minipaas builds. A
//! static site's files are public, so there dotfiles are left out (but for `.well-known`), and so is the manifest.

use std::io;
use std::path::{Path, PathBuf};

use super::pattern::{Pattern, PatternError, clean};

/// The ignore file's name.
const IGNORE_FILE: &str = ".dockerignore";
/// minipaas's own folder beside an app's source.
const OWN_FOLDER: &str = ".minipaas";
/// The manifest: it may hold configuration that is not for the public.
const MANIFEST: &str = "minipaas.toml";
/// The dot folder that is public by definition (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// Rules that say which paths stay out.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
    /// Paths that are never ignored, whatever the patterns say.
    kept: Vec<String>,
    is_site: bool,
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum IgnoreError {
    /// The ignore file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The ignore file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line is no pattern.
    #[error("line {line} of `{}`: `{pattern}` is no pattern", path.display())]
    Pattern {
        /// The ignore file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The line's text.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: PatternError,
    },
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    is_exception: bool,
}

/// Which rules matched a folder: whoever walks a tree hands it down to what is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    matched: Vec<bool>,
}

impl IgnoreRules {
    /// The rules for an image built from `dir` with the Dockerfile at `dockerfile` below it.
    ///
    /// `<dockerfile>.dockerignore` counts before `.dockerignore`, as in BuildKit.
    ///
    /// # Errors
    /// When there is an ignore file that cannot be read or has a malformed pattern.
    pub fn for_image(dir: &Path, dockerfile: &str) -> Result<IgnoreRules, IgnoreError> {
        let dockerfile = clean(dockerfile);
        let own_ignore_file = format!("{dockerfile}{IGNORE_FILE}");
        let own = load(&dir.join(&own_ignore_file))?;
        let rules = match own {
            Some(rules) => rules,
            None => load(&dir.join(IGNORE_FILE))?.unwrap_or_else(IgnoreRules::without_file),
        };
        Ok(IgnoreRules { kept: vec![dockerfile, own_ignore_file, IGNORE_FILE.to_owned()], ..rules })
    }

    /// The rules for a static site whose root is `dir`.
    ///
    /// # Errors
    /// When `dir` has an ignore file that cannot be read or has a malformed pattern.
    pub fn for_site(dir: &Path) -> Result<IgnoreRules, IgnoreError> {
        let rules = load(&dir.join(IGNORE_FILE))?.unwrap_or_default();
        Ok(IgnoreRules { is_site: true, ..rules })
    }

    /// The patterns in `text` alone; `path` is named in errors.
    ///
    /// # Errors
    /// For a malformed pattern.
    pub fn parse(path: &Path, text: &str) -> Result<IgnoreRules, IgnoreError> {
        let mut rules = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (at, line) in text.lines().enumerate() {
            let rule = parse_line(line).map_err(|source| IgnoreError::Pattern {
                path: path.to_owned(),
                line: at + 1,
                pattern: line.trim().to_owned(),
                source,
            })?;
            rules.extend(rule);
        }
        Ok(IgnoreRules { rules, ..IgnoreRules::default() })
    }

    /// Whether the file or folder at `path`, relative to the root and with slashes, stays out.
    ///
    /// An ignored folder may still hold a file that is not, by an exception.
    pub fn is_ignored(&self, path: &str) -> bool {
        let mut trail = Trail::default();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut is_ignored = false;
        for end in ends {
            (is_ignored, trail) = self.judge(&path[..end], &trail);
        }
        is_ignored
    }

    /// [`IgnoreRules::is_ignored`] one step down a walk: `parent` is the trail of the folder that holds `path`.
    pub(super) fn judge(&self, path: &str, parent: &Trail) -> (bool, Trail) {
        let mut is_ignored = false;
        let mut matched = Vec::with_capacity(self.rules.len());
        for (at, rule) in self.rules.iter().enumerate() {
            let parent_matched = parent.matched.get(at).copied().unwrap_or(false);
            // A rule that would change nothing is not asked, and counts as unmatched further down: that is how Docker
            // walks, and with exceptions it shows.
            let matches = parent_matched || (rule.is_exception == is_ignored && rule.pattern.matches(path));
            matched.push(matches);
            if matches {
                is_ignored = !rule.is_exception;
            }
        }
        let is_kept = self.kept.iter().any(|kept| kept == path);
        ((is_ignored && !is_kept) || self.is_always_ignored(path), Trail { matched })
    }

    /// Whether something below the ignored folder `dir` may be in the build all the same. Says yes when in doubt.
    pub(super) fn may_hold_exceptions(&self, dir: &str) -> bool {
        if self.is_always_ignored(dir) {
            return false;
        }
        let is_below = |path: &String| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        let mut exceptions = self.rules.iter().filter(|rule| rule.is_exception);
        self.kept.iter().any(is_below) || exceptions.any(|rule| rule.pattern.may_match_below(dir))
    }

    fn without_file() -> IgnoreRules {
        let git = Pattern::compile(".git").expect("a name is a pattern");
        IgnoreRules { rules: vec![Rule { pattern: git, is_exception: false }], ..IgnoreRules::default() }
    }

    fn is_always_ignored(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let is_own = segments.next() == Some(OWN_FOLDER);
        let is_private = || {
            let mut segments = path.split('/');
            path == MANIFEST || segments.any(|segment| segment.starts_with('.') && segment != WELL_KNOWN)
        };
        is_own || (self.is_site && is_private())
    }
}

fn load(path: &Path) -> Result<Option<IgnoreRules>, IgnoreError> {
    match std::fs::read_to_string(path) {
        Ok(text) => IgnoreRules::parse(path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IgnoreError::Read { path: path.to_owned(), source }),
    }
}

/// `None` for a line without a pattern.
fn parse_line(line: &str) -> Result<Option<Rule>, PatternError> {
    // A comment's `#` is the line's first character; after a space it is a pattern's.
    if line.starts_with('#') || line.trim().is_empty() {
        return Ok(None);
    }
    let line = line.trim();
    let (text, is_exception) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (line, false),
    };
    let text = if text.is_empty() { String::new() } else { clean(text) };
    if is_exception && matches!(text.as_str(), "" | "/") {
        return Err(PatternError::LoneException);
    }
    let text = text.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&text);
    Ok(Some(Rule { pattern: Pattern::compile(text)?, is_exception }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> IgnoreRules {
        IgnoreRules::parse(Path::new(IGNORE_FILE), text).expect("good patterns")
    }

    #[track_caller]
    fn check(text: &str, ignored: &[&str], sent: &[&str]) {
        let rules = rules(text);
        for path in ignored {
            assert!(rules.is_ignored(path), "`{path}` is sent by {text:?}");
        }
        for path in sent {
            assert!(!rules.is_ignored(path), "`{path}` is ignored by {text:?}");
        }
    }

    #[test]
    fn last_match_wins() {
        check("docs\n!docs/README.md", &["docs", "docs/a"], &["docs/README.md", "README.md"]);
        check("docs/\n!docs/README.md", &["docs/a"], &["docs/README.md"]);
        check("!file.go\n*.go", &["file.go"], &[]);
        check("*.go\n!file.go", &["other.go"], &["file.go"]);
        check("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md"]);
        check("**\n!util/docker/web", &["util", "util/docker"], &["util/docker/web/foo"]);
        check(
            "**\n!util/docker/web\nutil/docker/web/foo",
            &["util/docker/web/foo"],
            &["util/docker/web/bar"],
        );
        check(
            "**\n!dist/*.whl",
            &["dist/a.txt"],
            &["dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"],
        );
    }

    #[test]
    fn matched_folder_takes_all_below_it() {
        check("a", &["a", "a/b", "a/b/c"], &["ab", "x/a"]);
        check("**/dir", &["dir/file", "x/dir/y/z"], &["dirs/x"]);
        check("*/temp*", &["a/temp", "a/temporary/b"], &["temp", "a/b/temp"]);
        check("temp?", &["tempa", "tempb/c"], &["temp", "temp12"]);
    }

    #[test]
    fn patterns_are_anchored_and_cleaned() {
        check("/foo/bar", &["foo/bar"], &["x/foo/bar"]);
        check("foo//bar/", &["foo/bar"], &["foo"]);
        check("./foo", &["foo"], &[]);
        check("a/../b", &["b"], &["a"]);
        check("../out\n/\n.", &[], &["out", "a"]);
    }

    #[test]
    fn comments_blank_lines_and_spaces_do_not_count() {
        check("# a\n\n  \t\n  b  \n! b/c \r\n", &["b", "b/d"], &["a", "# a", "b/c"]);
        check(" # a", &["# a"], &["a"]);
        check("\u{feff}a", &["a"], &[]);
    }

    #[test]
    fn rule_that_changed_nothing_for_a_folder_is_not_inherited_from_it() {
        // Docker's walk asks `!a` about `a` only if `a` is ignored by then; it is not, so `a/x` stays ignored.
        check("a/x\n!a", &["a/x"], &["a", "a/y"]);
    }

    #[test]
    fn malformed_line_is_named() {
        let error =
            IgnoreRules::parse(Path::new("app/.dockerignore"), "ok\n[\n").expect_err("a malformed pattern");
        assert_eq!(error.to_string(), "line 2 of `app/.dockerignore`: `[` is no pattern");
        for text in ["!", "! ", "!/", "!/..", "!//."] {
            assert!(IgnoreRules::parse(Path::new("x"), text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn dockerfile_and_ignore_file_are_always_sent() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join(IGNORE_FILE), "**").expect("a file");
        let rules = IgnoreRules::for_image(dir.path(), "./deploy/Dockerfile").expect("rules");
        assert!(!rules.is_ignored("deploy/Dockerfile"));
        assert!(!rules.is_ignored(IGNORE_FILE));
        assert!(rules.is_ignored("deploy/other"));
        assert!(rules.may_hold_exceptions("deploy"));
        assert!(!rules.may_hold_exceptions("src"));
    }

    #[test]
    fn ignore_file_of_the_dockerfile_counts_first() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join(IGNORE_FILE), "a").expect("a file");
        std::fs::write(dir.path().join("Dockerfile.dockerignore"), "b").expect("a file");
        let rules = IgnoreRules::for_image(dir.path(), "Dockerfile").expect("rules");
        assert!(rules.is_ignored("b") && !rules.is_ignored("a"));
        let rules = IgnoreRules::for_image(dir.path(), "Other").expect("rules");
        assert!(rules.is_ignored("a") && !rules.is_ignored("b"));
    }

    #[test]
    fn git_is_ignored_unless_an_ignore_file_says_otherwise() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let rules = IgnoreRules::for_image(dir.path(), "Dockerfile").expect("rules");
        assert!(rules.is_ignored(".git/config") && rules.is_ignored(".minipaas/log"));
        assert!(!rules.is_ignored("node_modules/a") && !rules.is_ignored(".env"));
        std::fs::write(dir.path().join(IGNORE_FILE), "!.minipaas\n").expect("a file");
        let rules = IgnoreRules::for_image(dir.path(), "Dockerfile").expect("rules");
        assert!(!rules.is_ignored(".git/config") && rules.is_ignored(".minipaas/log"));
    }

    #[test]
    fn site_leaves_out_what_is_not_public() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join(IGNORE_FILE), "drafts\n!.env").expect("a file");
        let rules = IgnoreRules::for_site(dir.path()).expect("rules");
        for path in [".env", "a/.git/config", ".dockerignore", "minipaas.toml", "drafts/x.html"] {
            assert!(rules.is_ignored(path), "{path}");
        }
        for path in [".well-known/security.txt", "index.html", "a/minipaas.toml"] {
            assert!(!rules.is_ignored(path), "{path}");
        }
    }
}
