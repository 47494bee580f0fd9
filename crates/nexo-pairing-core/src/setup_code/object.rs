//! Reads the JSON objects of version 1, whose values are all texts, and takes nothing else.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::error::Category;

use super::error::{SetupCodeError, SetupCodePart};

/// The texts of `fields`, in that order; a field that is not there is `None`.
///
/// Refused are: another field, a field that comes twice, a value that is no text, anything before
/// or behind the object. Since no value may be an object or a list, nothing nests.
pub(super) fn read<const N: usize>(
    part: SetupCodePart,
    json: &[u8],
    fields: &[&'static str; N],
) -> Result<[Option<String>; N], SetupCodeError> {
    let mut problem = None;
    let reader = Reader { part, fields, problem: &mut problem };
    let mut json = serde_json::Deserializer::from_slice(json);
    let read = json.deserialize_map(reader).and_then(|texts| json.end().map(|()| texts));
    read.map_err(|error| match (problem, error.classify()) {
        // A text that breaks off is no text, either; then the JSON is to blame.
        (Some(problem), Category::Data) => problem,
        _ => part.must("be a JSON object"),
    })
}

struct Reader<'a, const N: usize> {
    part: SetupCodePart,
    fields: &'a [&'static str; N],
    /// What is wrong, should the reading end where it is. serde's own errors quote what they read.
    problem: &'a mut Option<SetupCodeError>,
}

impl<'de, const N: usize> Visitor<'de> for Reader<'_, N> {
    type Value = [Option<String>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { part, fields, problem } = self;
        let mut texts = [const { None }; N];
        while let Some(name) = map.next_key::<String>()? {
            let Some(index) = fields.iter().position(|field| *field == name) else {
                *problem = Some(part.must("have no other fields than those of version 1"));
                return Err(A::Error::custom("an unknown field"));
            };
            let field = fields[index];
            if texts[index].is_some() {
                *problem = Some(SetupCodeError::Field { part, field, rule: "be there only once" });
                return Err(A::Error::custom("a field that was there before"));
            }
            *problem = Some(SetupCodeError::Field { part, field, rule: "be a text" });
            texts[index] = Some(map.next_value()?);
            *problem = None;
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str) -> Result<[Option<String>; 2], SetupCodeError> {
        read(SetupCodePart::Claims, json.as_bytes(), &["a", "b"])
    }

    #[test]
    fn texts_are_read_in_any_order_and_may_be_left_out() {
        assert_eq!(texts(r#"{"a":"x","b":"y"}"#), Ok([Some("x".into()), Some("y".into())]));
        assert_eq!(texts(r#" { "b" : "\u00e9" } "#), Ok([None, Some("é".into())]));
        assert_eq!(texts("{}"), Ok([None, None]));
    }

    #[test]
    fn everything_else_is_refused_by_its_name() {
        let part = SetupCodePart::Claims;
        let no_text = SetupCodeError::Field { part, field: "b", rule: "be a text" };
        let twice = SetupCodeError::Field { part, field: "a", rule: "be there only once" };
        let unknown = part.must("have no other fields than those of version 1");
        let no_object = part.must("be a JSON object");
        let deep = format!(r#"{{"b":{}"#, "[".repeat(100_000));
        let deep_outside = "[".repeat(100_000);
        for (json, error) in [
            (r#"{"b":1}"#, no_text),
            (r#"{"b":null}"#, no_text),
            (r#"{"b":["y"]}"#, no_text),
            (&deep, no_text),
            (r#"{"a":"x","a":"x"}"#, twice),
            (r#"{"a":"x","\u0061":"x"}"#, twice),
            (r#"{"c":"x"}"#, unknown),
            (r#"["x","y"]"#, no_object),
            (r#""x""#, no_object),
            ("", no_object),
            ("{", no_object),
            (r#"{"a":"x"#, no_object),
            (r#"{"a":"\ud800"}"#, no_object),
            (r#"{"a":"x"}{}"#, no_object),
            (r#"{"a":"x",}"#, no_object),
            (&deep_outside, no_object),
        ] {
            assert_eq!(texts(json), Err(error), "{}", &json[..json.len().min(40)]);
        }
        assert_eq!(read(part, b"{\"a\":\"\xff\"}", &["a"]), Err(no_object));
    }
}
