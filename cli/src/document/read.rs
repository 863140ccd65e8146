//! Reads a document's types from its tree, and finds everything that does not fit in one go.
//!
//! serde stops at the first error. So the part in which it lies is set aside and the rest is read again, until it fits.
//! Unknown and repeated keys stop nothing: they are reported and passed over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use wharfinger_core::config::{Path, Problem, Segment};

use super::Placed;
use super::tree::{Node, Place, Value};
use super::wording::{list, nearest};

/// What came of reading.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    /// The document without the parts that do not fit; `None` when nothing is left.
    pub document: Option<T>,
    /// Everything that does not fit.
    pub problems: Vec<Placed>,
    /// The parts that were left out.
    aside: BTreeSet<Path>,
}

impl<T> Outcome<T> {
    /// Where in the text a part of the document stands: behind a list's element that was left out, one further.
    pub(super) fn written(&self, path: &Path) -> Path {
        let mut written = Path::root();
        for segment in path.segments() {
            let mut segment = segment.clone();
            if let Segment::Index(index) = &mut segment {
                let left_out = |index: usize| self.aside.contains(&written.at(index));
                let place = (0..).filter(|place| !left_out(*place)).nth(*index);
                *index = place.unwrap_or(*index);
            }
            written = written.at(segment);
        }
        written
    }
}

/// Reads a document from its tree; `text` is what the tree was parsed from.
pub(super) fn read<'t, T: Deserialize<'t>>(text: &'t str, root: &'t Node) -> Outcome<T> {
    let reading = Reading {
        text,
        problems: RefCell::default(),
        aside: RefCell::default(),
    };
    let spot = Spot {
        value: root.place.clone(),
        key: None,
        path: Path::root(),
    };
    let document = loop {
        match T::deserialize(Part {
            reading: &reading,
            node: root,
            spot: spot.clone(),
        }) {
            Ok(document) => break Some(document),
            Err(fault) => {
                let at = fault.spot.unwrap_or_else(|| spot.clone());
                let nothing_left = at.path == spot.path;
                reading.set_aside(&fault.kind, at);
                if nothing_left {
                    break None;
                }
            }
        }
    };
    Outcome {
        document,
        problems: reading.problems.into_inner(),
        aside: reading.aside.into_inner(),
    }
}

/// What is told while reading.
struct Reading<'t> {
    text: &'t str,
    problems: RefCell<Vec<Placed>>,
    aside: RefCell<BTreeSet<Path>>,
}

impl Reading<'_> {
    fn set_aside(&self, kind: &FaultKind, spot: Spot) {
        match kind {
            FaultKind::Missing(key) => {
                // Not there because it was set aside itself: that has been told.
                if !self.aside.borrow().contains(&spot.path.at(*key)) {
                    let place = spot.key.unwrap_or(spot.value);
                    self.tell(place, Problem::error(spot.path.clone(), format!("`{key}` is missing")));
                }
            }
            FaultKind::Other(message) => self.tell(spot.value, Problem::error(spot.path.clone(), message.clone())),
        }
        self.aside.borrow_mut().insert(spot.path);
    }

    fn tell(&self, place: Place, problem: Problem) {
        let told = Placed { place, problem };
        let mut problems = self.problems.borrow_mut();
        // Every reading after the first finds the unknown keys again, and an alias finds those of its anchor.
        let same = |other: &Placed| other.place == told.place && other.problem.message == told.problem.message;
        if !problems.iter().any(same) {
            problems.push(told);
        }
    }
}

/// Where a part stands.
#[derive(Debug, Clone)]
struct Spot {
    value: Place,
    key: Option<Place>,
    path: Path,
}

/// Why a part does not fit, and which.
#[derive(Debug)]
struct Fault {
    kind: FaultKind,
    /// The innermost part in which it happened; `None` until that is known.
    spot: Option<Spot>,
}

#[derive(Debug)]
enum FaultKind {
    Missing(&'static str),
    Other(String),
}

impl Fault {
    fn in_spot(mut self, spot: Spot) -> Self {
        self.spot.get_or_insert(spot);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Missing(key) => write!(f, "`{key}` is missing"),
            FaultKind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            kind: FaultKind::Other(message.to_string()),
            spot: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            kind: FaultKind::Missing(field),
            spot: None,
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
            de::Unexpected::Signed(n) => format!("the number {n}"),
            de::Unexpected::Unsigned(n) => format!("the number {n}"),
            de::Unexpected::Float(n) => format!("the number {n}"),
            de::Unexpected::Str(text) => format!("the text `{text}`"),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map | de::Unexpected::StructVariant => "keys and values".to_owned(),
            other => other.to_string(),
        };
        Self::custom(format_args!("expected {expected}, found {found}"))
    }
}

/// A part of the document, as serde reads it.
struct Part<'r, 't> {
    reading: &'r Reading<'t>,
    node: &'t Node,
    spot: Spot,
}

