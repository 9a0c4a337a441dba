//! What kind of build a source folder wants.
//!
//! What the manifest says comes first (`build.image`, `build.dockerfile`, `build.static`, in this order), then what is
//! there: a `Dockerfile`, then an `index.html`. Nothing else is guessed. A front-end that must be built first, say, would
//! be served unbuilt or stale; the error says instead what was seen and what to write.
//!
//! [`detect`] is pure; [`Inputs::read`] looks at the folder for it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The name of the Dockerfile where the manifest names none.
const DOCKERFILE: &str = "Dockerfile";
/// What makes a folder a static site.
const INDEX: &str = "index.html";
/// Names that tell what an app is written in, or where its built pages may be.
const TELL_TALES: [&str; 16] = [
    "Cargo.toml",
    "Gemfile",
    "Pipfile",
    "Procfile",
    "app.py",
    "build.gradle",
    "composer.json",
    "deno.json",
    "dockerfile",
    "go.mod",
    "index.htm",
    "mix.exs",
    "package.json",
    "pom.xml",
    "pyproject.toml",
    "requirements.txt",
];
/// Folders where front-end tools leave what they built.
const OUTPUT_FOLDERS: [&str; 6] = ["_site", "build", "dist", "out", "public", "www"];

/// How an app is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildKind {
    /// Not at all: this image is used.
    Image(String),
    /// With a Dockerfile.
    Dockerfile {
        /// Relative to the context.
        path: String,
        /// The context's folder, relative to the app's; `None` is the app's folder itself.
        context: Option<PathBuf>,
        /// Build arguments.
        args: BTreeMap<String, String>,
        /// The stage to build; `None` is the last.
        target: Option<String>,
    },
    /// As a static site.
    Static {
        /// The site's root, relative to the app's folder; `.` is that folder.
        dir: String,
        /// Whether it is a single-page app with its own router.
        spa: bool,
    },
}

/// What the manifest says about the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// `build.image`.
    pub image: Option<String>,
    /// `build.dockerfile`, relative to the context.
    pub dockerfile: Option<String>,
    /// `build.static`, relative to the app's folder.
    pub static_dir: Option<String>,
    /// `build.context`, relative to the app's folder. Counts for a Dockerfile alone.
    pub context: Option<PathBuf>,
    /// `build.args`.
    pub args: BTreeMap<String, String>,
    /// `build.target`.
    pub target: Option<String>,
    /// `build.spa`.
    pub spa: bool,
}

/// What there is at an app's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// Nothing.
    Missing,
    /// A file.
    File,
    /// A folder with these paths in it: all names at its top, and those paths further down that the manifest names.
    Listing(BTreeSet<String>),
}

/// All that decides the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The app's folder, as it is named in errors.
    pub dir: PathBuf,
    /// What the manifest says.
    pub options: BuildOptions,
    /// What is there.
    pub folder: Folder,
}

/// Why it cannot be told how to build an app.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// There is no such folder.
    #[error("folder `{}` does not exist", dir.display())]
    Missing {
        /// The app's folder.
        dir: PathBuf,
    },
    /// It is a file.
    #[error("`{}` is a file; name the folder that holds the app", dir.display())]
    NotAFolder {
        /// What was named.
        dir: PathBuf,
    },
    /// There is nothing in it.
    #[error(
        "folder `{}` is empty; put a `Dockerfile` or an `index.html` in it, or set `build.image`",
        dir.display()
    )]
    Empty {
        /// The app's folder.
        dir: PathBuf,
    },
    /// A path the manifest names is not there.
    #[error("`{key}` is `{path}`, which is not in `{}`", dir.display())]
    NotThere {
        /// The manifest's key.
        key: &'static str,
        /// Its value.
        path: String,
        /// The folder it was looked for in.
        dir: PathBuf,
    },
    /// A path the manifest names leads out of the folder.
    #[error("`{key}` is `{path}`; use a relative path without `..`")]
    Outside {
        /// The manifest's key.
        key: &'static str,
        /// Its value.
        path: String,
    },
    /// Nothing in the folder says how it is built.
    #[error("`{}` has no `Dockerfile` and no `index.html`; {hint}", dir.display())]
    Unknown {
        /// The app's folder.
        dir: PathBuf,
        /// What was found instead, and what to do about it.
        hint: Hint,
    },
    /// The folder cannot be read.
    #[error("cannot read folder `{}`", dir.display())]
    Read {
        /// The app's folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What a folder that says nothing about its build holds, for the error to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Known files that were seen, sorted.
    pub tell_tales: Vec<String>,
    /// Folders that may hold built pages, sorted.
    pub output_folders: Vec<String>,
}

