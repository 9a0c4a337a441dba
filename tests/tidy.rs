//! The rules of the house that a compiler does not know: who may use what, and what no file may contain.
//!
//! `src/lib.rs` says why the dependencies point the way they do. A rule is a row in a table here; a module that has to
//! break one is a reason to talk, not to add an exception.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{fmt::Write as _, fs};

use walkdir::WalkDir;

/// Who reads a file of this length has lost the thread before its end.
const LINES_MAX: usize = 600;
/// Pure values: the same words mean the same thing whatever runs them.
const VOCABULARY: &[&str] = &[
    "autoscale/decide.rs",
    "autoscale/mod.rs",
    "cron/schedule.rs",
    "external/mod.rs",
    "external/address.rs",
    "formation.rs",
    "dataplane/name/",
    "import/",
    "manifest/",
    "dataplane/policy/",
    "environment.rs",
    "people/actor.rs",
    "people/role.rs",
    "release.rs",
    "plan/",
    "dataplane/route/",
];
/// What lets a value wait, talk or look.
const IMPURE_CRATES: &[&str] = &["bollard", "hyper", "sled", "tokio"];
/// A crate, and the places that alone may know it.
const CRATE_HOMES: &[(&str, &[&str])] = &[
    ("bollard", &["engine/docker/"]),
    ("croner", &["cron/schedule.rs"]),
    ("hickory_net", &["dns/"]),
    ("hickory_proto", &["dns/"]),
    ("hickory_resolver", &["dns/", "web/"]),
    ("instant_acme", &["acme/"]),
    ("kube", &["kubernetes/"]),
    ("notify", &["watch.rs"]),
    ("num_bigint", &["export/secrets/"]),
    ("prometheus_client", &["dataplane/metrics/text.rs"]),
    ("rcgen", &["acme/fake.rs", "acme/key.rs", "dataplane/tls/ca/", "dataplane/tls/sample.rs"]),
    ("sled", &["store/"]),
    (
        "x509_parser",
        &[
            "acme/key.rs",
            "dataplane/policy/client_ca.rs",
            "dataplane/tls/certificate.rs",
            "dataplane/tls/chain/",
            "dataplane/tls/constraints.rs",
            "dataplane/tls/server/clients.rs",
            "export/secrets/sealed.rs",
        ],
    ),
];
/// A place, and the modules of ours that it must not know. What `dataplane/` must not, the compiler sees to.
const STRANGERS: &[(&str, &[&str])] = &[("api/server/", &["store"]), ("cli/", &["controller", "store"])];
/// What is for an hour at a desk, and not for a commit.
const LEFTOVERS: &[&str] = &["dbg!", "todo!", "unimplemented!", "FIXME", "XXX"];

/// A file of ours, by its path below some folder.
struct File {
    path: String,
    text: String,
}

#[test]
fn vocabulary_is_pure() {
    check(&sources(), |file, findings| {
        if !is_in(&file.path, VOCABULARY) {
            return;
        }
        for (number, line) in code(&file.text) {
            for name in IMPURE_CRATES.iter().filter(|name| names_crate(line, name)) {
                findings.add(file, number, format_args!("vocabulary does not know {name}"));
            }
            if line.contains("std::fs") || line.contains("std::{fs") || names_crate(line, "fs") {
                findings.add(file, number, "vocabulary does not know files");
            }
        }
    });
}

#[test]
fn each_adapter_alone_knows_its_crate() {
    check(&sources(), |file, findings| {
        for (name, _) in CRATE_HOMES.iter().filter(|(_, homes)| !is_in(&file.path, homes)) {
            for (number, _) in code(&file.text).filter(|(_, line)| names_crate(line, name)) {
                findings.add(file, number, format_args!("{name} is known elsewhere alone"));
            }
        }
    });
}

#[test]
fn dependencies_point_one_way() {
    check(&sources(), |file, findings| {
        for (place, strangers) in STRANGERS.iter().filter(|(place, _)| file.path.starts_with(place)) {
            for (number, module) in modules_named(&file.text) {
                if strangers.contains(&module.as_str()) {
                    findings.add(file, number, format_args!("{place} does not know crate::{module}"));
                }
            }
        }
    });
}

#[test]
fn every_module_says_what_it_is() {
    check(&sources(), |file, findings| {
        if !file.text.starts_with("//!") {
            findings.add(file, 1, "a module begins with `//!`: what it is");
        }
    });
}

