//! The test app as an image: `FROM scratch`, its binary, the shared libraries that it needs, nothing else.
//!
//! The tag is made of the binary's digest, so that a changed app is a new image and an unchanged one is built once
//! a machine. `tests/prepare` removes old ones. A binary that needs no shared library is fine, too.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::docker::{docker_succeeds, docker_with_input};

const DOCKERFILE: &str = "\
FROM scratch
COPY root/ /
LABEL minipaas.testbed=1 minipaas.testapp=1
CMD [\"/testapp\"]
";

/// The reference of an image that runs the test app; builds it if the engine does not have it.
///
/// # Panics
///
/// If cargo or Docker fails.
pub(crate) fn test_app_image() -> String {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(build).clone()
}

/// The test app's binary, built if it is not up to date.
///
/// `cargo test` builds examples by itself, but not when it is told a name or a target to test; then there would be none
/// here, or one of yesterday.
///
/// # Panics
///
/// If cargo fails.
pub(crate) fn test_app_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // This very test binary is `target/<profile>/deps/all-<hash>`.
        let here = env::current_exe().expect("a process knows its binary");
        let profile = here.ancestors().nth(2).expect("the test binary is in target/<profile>/deps");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--offline", "--example", "testapp"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        // What `cargo test` tells its tests about their package would have build scripts of others run anew.
        for (name, _) in env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"]
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                cargo.env_remove(name);
            }
        }
        let output = cargo.output().expect("tests run where cargo is");
        assert!(output.status.success(), "{cargo:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        profile.join("examples/testapp")
    })
}

fn build() -> String {
    let path = test_app_binary();
    let image = format!("minipaas-testapp:{}", digest(path));
    if !docker_succeeds(["image", "inspect", &image]) {
        docker_with_input(["build", "--quiet", "--tag", &image, "-"], &context(path));
    }
    image
}

/// The first digits of a file's SHA-256. By a command, as a hash takes seconds in a debug build.
fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("coreutils are everywhere");
    let mut digest = String::from_utf8(output.stdout).expect("sha256sum prints hexadecimal digits");
    assert!(output.status.success(), "sha256sum {}: {}", path.display(), output.status);
    digest.truncate(12);
    digest
}

/// The build context, as a tar archive.
fn context(binary: &Path) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    // The engine's reader refuses GNU sparse entries, which a binary with a hole in it would become.
    tar.sparse(false);
    let mut header = tar::Header::new_gnu();
    header.set_size(DOCKERFILE.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "Dockerfile", DOCKERFILE.as_bytes()).expect("memory takes it");
    append(&mut tar, binary, "root/testapp");
    for library in shared_libraries(binary) {
        append(&mut tar, &library, &format!("root{}", library.display()));
    }
    tar.into_inner().expect("memory takes it")
}

/// Appends the file that `from` is or links to.
fn append(tar: &mut tar::Builder<Vec<u8>>, from: &Path, to: &str) {
    tar.append_path_with_name(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The libraries of `binary` and its loader, at the absolute paths where the loader looks for them.
fn shared_libraries(binary: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(binary).output().expect("there is an `ldd` beside every glibc");
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and for the loader `/lib64/ld-linux-x86-64.so.2 (0x…)`.
    // Of a static binary it says so, without a path.
    let listing = String::from_utf8(output.stdout).expect("ldd prints UTF-8");
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}
