//! One layer of the configuration: the values that one source sets, checked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use nexo_pairing_core::{Mode, PolicyOptions};
use serde::Deserialize;
use serde_json::Value;

use crate::check::check;
use crate::keys::{self, KEYS};
use crate::schema::{self, Entry, Shape};
use crate::{ConfigError, Origin, Setting};

/// The values that one source sets, checked, with their origins.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    pub(crate) values: BTreeMap<&'static str, (Origin, Value)>,
    base: Option<&'a Path>,
    user_home: Option<&'a str>,
}

impl<'a> Layer<'a> {
    /// An empty layer. Relative paths in it start at `base`, or else at the working directory; `~` stands
    /// for `user_home`.
    pub(crate) fn new(base: Option<&'a Path>, user_home: Option<&'a str>) -> Self {
        Self { values: BTreeMap::new(), base, user_home }
    }

    /// Sets the keys in the text of a file.
    pub(crate) fn set_file(&mut self, origin: &Origin, text: &str) -> Result<(), ConfigError> {
        for (name, section) in mapping(origin, "", parse(origin, text)?)? {
            match name.as_str() {
                "pairing" => self.set_section(origin, section)?,
                // Nexo writes it into each of its files.
                "schema_version" => {}
                _ => return Err(ConfigError::unknown_root(origin, &name)),
            }
        }
        Ok(())
    }

    fn set_section(&mut self, origin: &Origin, section: Value) -> Result<(), ConfigError> {
        for (name, value) in mapping(origin, "", section)? {
            if keys::is_section(&name) {
                for (key, value) in mapping(origin, &name, value)? {
                    self.set(origin, &format!("{name}.{key}"), value)?;
                }
            } else if name.contains('.') {
                // Two spellings of a key could disagree.
                return Err(ConfigError::unknown(origin, &format!("{name:?}")));
            } else {
                self.set(origin, &name, value)?;
            }
        }
        Ok(())
    }

    /// Sets the key of one of our environment variables. Lists are written as in YAML: `[a,b]`.
    pub(crate) fn set_variable(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let origin = Origin::Environment(name.to_owned());
        let Some(key) = KEYS.iter().find(|key| schema::variable(key.name) == name) else {
            let name = name.strip_prefix(schema::PREFIX).unwrap_or(name);
            return Err(ConfigError::unknown(&origin, &name.to_lowercase().replace("__", ".")));
        };
        let value = match key.shape {
            Shape::Text(_) | Shape::Path(_) => Value::Null,
            _ => parse(&origin, text)?,
        };
        // An empty variable is an error: it is usually a mistake in a script.
        let value = if value.is_null() { Value::String(text.to_owned()) } else { value };
        self.set(&origin, key.name, value)
    }

    /// Sets `key` to `value`; `null` sets nothing, as if the key were commented out, unless that would
    /// change who is admitted.
    pub(crate) fn set(
        &mut self,
        origin: &Origin,
        key: &str,
        mut value: Value,
    ) -> Result<(), ConfigError> {
        let Some(known) = keys::find(key) else {
            return Err(ConfigError::unknown(origin, key));
        };
        let (key, shape) = (known.name, known.shape);
        // Without a list of accounts, all of them are known; with an empty one, none.
        let needs_value = matches!(shape, Shape::Entries(_)) || known.is_remembered;
        if value.is_null() && !needs_value {
            return Ok(());
        }
        check(origin, key, shape, &value)?;
        if let (Shape::Path(_), Value::String(path)) = (shape, &value) {
            value = match self.resolve(path) {
                Ok(path) => path.into(),
                Err(allowed) => {
                    return Err(ConfigError::not_allowed(origin, key, &value, allowed));
                }
            };
        }
        self.values.insert(key, (origin.clone(), value));
        Ok(())
    }

    /// For a reload, keeps the values of the previous file that this one does not set, and returns their
    /// keys.
    pub(crate) fn keep(&mut self, in_force: &[Setting]) -> Vec<String> {
        let has_login = KEYS.iter().any(|key| key.is_login && self.values.contains_key(key.name));
        let mut kept = Vec::new();
        for Setting { key, value, origin } in in_force {
            let Some(known) = keys::find(key) else { continue };
            if !matches!(origin, Origin::File(_)) || has_login && known.is_login {
                continue;
            }
            // Remembered keys are kept elsewhere, also across restarts.
            let is_remembered = known.is_remembered;
            match (self.values.get_mut(key), known.shape) {
                (None, _) if is_remembered => {}
                (None, _) => {
                    self.values.insert(key, (origin.clone(), value.clone()));
                    kept.push((*key).to_owned());
                }
                (Some((_, new)), Shape::Entries(entry)) => {
                    kept.extend(keep_entries(key, entry, new, value, is_remembered));
                }
                (Some(_), _) => {}
            }
        }
        kept
    }

