//! Modes and other settings that stay in force when the configuration loses them.

use nexo_pairing::config::Config;
use nexo_pairing::core::{ModeSetting, ModesInForce, RetainedModes};

use crate::text::escape;
use crate::{Result, Store};

/// The most accounts that are named one by one.
const NAMED: usize = 10;

/// The command that forgets all remembered modes.
const FORGET_ALL: &str = "nexo-pair forget-mode '*' '*'";

/// The modes that a gate would put in force if it started now.
pub(crate) async fn in_force(config: &Config, store: &Store) -> Result<ModesInForce> {
    Ok(store.remembered_modes().await?.resolve(config.configured_modes(), None)?)
}

/// The settings that a reload kept because the configuration has lost them, a sentence each.
pub(crate) fn lost(config: &Config) -> impl Iterator<Item = String> {
    config.kept().iter().map(|key| {
        let until = match key.strip_prefix("adapters") {
            Some(entry) if entry.is_empty() || entry.ends_with(']') => {
                "; no gate starts without it"
            }
            _ => " until a restart",
        };
        format!("`{key}` is no longer in the configuration: the old value stays in force{until}")
    })
}

/// The modes that are in force but no longer configured, each with a hint.
pub(crate) fn kept(modes: &ModesInForce) -> Vec<(String, String)> {
    let mut findings = Vec::new();
    let mut unnamed = 0;
    for kept in modes.kept() {
        let (what, hint) = match kept {
            RetainedModes::Default(setting) => (
                format!("every account without a mode of its own keeps {}", mode(setting)),
                format!("set pairing.gate.mode, or forget the old one: {FORGET_ALL}"),
            ),
            RetainedModes::Accounts(count) => (
                format!("only the {count} accounts listed before are accepted"),
                format!("set pairing.accounts, or forget the old ones: {FORGET_ALL}"),
            ),
            RetainedModes::Account(..) if findings.len() >= NAMED => {
                unnamed += 1;
                continue;
            }
            RetainedModes::Account((channel, account), setting) => (
                format!("{channel}/{account} keeps {}", mode(setting)),
                format!(
                    "set `mode` for it in pairing.accounts, or forget the old one: \
                     nexo-pair forget-mode {channel} {account}"
                ),
            ),
            other => (format!("{other:?} stays in force"), FORGET_ALL.to_owned()),
        };
        findings.push((format!("{what}, which is no longer configured"), hint));
    }
    if unnamed > 0 {
        findings.push((
            format!("{unnamed} more accounts keep modes that are no longer configured"),
            "set `mode` for each in pairing.accounts".to_owned(),
        ));
    }
    findings
}

/// A mode, and where it was set.
fn mode(setting: &ModeSetting) -> String {
    format!("mode {} (set by {})", setting.mode, escape(&setting.origin))
}
