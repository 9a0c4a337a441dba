//! Exports to look at: is this how a person would have written it?

use expect_test::expect_file;
use minipaas::export::format::{Format, stream};

use super::corpus;
use super::variant::{Variant, files, variants};

#[test]
fn plain_yaml_is_nice_to_read() {
    expect_file!["golden/formation.yaml"]
        .assert_eq(&stream(&variant("template").export(&corpus::case("formation"))));
    expect_file!["golden/links.yaml"].assert_eq(&stream(&variant("gateway").export(&corpus::case("links"))));
    expect_file!["golden/proxy.yaml"].assert_eq(&stream(&variant("traefik").export(&corpus::case("proxy"))));
    expect_file!["golden/secrets.yaml"]
        .assert_eq(&stream(&variant("external").export(&corpus::case("secrets"))));
    expect_file!["golden/volume-replicas.yaml"]
        .assert_eq(&stream(&variant("nginx").export(&corpus::case("volume-replicas"))));
}

#[test]
fn folders_are_nice_to_read() {
    let export = variant("template").export(&corpus::case("formation"));
    for (format, expected) in [
        (Format::Helm, expect_file!["golden/formation.helm"]),
        (Format::Kustomize, expect_file!["golden/formation.kustomize"]),
    ] {
        let texts =
            files(&export, format).into_iter().map(|file| format!("==> {} <==\n{}", file.path, file.text));
        expected.assert_eq(&texts.collect::<Vec<_>>().join("\n"));
    }
}

fn variant(name: &str) -> Variant {
    variants().into_iter().find(|variant| variant.name == name).unwrap()
}
