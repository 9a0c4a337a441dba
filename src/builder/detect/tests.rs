//! Listings and manifests, and the kind or the message they lead to.

use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(options: BuildOptions, names: &[&str], expected: Expect) {
    let folder = Folder::Listing(names.iter().map(ToString::to_string).collect());
    check_folder(options, folder, expected);
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "`expect!` is written in the call")]
fn check_folder(options: BuildOptions, folder: Folder, expected: Expect) {
    let shown = match detect(&Inputs { dir: PathBuf::from("shop"), options, folder }) {
        Ok(BuildKind::Image(image)) => format!("image {image}"),
        Ok(BuildKind::Dockerfile { path, context, .. }) => format!("dockerfile {path} in {context:?}"),
        Ok(BuildKind::Static { dir, spa }) => format!("static {dir}, spa {spa}"),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

fn options(image: Option<&str>, dockerfile: Option<&str>, static_dir: Option<&str>) -> BuildOptions {
    let own = |text: Option<&str>| text.map(str::to_owned);
    let (image, dockerfile, static_dir) = (own(image), own(dockerfile), own(static_dir));
    BuildOptions { image, dockerfile, static_dir, ..BuildOptions::default() }
}

#[test]
fn manifest_decides_before_the_folder() {
    let names = ["Dockerfile", "Other", "index.html", "dist"];
    check(options(Some("nginx:1"), Some("Other"), Some("dist")), &names, expect!["image nginx:1"]);
    check(options(None, Some("./Other"), Some("dist")), &names, expect!["dockerfile Other in None"]);
    check(options(None, None, Some("dist/")), &names, expect!["static dist, spa false"]);
    check(options(None, None, Some(".")), &names, expect!["static ., spa false"]);
}

#[test]
fn dockerfile_decides_before_index() {
    check(BuildOptions::default(), &["Dockerfile", "index.html"], expect!["dockerfile Dockerfile in None"]);
    let spa = BuildOptions { spa: true, ..BuildOptions::default() };
    check(spa, &["index.html", "package.json"], expect!["static ., spa true"]);
    check(options(Some("nginx:1"), None, None), &[], expect!["image nginx:1"]);
}

#[test]
fn dockerfile_is_looked_for_in_the_context() {
    let monorepo = BuildOptions { context: Some(PathBuf::from("./api")), ..BuildOptions::default() };
    check(
        monorepo.clone(),
        &["api", "api/Dockerfile"],
        expect![[r#"dockerfile Dockerfile in Some("./api")"#]],
    );
    let named = BuildOptions { dockerfile: Some("deploy/Dockerfile".to_owned()), ..monorepo };
    check(
        named,
        &["api"],
        expect!["`build.dockerfile` is `deploy/Dockerfile`, which is not in `shop/./api`"],
    );
}

#[test]
fn unknown_folder_is_answered_with_what_was_seen() {
    check(
        BuildOptions::default(),
        &["package.json", "dist", "src"],
        expect![
            "`shop` has no `Dockerfile` and no `index.html`; found `package.json`: add a `Dockerfile`, or set `build.image`, or set `build.static` if the built site is in `dist`; language builders are not there yet"
        ],
    );
    check(
        BuildOptions::default(),
        &["notes.txt"],
        expect!["`shop` has no `Dockerfile` and no `index.html`; add a `Dockerfile`, or set `build.image`"],
    );
}

#[test]
fn folder_that_is_none_is_said_so() {
    let none = BuildOptions::default;
    check(
        none(),
        &[],
        expect!["folder `shop` is empty; put a `Dockerfile` or an `index.html` in it, or set `build.image`"],
    );
    check_folder(none(), Folder::Missing, expect!["folder `shop` does not exist"]);
    check_folder(none(), Folder::File, expect!["`shop` is a file; name the folder that holds the app"]);
}

#[test]
fn named_path_must_be_there_and_inside() {
    let names = ["index.html"];
    check(
        options(None, Some("Other"), None),
        &names,
        expect!["`build.dockerfile` is `Other`, which is not in `shop`"],
    );
    check(
        options(None, None, Some("dist")),
        &names,
        expect!["`build.static` is `dist`, which is not in `shop`"],
    );
    check(
        options(None, None, Some("../dist")),
        &names,
        expect!["`build.static` is `../dist`; use a relative path without `..`"],
    );
}

#[test]
fn inputs_are_read_from_a_real_folder() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir_all(dir.path().join("web/dist")).expect("a directory");
    std::fs::write(dir.path().join("web/Dockerfile"), "").expect("a file");
    let kind = |options| detect(&Inputs::read(dir.path(), options).expect("a readable folder"));
    let site = kind(options(None, None, Some("web/dist"))).expect("a kind");
    assert_eq!(site, BuildKind::Static { dir: "web/dist".to_owned(), spa: false });
    assert!(matches!(kind(options(None, Some("web/Dockerfile"), None)), Ok(BuildKind::Dockerfile { .. })));
    let context = BuildOptions { context: Some(PathBuf::from("web")), ..BuildOptions::default() };
    assert!(matches!(kind(context), Ok(BuildKind::Dockerfile { .. })));
    assert!(matches!(kind(options(None, None, None)), Err(DetectError::Unknown { .. })));
    let inputs = Inputs::read(&dir.path().join("web/Dockerfile"), BuildOptions::default()).expect("inputs");
    assert_eq!(inputs.folder, Folder::File);
    let inputs = Inputs::read(&dir.path().join("gone"), BuildOptions::default()).expect("inputs");
    assert_eq!(inputs.folder, Folder::Missing);
}
