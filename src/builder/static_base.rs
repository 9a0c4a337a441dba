//! The image that carries the static file server, made of nothing but this very program.
//!
//! A static site's image is `FROM` a base that minipaas makes itself, so that a static site needs no registry. The base
//! is `FROM scratch`: the running executable at `/bin/minipaas` and, if it is linked dynamically, its loader and the
//! libraries mapped by this process, flat in `/lib/minipaas`. The loader is then the image's entry point and is told
//! where the libraries are, since its built-in paths are not there.
//!
//! [`Closure::of`] takes the executable and the text of `/proc/PID/maps`; [`Closure::of_running`] reads its own. The
//! closure's digest names the base: the same minipaas on the same libraries makes the same base once.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::context::{Context, ContextError};
use super::digest::ContentDigest;
use super::elf::Elf;

/// Where the executable is in the image.
pub const EXECUTABLE: &str = "/bin/minipaas";
/// Where the loader and the libraries are.
pub const LIBRARIES: &str = "/lib/minipaas";
/// Where a site's files are.
pub const SITE: &str = "/site";
/// The folder of a base's context that becomes the image's root.
const ROOT_FOLDER: &str = "root";
/// The folder of a site's context that becomes [`SITE`].
const SITE_FOLDER: &str = "site";
/// Nobody's user and group id in distroless images; no name is needed for a number.
const USER: &str = "65532:65532";
const MODE: u32 = 0o755;

/// One file of the base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Where it is on this machine.
    pub source: PathBuf,
    /// Where it is in the image, absolute.
    pub target: String,
    /// Its permission bits there.
    pub mode: u32,
}

/// Everything the executable needs to run, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    files: Vec<ImageFile>,
    /// The loader in the image; `None` if the executable is static.
    loader: Option<String>,
}

/// Why there is no closure.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// The executable, the loader or a library cannot be read.
    #[error("cannot read `{}`, which minipaas runs from", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A library was replaced by nothing since the program started.
    #[error("library `{}` was removed while minipaas ran; restart it", path.display())]
    Gone {
        /// Where the library was.
        path: PathBuf,
    },
    /// The executable is for another kind of machine, or no ELF file.
    #[error("`{}` is not a 64-bit little-endian ELF executable", path.display())]
    NotElf {
        /// The executable.
        path: PathBuf,
    },
}

impl Closure {
    /// The closure of the running program.
    ///
    /// # Errors
    /// When `/proc` or one of the files cannot be read.
    pub fn of_running() -> Result<Closure, ClosureError> {
        let maps_path = Path::new("/proc/self/maps");
        let maps = std::fs::read_to_string(maps_path).map_err(|source| unreadable(maps_path, source))?;
        // Opening this link works even after the file was replaced by an upgrade.
        Closure::of(Path::new("/proc/self/exe"), &maps)
    }

    /// The closure of a process that runs `executable` and has the mappings `maps`.
    ///
    /// # Errors
    /// When one of the files cannot be read or is gone, or `executable` is no ELF file.
    pub fn of(executable: &Path, maps: &str) -> Result<Closure, ClosureError> {
        let elf = Elf::read(executable).map_err(|source| unreadable(executable, source))?;
        let elf = elf.ok_or_else(|| ClosureError::NotElf { path: executable.to_owned() })?;
        let mut files =
            vec![ImageFile { source: executable.to_owned(), target: EXECUTABLE.to_owned(), mode: MODE }];
        let Some(interpreter) = elf.interpreter else {
            return Ok(Closure { files, loader: None });
        };
        let mut libraries = libraries(executable, maps)?;
        let loader = target_of(file_name(Path::new(&interpreter)));
        libraries.insert(loader.clone(), PathBuf::from(interpreter));
        files.extend(libraries.into_iter().map(|(target, source)| ImageFile { source, target, mode: MODE }));
        Ok(Closure { files, loader: Some(loader) })
    }

    /// The files, the executable first, then the loader and the libraries by name.
    pub fn files(&self) -> &[ImageFile] {
        &self.files
    }

    /// The command that serves a site in the image. The port comes from the environment, as for every app.
    pub fn entrypoint(&self) -> Vec<String> {
        let mut command: Vec<&str> = match &self.loader {
            Some(loader) => vec![loader, "--library-path", LIBRARIES, EXECUTABLE],
            None => vec![EXECUTABLE],
        };
        command.extend(["static-server", "--root", SITE]);
        command.into_iter().map(str::to_owned).collect()
    }

