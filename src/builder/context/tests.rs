//! Contexts of temporary folders: what is listed, what changes the digest, what is in the archive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Folder {
        Folder { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(self, path: &str, content: &str) -> Folder {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a path below the folder")).expect("a directory");
        std::fs::write(path, content).expect("a file");
        self
    }

    fn link(self, path: &str, target: &str) -> Folder {
        symlink(target, self.path().join(path)).expect("a symlink");
        self
    }

    fn mode(self, path: &str, mode: u32) -> Folder {
        std::fs::set_permissions(self.path().join(path), Permissions::from_mode(mode)).expect("a mode");
        self
    }

    fn scan(&self) -> Context {
        Context::scan(self.path(), &IgnoreRules::default()).expect("a context")
    }

    fn scan_ignoring(&self, patterns: &str) -> Context {
        let rules = IgnoreRules::parse(Path::new("x"), patterns).expect("patterns");
        Context::scan(self.path(), &rules).expect("a context")
    }

    fn digest(&self) -> ContentDigest {
        self.scan().digest(&[]).expect("a digest")
    }
}

fn paths(context: &Context) -> Vec<&str> {
    context.entries().map(|entry| entry.path.as_str()).collect()
}

fn small() -> Folder {
    Folder::new().file("b.txt", "b").file("a/run.sh", "echo").mode("a/run.sh", 0o755).link("l", "a/run.sh")
}

#[test]
fn entries_are_sorted_and_normalised() {
    let folder = small().mode("b.txt", 0o600).mode("a/run.sh", 0o700);
    let context = folder.scan();
    let shown: Vec<_> =
        context.entries().map(|e| (e.path.as_str(), e.kind.clone(), e.mode, e.size)).collect();
    let link = EntryKind::Symlink { target: "a/run.sh".to_owned() };
    assert_eq!(
        shown,
        [
            ("a", EntryKind::Directory, 0o755, 0),
            ("a/run.sh", EntryKind::File, 0o755, 4),
            ("b.txt", EntryKind::File, 0o644, 1),
            ("l", link, 0o777, 0),
        ]
    );
    assert_eq!(context.bytes(), 5);
}

#[test]
fn ignored_folder_is_listed_for_its_exceptions_alone() {
    let folder = Folder::new().file("docs/a", "").file("docs/x/b.md", "").file("src/c", "").file("k", "");
    assert_eq!(
        paths(&folder.scan_ignoring("docs\n!**/*.md")),
        ["docs", "docs/x", "docs/x/b.md", "k", "src", "src/c"]
    );
    assert_eq!(paths(&folder.scan_ignoring("*\n!k")), ["k"]);
}

#[test]
fn ignored_folder_is_not_even_read() {
    let folder = Folder::new().file("secret/a", "").file("k", "");
    std::fs::write(folder.path().join("secret").join(OsStr::from_bytes(b"\xff")), "").expect("a file");
    assert_eq!(paths(&folder.scan_ignoring("secret\n!k")), ["k"]);
}

#[test]
fn digest_does_not_depend_on_times_owners_or_other_mode_bits() {
    let before = small().digest();
    let folder = small().mode("b.txt", 0o640).mode("a/run.sh", 0o711);
    let file = std::fs::File::options().write(true).open(folder.path().join("b.txt")).expect("a file");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).expect("a date");
    assert_eq!(folder.digest(), before);
}

