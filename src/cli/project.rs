//! The project in a folder: its manifest, and the name of its app.
//!
//! Everything that can be wrong with the files is found here, before anything is touched. Nothing is sent anywhere.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Session;
use super::args::AppArgs;
use super::failure::{Failure, Kind};
use crate::api::SourceTexts;
use crate::builder::detect::{BuildKind, BuildOptions, DetectError, Inputs, detect};
use crate::manifest::{MANIFEST_FILE, Manifest, PROCFILE, Source, Warning};
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
        let source = read_source(&dir)?;
        let (manifest, warnings) = Manifest::parse(&source)?;
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

    /// The files' texts, for the daemon.
    pub(crate) fn source_texts(&self) -> SourceTexts {
        SourceTexts { toml: self.source.toml.clone(), procfile: self.source.procfile.clone() }
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

fn app_name(flag: Option<&AppName>, manifest: Option<&AppName>, dir: &Path) -> AppName {
    flag.or(manifest).cloned().unwrap_or_else(|| {
        AppName::from_folder(&dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default())
    })
}

fn read_source(dir: &Path) -> Result<Source, Failure> {
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
    Ok(Source { toml: read(MANIFEST_FILE)?, procfile: read(PROCFILE)? })
}

#[cfg(test)]
mod tests {
    use super::*;

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
