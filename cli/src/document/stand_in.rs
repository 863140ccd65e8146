//! What stands in for a part that does not fit, whatever its type.

use serde::de::{Deserializer, IntoDeserializer, Visitor};

use super::aside::Instead;
use super::fault::Fault;
use super::part::{Elements, Part};

/// The least, or the greatest, that fits.
pub(super) struct StandIn<'r, 't>(pub(super) Part<'r, 't>);

impl StandIn<'_, '_> {
    fn one_of<T>(&self, least: T, greatest: T) -> T {
        match self.0.instead() {
            Instead::Greatest => greatest,
            Instead::Nothing | Instead::Least => least,
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),+ $(,)?) => {
        $(fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(self.one_of(<$type>::MIN, <$type>::MAX))
        })+
    };
}

impl<'t> Deserializer<'t> for StandIn<'_, 't> {
    type Error = Fault;

    /// Of all types, only durations and shares ask for anything; a share may always be left out.
    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.one_of("0s", "1d"))
    }

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64,
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(self.one_of(false, true))
    }

    /// No other part has this name, so nothing seems to be written twice.
    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        let which = self.one_of("a", "b");
        visitor.visit_string(format!("{which} {}", self.0.path()))
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        let elements: Vec<_> = match self.0.instead() {
            Instead::Greatest => self.0.element().into_iter().collect(),
            Instead::Nothing | Instead::Least => Vec::new(),
        };
        visitor.visit_seq(Elements(elements.into_iter()))
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.0.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (first, last) = (variants.first().copied(), variants.last().copied());
        visitor.visit_enum(self.one_of(first, last).unwrap_or_default().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'t>>
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
