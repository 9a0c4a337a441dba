//! What a route takes and gives, read from its handler's type.
//!
//! A handler is an async function of extractors: their types say which body and query it reads ([`Part`]), and the type that
//! it returns says what it answers ([`Answer`]). So a handler that is changed is described anew by the compiler. What only
//! [`Response`] is known of, a stream, is said with [`super::endpoint::Endpoint::streaming`].

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Api;

/// Makes a type's schema, or a reference to it.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a route takes and gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Docs {
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<Content>,
    /// `None` for an answer without a body.
    pub(super) answer: Option<Content>,
    /// Whether the answer is 202: what is asked for happens later.
    pub(super) is_later: bool,
}

/// A body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// One JSON value.
    Json(SchemaOf),
    /// A JSON value a line.
    Lines(SchemaOf),
    /// Text.
    Text,
    /// Anything.
    Bytes,
}

/// A handler whose extractors are `T`, as axum names them.
pub(super) trait Described<T> {
    /// What it takes and gives.
    fn docs() -> Docs;
}

/// Something that a handler takes.
pub(super) trait Part {
    /// Notes what a client must send for it.
    fn describe(_docs: &mut Docs) {}
}

/// Something that a handler returns.
pub(super) trait Answer {
    /// Notes what a client gets.
    fn describe(docs: &mut Docs);
}

impl Docs {
    pub(super) fn streaming<T: JsonSchema>(self) -> Self {
        Self { answer: Some(Content::Lines(schema_of::<T>)), ..self }
    }

    pub(super) fn answering<T: JsonSchema>(self) -> Self {
        Self { answer: Some(Content::Json(schema_of::<T>)), ..self }
    }

    /// Whether the body may be of any length and is read as it comes.
    pub(super) fn takes_bytes(&self) -> bool {
        matches!(self.body, Some(Content::Bytes))
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Part for State<Api> {}
impl Part for HeaderMap {}
impl Part for Method {}
impl Part for Uri {}
impl<T> Part for Path<T> {}
impl<T> Part for Extension<T> {}

impl<T: Part> Part for Option<T> {
    fn describe(docs: &mut Docs) {
        T::describe(docs);
    }
}

impl<T: JsonSchema> Part for Query<T> {
    fn describe(docs: &mut Docs) {
        docs.query = Some(schema_of::<T>);
    }
}

impl<T: JsonSchema> Part for Json<T> {
    fn describe(docs: &mut Docs) {
        docs.body = Some(Content::Json(schema_of::<T>));
    }
}

impl Part for Body {
    fn describe(docs: &mut Docs) {
        docs.body = Some(Content::Bytes);
    }
}

impl Part for Bytes {
    fn describe(docs: &mut Docs) {
        docs.body = Some(Content::Bytes);
    }
}

impl Part for Request {
    fn describe(docs: &mut Docs) {
        docs.body = Some(Content::Bytes);
    }
}

impl<T: JsonSchema> Answer for Json<T> {
    fn describe(docs: &mut Docs) {
        docs.answer = Some(Content::Json(schema_of::<T>));
    }
}

impl Answer for String {
    fn describe(docs: &mut Docs) {
        docs.answer = Some(Content::Text);
    }
}

impl Answer for StatusCode {
    fn describe(docs: &mut Docs) {
        docs.is_later = true;
    }
}

impl Answer for Response {
    fn describe(docs: &mut Docs) {
        docs.answer = Some(Content::Bytes);
    }
}

impl<A: Answer, E> Answer for Result<A, E> {
    fn describe(docs: &mut Docs) {
        A::describe(docs);
    }
}

impl<A: Answer> Answer for (StatusCode, A) {
    fn describe(docs: &mut Docs) {
        A::describe(docs);
    }
}

impl<A: Answer, E> Answer for (Extension<E>, A) {
    fn describe(docs: &mut Docs) {
        A::describe(docs);
    }
}

/// As axum implements `Handler`: the marker, then the extractors.
macro_rules! described {
    ($($part:ident),*) => {
        impl<F, Fut, M, $($part,)*> Described<(M, $($part,)*)> for F
        where
            F: Fn($($part,)*) -> Fut,
            Fut: Future,
            Fut::Output: Answer,
            $($part: Part,)*
        {
            fn docs() -> Docs {
                let mut docs = Docs::default();
                $($part::describe(&mut docs);)*
                Fut::Output::describe(&mut docs);
                docs
            }
        }
    };
}

described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);
described!(A, B, C, D, E);
described!(A, B, C, D, E, G);
described!(A, B, C, D, E, G, H);

/// A handler that takes nothing.
impl<F, Fut> Described<((),)> for F
where
    F: Fn() -> Fut,
    Fut: Future,
    Fut::Output: Answer,
{
    fn docs() -> Docs {
        let mut docs = Docs::default();
        Fut::Output::describe(&mut docs);
        docs
    }
}
