//! What stays in force although the configuration does not say it: modes that are remembered, and what a
//! reload keeps.

use nexo_pairing::config::Config;
use nexo_pairing::{ModeSetting, ModesInForce, RememberedModes, RetainedModes};

use crate::context::View;
use crate::error::CliError;
use crate::text::escape;

/// How many accounts a warning names at most.
const NAMED: usize = 10;

/// What makes a mode that is remembered give way.
pub(crate) const FORGET_ALL: &str = "nexo-pair forget-mode '*' '*'";

/// The modes that a gate would put in force if it started now.
pub(crate) async fn in_force(config: &Config, known: &View) -> Result<ModesInForce, CliError> {
    Ok(known.remembered_modes().await?.resolve(config.mode_words(), None)?)
}

/// Refuses to go on where nothing says a mode and nothing can be remembered: a wrong `NEXO_HOME` gets
/// no database.
pub(crate) fn check_fresh(config: &Config, fallback: Option<ModeSetting>) -> Result<(), CliError> {
    RememberedModes::default().resolve(config.mode_words(), fallback)?;
    Ok(())
}

/// What a reload kept, because the configuration does not say it any more.
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

/// What is in force although the configuration does not say it, and what to do about each: pairs of
/// the two.
pub(crate) fn kept(modes: &ModesInForce) -> Vec<(String, String)> {
    let mut told = Vec::new();
    let mut unnamed = 0;
    for kept in modes.kept() {
        let (what, mend) = match kept {
            RetainedModes::Default(said) => (
                format!("every account without a mode of its own keeps {}", mode(said)),
                format!("set pairing.gate.mode, or forget what was said: {FORGET_ALL}"),
            ),
            RetainedModes::Accounts(count) => (
                format!("the accounts that were named, {count}, stay the only ones that are known"),
                format!("set pairing.accounts, or forget what was said: {FORGET_ALL}"),
            ),
            RetainedModes::Account(..) if told.len() >= NAMED => {
                unnamed += 1;
                continue;
            }
            RetainedModes::Account((channel, account), said) => (
                format!("{channel}/{account} keeps {}", mode(said)),
                format!(
                    "set `mode` for it in pairing.accounts, or forget what was said: \
                     nexo-pair forget-mode {channel} {account}"
                ),
            ),
            other => (format!("{other:?} stays in force"), FORGET_ALL.to_owned()),
        };
        told.push((format!("{what}, which is not configured any more"), mend));
    }
    if unnamed > 0 {
        told.push((
            format!("{unnamed} more accounts keep modes that are not configured any more"),
            "set `mode` for each in pairing.accounts".to_owned(),
        ));
    }
    told
}

/// A mode, and who said it.
fn mode(said: &ModeSetting) -> String {
    format!("mode {} (said by {})", said.mode, escape(&said.origin))
}
