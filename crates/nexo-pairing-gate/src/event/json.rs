//! JSON as a tree that borrows its texts from the line.
//!
//! A [`Value`] copies each of them, which takes 40 % longer. What is not looked at is read too, so that a
//! line with an error anywhere is not JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::EventError;

#[derive(Debug)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number,
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Object<'a>),
    /// What is named `meta`, which is passed on as it is.
    Meta(Value),
}

/// Fields in the order of the line. The last of one name counts.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// Reads a line.
pub(super) fn read(line: &[u8]) -> serde_json::Result<Json<'_>> {
    // To check the line as a whole takes a third of the time that its texts take one by one.
    match str::from_utf8(line) {
        Ok(line) => serde_json::from_str(line),
        Err(_) => serde_json::from_slice(line),
    }
}

impl Json<'_> {
    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl<'a> Object<'a> {
    pub(super) fn fields(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        &self.0
    }

    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A field that is text or absent; `null` counts as absent.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, EventError> {
        match self.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(EventError::Field { field: name, expected: "text" }),
        }
    }

    pub(super) fn meta(&self) -> Option<Value> {
        if let Some(Json::Meta(meta)) = self.get("meta") { Some(meta.clone()) } else { None }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some(Json::Text(name)) = map.next_key()? {
            let value =
                if name == "meta" { Json::Meta(map.next_value()?) } else { map.next_value()? };
            fields.push((name, value));
        }
        Ok(Json::Object(Object(fields)))
    }
}
