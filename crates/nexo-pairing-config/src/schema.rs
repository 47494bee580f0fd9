//! The properties of a key. The keys themselves are in [`crate::keys`].

use std::time::Duration;

use nexo_pairing_core::limits::Bounds;
use serde_json::{Value, json};

/// The prefix of our environment variables.
pub(crate) const PREFIX: &str = "NEXO_PAIRING_";

/// A key: its name, the allowed values and the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// The name, such as `gate.mode`; for a key of an entry, its name there.
    pub(crate) name: &'static str,
    /// Its purpose, in Markdown.
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    pub(crate) unset: Unset,
    /// The default in words, if the value does not tell.
    pub(crate) meaning_unset: &'static str,
    /// The processes that read it only at startup.
    pub(crate) start_only: &'static [Process],
    /// Whether the database remembers it, so that a reload does not have to keep it. It must not be
    /// without a value: that would change who is admitted.
    pub(crate) is_remembered: bool,
    /// Whether it belongs to a login, which a new login replaces as a whole.
    pub(crate) is_login: bool,
    /// Whether an entry of `accounts` may have it too, by the last part of its name.
    pub(crate) is_per_account: bool,
}

/// The values that a key allows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number within these bounds.
    Number(u64, u64),
    /// A text.
    Text(Text),
    /// A text that names a file.
    Path(Text),
    /// A list of texts.
    Texts(Text),
    /// A list of entries with keys of their own.
    Entries(&'static Entry),
}

/// The allowed texts in words, and whether a text is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) &'static str, pub(crate) fn(&str) -> bool);

/// The keys of an entry of a list.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its own keys, in addition to those [for each account](Key::is_per_account).
    pub(crate) keys: &'static [Key],
    /// Whether it has the keys [for each account](Key::is_per_account).
    pub(crate) is_account: bool,
    /// The keys that it must have.
    pub(crate) required: &'static [&'static str],
    /// The keys that identify it.
    pub(crate) identity: &'static [&'static str],
}

/// A long-running command, which can reload its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Process {
    /// `nexo-pair gate`.
    Gate,
    /// `nexo-pair serve`.
    Serve,
}

/// The default of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unset {
    /// No value.
    Null,
    /// None: it is another spelling of a key.
    Alias,
    /// This number.
    Number(u64),
    /// The value of this function.
    Value(fn() -> Value),
    /// A path below Nexo's home directory.
    InHome {
        below: &'static str,
        /// What it is.
        what: &'static str,
    },
}

/// A key is declared by its shape, then by its other properties.
impl Key {
    const fn of(shape: Shape, unset: Unset) -> Self {
        Self {
            name: "",
            about: "",
            shape,
            unset,
            meaning_unset: "",
            start_only: &[],
            is_remembered: false,
            is_login: false,
            is_per_account: false,
        }
    }

    /// Default `false`.
    pub(crate) const fn flag() -> Self {
        Self::of(Shape::Bool, Unset::Value(|| json!(false)))
    }

    pub(crate) const fn number(bounds: Bounds<u32>) -> Self {
        let (min, max) = (bounds.min as u64, bounds.max as u64);
        Self::of(Shape::Number(min, max), Unset::Number(bounds.default as u64))
    }

    pub(crate) const fn seconds(bounds: Bounds<Duration>) -> Self {
        let (min, max) = (bounds.min.as_secs(), bounds.max.as_secs());
        Self::of(Shape::Number(min, max), Unset::Number(bounds.default.as_secs()))
    }

    pub(crate) const fn text(allowed: &'static str, is_allowed: fn(&str) -> bool) -> Self {
        Self::of(Shape::Text(Text(allowed, is_allowed)), Unset::Null)
    }

    /// Default: empty.
    pub(crate) const fn texts(allowed: &'static str, is_allowed: fn(&str) -> bool) -> Self {
        Self::of(Shape::Texts(Text(allowed, is_allowed)), Unset::Value(|| json!([])))
    }

    pub(crate) const fn path() -> Self {
        Self::of(Shape::Path(Text(PATH, is_path)), Unset::Null)
    }

    pub(crate) const fn entries(entry: &'static Entry) -> Self {
        Self::of(Shape::Entries(entry), Unset::Null)
    }

    pub(crate) const fn named(self, name: &'static str, about: &'static str) -> Self {
        Self { name, about, ..self }
    }

    pub(crate) const fn or(self, unset: fn() -> Value) -> Self {
        Self { unset: Unset::Value(unset), ..self }
    }

    pub(crate) const fn or_in_home(self, below: &'static str, what: &'static str) -> Self {
        Self { unset: Unset::InHome { below, what }, ..self }
    }

    pub(crate) const fn or_else(self, meaning_unset: &'static str) -> Self {
        Self { meaning_unset, ..self }
    }

    pub(crate) const fn alias(self) -> Self {
        Self { unset: Unset::Alias, ..self }
    }

    pub(crate) const fn start_only(self, start_only: &'static [Process]) -> Self {
        Self { start_only, ..self }
    }

    pub(crate) const fn remembered(self) -> Self {
        Self { is_remembered: true, ..self }
    }

    pub(crate) const fn login(self) -> Self {
        Self { is_login: true, ..self }
    }

    pub(crate) const fn per_account(self) -> Self {
        Self { is_per_account: true, ..self }
    }

    /// Its section, if it has one.
    pub(crate) fn section(&self) -> Option<&'static str> {
        Some(self.name.split_once('.')?.0)
    }

    /// The last part of its name.
    pub(crate) fn last_name(&self) -> &'static str {
        last(self.name)
    }
}

const PATH: &str =
    "a path: absolute, relative, or `~/…`; other shorthands and variables are not substituted";

/// `~name` and `$VARIABLE` are for a shell to substitute; taken literally, they would become odd
/// directories.
fn is_path(text: &str) -> bool {
    let is_plain_start = match text.strip_prefix('~') {
        Some(rest) => rest.starts_with('/'),
        None => !text.starts_with('$'),
    };
    is_plain_start && !text.is_empty() && !text.contains('\0')
}

/// The environment variable for `key`.
pub(crate) fn variable(key: &str) -> String {
    // A key within a list has no variable of its own; it is spelled as in a file.
    let end = key.find('[').unwrap_or(key.len());
    let (name, inner) = key.split_at(end);
    format!("{PREFIX}{}{inner}", name.replace('.', "__").to_uppercase())
}

pub(crate) fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
