//! Paths as text: what a project says about files, without looking at any.

/// A path that a file in `folder` names, without `.` and with as few `..` as there can be; absolute ones stay.
pub(super) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') || folder.is_empty() && path.is_empty() {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if folder.starts_with('/') { format!("/{joined}") } else { joined }
}

/// The folder of a file; empty for one that is in no other.
pub(super) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => "",
    }
}

/// Whether it leads out of the project's folder.
pub(super) fn is_outside(path: &str) -> bool {
    path.starts_with('/') || path.starts_with('~') || path == ".." || path.starts_with("../")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_a_shell_would() {
        for (folder, path, expected) in [
            ("", "./a/b", "a/b"),
            ("a", "../b", "b"),
            ("a", "../../b", "../b"),
            ("a/b", ".", "a/b"),
            ("", ".", ""),
            ("a", "/b", "/b"),
            ("/srv/a", "../b", "/srv/b"),
        ] {
            assert_eq!(join(folder, path), expected);
        }
        assert_eq!((folder("a/b"), folder("b"), folder("/b")), ("a", "", "/"));
        assert!(is_outside("../b") && is_outside("/b") && !is_outside("b/.."));
    }
}
