//! What can be said of a key, and how keys are found. The keys themselves are in [`crate::keys`].

use std::time::Duration;

use nexo_pairing_core::limits::Bounds;
use serde_json::{Value, json};

pub(crate) use crate::keys::KEYS;
use crate::{Origin, Process};

/// What the names of our environment variables begin with.
pub(crate) const PREFIX: &str = "NEXO_PAIRING_";

/// A key: its name, what it may say, and what holds where nobody says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// The name, such as `gate.mode`; of a key of an entry, what is written there.
    pub(crate) name: &'static str,
    /// What it is for, in Markdown.
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    pub(crate) unset: Unset,
    /// What holds where it is unset, if the value does not say it.
    pub(crate) meaning_unset: &'static str,
    /// Who looks at it only when it starts.
    pub(crate) start_only: &'static [Process],
    /// Whether the database remembers it, so that a reload does not have to keep it. To be without a
    /// value would change who is let in, so it needs one.
    pub(crate) is_remembered: bool,
    /// Whether it is one way to log in among others, of which a new one replaces an old one.
    pub(crate) is_login: bool,
    /// Whether an entry of `accounts` may have it as well, by the last part of its name.
    pub(crate) is_per_account: bool,
}

/// What a key may say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number from … to ….
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

/// What texts are allowed, in words, and whether one is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) &'static str, pub(crate) fn(&str) -> bool);

/// What an entry of a list has.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its own keys; those that it has of [`KEYS`] come besides.
    pub(crate) keys: &'static [Key],
    /// Whether it has the keys that are said [for each account](Key::is_per_account).
    pub(crate) is_account: bool,
    /// The keys that it cannot be without.
    pub(crate) required: &'static [&'static str],
    /// The keys that tell it from the other entries.
    pub(crate) identity: &'static [&'static str],
}

/// What a key is where nobody says it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unset {
    /// It has no value.
    Null,
    /// It is another way to say a key, and has no value of its own.
    Alias,
    /// This number.
    Number(u64),
    /// What this makes.
    Value(fn() -> Value),
    /// A path below Nexo's home directory.
    InHome {
        below: &'static str,
        /// What is there.
        what: &'static str,
    },
}

/// How a key is declared: by its shape, then by what else there is to say of it.
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

    /// `false` unless it is said.
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

    /// No text unless they are said.
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

    /// The section that it stands in, if it stands in one.
    pub(crate) fn section(&self) -> Option<&'static str> {
        Some(self.name.split_once('.')?.0)
    }

    /// The last part of its name.
    pub(crate) fn last_name(&self) -> &'static str {
        last(self.name)
    }
}

impl Entry {
    /// All its keys, with their names in an entry.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = (&'static str, &'static Key)> {
        let shared = KEYS.iter().filter(|key| self.is_account && key.is_per_account);
        let own = self.keys.iter().map(|key| (key.name, key));
        own.chain(shared.map(|key| (key.last_name(), key)))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|(known, _)| *known == name).map(|(_, key)| key)
    }
}

const PATH: &str =
    "a path: absolute, relative, or `~/…`; other shorthands and variables are not filled in";

/// `~somebody` and `$VARIABLE` are for a shell to fill in; without one they would become odd
/// directories.
fn is_path(text: &str) -> bool {
    let is_plain_start = match text.strip_prefix('~') {
        Some(rest) => rest.starts_with('/'),
        None => !text.starts_with('$'),
    };
    is_plain_start && !text.is_empty() && !text.contains('\0')
}

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether keys stand below `name`.
pub(crate) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(Key::section)
}

/// The environment variable that stands for `key`.
pub(crate) fn variable(key: &str) -> String {
    // What is inside a list has no variable of its own; its name goes on as in a file.
    let end = key.find('[').unwrap_or(key.len());
    let (name, inner) = key.split_at(end);
    format!("{PREFIX}{}{inner}", name.replace('.', "__").to_uppercase())
}

/// The known key that is the most like `key`.
pub(crate) fn nearest(key: &str, origin: &Origin) -> String {
    // No key has a digit in it, so this turns `accounts[7].moed` into `accounts[].moed`.
    let key: String = key.chars().filter(|c| !c.is_ascii_digit()).take(100).collect();
    let mut known: Vec<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    if matches!(origin, Origin::File(_)) {
        known.extend(sections().map(str::to_owned));
    }
    for list in KEYS {
        if let (Shape::Entries(entry), true) = (list.shape, key.contains('[')) {
            known.extend(entry.all_keys().map(|(name, _)| format!("{}[].{name}", list.name)));
        }
    }
    let distance = |name: &String| {
        // A right name in the wrong place is nearer than a wrong name in the right one.
        let moved = 1 + strsim::osa_distance(last(&key), last(name));
        strsim::osa_distance(&key, name).min(moved)
    };
    known.into_iter().min_by_key(distance).unwrap_or_default()
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
