//! One layer of the configuration: what one source says, checked, and ready to be laid over others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use figment::value::{Dict, Map, Value as FigmentValue};
use figment::{Figment, Metadata, Profile, Provider, Source};
use nexo_pairing_core::{Mode, PolicyOptions};
use serde::Deserialize;
use serde_json::Value;

use crate::check::check;
use crate::schema::{self, Entry, KEYS, Shape};
use crate::{ConfigError, Origin, Setting, yaml};

/// What one source says, checked: each key with its value, and where that came from.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    said: BTreeMap<&'static str, (Origin, Value)>,
    base: Option<&'a Path>,
    user_home: Option<&'a str>,
}

impl<'a> Layer<'a> {
    /// A layer that says nothing yet. Relative paths in it begin at `base` (else at the working
    /// directory), and `~` stands for `user_home`.
    pub(crate) fn new(base: Option<&'a Path>, user_home: Option<&'a str>) -> Self {
        Self { said: BTreeMap::new(), base, user_home }
    }

    /// The lowest layer; here `null` is a value too.
    pub(crate) fn defaults(values: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let said = values.into_iter().map(|(key, value)| (key, (Origin::Default, value))).collect();
        Self { said, ..Self::new(None, None) }
    }

    /// Says what is in the text of a file.
    pub(crate) fn say_file(&mut self, origin: &Origin, text: &str) -> Result<(), ConfigError> {
        for (name, section) in mapping(origin, "", parse(origin, text)?)? {
            match name.as_str() {
                "pairing" => self.say_section(origin, section)?,
                // Nexo puts it into every file of its own.
                "schema_version" => {}
                _ => return Err(ConfigError::unknown_root(origin, &name)),
            }
        }
        Ok(())
    }

    /// Whether it says anything: a key without a value does not.
    pub(crate) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    fn say_section(&mut self, origin: &Origin, section: Value) -> Result<(), ConfigError> {
        for (name, value) in mapping(origin, "", section)? {
            if schema::is_section(&name) {
                for (key, value) in mapping(origin, &name, value)? {
                    self.say(origin, &format!("{name}.{key}"), value)?;
                }
            } else if name.contains('.') {
                // One way to write a key is enough, and two could disagree.
                return Err(ConfigError::unknown(origin, &format!("{name:?}")));
            } else {
                self.say(origin, &name, value)?;
            }
        }
        Ok(())
    }

    /// Says what is in one of our environment variables. Lists are written as in YAML: `[a,b]`.
    pub(crate) fn say_variable(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let origin = Origin::Environment(name.to_owned());
        let Some(key) = KEYS.iter().find(|key| schema::variable(key.name) == name) else {
            let name = name.strip_prefix(schema::PREFIX).unwrap_or(name);
            return Err(ConfigError::unknown(&origin, &name.to_lowercase().replace("__", ".")));
        };
        let value = match key.shape {
            Shape::Text(_) | Shape::Path(_) => Value::Null,
            _ => parse(&origin, text)?,
        };
        // An empty variable does not say nothing: more often it is a slip in a script.
        let value = if value.is_null() { Value::String(text.to_owned()) } else { value };
        self.say(&origin, key.name, value)
    }

    /// Says that `key` is `value`; `null` says nothing, as if the key were commented out, unless that
    /// would change who is let in.
    pub(crate) fn say(
        &mut self,
        origin: &Origin,
        key: &str,
        mut value: Value,
    ) -> Result<(), ConfigError> {
        let Some(known) = schema::find(key) else {
            return Err(ConfigError::unknown(origin, key));
        };
        let (key, shape) = (known.name, known.shape);
        // No list of accounts lets all of them in, an empty one lets none.
        let needs_value = matches!(shape, Shape::Entries(_)) || known.is_remembered;
        if value.is_null() && !needs_value {
            return Ok(());
        }
        check(origin, key, shape, &value)?;
        if let (Shape::Path(_), Value::String(path)) = (shape, &value) {
            value = match self.resolve(path) {
                Ok(path) => path.into(),
                Err(allowed) => {
                    return Err(ConfigError::invalid(origin, key, &value, allowed.into()));
                }
            };
        }
        self.said.insert(key, (origin.clone(), value));
        Ok(())
    }

