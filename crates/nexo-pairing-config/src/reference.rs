//! The reference of all keys, for the documents.

use std::fmt::Write;

use serde_json::Value;

use crate::keys::KEYS;
use crate::schema::{Entry, Key, Shape, Unset};

/// All keys with their meaning, allowed values and defaults: the Markdown tables of
/// `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    table(&mut text, KEYS.iter().map(|key| (key.name, key)), |_| false);
    for key in KEYS {
        if let Shape::Entries(entry) = key.shape {
            let _ = write!(text, "\nAn entry of `{}`:\n\n", key.name);
            table(&mut text, entry.all_keys(), |name| entry.required.contains(&name));
        }
    }
    text
}

fn table<'a>(
    text: &mut String,
    keys: impl Iterator<Item = (&'a str, &'a Key)>,
    is_required: impl Fn(&str) -> bool,
) {
    text.push_str("| key | meaning | allowed | default |\n| --- | --- | --- | --- |\n");
    for (name, key) in keys {
        let default = if is_required(name) {
            "required".to_owned()
        } else if matches!(key.unset, Unset::Alias) {
            String::new()
        } else if name != key.name {
            format!("that of `{}`", key.name)
        } else {
            default(key)
        };
        let (about, allowed) = (about(key), allowed(key));
        let _ = writeln!(text, "| `{name}` | {about} | {allowed} | {default} |");
    }
}

fn about(key: &Key) -> String {
    let about = key.about.trim();
    let processes: Vec<_> = key.start_only.iter().map(|process| process.command()).collect();
    match processes.as_slice() {
        [] => about.to_owned(),
        commands => format!("{about} A change needs a restart of {}.", commands.join(" and ")),
    }
}

fn allowed(key: &Key) -> String {
    match key.shape {
        Shape::Bool => "`true`, `false`".to_owned(),
        Shape::Number(min, max) => format!("{min} to {max}"),
        Shape::Text(text) => text.0.to_owned(),
        // The rules are the same for all paths, and are described beside the table.
        Shape::Path(_) => "a path".to_owned(),
        Shape::Texts(text) => format!("a list; each is {}", text.0),
        Shape::Entries(Entry { required, .. }) => {
            format!("a list of entries with `{}`, …", required.join("`, `"))
        }
    }
}

fn default(key: &Key) -> String {
    match key.unset {
        Unset::Null | Unset::Alias => key.meaning_unset.to_owned(),
        Unset::Number(number) => number.to_string(),
        Unset::Value(value) => match value() {
            Value::String(text) => format!("`{text}`"),
            value => format!("`{value}`"),
        },
        Unset::InHome { below, .. } => format!("`$NEXO_HOME/{below}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sources;

    #[test]
    fn the_reference_has_every_key_with_its_range_and_default() {
        let config = Sources::from_vars([("NEXO_HOME", "/nonexistent")]).load().unwrap();
        let reference = reference();
        let (reference, _) = reference.split_once("\nAn entry of ").unwrap();
        let rows: Vec<_> = reference.lines().filter_map(|line| line.strip_prefix("| `")).collect();
        assert_eq!(rows.len(), KEYS.len());
        for (key, row) in KEYS.iter().zip(rows) {
            let name = key.name;
            assert!(row.starts_with(&format!("{name}` | ")), "{name}: {row}");
            if let Shape::Number(min, max) = key.shape {
                assert!(row.contains(&format!("| {min} to {max} |")), "{name}: {row}");
            }
            let setting = config.provenance().iter().find(|setting| setting.key == name);
            if let Some(value) = setting.map(|setting| &setting.value).filter(|v| !v.is_null()) {
                let value = value.to_string().replace("/nonexistent", "$NEXO_HOME");
                let shown = row.replace('`', "");
                assert!(shown.ends_with(&format!("| {} |", value.replace('"', ""))), "{row}");
            }
        }
    }

    #[test]
    fn an_entry_has_its_own_keys_and_those_of_the_gate_that_differ_for_it() {
        let reference = reference();
        let (_, accounts) = reference.split_once("An entry of `accounts`:").unwrap();
        let (accounts, adapters) = accounts.split_once("An entry of `adapters`:").unwrap();
        for row in [
            "| `account` | The account on the channel. | [A-Za-z0-9_-]{1,64} | required |",
            "| `max_pending` | The maximum number of live requests per account. | 1 to 1000 | that of \
             `gate.max_pending` |",
        ] {
            assert!(accounts.contains(row), "{accounts}");
        }
        assert!(!accounts.contains("notices") && !adapters.contains("max_pending"));
        assert!(
            adapters.contains("| `cache_ttl_secs` |") && adapters.contains("| 1 to 86400 | 3600 |")
        );
    }
}
