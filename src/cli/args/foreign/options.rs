//! What users of Heroku and Deis type behind a command that we have: the option of ours that means it, or what to do instead.
//!
//! Asked only for an option that the command does not know, so that none of ours is ever taken for another's. `docs/coming-from.md`
//! has the same list.

use std::ffi::{OsStr, OsString};

use super::super::colons::command_position;
use super::{ACCESS, NO_ADDONS, NO_BUILDPACKS, NO_PLACEMENT, STACK};

/// What an option that is typed elsewhere means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same as this option of ours, with its value if it has one.
    Ours(&'static str),
    /// Its value stands by itself.
    Bare,
    /// It is so anyway.
    Nothing,
    /// It is so anyway, with whatever value.
    NothingWithValue,
    /// Nothing; this is what to do instead, as a sentence.
    Instead(&'static str),
}

use Meaning::{Bare, Instead, Nothing, NothingWithValue, Ours};

const CERT: &str = "a certificate is used for every host that it names: `minipaas certs add` is enough";
const JSON: &str = "`--json` prints everything, for programs to choose from";
const LOGIN: &str = "a link or a token lets you in: `minipaas login URL`, and `--token -` reads one";
const SIZES: &str =
    "there are no sizes: `minipaas limits set web=512M` says how much memory an instance may use";

/// Options by the command of ours that they follow (an empty one is every command), in the order of the documentation.
pub(crate) const OPTIONS: &[(&str, &[&str], Meaning)] = &[
    (
        "access add",
        &["-p", "--permissions"],
        Instead("a role stands for what one may do: `--role viewer`, `collaborator` or `owner`"),
    ),
    ("access add", &["--admin"], Instead("an administrator makes others: `minipaas users promote NAME`")),
    ("access", &["--admin"], Instead("`minipaas users` says who is an administrator")),
    ("apps", &["-A", "--all", "-p", "--personal"], Nothing),
    ("apps create", &["-b", "--buildpack", "--buildpacks"], Instead(NO_BUILDPACKS)),
    ("apps create", &["--region"], Instead(NO_PLACEMENT)),
    ("apps create", &["-s", "--stack"], Instead(STACK)),
    ("apps create", &["--addons"], Instead(NO_ADDONS)),
    (
        "apps create",
        &["-m", "--manifest"],
        Instead("`minipaas up` reads the manifest, and makes the app if there is none"),
    ),
    ("apps create", &["-n", "--no-remote"], Nothing),
    ("apps info", &["-s", "--shell"], Instead(JSON)),
    ("apps transfer", &["-l", "--locked"], Instead(ACCESS)),
    (
        "autoscale set",
        &["--notifications", "--notification-period"],
        Instead("there is no mail: `minipaas events -f` and `minipaas hooks` tell what happens"),
    ),
    ("certs add", &["--domains"], Instead(CERT)),
    (
        "certs add",
        &["--bypass", "--type"],
        Instead("the chain is what is served: the certificate first, then those of its issuers"),
    ),
    (
        "certs renew",
        &["--wait"],
        Instead("`minipaas domains wait` waits until each host has its certificate"),
    ),
    ("config", &["--oneline"], Ours("--shell")),
    ("config", &["--diff"], Instead("`minipaas releases info` shows what a release has changed")),
    ("config pull", &["-i", "--interactive"], Instead("`--force` replaces the file if it is there")),
    ("config push", &["-p", "--path"], Bare),
    (
        "cp",
        &["-d", "--dyno", "-o", "--output"],
        Instead("the instance is part of the path: `minipaas cp web.1:/app/log .`"),
    ),
    ("domains add", &["-c", "--cert"], Instead(CERT)),
    (
        "domains add",
        &["--wait", "--no-wait"],
        Instead("the host leads to the app at once; `minipaas domains wait` waits for its certificate"),
    ),
    (
        "exec",
        &["--ssh", "--status"],
        Instead("nothing has to be switched on: `minipaas exec` is a shell in `web.1`"),
    ),
    ("health set", &["--period-seconds"], Ours("--interval")),
    ("health set", &["--timeout-seconds"], Ours("--timeout")),
    ("health set", &["--failure-threshold"], Ours("--failures")),
    ("health set", &["--success-threshold"], Instead("one success is enough")),
    (
        "health set",
        &["--initial-delay-timeout", "--initial-delay-seconds"],
        Instead("a probe begins at once; until `--deadline` an instance may fail it"),
    ),
    (
        "health set",
        &["--headers"],
        Instead(
            "a probe sends no headers of its own; a command can: `minipaas health set ready command -- curl -f -H 'A: b' localhost:8080`",
        ),
    ),
    ("hooks add", &["-u", "--url"], Bare),
    (
        "hooks add",
        &["-i", "--include"],
        Instead(
            "`--event` names what it is for: `release-active,release-failed`; without it, what comes of each deploy",
        ),
    ),
    ("hooks add", &["-l", "--level"], NothingWithValue),
    ("hooks add", &["-s"], Ours("--secret")),
    (
        "hooks add",
        &["-t", "--authorization"],
        Instead("what is sent is signed: `--secret -` reads the secret"),
    ),
    ("limits set", &["-m", "--memory"], Nothing),
    ("limits set", &["-c"], Ours("--cpu")),
    (
        "login",
        &[
            "-i",
            "--interactive",
            "-b",
            "--browser",
            "--sso",
            "-e",
            "--expires-in",
            "-u",
            "--username",
            "-p",
            "--password",
        ],
        Instead(LOGIN),
    ),
    ("login", &["--ssl-verify"], Instead("`--fingerprint` names the one CA to believe")),
    ("logs", &["-l", "--limit"], Ours("--lines")),
    (
        "port-forward",
        &["-d", "--dyno"],
        Instead("the instance comes first: `minipaas port-forward web.2 8080`"),
    ),
    ("ps wait", &["-t", "--type"], Instead("instances of all process types are waited for")),
    ("ps wait", &["-w", "--wait-interval"], NothingWithValue),
    (
        "ps wait",
        &["-R", "--with-run"],
        Instead("runs are of one release as long as they go on, and are not waited for"),
    ),
    ("releases", &["--num", "-l", "--limit"], Ours("--lines")),
    ("releases info", &["-s", "--shell"], Instead(JSON)),
    ("run", &["-s", "--size"], Instead(SIZES)),
    (
        "run",
        &["-t", "--tail"],
        Instead("without `--detach` it shows what it writes; `minipaas logs -f` follows a detached one"),
    ),
    ("run", &["--no-notify", "--no-launcher"], Nothing),
    (
        "tokens rotate",
        &["-u", "--user", "--all"],
        Instead("`minipaas tokens` lists yours; each is rotated by its id"),
    ),
    ("whoami", &["--all"], Nothing),
    ("", &["-j"], Ours("--json")),
    ("", &["-t", "--team", "-o", "--org", "--space"], Instead(ACCESS)),
    ("", &["-c", "--confirm"], NothingWithValue),
    ("", &["-l", "--limit"], NothingWithValue),
    ("", &["--no-color", "--no-wrap", "--no-truncate"], Nothing),
    ("", &["-x", "--extended", "--csv", "--columns", "--filter", "--sort", "--no-header"], Instead(JSON)),
];

/// What this option means behind this command, the command's own meaning first.
pub(crate) fn meaning(command: &str, option: &str) -> Option<Meaning> {
    let found = |wanted: &str| {
        OPTIONS.iter().find(|(command, options, _)| *command == wanted && options.contains(&option))
    };
    found(command).or_else(|| found("")).map(|(.., meaning)| *meaning)
}

/// The arguments with the first `option` behind the command as it is typed here; `None` where there is none, or nothing to put there.
pub(crate) fn exchanged(mut argv: Vec<OsString>, option: &str, meaning: Meaning) -> Option<Vec<OsString>> {
    let start = command_position(&argv)?;
    let end = argv.iter().position(|word| word == OsStr::new("--")).unwrap_or(argv.len());
    let (at, value) = (start..end).find_map(|at| {
        let rest = argv[at].to_str()?.strip_prefix(option)?;
        match rest.strip_prefix('=') {
            _ if rest.is_empty() => Some((at, None)),
            Some(value) => Some((at, Some(value.to_owned()))),
            None if option.starts_with("--") => None,
            // `-nVALUE`.
            None => Some((at, Some(rest.to_owned()))),
        }
    })?;
    let words = match (meaning, value) {
        (Instead(_), _) => return None,
        (Ours(ours), None) => vec![ours.to_owned()],
        (Ours(ours), Some(value)) => vec![format!("{ours}={value}")],
        (Bare, Some(value)) => vec![value],
        (Bare | Nothing | NothingWithValue, _) => Vec::new(),
    };
    let takes_next = meaning == NothingWithValue && argv[at].to_str() == Some(option);
    let end = (at + 1 + usize::from(takes_next)).min(argv.len());
    argv.splice(at..end, words.into_iter().map(OsString::from));
    Some(argv)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::super::{Args, parse};
    use super::*;

    fn argv(typed: &str) -> Vec<OsString> {
        std::iter::once("minipaas").chain(typed.split(' ')).map(OsString::from).collect()
    }

    /// A command of ours by its words.
    fn command(words: &str) -> clap::Command {
        let mut command = Args::command();
        command.build();
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            command = command.find_subcommand(word).unwrap_or_else(|| panic!("{words}")).clone();
        }
        command
    }

    fn has(command: &clap::Command, option: &str) -> bool {
        command.get_arguments().any(|arg| {
            let long = option.strip_prefix("--").is_some_and(|name| {
                arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
            });
            let short = option.strip_prefix('-').filter(|name| name.len() == 1).is_some_and(|name| {
                let name = name.chars().next();
                arg.get_short() == name
                    || arg
                        .get_all_short_aliases()
                        .is_some_and(|all| all.iter().any(|short| Some(*short) == name))
            });
            long || short
        })
    }

    #[test]
    fn no_option_of_ours_means_another_and_each_that_is_meant_is_there() {
        for (words, options, meaning) in OPTIONS.iter().filter(|(words, ..)| !words.is_empty()) {
            let command = command(words);
            for option in *options {
                assert!(!has(&command, option), "`{words}` has `{option}` of its own");
            }
            if let Ours(ours) = meaning {
                assert!(has(&command, ours), "`{words}` has no `{ours}`");
            }
        }
    }

    #[test]
    fn an_option_is_exchanged_with_its_value() {
        let check = |typed: &str, option: &str, meaning, expected: Option<&str>| {
            let found = exchanged(argv(typed), option, meaning);
            assert_eq!(found, expected.map(argv), "{typed}");
        };
        check("releases --num 5", "--num", Ours("--lines"), Some("releases --lines 5"));
        check("releases --num=5", "--num", Ours("--lines"), Some("releases --lines=5"));
        check("releases --number=5", "--num", Ours("--lines"), None);
        check("releases -l5", "-l", Ours("--lines"), Some("releases --lines=5"));
        check("hooks add -u https://x", "-u", Bare, Some("hooks add https://x"));
        check("hooks add --url=https://x", "--url", Bare, Some("hooks add https://x"));
        check("hooks add -l notify https://x", "-l", NothingWithValue, Some("hooks add https://x"));
        check("hooks add --level=sync https://x", "--level", NothingWithValue, Some("hooks add https://x"));
        check("apps -A --json", "-A", Nothing, Some("apps --json"));
        check("run -- ls -A", "-A", Nothing, None);
    }

    #[test]
    fn what_is_typed_elsewhere_works_or_says_what_to_do() {
        for typed in [
            "releases -n 3",
            "releases --num 3 -j",
            "logs --dyno web.1 --tail --num 50 --no-color",
            "logs --ps web --source app",
            "webhooks:add -i x",
            "create shop --no-remote",
            "apps --all",
            "config:get A B",
            "config:get -s A",
            "config:list --oneline",
            "domains:clear --confirm shop",
            "limits:set -m web=1G",
            "healthchecks:set liveness httpGet 8000 --path=/up --period-seconds 5 --failure-threshold 2",
            "run --no-notify -x ls -A",
            "ps:wait -w 5",
        ] {
            let parsed = parse(argv(typed));
            assert!(typed.starts_with("webhooks:add -i") || parsed.is_ok(), "{typed}: {parsed:?}");
        }
        for (typed, expected) in [
            ("access:add bob -p deploy", "--role viewer"),
            ("perms:create bob --admin", "users promote"),
            ("create shop -b heroku/nodejs", "no buildpacks"),
            ("create --region=eu", "a box is one host"),
            ("create -s heroku-24", "no stacks"),
            ("create -t acme", "minipaas access"),
            ("run -s standard-2x ls", "minipaas limits set"),
            ("run --size=standard-2x ls", "minipaas limits set"),
            ("ps:copy log.txt --dyno web.1", "cp web.1:/app/log ."),
            ("ps:forward 8080 -d web.2", "port-forward web.2 8080"),
            ("webhooks:add -i api:release -u https://x", "`--event` names"),
            ("domains:add a.example.com --cert x", "certs add"),
            ("domains --csv", "--json"),
            ("ps:scale web=2:standard-1x", "limits set"),
            ("auth:login https://box --username bob", "--token -"),
            ("healthchecks:set liveness httpGet --initial-delay-timeout 5", "--deadline"),
        ] {
            let error = parse(argv(typed)).expect_err(typed);
            let text = error.to_string();
            assert!(text.contains(expected), "{typed}: {text}");
            assert_eq!(error.exit_code(), 2, "{typed}");
        }
        let plain = parse(argv("ps --nonsense")).expect_err("nobody's").to_string();
        assert!(plain.contains("unexpected argument '--nonsense'"), "{plain}");
    }
}
