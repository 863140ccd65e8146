//! A part of the document, as serde reads it.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use wharfinger_core::config::{Path, Problem, Segment, out_of_range, unsound, whole_range};

use super::aside::Instead;
use super::fault::{Fault, Spot};
use super::read::{NOTHING, Reading};
use super::stand_in::StandIn;
use super::tree::{Node, Place, Value};
use super::wording::{list, nearest};

/// A part of the document.
pub(super) struct Part<'r, 't> {
    pub(super) reading: &'r Reading<'t>,
    pub(super) node: &'t Node,
    pub(super) spot: Spot,
    pub(super) stands_in: bool,
}

impl<'r, 't> Part<'r, 't> {
    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.spot.path
    }

    /// What takes its place, should it not fit.
    pub(super) fn instead(&self) -> Instead {
        self.reading.instead
    }

    /// An element of a list that stands in.
    pub(super) fn element(&self) -> Option<Self> {
        let part = self.reading.part(self.spot.path.at(0), Some(&NOTHING), None)?;
        Some(Self {
            stands_in: true,
            ..part
        })
    }

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
            let Some(name) = self.name(key) else { continue };
            let path = self.spot.path.at(name);
            if let Some(known) = known.filter(|known| !known.contains(&name)) {
                if let Some(why) = unsound(&path, name) {
                    self.tell(&key.place, path, &refused(name, why));
                } else {
                    self.tell(&key.place, path, &unknown("key", name, known));
                    self.leave_out_nearest(name, known, map);
                }
            } else if let Some(first) = entries.iter().find(|e| e.name == name) {
                let first = first.part.spot.key.clone().unwrap_or_default();
                let message = format!("`{name}` stands here already, at line {}", first.line);
                self.tell(&key.place, path, &message);
            } else {
                let part = self.reading.part(path, Some(value), Some(key.place.clone()));
                entries.extend(part.map(|part| Entry { name, part }));
            }
        }
        for name in known.into_iter().flatten() {
            if entries.iter().all(|entry| entry.name != *name) {
                let part = self.reading.part(self.spot.path.at(*name), None, None);
                entries.extend(part.map(|part| Entry { name, part }));
            }
        }
        Some(entries)
    }

    fn name(&self, key: &'t Node) -> Option<&'t str> {
        match &key.value {
            Value::Text(name) => Some(name),
            Value::List(_) | Value::Map(_) => {
                let message = "a key is text, not a list or keys and values";
                self.tell(&key.place, self.spot.path.clone(), message);
                None
            }
            _ => Some(key.written(self.reading.text)),
        }
    }

    /// What is likely meant by an unknown key is not missing.
    fn leave_out_nearest(&self, name: &str, known: &[&'static str], map: &[(Node, Node)]) {
        let Some(near) = nearest(name, known) else { return };
        let written = |key: &Node| matches!(&key.value, Value::Text(key) if key == near);
        if !map.iter().any(|(key, _)| written(key)) {
            self.reading.asides.borrow_mut().leave_out(self.spot.path.at(near));
        }
    }

    fn tell(&self, place: &Place, path: Path, message: &str) {
        self.reading.tell(place.clone(), Problem::error(path, message));
    }

    fn elements(&self) -> Option<Vec<Self>> {
        let Value::List(elements) = &self.node.value else {
            return None;
        };
        let path = |i: usize| self.spot.path.at(i);
        let parts = elements.iter().enumerate();
        Some(
            parts
                .filter_map(|(i, node)| self.reading.part(path(i), Some(node), None))
                .collect(),
        )
    }

    fn integer<N: TryFrom<i128> + fmt::Display>(&self, range: &RangeInclusive<N>) -> Result<N, Fault> {
        let key = match self.spot.path.segments().last() {
            Some(Segment::Key(key)) => key,
            _ => "number",
        };
        let of_type = || format!("{} to {}", range.start(), range.end());
        let range = whole_range(key).map_or_else(of_type, |range| format!("{} to {}", range.start(), range.end()));
        match &self.node.value {
            Value::Int(n) => N::try_from(*n).map_err(|_| de::Error::custom(out_of_range(key, n, range))),
            _ => Err(self.mismatch(&format!("a whole number from {range}"))),
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
        let read = if self.stands_in {
            seed.deserialize(StandIn(self))
        } else {
            seed.deserialize(self)
        };
        read.map_err(|fault| fault.in_spot(spot))
    }
}

const TEXT: &str = "text";

/// "unknown key `discvoery`: did you mean `discovery`?", and what there is.
fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let hint = nearest(given, known).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
    let end = if hint.is_empty() { ";" } else { "" };
    format!("unknown {what} `{given}`{hint}{end} known here: {}", list(known))
}

/// "`attach` is refused: ECS attaches a new volume to each task, …".
fn refused(given: &str, why: &str) -> String {
    format!("`{given}` is refused: {why}")
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
            Value::Text(text) => Err(de::Error::custom(match unsound(self.path(), text) {
                Some(why) => refused(text, why),
                None => unknown("value", text, variants),
            })),
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

/// The elements of a list.
pub(super) struct Elements<'r, 't>(pub(super) std::vec::IntoIter<Part<'r, 't>>);

impl<'t> SeqAccess<'t> for Elements<'_, 't> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.0.next().map(|part| part.read(seed)).transpose()
    }
}