impl<'r, 't> Part<'r, 't> {
    fn mismatch(&self, wanted: &str) -> Fault {
        let written = self.node.written(self.reading.text);
        let found = match &self.node.value {
            Value::Null => "nothing".to_owned(),
            Value::Int(_) | Value::Float(_) if wanted == TEXT => {
                let message = format_args!("expected text, found a number: write it in quotes, `\"{written}\"`");
                return de::Error::custom(message);
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => format!("`{written}`"),
            Value::Text(text) if text.parse::<f64>().is_ok() => format!("text: write `{text}` without quotes"),
            Value::Text(text) => format!("the text `{text}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "keys and values".to_owned(),
        };
        de::Error::custom(format_args!("expected {wanted}, found {found}"))
    }

    /// The entries of a map. With `known`, other keys are reported and passed over.
    fn entries(&self, known: Option<&'static [&'static str]>) -> Option<Vec<Entry<'r, 't>>> {
        let Value::Map(map) = &self.node.value else { return None };
        let mut entries: Vec<Entry<'r, 't>> = Vec::new();
        for (key, value) in map {
            let name = match &key.value {
                Value::Text(name) => name.as_str(),
                Value::List(_) | Value::Map(_) => {
                    self.tell(
                        &key.place,
                        self.spot.path.clone(),
                        "a key is text, not a list or keys and values",
                    );
                    continue;
                }
                _ => key.written(self.reading.text),
            };
            let path = self.spot.path.at(name);
            if let Some(known) = known.filter(|known| !known.contains(&name)) {
                self.tell(&key.place, path, &unknown("key", name, known));
            } else if let Some(first) = entries.iter().find(|e| e.name == name) {
                let first = first.part.spot.key.clone().unwrap_or_default();
                self.tell(
                    &key.place,
                    path,
                    &format!("`{name}` stands here already, at line {}", first.line),
                );
            } else if !self.reading.aside.borrow().contains(&path) {
                let spot = Spot {
                    value: value.place.clone(),
                    key: Some(key.place.clone()),
                    path,
                };
                entries.push(Entry {
                    name,
                    part: Part {
                        reading: self.reading,
                        node: value,
                        spot,
                    },
                });
            }
        }
        Some(entries)
    }

    fn tell(&self, place: &Place, path: Path, message: &str) {
        self.reading.tell(place.clone(), Problem::error(path, message));
    }

    fn elements(&self) -> Option<Vec<Part<'r, 't>>> {
        let Value::List(elements) = &self.node.value else {
            return None;
        };
        let parts = elements.iter().enumerate().map(|(i, node)| {
            let spot = Spot {
                value: node.place.clone(),
                key: None,
                path: self.spot.path.at(i),
            };
            Part {
                reading: self.reading,
                node,
                spot,
            }
        });
        let aside = self.reading.aside.borrow();
        Some(parts.filter(|part| !aside.contains(&part.spot.path)).collect())
    }

    fn integer<N: TryFrom<i128> + fmt::Display>(&self, range: &RangeInclusive<N>) -> Result<N, Fault> {
        let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
        match &self.node.value {
            Value::Int(n) => N::try_from(*n).map_err(|_| self.mismatch(&wanted())),
            _ => Err(self.mismatch(&wanted())),
        }
    }

    fn map<V: Visitor<'t>>(
        self,
        known: Option<&'static [&'static str]>,
        wanted: &str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries = self.entries(known).ok_or_else(|| self.mismatch(wanted))?;
        visitor.visit_map(Entries {
            left: entries.into_iter(),
            value: None,
        })
    }

    fn read<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Fault> {
        let spot = self.spot.clone();
        seed.deserialize(self).map_err(|fault| fault.in_spot(spot))
    }
}

const TEXT: &str = "text";

/// "unknown key `discvoery`: did you mean `discovery`?", and what there is.
fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let hint = nearest(given, known).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
    let end = if hint.is_empty() { ";" } else { "" };
    format!("unknown {what} `{given}`{hint}{end} known here: {}", list(known))
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),+ $(,)?) => {
        $(fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(self.integer(&(<$type>::MIN..=<$type>::MAX))?)
        })+
    };
}

impl<'t> Deserializer<'t> for Part<'_, 't> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            // Beyond 2^53 a float is not exact; no number here is so great.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            Value::Int(value) => visitor.visit_f64(*value as f64),
            Value::Float(value) => visitor.visit_f64(*value),
            _ => Err(self.mismatch("a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.mismatch("`true` or `false`")),
        }
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.mismatch(TEXT)),
        }
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.elements() {
            Some(elements) => visitor.visit_seq(Elements(elements.into_iter())),
            None => Err(self.mismatch("a list (each element after `- `, or all in `[ ]`)")),
        }
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.map(None, "keys and values (`key: value`, or `{}` for none)", visitor)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.map(Some(fields), &format!("keys and values ({})", list(fields)), visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) if variants.contains(&text.as_str()) => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            Value::Text(text) => Err(de::Error::custom(unknown("value", text, variants))),
            _ => Err(self.mismatch(&format!("one of {}", list(variants)))),
        }
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'t>>
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// A key and its value.
struct Entry<'r, 't> {
    name: &'t str,
    part: Part<'r, 't>,
}

struct Entries<'r, 't> {
    left: std::vec::IntoIter<Entry<'r, 't>>,
    value: Option<Part<'r, 't>>,
}

impl<'t> MapAccess<'t> for Entries<'_, 't> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(Entry { name, part }) = self.left.next() else {
            return Ok(None);
        };
        let spot = part.spot.clone();
        self.value = Some(part);
        let key = de::value::BorrowedStrDeserializer::<Fault>::new(name);
        seed.deserialize(key).map(Some).map_err(|fault| fault.in_spot(spot))
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(part) => part.read(seed),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

struct Elements<'r, 't>(std::vec::IntoIter<Part<'r, 't>>);

impl<'t> SeqAccess<'t> for Elements<'_, 't> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.0.next().map(|part| part.read(seed)).transpose()
    }
}
