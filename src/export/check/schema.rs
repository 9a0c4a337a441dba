//! The schemas of many versions in one: which fields a type has, from which version to which.
//!
//! They are made from the published ones by `tests/export/distill.py`, which keeps the kinds that an export has. A type is a
//! list of fields, each with its shape as a word: `int32`, `[core.v1.Container]` (a list), `{quantity}` (a map). Where a version
//! has changed a field, it is there twice.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::export::Version;

/// All versions are of this one.
const MAJOR: u16 = 1;

static PACKED: &[u8] = include_bytes!("schemas.json.zst");
static EMBEDDED: LazyLock<Schemas> = LazyLock::new(|| {
    let text = zstd::decode_all(PACKED).expect("`distill.py` has packed it with zstd");
    let file: File = serde_json::from_slice(&text).expect("`distill.py` writes what is read here");
    Schemas::from(file)
});

/// What is known of all versions.
#[derive(Debug)]
pub(super) struct Schemas {
    minors: RangeInclusive<u16>,
    kinds: BTreeMap<String, (String, RangeInclusive<u16>)>,
    types: BTreeMap<String, Vec<Field>>,
}

/// A field of a type.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    /// By which fields the items of a list are told apart; none for a set, whose items differ themselves.
    pub(super) keys: Option<Vec<String>>,
    minors: RangeInclusive<u16>,
}

/// How a value looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Boolean,
    Bytes,
    Int32,
    Int64,
    IntOrString,
    List(Box<Shape>),
    Map(Box<Shape>),
    Object(String),
    Quantity,
    String,
}

/// What becomes of a field in other versions than the one that does not have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// It came with this one.
    Since(Version),
    /// It went after this one.
    Until(Version),
}

/// Name, shape, required, keys, first and last minor version.
type FileField = (String, String, u8, Option<String>, u16, u16);

#[derive(Deserialize)]
struct File {
    minors: [u16; 2],
    /// Name of the type, first and last minor version; 0: the first or last of all.
    kinds: BTreeMap<String, (String, u16, u16)>,
    types: BTreeMap<String, Vec<FileField>>,
}

impl Schemas {
    /// Those of this binary.
    pub(super) fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// The versions that are known.
    pub(super) fn versions(&self) -> RangeInclusive<Version> {
        version(*self.minors.start())..=version(*self.minors.end())
    }

    /// The type of a kind (`apps/v1/Deployment`) in this version.
    pub(super) fn kind(&self, kind: &str, version: Version) -> Option<&str> {
        let (name, minors) = self.kinds.get(kind)?;
        minors.contains(&version.minor).then_some(name)
    }

    /// The fields of a type in this version; of a type that takes anything there are none.
    pub(super) fn fields(&self, name: &str, version: Version) -> Vec<&Field> {
        let known = self.types.get(name).map(Vec::as_slice).unwrap_or_default();
        known.iter().filter(|field| field.minors.contains(&version.minor)).collect()
    }

    /// Which versions know a field that this one does not.
    pub(super) fn elsewhere(&self, name: &str, field: &str, wanted: Version) -> Option<Elsewhere> {
        let known = self.types.get(name)?.iter().find(|known| known.name == field)?;
        Some(if known.minors.start() > &wanted.minor {
            Elsewhere::Since(version(*known.minors.start()))
        } else {
            Elsewhere::Until(version(*known.minors.end()))
        })
    }
}

impl From<File> for Schemas {
    fn from(file: File) -> Self {
        let [oldest, newest] = file.minors;
        let within = |first, last| {
            let bound = |minor, default| if minor == 0 { default } else { minor };
            bound(first, oldest)..=bound(last, newest)
        };
        let field = |(name, shape, is_required, keys, first, last): FileField| Field {
            name,
            shape: Shape::of(&shape),
            is_required: is_required != 0,
            keys: keys.map(|keys| keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()),
            minors: within(first, last),
        };
        let kinds =
            file.kinds.into_iter().map(|(kind, (name, first, last))| (kind, (name, within(first, last))));
        let types =
            file.types.into_iter().map(|(name, fields)| (name, fields.into_iter().map(field).collect()));
        Self { minors: oldest..=newest, kinds: kinds.collect(), types: types.collect() }
    }
}

impl Shape {
    fn of(word: &str) -> Self {
        let inner =
            |open, close| word.strip_prefix(open)?.strip_suffix(close).map(|word| Box::new(Self::of(word)));
        match word {
            "boolean" => Self::Boolean,
            "bytes" => Self::Bytes,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "int-or-string" => Self::IntOrString,
            "quantity" => Self::Quantity,
            // Nothing that is exported has a time; the server reads it as it reads any text.
            "string" | "time" => Self::String,
            _ => inner('[', ']')
                .map(Self::List)
                .or_else(|| inner('{', '}').map(Self::Map))
                .unwrap_or_else(|| Self::Object(word.to_owned())),
        }
    }

    /// What a person calls it.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Boolean => "`true` or `false`",
            Self::Bytes | Self::String => "a string",
            Self::Int32 | Self::Int64 => "a whole number",
            Self::IntOrString => "a whole number or a string",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Object(_) => "an object",
            Self::Quantity => "a quantity such as `256Mi`",
        }
    }
}

fn version(minor: u16) -> Version {
    Version { major: MAJOR, minor }
}
