//! The project in a folder: its manifest, and the name of its app.
//!
//! Everything that can be wrong with the files is found here, before anything is touched. Nothing is sent anywhere.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Session;
use super::args::AppArgs;
use super::failure::{Failure, Kind};
use crate::api::SourceTexts;
use crate::builder::detect::{BuildKind, BuildOptions, DetectError, Inputs, detect};
use crate::manifest::{
    FILE_BYTES_MAX, MANIFEST_FILE, Manifest, ManifestError, PROCFILE, Problem, Source, WantedFile, Warning,
};
use crate::name::AppName;

/// A folder that holds an app.
#[derive(Debug)]
pub(crate) struct Project {
    /// Absolute, without symlinks: what the daemon remembers as the app's origin.
    pub(crate) dir: PathBuf,
    pub(crate) app: AppName,
    pub(crate) manifest: Manifest,
    pub(crate) warnings: Vec<Warning>,
    source: Source,
}

impl Project {
    /// Reads and checks the files in `dir`.
    pub(crate) fn read(dir: &Path, flag: Option<&AppName>) -> Result<Self, Failure> {
        let metadata = std::fs::metadata(dir);
        match metadata {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(DetectError::NotAFolder { dir: dir.to_owned() }.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DetectError::Missing { dir: dir.to_owned() }.into());
            }
            Err(source) => return Err(DetectError::Read { dir: dir.to_owned(), source }.into()),
        }
        let dir = dir.canonicalize().map_err(|source| DetectError::Read { dir: dir.to_owned(), source })?;
        let (source, mut problems) = read_source(&dir)?;
        let (manifest, warnings) = match Manifest::parse(&source) {
            Ok(parsed) if problems.is_empty() => parsed,
            Ok(_) => return Err(ManifestError::new(problems).into()),
            Err(error) => {
                problems.extend(error.problems);
                return Err(ManifestError::new(problems).into());
            }
        };
        let app = app_name(flag, manifest.app.as_ref(), &dir);
        Ok(Self { dir, app, manifest, warnings, source })
    }

    /// How its image is made; `image` is a ready one that goes before everything in the folder.
    pub(crate) fn build_kind(&self, image: Option<&str>) -> Result<BuildKind, Failure> {
        if let Some(image) = image {
            return Ok(BuildKind::Image(image.to_owned()));
        }
        let build = &self.manifest.build;
        let options = BuildOptions {
            image: build.image.clone(),
            dockerfile: build.dockerfile.clone(),
            static_dir: build.static_dir.clone(),
            context: None,
            args: build.args.clone(),
            target: build.target.clone(),
            spa: build.spa,
        };
        Ok(detect(&Inputs::read(&self.dir, options)?)?)
    }

    /// The files that the manifest names.
    pub(crate) fn named_files(&self) -> Vec<String> {
        self.source.files.keys().cloned().collect()
    }

    /// The files' texts, for the daemon.
    pub(crate) fn source_texts(&self) -> SourceTexts {
        let Source { toml, procfile, files } = self.source.clone();
        SourceTexts { toml, procfile, files }
    }
}

/// The app that a command is about: its argument, else `--app`, else the one in this folder.
pub(crate) fn app_of(session: &Session, args: &AppArgs) -> Result<AppName, Failure> {
    if let Some(app) = named_app(session, args) {
        return Ok(app);
    }
    Ok(Project::read(Path::new("."), None)?.app)
}

/// The app that a command names, if it names one.
pub(crate) fn named_app(session: &Session, args: &AppArgs) -> Option<AppName> {
    args.name.clone().or_else(|| session.globals.app.clone())
}

/// The texts of a manifest for an app that is only a route, checked.
pub(crate) fn read_routes(file: &Path) -> Result<SourceTexts, Failure> {
    let unreadable = |error: io::Error| {
        let error = anyhow::Error::new(error).context(format!("cannot read `{}`", file.display()));
        Failure::new(Kind::Usage, error)
    };
    let path = file.canonicalize().map_err(unreadable)?;
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let mut source = Source { toml: Some(text), ..Source::default() };
    let mut problems = path.parent().map(|dir| add_named_files(dir, &mut source)).unwrap_or_default();
    if let Err(error) = Manifest::of_routes(&source) {
        problems.extend(error.problems);
    }
    if !problems.is_empty() {
        return Err(ManifestError::new(problems).into());
    }
    let Source { toml, procfile, files } = source;
    Ok(SourceTexts { toml, procfile, files })
}

