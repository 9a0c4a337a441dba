//! `a:b` in the command's place is `a b`, as Heroku's users type it.

use std::ffi::{OsStr, OsString};

/// Global options whose value is the next word.
const OPTIONS_WITH_VALUE: [&str; 4] = ["-a", "--app", "-r", "--remote"];

/// What Heroku calls by other words. With a space, these are a program of the app that is run.
const OTHER_NAMES: [(&str, &[&str]); 2] = [("run:inside", &["exec"]), ("run:detached", &["run", "--detach"])];

/// Splits the first word that is no option, if it has colons.
pub(super) fn expand_colons(mut argv: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = command_position(&argv) else { return argv };
    let parts: Vec<OsString> = match argv[at].to_str() {
        Some(word) if let Some((_, words)) = OTHER_NAMES.iter().find(|(name, _)| *name == word) => {
            words.iter().map(OsString::from).collect()
        }
        Some(word) if word.split(':').all(|part| !part.is_empty()) => {
            word.split(':').map(OsString::from).collect()
        }
        _ => return argv,
    };
    argv.splice(at..=at, parts);
    argv
}

/// Where the first word is that is no option.
pub(super) fn command_position(argv: &[OsString]) -> Option<usize> {
    let mut words = argv.iter().enumerate().skip(1);
    while let Some((at, word)) = words.next() {
        if OPTIONS_WITH_VALUE.iter().any(|option| word == OsStr::new(option)) {
            words.next();
        } else if word == "--" {
            return None;
        } else if !word.to_string_lossy().starts_with('-') {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_colons(typed: &str, expected: &str) {
        let argv = format!("minipaas {typed}").split(' ').map(OsString::from).collect();
        let expanded: Vec<String> =
            expand_colons(argv).into_iter().skip(1).map(|word| word.into_string().expect("UTF-8")).collect();
        assert_eq!(expanded.join(" "), expected);
    }

    #[test]
    fn colons_are_spaces_in_the_commands_place_alone() {
        check_colons("config:set A=b:c", "config set A=b:c");
        check_colons("-a shop domains:add x", "-a shop domains add x");
        check_colons("-r box access:add bob", "-r box access add bob");
        check_colons("--app a:b ps", "--app a:b ps");
        check_colons("--app=shop --json releases:info v3", "--app=shop --json releases info v3");
        check_colons("up ./a:b", "up ./a:b");
        check_colons("a:b:c", "a b c");
        check_colons("run rake db:migrate", "run rake db:migrate");
        check_colons("run:detached rake a:b", "run --detach rake a:b");
        check_colons("run:inside web.1 a:b", "exec web.1 a:b");
        check_colons("-a shop run -- ps:exec", "-a shop run -- ps:exec");
        check_colons("cp web.1:/a:b .", "cp web.1:/a:b .");
        check_colons(":x", ":x");
        check_colons("x:", "x:");
        check_colons("-q", "-q");
        check_colons("-- a:b", "-- a:b");
    }
}
