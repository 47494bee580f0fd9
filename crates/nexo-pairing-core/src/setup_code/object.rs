//! A strict reader for the JSON objects of version 1, whose values are all strings.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::error::Category;

use super::error::{SetupCodeError, SetupCodePart};

/// The values of `fields`, in that order; `None` for a missing field.
///
/// Unknown and repeated fields, values that are not strings, and anything before or after the object
/// are refused. Since no value may be an object or a list, nothing nests.
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
        // A truncated string is a JSON error, not a type error.
        (Some(problem), Category::Data) => problem,
        _ => part.must("be a JSON object"),
    })
}

struct Reader<'a, const N: usize> {
    part: SetupCodePart,
    fields: &'a [&'static str; N],
    /// The error to report if reading stops here. serde's own errors quote the input.
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
                *problem = Some(part.must("have no fields other than those of version 1"));
                return Err(A::Error::custom("an unknown field"));
            };
            let field = fields[index];
            if texts[index].is_some() {
                *problem =
                    Some(SetupCodeError::Field { part, field, rule: "be present only once" });
                return Err(A::Error::custom("a repeated field"));
            }
            *problem = Some(SetupCodeError::Field { part, field, rule: "be a string" });
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
    fn fields_are_read_in_any_order_and_may_be_missing() {
        assert_eq!(texts(r#"{"a":"x","b":"y"}"#), Ok([Some("x".into()), Some("y".into())]));
        assert_eq!(texts(r#" { "b" : "\u00e9" } "#), Ok([None, Some("é".into())]));
        assert_eq!(texts("{}"), Ok([None, None]));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let part = SetupCodePart::Claims;
        let not_a_string = SetupCodeError::Field { part, field: "b", rule: "be a string" };
        let repeated = SetupCodeError::Field { part, field: "a", rule: "be present only once" };
        let unknown = part.must("have no fields other than those of version 1");
        let not_an_object = part.must("be a JSON object");
        let deep = format!(r#"{{"b":{}"#, "[".repeat(100_000));
        let deep_outside = "[".repeat(100_000);
        for (json, error) in [
            (r#"{"b":1}"#, not_a_string),
            (r#"{"b":null}"#, not_a_string),
            (r#"{"b":["y"]}"#, not_a_string),
            (&deep, not_a_string),
            (r#"{"a":"x","a":"x"}"#, repeated),
            (r#"{"a":"x","\u0061":"x"}"#, repeated),
            (r#"{"c":"x"}"#, unknown),
            (r#"["x","y"]"#, not_an_object),
            (r#""x""#, not_an_object),
            ("", not_an_object),
            ("{", not_an_object),
            (r#"{"a":"x"#, not_an_object),
            (r#"{"a":"\ud800"}"#, not_an_object),
            (r#"{"a":"x"}{}"#, not_an_object),
            (r#"{"a":"x",}"#, not_an_object),
            (&deep_outside, not_an_object),
        ] {
            assert_eq!(texts(json), Err(error), "{}", &json[..json.len().min(40)]);
        }
        assert_eq!(read(part, b"{\"a\":\"\xff\"}", &["a"]), Err(not_an_object));
    }
}
