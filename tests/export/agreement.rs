//! Our check and the published schemas agree, also about objects that nobody would write.

use std::fs;

use minipaas::export::check::{Judge, check, versions};
use minipaas::export::{Object, Version};
use serde_json::{Value, json};

use super::corpus;
use super::tools;
use super::variant::variants;

/// How many objects are changed.
const CHANGES: usize = 2000;
/// Fields of some versions alone, and words that are nearly fields.
const FIELDS: [&str; 6] =
    ["hostnameOverride", "restartPolicyRules", "stopSignal", "tolerance", "replica", "x"];
const SEED: u64 = 0x6d69_6e69_7061_6173;

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

#[test]
fn our_check_agrees_with_the_published_schemas_about_objects_changed_at_random() {
    let mut dice = Dice(SEED);
    let originals: Vec<_> = corpus::cases()
        .iter()
        .flat_map(|case| variants()[0].export(case).objects)
        .filter(|object| !object.value["apiVersion"].as_str().unwrap().contains("traefik"))
        .collect();
    let versions = versions();
    let changed: Vec<(Object, Version)> = (0..CHANGES)
        .map(|_| {
            let mut object = dice.one_of(&originals).clone();
            change(&mut object.value, &mut dice);
            (object, *dice.one_of(&versions))
        })
        .collect();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    let asked: Vec<_> = changed
        .iter()
        .map(|(object, version)| json!({ "object": object.value, "version": version.to_string() }))
        .collect();
    fs::write(&file, Value::from(asked).to_string()).unwrap();
    let theirs = tools::verdicts(&file);

    assert_eq!(theirs.len(), CHANGES);
    let refused = theirs.iter().filter(|takes| !**takes).count();
    assert!(
        (CHANGES / 5..CHANGES).contains(&refused),
        "{refused} of {CHANGES} are refused, which says little"
    );
    for ((object, version), takes) in changed.iter().zip(theirs) {
        let problems = check(std::slice::from_ref(object), *version).unwrap();
        let ours: Vec<_> = problems.iter().filter(|problem| problem.judge == Judge::Schema).collect();
        assert_eq!(ours.is_empty(), takes, "{version}: {ours:#?}\n{:#}", object.value);
    }
}

/// Changes one thing of an object, but not what it is.
fn change(object: &mut Value, dice: &mut Dice) {
    let mut pointers = Vec::new();
    collect(object, "", &mut pointers);
    pointers.retain(|pointer| !matches!(pointer.as_str(), "/apiVersion" | "/kind" | "/metadata/name"));
    let pointer = dice.one_of(&pointers).clone();
    match dice.below(4) {
        0 => remove(object, &pointer),
        1 => {
            let target = object.pointer_mut(&pointer).unwrap();
            if let Value::Object(fields) = target {
                fields.insert((*dice.one_of(&FIELDS)).to_owned(), value(dice));
            } else {
                *target = value(dice);
            }
        }
        _ => *object.pointer_mut(&pointer).unwrap() = value(dice),
    }
}

/// Where there is something.
fn collect(value: &Value, at: &str, pointers: &mut Vec<String>) {
    let mut inner = |key: &str, value: &Value| {
        let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        collect(value, &pointer, pointers);
        pointers.push(pointer);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| inner(key, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| inner(&index.to_string(), value));
        }
        _ => {}
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.remove(&key.replace("~1", "/").replace("~0", "~"))),
        Value::Array(items) => drop(items.remove(key.parse().unwrap())),
        _ => unreachable!("what has a parent is in a list or an object"),
    }
}

/// `null` is not among them: a server takes it for nothing, and the schemas are of two minds.
fn value(dice: &mut Dice) -> Value {
    let values = [
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!(""),
        json!("5"),
        json!([]),
        json!(["x"]),
        json!([{}]),
        json!({}),
        json!({ "x": "y" }),
    ];
    dice.one_of(&values).clone()
}

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % end as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