    /// Says what the file in force said and this one does not, for a reload; which keys that are.
    pub(crate) fn keep(&mut self, in_force: &[Setting]) -> Vec<String> {
        let has_login = KEYS.iter().any(|key| key.is_login && self.said.contains_key(key.name));
        let mut kept = Vec::new();
        for Setting { key, value, origin } in in_force {
            let Some(known) = schema::find(key) else { continue };
            if !matches!(origin, Origin::File(_)) || has_login && known.is_login {
                continue;
            }
            // Whoever puts modes in force remembers these, for restarts too.
            let is_remembered = known.is_remembered;
            match (self.said.get_mut(key), known.shape) {
                (None, _) if is_remembered => {}
                (None, _) => {
                    self.said.insert(key, (origin.clone(), value.clone()));
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

    /// `path` from the root on, or what it has to be for that.
    fn resolve(&self, path: &str) -> Result<String, &'static str> {
        let path = match (path.strip_prefix('~'), self.user_home) {
            (Some(rest), Some(home)) => Cow::from(format!("{home}{rest}")),
            (Some(_), None) => return Err("a path without `~`, because HOME is not set"),
            (None, _) => path.into(),
        };
        let path = self.base.unwrap_or(Path::new("")).join(&*path);
        // Where the working directory is gone, opening the file will tell.
        let path = std::path::absolute(&path).unwrap_or(path);
        let path = path.into_os_string().into_string();
        path.map_err(|_| "an absolute path, because the directory it begins at is not UTF-8")
    }

    /// Turns `auto_challenge`, the old way to name a mode, into the mode that it stands for: so a
    /// later layer overrides it, whichever way that one names its mode.
    pub(crate) fn settle_mode(&mut self) -> Result<(), ConfigError> {
        let Some((origin, legacy)) = self.said.remove("gate.auto_challenge") else {
            return Ok(());
        };
        let mut options = PolicyOptions::default();
        options.auto_challenge = legacy.as_bool();
        options.mode = self.said.get("gate.mode").and_then(|said| Mode::deserialize(&said.1).ok());
        let mode = options.mode().map_err(|error| ConfigError::policy(&origin, "gate", error))?;
        let mode = mode.unwrap_or_default().as_str();
        self.said.entry("gate.mode").or_insert((origin, mode.into()));
        Ok(())
    }

    /// Lays this layer over what is there.
    pub(crate) fn over(self, figment: Figment) -> Figment {
        self.said
            .into_iter()
            .fold(figment, |below, (key, (origin, value))| below.merge(Said { key, origin, value }))
    }
}

/// Adds to the list `new` the entries and the keys of entries that only `old` has; if it is remembered,
/// only keys that are no modes. An empty list is said on purpose, one that is shorter may have lost its
/// end.
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

fn parse(origin: &Origin, text: &str) -> Result<Value, ConfigError> {
    yaml::parse(text).map_err(|reason| ConfigError::Syntax { origin: origin.clone(), reason })
}

/// The keys below `key`. None where there is no value: what stands below is commented out.
fn mapping(
    origin: &Origin,
    key: &str,
    value: Value,
) -> Result<serde_json::Map<String, Value>, ConfigError> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(serde_json::Map::new()),
        _ => Err(ConfigError::invalid(origin, key, &value, "keys with their values".to_owned())),
    }
}

/// One key, its value and its origin, for [`figment`] to merge.
struct Said {
    key: &'static str,
    origin: Origin,
    value: Value,
}

impl Provider for Said {
    fn metadata(&self) -> Metadata {
        match &self.origin {
            Origin::Default => Metadata::named("default"),
            Origin::File(path) => Metadata::from("file", &**path),
            Origin::Environment(name) => Metadata::from("environment", name.clone()),
            Origin::Flag(flag) => Metadata::from("flag", flag.clone()),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = figment::util::nest(self.key, FigmentValue::serialize(&self.value)?);
        Ok(Profile::Default.collect(value.into_dict().unwrap_or_default()))
    }
}

/// The origin that [`Said`] put into `metadata`.
pub(crate) fn origin(metadata: Option<&Metadata>) -> Origin {
    match metadata.map(|metadata| (&*metadata.name, &metadata.source)) {
        Some(("file", Some(Source::File(path)))) => Origin::File(path.clone()),
        Some(("environment", Some(Source::Custom(name)))) => Origin::Environment(name.clone()),
        Some(("flag", Some(Source::Custom(flag)))) => Origin::Flag(flag.clone()),
        _ => Origin::Default,
    }
}