/// Decides how an app is built.
///
/// # Errors
/// When nothing decides it, or what decides it is not there. The message says what was looked for and what to do.
pub fn detect(inputs: &Inputs) -> Result<BuildKind, DetectError> {
    let Inputs { dir, options, folder } = inputs;
    let names = match folder {
        Folder::Missing => return Err(DetectError::Missing { dir: dir.clone() }),
        Folder::File => return Err(DetectError::NotAFolder { dir: dir.clone() }),
        Folder::Listing(names) => names,
    };
    if let Some(image) = &options.image {
        return Ok(BuildKind::Image(image.clone()));
    }
    if let Some(path) = &options.dockerfile {
        let path = inside("build.dockerfile", path)?;
        let context = options.context.as_deref().unwrap_or(Path::new(""));
        if !names.contains(&listed(context, &path)) {
            let dir = options.context.as_ref().map_or_else(|| dir.clone(), |context| dir.join(context));
            return Err(DetectError::NotThere { key: "build.dockerfile", path, dir });
        }
        return Ok(options.dockerfile_at(path));
    }
    if let Some(static_dir) = &options.static_dir {
        let path = inside("build.static", static_dir)?;
        if path != "." && !names.contains(&path) {
            return Err(DetectError::NotThere { key: "build.static", path, dir: dir.clone() });
        }
        return Ok(BuildKind::Static { dir: path, spa: options.spa });
    }
    let context = options.context.as_deref().unwrap_or(Path::new(""));
    if names.contains(&listed(context, DOCKERFILE)) {
        return Ok(options.dockerfile_at(DOCKERFILE.to_owned()));
    }
    if names.contains(INDEX) {
        return Ok(BuildKind::Static { dir: ".".to_owned(), spa: options.spa });
    }
    if names.is_empty() {
        return Err(DetectError::Empty { dir: dir.clone() });
    }
    Err(DetectError::Unknown { dir: dir.clone(), hint: Hint::of(names) })
}

impl Inputs {
    /// Looks at the folder `dir`.
    ///
    /// # Errors
    /// [`DetectError::Read`] when it is there and cannot be read. What is not there is for [`detect`] to judge.
    pub fn read(dir: &Path, options: BuildOptions) -> Result<Inputs, DetectError> {
        let folder =
            list(dir, &options).map_err(|source| DetectError::Read { dir: dir.to_owned(), source })?;
        Ok(Inputs { dir: dir.to_owned(), options, folder })
    }
}

impl BuildOptions {
    fn dockerfile_at(&self, path: String) -> BuildKind {
        BuildKind::Dockerfile {
            path,
            context: self.context.clone(),
            args: self.args.clone(),
            target: self.target.clone(),
        }
    }
}

impl Hint {
    fn of(names: &BTreeSet<String>) -> Hint {
        let seen = |known: &[&str]| {
            known.iter().filter(|name| names.contains(**name)).map(ToString::to_string).collect()
        };
        Hint { tell_tales: seen(&TELL_TALES), output_folders: seen(&OUTPUT_FOLDERS) }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if !self.tell_tales.is_empty() {
            write!(f, "found {}: ", quoted(&self.tell_tales))?;
        }
        f.write_str("add a `Dockerfile`, or set `build.image`")?;
        if !self.output_folders.is_empty() {
            let folders = quoted(&self.output_folders);
            write!(f, ", or set `build.static` if the built site is in {folders}")?;
        }
        if !self.tell_tales.is_empty() {
            f.write_str("; language builders are not there yet")?;
        }
        Ok(())
    }
}

fn list(dir: &Path, options: &BuildOptions) -> io::Result<Folder> {
    match std::fs::metadata(dir) {
        Ok(metadata) if !metadata.is_dir() => return Ok(Folder::File),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Folder::Missing),
        Err(error) => return Err(error),
    }
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        // A name that is not UTF-8 decides nothing here; the scan of the context names it in its error.
        names.extend(entry?.file_name().into_string());
    }
    let context = options.context.as_deref().unwrap_or(Path::new(""));
    let dockerfile = options.dockerfile.as_deref().unwrap_or(DOCKERFILE);
    let dockerfile = inside("build.dockerfile", dockerfile).ok().map(|path| listed(context, &path));
    let static_dir = options.static_dir.as_deref().and_then(|path| inside("build.static", path).ok());
    if let Some(path) = dockerfile.filter(|path| dir.join(path).is_file()) {
        names.insert(path);
    }
    if let Some(path) = static_dir.filter(|path| path != "." && dir.join(path).is_dir()) {
        names.insert(path);
    }
    Ok(Folder::Listing(names))
}

/// How a listing names the Dockerfile `path` of a context.
fn listed(context: &Path, path: &str) -> String {
    let parts = context.components().filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().join(path).display().to_string()
}

/// The path without `.` segments and a trailing slash; `.` for the folder itself.
fn inside(key: &'static str, path: &str) -> Result<String, DetectError> {
    let mut kept = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => kept.push(name.to_string_lossy()),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(DetectError::Outside { key, path: path.to_owned() });
            }
        }
    }
    Ok(if kept.is_empty() { ".".to_owned() } else { kept.join("/") })
}