    /// `path` as an absolute path; the error says what is allowed instead.
    fn resolve(&self, path: &str) -> Result<String, &'static str> {
        let path = match (path.strip_prefix('~'), self.user_home) {
            (Some(rest), Some(home)) => Cow::from(format!("{home}{rest}")),
            (Some(_), None) => return Err("a path without `~`, because HOME is not set"),
            (None, _) => path.into(),
        };
        let path = self.base.unwrap_or(Path::new("")).join(&*path);
        // Fails if the working directory is gone; then opening the file reports it.
        let path = std::path::absolute(&path).unwrap_or(path);
        let path = path.into_os_string().into_string();
        path.map_err(|_| "an absolute path, because the directory it starts at is not UTF-8")
    }

    /// Replaces `auto_challenge`, the old spelling of a mode, with that mode, so that a
    /// later layer overrides it in either spelling.
    pub(crate) fn resolve_auto_challenge(&mut self) -> Result<(), ConfigError> {
        let Some((origin, legacy)) = self.values.remove("gate.auto_challenge") else {
            return Ok(());
        };
        let mut options = PolicyOptions::default();
        options.auto_challenge = legacy.as_bool();
        options.mode = self.values.get("gate.mode").and_then(|set| Mode::deserialize(&set.1).ok());
        let mode = options.mode().map_err(|error| ConfigError::policy(&origin, "gate", error))?;
        let mode = mode.unwrap_or_default().as_str();
        self.values.entry("gate.mode").or_insert((origin, mode.into()));
        Ok(())
    }
}

/// Adds to the list `new` the entries, and keys of entries, that only `old` has; in a remembered list,
/// only keys that are not modes. An empty list is intended; a shorter one may be truncated.
fn keep_entries(
    key: &str,
    entry: &Entry,
    new: &mut Value,
    old: &Value,
    is_remembered: bool,
) -> Vec<String> {
    let identity = |item: &Value| {
        let names = entry.identity.iter().filter_map(|name| item[*name].as_str());
        names.collect::<Vec<_>>().join("/")
    };
    let mut kept = Vec::new();
    let Some(new) = new.as_array_mut().filter(|new| !new.is_empty()) else {
        return kept;
    };
    for old in old.as_array().into_iter().flatten() {
        let name = identity(old);
        let Some(new) = new.iter_mut().find(|new| identity(new) == name) else {
            if !is_remembered {
                new.push(old.clone());
                kept.push(format!("{key}[{name}]"));
            }
            continue;
        };
        for (inner, value) in old.as_object().into_iter().flatten() {
            let is_mode = entry.find(inner).is_some_and(|key| key.is_remembered);
            if new.get(inner).is_none() && !is_mode {
                new[inner] = value.clone();
                kept.push(format!("{key}[{name}].{inner}"));
            }
        }
    }
    kept
}

/// Reads one YAML document, strictly. An empty one is `null`.
///
/// Anything that readers interpret differently is rejected, or is a text: duplicate keys, `yes` and
/// `no`, numbers with leading zeros or underscores, tags. The limits are far above what a configuration
/// needs, and far below what would hurt.
fn parse(origin: &Origin, text: &str) -> Result<Value, ConfigError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            flow_nesting_limit: 16,
            max_anchors: 1000,
            max_aliases: 10_000,
            enforce_alias_anchor_ratio: false,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| ConfigError::Syntax {
        origin: origin.clone(),
        reason: error.render_with_formatter(&serde_saphyr::UserMessageFormatter),
    })
}

/// The keys below `key`; empty if it has no value, since everything below may be commented out.
fn mapping(
    origin: &Origin,
    key: &str,
    value: Value,
) -> Result<serde_json::Map<String, Value>, ConfigError> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(serde_json::Map::new()),
        _ => Err(ConfigError::not_allowed(origin, key, &value, "keys with their values")),
    }
}
