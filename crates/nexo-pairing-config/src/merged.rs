//! The layers, merged once.

use figment::Figment;
use figment::value::{Dict, Value as FigmentValue};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{ConfigError, Origin, Setting, layer};

/// The layers, merged once, and what [`figment`] knows of where their values came from.
pub(crate) struct Merged {
    figment: Figment,
    values: FigmentValue,
}

impl Merged {
    pub(crate) fn new(figment: Figment) -> Self {
        let values = figment.find_value("").unwrap_or_else(|_| Dict::new().into());
        Self { figment, values }
    }

    /// What [`crate::check`] let pass can be read; should it not, the message says so all the same.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        let unset = Dict::new().into();
        self.values.find_ref(key).unwrap_or(&unset).deserialize().map_err(|error| {
            let value = self.json(key).unwrap_or_default();
            let allowed = format!("something else: {}", error.kind);
            ConfigError::invalid(&self.origin(key), key, &value, allowed)
        })
    }

    pub(crate) fn origin(&self, key: &str) -> Origin {
        let tag = self.values.find_ref(key).map(FigmentValue::tag).unwrap_or_default();
        layer::origin(self.figment.get_metadata(tag))
    }

    pub(crate) fn setting(&self, key: &'static str) -> Option<Setting> {
        Some(Setting { key, value: self.json(key)?, origin: self.origin(key) })
    }

    pub(crate) fn json(&self, key: &str) -> Option<Value> {
        serde_json::to_value(self.values.find_ref(key)?).ok()
    }
}