    /// The digest of all that decides the base image but its labels.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<ContentDigest, ContextError> {
        self.context(&BTreeMap::new())?.digest(&[])
    }

    /// The build context of the base image, its Dockerfile included.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn context(&self, labels: &BTreeMap<String, String>) -> Result<Context, ContextError> {
        let mut context = Context::default().with_file("Dockerfile", self.dockerfile(labels));
        for file in &self.files {
            let path = format!("{ROOT_FOLDER}{}", file.target);
            context = context.with_file_from(&path, &file.source, file.mode & 0o100 != 0)?;
        }
        Ok(context)
    }

    /// The Dockerfile of the base image.
    pub fn dockerfile(&self, labels: &BTreeMap<String, String>) -> String {
        let entrypoint = serde_json::to_string(&self.entrypoint()).expect("a list of strings is JSON");
        let labels = label_lines(labels);
        format!("FROM scratch\nCOPY {ROOT_FOLDER}/ /\n{labels}USER {USER}\nENTRYPOINT {entrypoint}\n")
    }
}

/// The Dockerfile of a site's image on the base image `base`; `spa` is for the static server to know.
pub fn site_dockerfile(base: &str, spa: bool, labels: &BTreeMap<String, String>) -> String {
    // The entry point is the base's; a command is appended to it.
    let command = if spa { "CMD [\"--spa\"]\n" } else { "" };
    format!("FROM {base}\nCOPY {SITE_FOLDER}/ {SITE}/\n{command}{}", label_lines(labels))
}

/// The build context of a site's image: `site` is the scan of the site's root.
pub fn site_context(site: Context, base: &str, spa: bool, labels: &BTreeMap<String, String>) -> Context {
    site.under(SITE_FOLDER).with_file("Dockerfile", site_dockerfile(base, spa, labels))
}

/// The mapped libraries, by their place in the image.
fn libraries(executable: &Path, maps: &str) -> Result<BTreeMap<String, PathBuf>, ClosureError> {
    let metadata = std::fs::metadata(executable).map_err(|source| unreadable(executable, source))?;
    let mut libraries = BTreeMap::new();
    for mapping in maps.lines().filter_map(Mapping::parse) {
        // The device is left out: on overlay and btrfs it differs between the two sources.
        if !mapping.is_executable || mapping.inode == metadata.ino() {
            continue;
        }
        let path = Path::new(mapping.path);
        let elf = Elf::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ClosureError::Gone { path: path.to_owned() },
            _ => unreadable(path, source),
        })?;
        if let Some(elf) = elf {
            // Libraries are looked for by their soname: `libc-2.31.so` is found as `libc.so.6`.
            let name = elf.soname.unwrap_or_else(|| file_name(path).to_owned());
            libraries.insert(target_of(&name), path.to_owned());
        }
    }
    Ok(libraries)
}

/// A line of `/proc/PID/maps` that is about a file.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    is_executable: bool,
    inode: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a str) -> Option<Mapping<'a>> {
        // Address, permissions, offset, device, inode, path: the path may have spaces.
        let mut rest = line;
        let mut field = || {
            let (field, after) = rest.trim_start().split_once(' ')?;
            rest = after;
            Some(field)
        };
        let (_address, permissions, _offset, _device, inode) =
            (field()?, field()?, field()?, field()?, field()?);
        let path = rest.trim_start();
        // After an upgrade the old library is mapped still, and all of the new ones are at the old paths: a loader
        // and a libc that fit each other.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let is_executable = permissions.contains('x');
        path.starts_with('/').then_some(Mapping { is_executable, inode: inode.parse().ok()?, path })
    }
}

fn target_of(name: &str) -> String {
    format!("{LIBRARIES}/{name}")
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed")
}

fn unreadable(path: &Path, source: io::Error) -> ClosureError {
    ClosureError::Read { path: path.to_owned(), source }
}

fn label_lines(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("LABEL {}={}\n", quoted(key), quoted(value))).collect()
}

