//! Every app of the corpus, in every way: the same bytes twice, and taken by whoever reads them.

use std::fs;
use std::path::Path;

use minipaas::export::check;
use serde_json::json;

use super::corpus::{self, Case};
use super::tools;
use super::variant::{FORMATS, Variant, files, variants};

/// kubectl is a process each time: these variants differ enough in what kustomize reads.
const KUSTOMIZED: [&str; 3] = ["gateway", "nginx", "template"];
/// What the issue asks for.
const CASES_MIN: usize = 25;

#[test]
fn the_corpus_exports_the_same_bytes_twice() {
    for case in corpus::cases() {
        // Encryption is random.
        for variant in variants().iter().filter(|variant| !variant.is_sealed()) {
            let (once, again) = (variant.export(&case), variant.export(&case));
            for (format, name) in FORMATS {
                assert_eq!(
                    files(&once, format),
                    files(&again, format),
                    "{} {} {name}",
                    case.name,
                    variant.name
                );
            }
        }
    }
}

#[test]
fn the_corpus_is_taken_by_kubectl_helm_and_the_schemas() {
    let folder = tempfile::tempdir().unwrap();
    let cases = corpus::cases();
    assert!(cases.len() >= CASES_MIN);
    for case in &cases {
        for variant in variants() {
            write(case, &variant, &folder.path().join(&case.name).join(variant.name));
        }
    }
    let findings = tools::findings(folder.path());
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn the_corpus_is_taken_by_our_own_check() {
    let mut told = String::new();
    for case in corpus::cases() {
        for variant in variants() {
            let export = variant.export(&case);
            for version in &variant.versions {
                for problem in check::check(&export.objects, *version).unwrap() {
                    told.push_str(&format!("{} {} {version}: {problem}\n", case.name, variant.name));
                }
            }
        }
    }
    assert!(told.is_empty(), "\n{told}");
}

/// Writes an export as `validate.py` reads it.
fn write(case: &Case, variant: &Variant, folder: &Path) {
    let export = variant.export(case);
    let wanted =
        FORMATS.into_iter().filter(|(_, name)| *name != "kustomize" || KUSTOMIZED.contains(&variant.name));
    for (format, name) in wanted {
        for file in files(&export, format) {
            let path = folder.join(name).join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.text).unwrap();
        }
    }
    let description = json!({
        "objects": export.objects.iter().map(|object| &object.value).collect::<Vec<_>>(),
        "versions": variant.versions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "namespace": variant.options.namespace,
    });
    fs::write(folder.join("export.json"), description.to_string()).unwrap();
}
