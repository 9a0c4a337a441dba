//! What a service mounts: named volumes, folders of the host, memory.

use super::super::findings::{Findings, Place};
use super::super::node::{Node, Section, Value};
use super::super::path;

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) at: Place,
    pub(super) source: Source,
    pub(super) target: String,
    pub(super) is_read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A volume with a name.
    Named(String),
    /// A volume without one.
    Anonymous,
    /// A file or folder of the host.
    Bind(String),
    /// Memory.
    Tmpfs,
    /// Something else, by its type.
    Other(String),
}

/// What the item says; what cannot be mounted anywhere is a problem.
pub(super) fn read(node: &Node, findings: &mut Findings) -> Option<Mount> {
    let mount = match &node.value {
        Value::Map(_) => long(node, findings)?,
        _ => short(&node.string("an item of `volumes`", findings)?, &node.at),
    };
    if !mount.target.starts_with('/') {
        let message = format!("volume `{}` is mounted at no absolute path", node.shown().trim_matches('`'));
        findings.problem(&node.at, message);
        return None;
    }
    Some(mount)
}

/// Where the item is mounted: what tells it from others.
pub(super) fn target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Map(_) => node.get("target")?.scalar(),
        _ => Some(short(&node.scalar()?, &node.at).target),
    }
}

/// Has a relative path of the host begin in another folder.
pub(super) fn rebase(node: &mut Node, folder: &str) {
    let join = |source: &str| {
        let is_relative = source.starts_with('.') && !source.contains("://");
        is_relative.then(|| format!("./{}", path::join(folder, source)))
    };
    match &mut node.value {
        Value::Text(text) => {
            if let Some((source, rest)) = text.split_once(':')
                && let Some(joined) = join(source)
            {
                *text = format!("{joined}:{rest}");
            }
        }
        Value::Map(map) => {
            for (_, source) in map.iter_mut().filter(|(key, _)| key.text == "source") {
                if let Value::Text(text) = &mut source.value
                    && let Some(joined) = join(text)
                {
                    *text = joined;
                }
            }
        }
        _ => {}
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`, where a source may be `C:\data`.
fn short(text: &str, at: &Place) -> Mount {
    let drive = text.as_bytes();
    let has_drive = drive.len() > 2
        && drive[0].is_ascii_alphabetic()
        && drive[1] == b':'
        && matches!(drive[2], b'\\' | b'/');
    let skip = if has_drive { 2 } else { 0 };
    let (source, rest) = match text[skip..].find(':') {
        Some(colon) => (&text[..skip + colon], &text[skip + colon + 1..]),
        None => ("", text),
    };
    let (target, options) = rest.split_once(':').unwrap_or((rest, ""));
    let source = match source {
        "" => Source::Anonymous,
        source if has_drive || source.starts_with(['.', '/', '~']) => Source::Bind(source.to_owned()),
        source => Source::Named(source.to_owned()),
    };
    let is_read_only = options.split(',').any(|option| option == "ro");
    Mount { at: at.clone(), source, target: target.to_owned(), is_read_only }
}

fn long(node: &Node, findings: &mut Findings) -> Option<Mount> {
    let mut section = Section::new("an item of `volumes`", node, findings);
    let kind = section.take("type").and_then(Node::scalar).unwrap_or_else(|| "volume".to_owned());
    let source = section.take("source").and_then(Node::scalar);
    let target = section.take("target").and_then(Node::scalar);
    let read_only = section.take("read_only").and_then(|node| node.boolean("`read_only`", findings));
    section.lose("volume", "minipaas mounts volumes as they are", findings);
    // What they are about is not carried either.
    for key in ["bind", "tmpfs", "image", "consistency"] {
        section.take(key);
    }
    section.finish(findings);
    let Some(target) = target else {
        findings.problem(&node.at, "a volume has no `target`");
        return None;
    };
    let source = match (kind.as_str(), source) {
        ("volume", Some(name)) => Source::Named(name),
        ("volume", None) => Source::Anonymous,
        ("bind", source) => Source::Bind(source.unwrap_or_default()),
        ("tmpfs", _) => Source::Tmpfs,
        (kind, _) => Source::Other(kind.to_owned()),
    };
    Some(Mount { at: node.at.clone(), source, target, is_read_only: read_only.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_known() {
        let check = |text: &str, source: Source, target: &str, is_read_only: bool| {
            let at = Place::file("c");
            assert_eq!(
                short(text, &at),
                Mount { at, source, target: target.to_owned(), is_read_only },
                "{text}"
            );
        };
        check("data:/data", Source::Named("data".to_owned()), "/data", false);
        check("/data", Source::Anonymous, "/data", false);
        check("./a:/b:ro,z", Source::Bind("./a".to_owned()), "/b", true);
        check(r"C:\a:/b", Source::Bind(r"C:\a".to_owned()), "/b", false);
        check("~/a:/b:rw", Source::Bind("~/a".to_owned()), "/b", false);
    }
}