/// A word in double quotes, as a Dockerfile reads it: a dollar sign would be a variable.
fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for char in word.chars() {
        match char {
            '"' | '\\' | '$' => quoted.extend(['\\', char]),
            // An instruction is one line; no label of ours has another.
            '\n' | '\r' => quoted.push(' '),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn running() -> Closure {
        Closure::of_running().expect("a closure")
    }

    #[test]
    fn running_program_is_complete() {
        let closure = running();
        let targets: Vec<&str> = closure.files().iter().map(|file| file.target.as_str()).collect();
        assert_eq!(targets[0], EXECUTABLE);
        let metadata = |path: &Path| std::fs::metadata(path).expect("a file").ino();
        let executable = std::env::current_exe().expect("an executable");
        assert_eq!(metadata(&closure.files()[0].source), metadata(&executable));
        assert!(!closure.files()[1..].iter().any(|file| metadata(&file.source) == metadata(&executable)));
        match &closure.loader {
            Some(loader) => {
                assert!(targets.contains(&loader.as_str()), "{targets:?}");
                assert!(
                    targets.iter().any(|target| target.starts_with("/lib/minipaas/libc.")),
                    "{targets:?}"
                );
            }
            None => assert_eq!(targets.len(), 1),
        }
        assert_eq!(closure.digest().expect("a digest"), running().digest().expect("a digest"));
    }

    #[test]
    fn mappings_without_a_file_or_not_executable_are_no_libraries() {
        let executable = std::env::current_exe().expect("an executable");
        let maps = "7ff0-7ff1 r-xp 00000000 00:00 0    [vdso]\n\
                    7ff0-7ff1 r-xp 00000000 00:00 0 \n\
                    7ff0-7ff1 r--p 00000000 08:01 7    /gone/libx.so\n";
        let closure = Closure::of(&executable, maps).expect("a closure");
        assert!(closure.files().len() <= 2, "{closure:?}");
        let error = Closure::of(&executable, "1-2 r-xp 0 08:01 7 /gone/lib x.so (deleted)\n");
        if closure.loader.is_some() {
            let message = error.expect_err("a library that is gone").to_string();
            assert_eq!(message, "library `/gone/lib x.so` was removed while minipaas ran; restart it");
        }
    }

    #[test]
    fn executable_that_is_no_elf_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = dir.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").expect("a file");
        assert!(matches!(Closure::of(&script, ""), Err(ClosureError::NotElf { .. })));
    }

    #[test]
    fn entry_point_goes_through_the_loader_if_there_is_one() {
        let files = Vec::new();
        let loader = Some("/lib/minipaas/ld-linux-x86-64.so.2".to_owned());
        let dynamic = Closure { files: files.clone(), loader };
        assert_eq!(
            dynamic.entrypoint().join(" "),
            "/lib/minipaas/ld-linux-x86-64.so.2 --library-path /lib/minipaas /bin/minipaas static-server --root /site"
        );
        let fixed = Closure { files, loader: None };
        assert_eq!(fixed.entrypoint().join(" "), "/bin/minipaas static-server --root /site");
    }

    #[test]
    fn dockerfiles_read_as_they_should() {
        let labels = BTreeMap::from([("minipaas.box".to_owned(), "a \"b\" $c".to_owned())]);
        let closure = Closure { files: Vec::new(), loader: None };
        expect![[r#"
            FROM scratch
            COPY root/ /
            LABEL "minipaas.box"="a \"b\" \$c"
            USER 65532:65532
            ENTRYPOINT ["/bin/minipaas","static-server","--root","/site"]
        "#]]
        .assert_eq(&closure.dockerfile(&labels));
        expect![[r#"
            FROM minipaas-static:1
            COPY site/ /site/
        "#]]
        .assert_eq(&site_dockerfile("minipaas-static:1", false, &BTreeMap::new()));
        expect![[r#"
            FROM minipaas-static:1
            COPY site/ /site/
            CMD ["--spa"]
        "#]]
        .assert_eq(&site_dockerfile("minipaas-static:1", true, &BTreeMap::new()));
    }

    #[test]
    fn contexts_hold_what_the_dockerfiles_copy() {
        let paths = |context: &Context| context.entries().map(|entry| entry.path.clone()).collect::<Vec<_>>();
        let base = running().context(&BTreeMap::new()).expect("a context");
        assert!(paths(&base).contains(&"root/bin/minipaas".to_owned()));
        let site = Context::default().with_file("index.html", "home");
        let site = site_context(site, "base", false, &BTreeMap::new());
        assert_eq!(paths(&site), ["Dockerfile", "site", "site/index.html"]);
    }
}
