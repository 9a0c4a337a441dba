//! How a later file, or a service that extends another, changes what was said before.
//!
//! Mappings are merged key by key, lists are appended, anything else is replaced; compose has exceptions, which are the tables
//! here. `!override` replaces and `!reset` takes away, whatever the rule.

use super::super::node::{Key, Node, Tag, Value};
use super::volume;

/// Replaced as a whole, although they are lists.
const REPLACED: [&str; 3] = ["command", "entrypoint", "test"];
/// `NAME=value` lines as well as mappings.
const PAIRS: [&str; 7] =
    ["annotations", "args", "environment", "extra_hosts", "labels", "sysctls", "additional_contexts"];
/// Lists of names as well as mappings by name.
const NAMES: [&str; 2] = ["depends_on", "networks"];
/// Lists of which each item is about one thing, that a later one says anew.
const KEYED: [&str; 5] = ["configs", "devices", "ports", "secrets", "volumes"];

/// What two services, or two parts of one, say together.
pub(super) fn service(base: Node, over: Node) -> Node {
    merge("", base, over)
}

/// What two files say together; the second goes before the first.
pub(super) fn file(base: Node, over: Node) -> Node {
    let (Value::Map(base_map), Value::Map(over_map)) = (base.value, over.value.clone()) else { return over };
    let mut map = base_map;
    for (key, node) in over_map {
        match map.iter().position(|(known, _)| known.text == key.text) {
            Some(at) => {
                let (known, before) = map.remove(at);
                let both = match key.text.as_str() {
                    "services" | "configs" | "networks" | "secrets" | "volumes" => {
                        by_name(before, node, |_, before, later| merge("", before, later))
                    }
                    "include" => append(before, node),
                    _ => node,
                };
                map.insert(at, (known, both));
            }
            None => map.push((key, node)),
        }
    }
    Node { at: base.at, tag: None, value: Value::Map(map) }
}

/// Takes out what is marked `!reset`, once there is nothing left to merge it with.
pub(super) fn drop_resets(node: &mut Node) {
    node.visit(&mut |node| match &mut node.value {
        Value::Map(map) => map.retain(|(_, node)| node.tag != Some(Tag::Reset)),
        Value::List(list) => list.retain(|node| node.tag != Some(Tag::Reset)),
        _ => {}
    });
}

/// A list of pairs or names as the mapping that it means.
pub(super) fn as_map(node: Node) -> Node {
    let Value::List(list) = &node.value else { return node };
    let map = list.iter().filter_map(|item| {
        let text = item.scalar()?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Value::Text(value.to_owned())),
            None => (text, Value::Null),
        };
        Some((Key { at: item.at.clone(), text: name }, Node::new(item.at.clone(), value)))
    });
    Node { value: Value::Map(map.collect()), at: node.at.clone(), tag: node.tag }
}

fn merge(name: &str, base: Node, over: Node) -> Node {
    if over.tag.is_some() || REPLACED.contains(&name) {
        return over;
    }
    if over.is_null() {
        return base;
    }
    if name == "build" {
        return by_name(as_context(base), as_context(over), merge);
    }
    if PAIRS.contains(&name) {
        return by_name(as_map(base), as_map(over), |_, _, later| later);
    }
    if NAMES.contains(&name) {
        return by_name(as_map(base), as_map(over), merge);
    }
    if KEYED.contains(&name) && base.list().is_some() && over.list().is_some() {
        return append_keyed(name, base, over);
    }
    match (&base.value, &over.value) {
        (Value::Map(_), Value::Map(_)) => by_name(base, over, merge),
        (Value::List(_), _) | (_, Value::List(_)) => append(base, over),
        _ => over,
    }
}

/// Both mappings, with what `both` makes of the keys that are in both.
fn by_name(base: Node, over: Node, both: impl Fn(&str, Node, Node) -> Node) -> Node {
    let (Value::Map(mut map), Value::Map(later)) = (base.value, over.value.clone()) else { return over };
    for (key, node) in later {
        match map.iter().position(|(known, _)| known.text == key.text) {
            Some(at) => {
                let (_, before) = map.remove(at);
                let merged = if node.tag.is_some() { node } else { both(&key.text, before, node) };
                map.insert(at, (key, merged));
            }
            None => map.push((key, node)),
        }
    }
    Node { at: over.at, tag: None, value: Value::Map(map) }
}

fn append(base: Node, over: Node) -> Node {
    let items = |node: Node| match node.value {
        Value::List(list) => list,
        Value::Null => Vec::new(),
        value => vec![Node { value, ..node }],
    };
    let at = over.at.clone();
    Node::new(at, Value::List([items(base), items(over)].concat()))
}

fn append_keyed(name: &str, base: Node, over: Node) -> Node {
    let identity = |node: &Node| match name {
        "volumes" => volume::target(node),
        "ports" => None,
        _ => ["target", "source"].iter().find_map(|key| node.get(key)).and_then(Node::scalar),
    };
    let both = append(base, over);
    let Value::List(list) = &both.value else { return both };
    let mut kept: Vec<Node> = Vec::new();
    for node in list {
        let id = identity(node).or_else(|| node.scalar());
        let is_same = |other: &Node| match &id {
            Some(id) => identity(other).or_else(|| other.scalar()).as_ref() == Some(id),
            None => other.value == node.value,
        };
        kept.retain(|other| !is_same(other));
        kept.push(node.clone());
    }
    Node::new(both.at, Value::List(kept))
}

/// `build: .` is short for its context.
fn as_context(node: Node) -> Node {
    match node.value {
        Value::Text(_) => {
            let (at, tag) = (node.at.clone(), node.tag);
            let key = Key { at: at.clone(), text: "context".to_owned() };
            Node { at, tag, value: Value::Map(vec![(key, node)]) }
        }
        _ => node,
    }
}