#[test]
fn nothing_unfinished_is_committed() {
    check(&sources(), |file, findings| {
        for (number, line) in lines(&file.text) {
            for leftover in LEFTOVERS.iter().filter(|leftover| line.contains(**leftover)) {
                findings.add(file, number, format_args!("{leftover} is left over"));
            }
        }
    });
}

#[test]
fn files_stay_readable() {
    check(&sources(), |file, findings| {
        let length = file.text.lines().count();
        if length > LINES_MAX {
            findings.add(file, length, format_args!("over {LINES_MAX} lines; it is two modules"));
        }
    });
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    // Put together here, as this file is checked as well.
    let private = ["work", "root"].map(|folder| format!("/{folder}/"));
    check(&tracked(), |file, findings| {
        for (number, line) in lines(&file.text) {
            for path in private.iter().filter(|path| line.contains(path.as_str())) {
                findings.add(file, number, format_args!("`{path}` is a path of one machine"));
            }
        }
    });
}

/// What broke a rule.
#[derive(Default)]
struct Findings(String);

impl Findings {
    fn add(&mut self, file: &File, line: usize, rule: impl std::fmt::Display) {
        writeln!(self.0, "{}:{line}: {rule}", file.path).expect("memory takes it");
    }
}

fn check(files: &[File], rule: impl Fn(&File, &mut Findings)) {
    let mut findings = Findings::default();
    for file in files {
        rule(file, &mut findings);
    }
    assert!(findings.0.is_empty(), "\n{}", findings.0);
}

/// Everything in `src/`, by its path there.
fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<_> = WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("src/ can be listed"))
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| File {
            path: entry.path().strip_prefix(&root).expect("it is below").display().to_string(),
            text: fs::read_to_string(entry.path()).expect("sources are UTF-8"),
        })
        .collect();
    assert!(!files.is_empty(), "{} has no sources", root.display());
    files
}

/// Every text file that git has, or would have after `git add`.
fn tracked() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let output = git.output().expect("tests/prepare installs git");
    assert!(output.status.success(), "{git:?}: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("our paths are UTF-8");
    let names: BTreeSet<_> = names.split_terminator('\0').collect();
    names
        .into_iter()
        // A file that was removed and not committed is listed; one that is no text has no lines.
        .filter_map(|name| {
            Some(File { path: name.to_owned(), text: fs::read_to_string(root.join(name)).ok()? })
        })
        .collect()
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || place.ends_with('/') && path.starts_with(place))
}

/// Lines with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// The lines that are no comment.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(text).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether a path in the line begins with this crate: `sled::`, but not `sd_notify::` for `notify`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        let is_root = !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && (!line[..at].ends_with("::") || line[..at].trim_start() == "use ::");
        let is_imported = line[..at].trim_start().ends_with("use ") && after.starts_with([';', ' ']);
        is_root && (after.starts_with("::") || is_imported)
    })
}

/// The top-level modules of this crate that a file names, with the line: in `use crate::{…}`, over lines, too.
fn modules_named(text: &str) -> Vec<(usize, String)> {
    let bare: String = text
        .lines()
        .flat_map(|line| [if line.trim_start().starts_with("//") { "" } else { line }, "\n"])
        .collect();
    let mut found = Vec::new();
    for (at, root) in bare.match_indices("crate::") {
        let number = 1 + bare[..at].matches('\n').count();
        let rest = &bare[at + root.len()..];
        let imports = rest.strip_prefix('{').map_or_else(|| rest.to_owned(), outermost);
        // Without braces the first name is all; with them each part between commas has one.
        let parts = if rest.starts_with('{') { usize::MAX } else { 1 };
        for import in imports.split(',').take(parts) {
            let name: String =
                import.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                found.push((number, name));
            }
        }
    }
    found
}

/// What stands between an opening brace, which is gone, and its closing one, without what is in inner braces.
fn outermost(text: &str) -> String {
    let mut depth = 1_u32;
    let mut outer = String::new();
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 1 => outer.push(character),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    outer
}

#[test]
fn modules_are_found_however_they_are_imported() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<_> = modules_named(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("use crate::store;", &["store"]);
    check("use crate::store::{Store, Lock};\nuse crate::name;", &["store", "name"]);
    check("use crate::{\n    api::{self, App},\n    store::Store,\n};", &["api", "store"]);
    check("let x = crate::engine::Engine::new(crate::clock::now());", &["engine", "clock"]);
    check("// crate::store\n/// [`crate::store`]", &[]);
}
