//! YAML as a tree that knows where each part stands in the text.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Spanned};

/// A place in the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

/// A part of the document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it begins.
    pub place: Place,
    /// Where in the text it stands, in bytes; only a scalar has more than its beginning.
    pub source: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a part of the document is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order in which they are written, repeated keys included.
    Map(Vec<(Node, Node)>),
}

/// The text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoYaml {
    /// Where.
    pub place: Place,
    /// What the parser says.
    pub message: String,
}

impl Node {
    /// Reads one YAML document.
    pub(crate) fn parse(text: &str) -> Result<Self, NoYaml> {
        let options = serde_saphyr::options! {
            // Repeated keys are reported with all that is wrong, not as the first and only error.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
        };
        let raw: Spanned<Raw> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| no_yaml(error.without_snippet()))?;
        Ok(raw.into())
    }

    /// The text as it is written, for a scalar.
    pub(crate) fn written<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.source.clone()).unwrap_or_default()
    }
}

fn no_yaml(error: &Error) -> NoYaml {
    let place = error.location().map(Place::from).unwrap_or_default();
    let message = match error {
        Error::MultipleDocuments { .. } => "there is a second YAML document: write one document in a file".to_owned(),
        // The place stands in front of the message already.
        other => {
            let message = other.to_string();
            message
                .rsplit_once(" at line ")
                .map_or(message.clone(), |(message, _)| message.to_owned())
        }
    };
    NoYaml { place, message }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A node without its place, which serde-saphyr wraps around it.
struct Raw(RawValue);

enum RawValue {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl From<Spanned<Raw>> for Node {
    fn from(raw: Spanned<Raw>) -> Self {
        // Of an alias, the place where its text stands.
        let span = raw.defined.span();
        let start = span
            .byte_offset()
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or_default();
        let length = span
            .byte_len()
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or_default();
        let value = match raw.value.0 {
            RawValue::Scalar(value) => value,
            RawValue::List(list) => Value::List(list.into_iter().map(Self::from).collect()),
            RawValue::Map(map) => Value::Map(map.into_iter().map(|(k, v)| (k.into(), v.into())).collect()),
        };
        Self {
            place: raw.defined.into(),
            source: start..start + length,
            value,
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Int(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Int(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Int(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawValue, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = access.next_entry()? {
            map.push(entry);
        }
        Ok(RawValue::Map(map))
    }
}