#[test]
fn digest_depends_on_all_that_a_build_sees() {
    let base = small().digest();
    let changed = [
        small().file("b.txt", "c").digest(),
        small().file("c.txt", "").digest(),
        small().mode("b.txt", 0o755).digest(),
        small().link("m", "a").digest(),
        small().scan().under("site").digest(&[]).expect("a digest"),
        small().scan().digest(&[b"x"]).expect("a digest"),
        small().scan().with_file("Dockerfile", "FROM scratch").digest(&[]).expect("a digest"),
    ];
    let mut all: Vec<_> = changed.into_iter().chain([base]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
}

#[test]
fn archive_is_normalised_and_reads_back() {
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(120));
    let folder = small().file(&long, "far").link("far", &"t".repeat(150)).mode("b.txt", 0o600);
    let context = folder.scan().under("site").with_file("Dockerfile", "FROM scratch\n");
    let tar = context.write_tar(Vec::new()).expect("an archive");
    assert_eq!(tar, context.write_tar(Vec::new()).expect("an archive"));
    let mut found = BTreeMap::new();
    let mut archive = tar::Archive::new(tar.as_slice());
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!((header.mtime().ok(), header.uid().ok(), header.gid().ok()), (Some(0), Some(0), Some(0)));
        let mode = header.mode().expect("a mode");
        let path = entry.path().expect("a path").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("a content");
        let target = entry.link_name().expect("a target").map(|target| target.display().to_string());
        found.insert(path, (mode, target.unwrap_or(text)));
    }
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), paths(&context));
    assert_eq!(found["Dockerfile"], (0o644, "FROM scratch\n".to_owned()));
    assert_eq!(found["site/b.txt"], (0o644, "b".to_owned()));
    assert_eq!(found["site/a/run.sh"], (0o755, "echo".to_owned()));
    assert_eq!(found["site/far"], (0o777, "t".repeat(150)));
    assert_eq!(found[&format!("site/{long}")], (0o644, "far".to_owned()));
}

#[test]
fn empty_folder_under_a_prefix_has_the_prefix() {
    assert_eq!(paths(&Folder::new().scan().under("site")), ["site"]);
}

#[test]
fn file_that_changed_since_the_scan_is_an_error_that_names_it() {
    let changes: [fn(&Path); 3] = [
        |path| std::fs::write(path, "longer than before").expect("a file"),
        |path| std::fs::write(path, "").expect("a file"),
        |path| std::fs::remove_file(path).expect("a file"),
    ];
    for change in changes {
        let folder = small();
        let context = folder.scan();
        change(&folder.path().join("b.txt"));
        let errors = [
            context.digest(&[]).expect_err("a change"),
            context.write_tar(Vec::new()).expect_err("a change"),
        ];
        for error in errors {
            assert!(matches!(&error, ContextError::Changed { path } if path.ends_with("b.txt")), "{error:?}");
        }
    }
}

#[test]
fn file_that_changes_while_it_is_read_is_an_error() {
    let folder = Folder::new().file("log", &"x".repeat(4 * CHUNK_BYTES));
    let context = folder.scan();
    let Content::Disk(file) = &context.items["log"].content else { panic!("a file on disk") };
    let mut reader = file.open().expect("unchanged so far");
    let mut chunk = vec![0; CHUNK_BYTES];
    reader.read_exact(&mut chunk).expect("the first chunk");
    let log = std::fs::File::options().append(true).open(folder.path().join("log")).expect("a file");
    io::Write::write_all(&mut &log, b"more").expect("a write");
    reader.read_to_end(&mut Vec::new()).expect_err("a change");
    assert!(matches!(reader.take_failure(), Some(ContextError::Changed { .. })));
}

#[test]
fn socket_is_left_out_with_a_warning() {
    let folder = small();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("app.sock")).expect("a socket");
    let context = folder.scan();
    assert_eq!(paths(&context), paths(&small().scan()));
    assert_eq!(context.skipped()[0].to_string(), "`app.sock` is a socket and was left out");
}

#[test]
fn name_that_is_not_utf8_is_an_error_that_names_it() {
    let folder = small();
    std::fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9")), "").expect("a file");
    let error = Context::scan(folder.path(), &IgnoreRules::default()).expect_err("a bad name");
    assert!(matches!(&error, ContextError::NotUtf8 { .. }));
    assert!(error.to_string().contains("caf\u{fffd}"), "{error}");
}

#[test]
fn too_many_or_too_large_files_are_errors() {
    let folder = small();
    let scan = |entries_max, bytes_max| {
        super::scan::scan(folder.path(), &IgnoreRules::default(), Limits { entries_max, bytes_max })
    };
    assert!(scan(4, 5).is_ok());
    assert!(matches!(scan(3, 5), Err(ContextError::TooManyEntries { entries_max: 3, .. })));
    assert!(matches!(scan(4, 4), Err(ContextError::TooLarge { bytes_max: 4, .. })));
}

#[test]
fn folder_that_is_missing_is_named() {
    let missing = Folder::new().path().join("gone");
    let error = Context::scan(&missing, &IgnoreRules::default()).expect_err("no folder");
    assert_eq!(error.to_string(), format!("cannot read `{}`", missing.display()));
}
