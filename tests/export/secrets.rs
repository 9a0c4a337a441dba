//! Where the values of secrets are, and where they are not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::corpus::{self, SWORD};
use super::variant::{FORMATS, files, variants};

/// Part of the hash of a password in the corpus: whoever has it can try passwords at leisure.
const HASH: &str = "c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT";

#[test]
fn values_are_in_secrets_alone() {
    let mut found = 0;
    for case in corpus::cases() {
        for variant in variants() {
            let export = variant.export(&case);
            for object in &export.objects {
                let is_there = tells(&object.value.to_string());
                let is_allowed = object.kind() == "Secret" && variant.has_values();
                assert!(
                    !is_there || is_allowed,
                    "{} {}: {} {}",
                    case.name,
                    variant.name,
                    object.kind(),
                    object.name()
                );
                found += usize::from(is_there);
            }
            for note in &export.notes {
                assert!(!tells(&note.text), "{} {}: {}", case.name, variant.name, note.what);
            }
        }
    }
    assert!(found > 0, "the corpus has none");
}

#[test]
fn a_file_with_values_is_for_its_owner_alone() {
    for case in corpus::cases() {
        for variant in variants() {
            let export = variant.export(&case);
            for (format, name) in FORMATS {
                for file in files(&export, format) {
                    let is_allowed = file.is_secret && variant.has_values();
                    assert!(
                        !tells(&file.text) || is_allowed,
                        "{} {} {name}: {}",
                        case.name,
                        variant.name,
                        file.path
                    );
                }
            }
        }
    }
}

/// Whether there is a secret of the corpus in a text, as it is or as base64 of any text that it is in.
fn tells(text: &str) -> bool {
    [SWORD, HASH]
        .iter()
        .any(|secret| text.contains(secret) || encodings(secret).iter().any(|form| text.contains(form)))
}

/// A text within others has three forms in base64, by where it begins; without the ends, which others share.
fn encodings(secret: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let encoded = STANDARD.encode(format!("{}{secret}", " ".repeat(before)));
        encoded[4..encoded.len() - 4].to_owned()
    })
}
