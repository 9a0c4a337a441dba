//! `validate.py`, which asks the real programs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What is wrong with the exports below a folder, a line each.
pub fn findings(folder: &Path) -> String {
    validate("exports", folder)
}

/// Whether the schemas take each object of a file: a JSON list of `{"object": …, "version": "1.33"}`.
pub fn verdicts(file: &Path) -> Vec<bool> {
    serde_json::from_str(&validate("verdicts", file)).unwrap()
}

fn validate(what: &str, path: &Path) -> String {
    let python = python();
    assert!(python.exists(), "there is no {}; `tests/prepare` makes it", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/validate.py");
    let output = Command::new(python).arg(script).arg(what).arg(path).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

/// The Python that `tests/prepare` has made, beside Cargo's own folder for tests.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("testbed/kubernetes/bin/python")
}