fn app_name(flag: Option<&AppName>, manifest: Option<&AppName>, dir: &Path) -> AppName {
    flag.or(manifest).cloned().unwrap_or_else(|| {
        AppName::from_folder(&dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default())
    })
}

/// The texts, and what is wrong with the files that the manifest names.
fn read_source(dir: &Path) -> Result<(Source, Vec<Problem>), Failure> {
    let read = |name: &str| {
        let path = dir.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("cannot read `{}`", path.display()))
                .map_err(|error| Failure::new(Kind::Usage, error)),
        }
    };
    let mut source = Source { toml: read(MANIFEST_FILE)?, procfile: read(PROCFILE)?, ..Source::default() };
    let problems = add_named_files(dir, &mut source);
    Ok((source, problems))
}

/// Adds the files that the manifest names; returns what is wrong with them.
fn add_named_files(dir: &Path, source: &mut Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for WantedFile { path, line } in source.wanted_files() {
        let text = match read_named(dir, &path) {
            // The manifest's own problem, when it is read.
            Ok(None) => continue,
            Ok(Some(text)) => text,
            Err(message) => {
                problems.push(Problem { file: MANIFEST_FILE, line, message, hint: None });
                // What is said here is not said again there.
                String::new()
            }
        };
        source.files.insert(path, text);
    }
    problems
}

/// The text of a file in the folder; `None` when it is not there. The error is a sentence.
pub(super) fn read_named(dir: &Path, path: &str) -> Result<Option<String>, String> {
    let unreadable = |error: io::Error| format!("cannot read `{path}`: {error}");
    let full = match dir.join(path).canonicalize() {
        Ok(full) => full,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !full.starts_with(dir) {
        return Err(format!("`{path}` is a link that leads out of the project folder"));
    }
    // Before it is opened: a pipe would wait for a writer.
    if !full.is_file() {
        return Err(format!("`{path}` is not a file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(&full).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("`{path}` is larger than {} KiB", FILE_BYTES_MAX / 1024));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| format!("`{path}` is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_the_manifest_names_are_small_texts_in_the_folder() {
        let (folder, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
        std::fs::write(elsewhere.path().join("secret"), "secret").expect("a file");
        std::fs::create_dir(folder.path().join("dir")).expect("a folder");
        std::os::unix::fs::symlink(elsewhere.path().join("secret"), folder.path().join("link"))
            .expect("a link");
        write("good", b"<p>gone</p>");
        write("long", &vec![b'x'; FILE_BYTES_MAX + 1]);
        write("bytes", &[0xff]);
        write("minipaas.toml", b"[proxy.error_pages]\n400 = \"missing\"\n401 = \"dir\"\n402 = \"link\"\n403 = \"long\"\n404 = \"bytes\"\n405 = \"../x\"\n406 = \"./good\"\n");
        let error = Project::read(folder.path(), None).expect_err("bad files");
        expect_test::expect![[r#"
            error: minipaas.toml:2: there is no file `missing` in the project folder
                   minipaas.toml:3: `dir` is not a file
                   minipaas.toml:4: `link` is a link that leads out of the project folder
                   minipaas.toml:5: `long` is larger than 64 KiB
                   minipaas.toml:6: `bytes` is not UTF-8
                   minipaas.toml:7: `../x` is outside the project folder; give a path below it
        "#]]
        .assert_eq(&error.to_string());

        write("minipaas.toml", b"[proxy.error_pages]\n406 = \"./good\"\n");
        let project = Project::read(folder.path(), None).expect("a project");
        assert_eq!(project.manifest.proxy.page(406).map(|page| &**page), Some("<p>gone</p>"));
        assert_eq!(project.source_texts().files["good"], "<p>gone</p>");
        assert_eq!(project.named_files(), ["good"]);
    }

    #[test]
    fn flag_goes_before_manifest_before_folder() {
        let name = |text: &str| text.parse::<AppName>().expect("a name");
        let (flag, manifest, dir) = (name("flag"), name("manifest"), Path::new("/srv/My Shop"));
        assert_eq!(app_name(Some(&flag), Some(&manifest), dir), flag);
        assert_eq!(app_name(None, Some(&manifest), dir), manifest);
        assert_eq!(app_name(None, None, dir), name("my-shop"));
        assert_eq!(app_name(None, None, Path::new("/")), name("app"));
    }
}
