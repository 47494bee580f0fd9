//! Compares a value with what its key allows.

use std::collections::HashMap;

use serde_json::Value;

use crate::schema::{self, Entry, Shape, Text};
use crate::{ConfigError, Origin};

/// Rejects a `value` that `key` does not allow.
pub(crate) fn check(
    origin: &Origin,
    key: &str,
    shape: Shape,
    value: &Value,
) -> Result<(), ConfigError> {
    let allowed = match (shape, value) {
        (Shape::Bool, Value::Bool(_)) => return Ok(()),
        (Shape::Number(min, max), _) => match value.as_u64() {
            Some(number) if (min..=max).contains(&number) => return Ok(()),
            _ => format!("a whole number from {min} to {max}"),
        },
        // Earlier versions substituted `${…}`. Within a path or a URL it would do harm silently.
        (Shape::Text(_) | Shape::Path(_), Value::String(text))
            if matches!(origin, Origin::File(_)) && text.contains("${") =>
        {
            let variable = schema::variable(key);
            format!(
                "written out, because `${{…}}` is not substituted here; or set {variable} instead"
            )
        }
        (Shape::Text(Text(allowed, is_allowed)) | Shape::Path(Text(allowed, is_allowed)), _) => {
            match value {
                Value::String(text) if is_allowed(text) => return Ok(()),
                Value::String(_) | Value::Null => allowed.to_owned(),
                _ => format!("{allowed}, in quotes"),
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
        (Shape::Texts(_) | Shape::Entries(_), _) => "a list, `[]` if it is empty".to_owned(),
    };
    Err(ConfigError::not_allowed(origin, key, value, &allowed))
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
            return Err(ConfigError::not_allowed(origin, &key, item, &allowed));
        };
        for (name, value) in map {
            let key = format!("{key}.{name}");
            let known = entry.find(name).ok_or_else(|| ConfigError::unknown(origin, &key))?;
            check(origin, &key, known.shape, value)?;
        }
        if let Some(name) = entry.required.iter().find(|name| !map.contains_key(**name)) {
            let problem = "is missing, every entry needs it";
            return Err(ConfigError::invalid(origin, &format!("{key}.{name}"), problem));
        }
        let identity: Vec<_> = entry.identity.iter().map(|name| map[*name].as_str()).collect();
        if let Some(first) = first.insert(identity, key.clone()) {
            let problem = format!("duplicates `{}`, keep one of them", origin.spelled(&first));
            return Err(ConfigError::invalid(origin, &key, problem));
        }
    }
    Ok(())
}
