//! `minipaas import`: projects of other tools, and the manifests that they become.
//!
//! A fixture is a folder of `fixtures/import`: `in/` is the project, `options` what is typed and set besides (`profile NAME`,
//! `env-file FILE`, `env NAME=value`, `file FILE`), `out/` what is written, byte by byte, and `out/notes` what is told.
//! `UPDATE_EXPECT=1` writes `out/` anew. Secrets in the projects are `hunter2`, which may be nowhere in `out/`.

mod problems;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use minipaas::import::{Files, Format, Import, ImportError, Options, import};
use minipaas::manifest::{MANIFEST_FILE, Manifest, Source};
use walkdir::WalkDir;

/// What no output may contain.
const SECRET: &str = "hunter2";

/// The files of a folder.
struct Folder(PathBuf);

/// Files that a test has written down.
#[derive(Default)]
struct Texts(BTreeMap<String, String>);

/// What is typed and set besides the files.
#[derive(Default)]
struct Typed {
    files: Vec<String>,
    profiles: Vec<String>,
    env_file: Option<String>,
    environment: BTreeMap<String, String>,
}

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let path = self.0.join(path);
        if path.is_file() {
            fs::read_to_string(path).map(Some).map_err(|error| error.to_string())
        } else {
            Ok(None)
        }
    }
}

impl Files for Texts {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).cloned())
    }
}

#[test]
fn projects_become_manifests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
    let mut wrong = String::new();
    let mut count = 0;
    for entry in WalkDir::new(&root).min_depth(1).max_depth(1).sort_by_file_name() {
        let folder = entry.expect("fixtures can be listed").into_path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        count += 1;
        let files = Folder(folder.join("in"));
        let typed = typed(&folder);
        let made = match run(&files, &name, &typed) {
            Ok(made) => made,
            Err(error) => {
                let _ = writeln!(wrong, "{name}: {error}");
                continue;
            }
        };
        let mut made_files = made.files.clone();
        made_files.insert("notes".to_owned(), notes(&made));
        for (path, text) in &made_files {
            if text.contains(SECRET) {
                let _ = writeln!(wrong, "{name}: a secret is in {path}");
            }
        }
        for (path, text) in made.files.iter().filter(|(path, _)| path.ends_with(MANIFEST_FILE)) {
            let procfile =
                if path == MANIFEST_FILE { files.read("Procfile").expect("readable") } else { None };
            let source = Source { toml: Some(text.clone()), procfile, ..Source::default() };
            Manifest::parse(&source).unwrap_or_else(|error| panic!("{name}: {path}: {error}"));
        }
        let again = run(&files, &name, &typed).expect("it was made once");
        assert_eq!(again, made, "{name} is made otherwise the second time");
        compare(&name, &folder.join("out"), &made_files, &mut wrong);
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 writes them anew:\n{wrong}");
    assert!(count >= 50, "{count} projects");
}

#[test]
fn what_is_carried_is_no_loss() {
    let compose = "services:\n  web:\n    image: example/web:1\n    ports: ['80:80']\n";
    let made = of_text("compose.yaml", compose).expect("a project");
    assert!(!made.has_lost(), "{:?}", made.notes);
    let made = of_text("compose.yaml", &format!("{compose}    privileged: true\n")).expect("a project");
    assert!(made.has_lost());
}

fn typed(folder: &Path) -> Typed {
    let mut typed = Typed::default();
    for line in fs::read_to_string(folder.join("options")).unwrap_or_default().lines() {
        match line.split_once(' ') {
            Some(("file", file)) => typed.files.push(file.to_owned()),
            Some(("profile", profile)) => typed.profiles.push(profile.to_owned()),
            Some(("env-file", file)) => typed.env_file = Some(file.to_owned()),
            Some(("env", pair)) => {
                let (name, value) = pair.split_once('=').expect("NAME=value");
                typed.environment.insert(name.to_owned(), value.to_owned());
            }
            _ => panic!("{line} is no option"),
        }
    }
    typed
}

fn run(files: &dyn Files, folder: &str, typed: &Typed) -> Result<Import, ImportError> {
    let options = Options {
        app: None,
        folder,
        profiles: &typed.profiles,
        env_file: typed.env_file.as_deref(),
        environment: &typed.environment,
    };
    if let [first, ..] = typed.files.as_slice() {
        return import(Format::of(first), &typed.files, false, files, &options);
    }
    let (format, file) = Format::find(files).expect("a project");
    import(format, &[file.to_owned()], true, files, &options)
}

/// A project of one file.
fn of_text(file: &str, text: &str) -> Result<Import, ImportError> {
    let files = Texts([(file.to_owned(), text.to_owned())].into());
    run(&files, "project", &Typed { files: vec![file.to_owned()], ..Typed::default() })
}

fn notes(made: &Import) -> String {
    let mut text = String::new();
    for note in &made.notes {
        let folder =
            note.folder.as_deref().map_or("-", |folder| if folder.is_empty() { "." } else { folder });
        let _ = writeln!(text, "{} [{folder}] {note}", note.kind.as_str());
    }
    text
}

fn compare(name: &str, out: &Path, made: &BTreeMap<String, String>, wrong: &mut String) {
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut known = BTreeMap::new();
    for entry in
        WalkDir::new(out).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file())
    {
        let path = entry.path().strip_prefix(out).expect("below").to_string_lossy().into_owned();
        known.insert(path, fs::read_to_string(entry.path()).expect("text"));
    }
    if known == *made {
        return;
    }
    if is_update {
        let _ = fs::remove_dir_all(out);
        for (path, text) in made {
            let path = out.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        return;
    }
    for path in known.keys().chain(made.keys()) {
        if known.get(path) != made.get(path) {
            let made = made.get(path).map_or("nothing", String::as_str);
            let _ = writeln!(wrong, "{name}: {path} is now:\n{made}");
        }
    }
}
