//! Compares a value with what its key may say.

use std::collections::HashMap;

use serde_json::Value;

use crate::schema::{self, Entry, Shape, Text};
use crate::{ConfigError, Origin};

/// Refuses a `value` that `key` may not have.
pub(crate) fn check(
    origin: &Origin,
    key: &str,
    shape: Shape,
    value: &Value,
) -> Result<(), ConfigError> {
    let allowed = match (shape, value) {
        (Shape::Bool, Value::Bool(_)) => return Ok(()),
        (Shape::Number(min, max), _)
            if value.as_u64().is_some_and(|number| (min..=max).contains(&number)) =>
        {
            return Ok(());
        }
        (Shape::Text(text) | Shape::Path(text), Value::String(value)) => {
            match (is_placeholder(origin, value), text.1(value)) {
                (false, true) => return Ok(()),
                (true, _) => format!(
                    "written out, because `${{…}}` is not filled in here; or set {} instead",
                    schema::variable(key)
                ),
                (false, false) => text.0.to_owned(),
            }
        }
        (Shape::Texts(text), Value::Array(items)) => {
            return items.iter().enumerate().try_for_each(|(at, item)| {
                check(origin, &format!("{key}[{at}]"), Shape::Text(text), item)
            });
        }
        (Shape::Entries(entry), Value::Array(items)) => {
            return check_entries(origin, key, entry, items);
        }
        (Shape::Bool, _) => "`true` or `false`".to_owned(),
        (Shape::Number(min, max), _) => format!("a whole number from {min} to {max}"),
        (Shape::Text(Text(allowed, _)) | Shape::Path(Text(allowed, _)), Value::Null) => {
            allowed.to_owned()
        }
        (Shape::Text(Text(allowed, _)) | Shape::Path(Text(allowed, _)), _) => {
            format!("{allowed}, in quotes")
        }
        (Shape::Texts(_) | Shape::Entries(_), _) => "a list, `[]` where it is empty".to_owned(),
    };
    Err(ConfigError::invalid(origin, key, value, allowed))
}

/// Earlier versions filled in `${…}`. As a part of a path or a URL it would do harm silently.
fn is_placeholder(origin: &Origin, text: &str) -> bool {
    matches!(origin, Origin::File(_)) && text.contains("${")
}

fn check_entries(
    origin: &Origin,
    key: &str,
    entry: &Entry,
    items: &[Value],
) -> Result<(), ConfigError> {
    let mut first = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let key = format!("{key}[{at}]");
        let Value::Object(map) = item else {
            let allowed = format!("an entry with {}", entry.required.join(" and "));
            return Err(ConfigError::invalid(origin, &key, item, allowed));
        };
        for (name, value) in map {
            let key = format!("{key}.{name}");
            let Some(known) = entry.find(name) else {
                return Err(ConfigError::unknown(origin, &key));
            };
            check(origin, &key, known.shape, value)?;
        }
        if let Some(name) = entry.required.iter().find(|name| !map.contains_key(**name)) {
            return Err(ConfigError::missing(origin, &format!("{key}.{name}")));
        }
        let identity: Vec<_> = entry.identity.iter().map(|name| map[*name].as_str()).collect();
        if let Some(first) = first.insert(identity, key.clone()) {
            return Err(ConfigError::duplicate(origin, &key, &first));
        }
    }
    Ok(())
}
