//! What the parts of one app's routing are drawn on: its sheet, with what every object of it has in common.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::super::{Labels, NAME_LENGTH_MAX, Names, NoteKind, Object, Options, Sheet};
use crate::name::AppName;

/// The namespace that is named where one must be, and none was.
const NAMESPACE_DEFAULT: &str = "default";

/// One app's routing, while it is drawn.
pub(super) struct Draft<'d, 's> {
    pub(super) app: &'d AppName,
    pub(super) options: &'d Options,
    sheet: &'d mut Sheet<'s>,
    /// Each is said once, for however many routes it holds.
    said: BTreeSet<(NoteKind, String, String)>,
    /// The names of objects that may be named by several, by what they say.
    shared: BTreeMap<String, String>,
}

/// Annotations, and what a reader is told of some.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) values: BTreeMap<String, String>,
    comments: Vec<(String, &'static str)>,
}

// === impl Draft ===

impl<'d, 's> Draft<'d, 's> {
    pub(super) fn new(app: &'d AppName, options: &'d Options, sheet: &'d mut Sheet<'s>) -> Self {
        Self { app, options, sheet, said: BTreeSet::new(), shared: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, object: Object) {
        self.sheet.add(object);
    }

    pub(super) fn dropped(&mut self, what: &str, text: impl Into<String>) {
        self.note(NoteKind::Dropped, what, text.into());
    }

    pub(super) fn changed(&mut self, what: &str, text: impl Into<String>) {
        self.note(NoteKind::Changed, what, text.into());
    }

    pub(super) fn todo(&mut self, what: &str, text: impl Into<String>) {
        self.note(NoteKind::Todo, what, text.into());
    }

    pub(super) fn names(&self) -> Names<'d> {
        Names::of(self.app)
    }

    /// The app's name, or that of a part of its routing: `shop-route-api`.
    pub(super) fn name(&self, part: &str) -> String {
        if part.is_empty() { self.names().app() } else { self.names().part(part, NAME_LENGTH_MAX) }
    }

    /// What an object of this name and of no single process type begins with.
    pub(super) fn metadata(&self, name: String) -> ObjectMeta {
        ObjectMeta { name: Some(name), labels: Some(Labels::of(self.app).app()), ..ObjectMeta::default() }
    }

    /// An object of a kind that has no type here.
    pub(super) fn add_untyped(&mut self, api_version: &str, kind: &str, name: &str, spec: &Value) {
        let metadata = self.metadata(name.to_owned());
        let value = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec });
        self.add(Object::untyped(self.app, value));
    }

    /// The same, if there is none yet that says the same: routes share what they have in common. Gives its name.
    pub(super) fn share_untyped(
        &mut self,
        api_version: &str,
        kind: &str,
        part: &str,
        spec: &Value,
    ) -> String {
        let content = format!("{kind} {spec}");
        if let Some(name) = self.shared.get(&content) {
            return name.clone();
        }
        let name = self.name(part);
        self.add_untyped(api_version, kind, &name, spec);
        self.shared.insert(content, name.clone());
        name
    }

    /// A Secret with one file in it, if there is none yet with the same in it. Gives its name.
    pub(super) fn share_secret(&mut self, part: &str, file: &str, text: String, comment: &str) -> String {
        let content = format!("Secret {file} {text}");
        if let Some(name) = self.shared.get(&content) {
            return name.clone();
        }
        let name = self.name(part);
        let secret = Secret {
            metadata: self.metadata(name.clone()),
            data: Some([(file.to_owned(), ByteString(text.into_bytes()))].into()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        self.add(Object::new(self.app, &secret).comment("", comment));
        self.shared.insert(content, name.clone());
        name
    }

    /// The namespace, for references that must name one.
    pub(super) fn namespace(&mut self) -> String {
        let Some(namespace) = &self.options.namespace else {
            self.todo(
                "--namespace",
                "references to objects of the app need a namespace and name `default`; if it goes elsewhere, export with \
                 `--namespace`",
            );
            return NAMESPACE_DEFAULT.to_owned();
        };
        namespace.clone()
    }

    fn note(&mut self, kind: NoteKind, what: &str, text: String) {
        if self.said.insert((kind, what.to_owned(), text.clone())) {
            self.sheet.note(kind, what, text);
        }
    }
}

// === impl Annotations ===

impl Annotations {
    pub(super) fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }

    /// Sets it, and says why.
    pub(super) fn explain(&mut self, key: impl Into<String>, value: impl Into<String>, why: &'static str) {
        let key = key.into();
        self.comments.push((key.clone(), why));
        self.set(key, value);
    }

    /// They, as an object has them.
    pub(super) fn on(&self, metadata: ObjectMeta) -> ObjectMeta {
        let annotations = (!self.values.is_empty()).then(|| self.values.clone());
        ObjectMeta { annotations, ..metadata }
    }

    /// What is said of them, beside the object that has them.
    pub(super) fn comment(&self, object: Object) -> Object {
        self.comments.iter().fold(object, |object, (key, why)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            object.comment(&format!("/metadata/annotations/{key}"), *why)
        })
    }
}
