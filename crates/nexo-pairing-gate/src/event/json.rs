//! Reads the fields of a message from JSON, and copies only what has to be.
//!
//! Whatever is not looked at is read all the same, so that a line which is no JSON anywhere is none.
//! Where a name comes twice the last holds.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What an event of a plugin itself must not carry: it would be a message without a sender. Nor any
/// field that begins with `media` or ends with `_path` or `_url`, nor one that holds more than a
/// single value.
const CONTENT: [&str; 7] = ["text", "caption", "body", "content", "message", "data", "url"];

/// A value, as far as it is looked at.
#[derive(Debug)]
pub(super) enum Field<'a> {
    Null,
    Bool(bool),
    Number,
    Text(Cow<'a, str>),
    /// `None` when they are not all texts.
    List(Option<Vec<Cow<'a, str>>>),
    /// `None` when its fields do not matter.
    Object(Option<Box<Fields<'a>>>),
}

/// The fields that matter of a message, or of the event around it; those that are there.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) channel: Option<Field<'a>>,
    pub(super) account: Option<Field<'a>>,
    pub(super) from: Option<Field<'a>>,
    pub(super) alt: Option<Field<'a>>,
    pub(super) is_group: Option<Field<'a>>,
    pub(super) kind: Option<Field<'a>>,
    pub(super) topic: Option<Field<'a>>,
    pub(super) payload: Option<Field<'a>>,
    pub(super) meta: Option<Value>,
    /// What else helps an operator to recognise a sender: the texts among three names.
    pub(super) names: Map<String, Value>,
    /// Whether any field carries text, media or more than a single value.
    pub(super) has_content: bool,
}

/// Reads a line.
pub(super) fn read(json: &[u8]) -> serde_json::Result<Field<'_>> {
    // Looked at as a whole: text by text it takes three times as long.
    let Ok(json) = str::from_utf8(json) else {
        let wrong = serde_json::from_slice::<Value>(json).err();
        return Err(wrong.unwrap_or_else(|| Error::custom("not UTF-8")));
    };
    let mut json = serde_json::Deserializer::from_str(json);
    let line = Keep::Fields.deserialize(&mut json)?;
    json.end()?;
    Ok(line)
}

/// What is kept of a value.
#[derive(Clone, Copy)]
enum Keep {
    Nothing,
    Texts,
    Fields,
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Field<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Field<'de>, E> {
        Ok(Field::Bool(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Field<'de>, E> {
        Ok(Field::Number)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Field<'de>, E> {
        Ok(Field::Number)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Number)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(match self {
            Self::Texts => Cow::Owned(text.to_owned()),
            _ => Cow::Borrowed(""),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<'de>, A::Error> {
        let keep = if matches!(self, Self::Texts) { self } else { Self::Nothing };
        let mut texts = matches!(self, Self::Texts).then(Vec::new);
        while let Some(item) = seq.next_element_seed(keep)? {
            match (&mut texts, item) {
                (Some(texts), Field::Text(text)) => texts.push(text),
                _ => texts = None,
            }
        }
        Ok(Field::List(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        if !matches!(self, Self::Fields) {
            while map.next_key_seed(Self::Nothing)?.is_some() {
                map.next_value_seed(Self::Nothing)?;
            }
            return Ok(Field::Object(None));
        }
        let mut fields = Box::<Fields<'de>>::default();
        while let Some(Field::Text(name)) = map.next_key_seed(Self::Texts)? {
            if name == "meta" {
                fields.meta = Some(map.next_value()?);
                continue;
            }
            let (keep, place) = match &*name {
                "channel" => (Self::Texts, Some(&mut fields.channel)),
                "account" => (Self::Texts, Some(&mut fields.account)),
                "from" => (Self::Texts, Some(&mut fields.from)),
                "alt" => (Self::Texts, Some(&mut fields.alt)),
                "is_group" => (Self::Texts, Some(&mut fields.is_group)),
                "kind" => (Self::Texts, Some(&mut fields.kind)),
                "topic" => (Self::Texts, Some(&mut fields.topic)),
                "payload" => (self, Some(&mut fields.payload)),
                "push_name" | "username" | "name" => (Self::Texts, None),
                _ => (Self::Nothing, None),
            };
            let value = map.next_value_seed(keep)?;
            let is_content = is_content(&name, &value);
            match (place, value) {
                (Some(place), value) => *place = Some(value),
                (None, Field::Text(text)) if matches!(keep, Self::Texts) => {
                    fields.names.insert(name.into_owned(), text.into());
                }
                (None, _) => drop(fields.names.remove(&*name)),
            }
            fields.has_content |= is_content;
        }
        Ok(Field::Object(Some(fields)))
    }
}

fn is_content(name: &str, value: &Field<'_>) -> bool {
    match value {
        Field::Null => false,
        Field::List(_) | Field::Object(_) => true,
        Field::Bool(_) | Field::Number | Field::Text(_) => {
            CONTENT.contains(&name)
                || name.starts_with("media")
                || name.ends_with("_path")
                || name.ends_with("_url")
        }
    }
}
