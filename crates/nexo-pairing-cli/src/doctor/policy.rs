//! Looks at the accounts: whom they would shut out, and what strangers would be told.

use nexo_pairing::config::{Account, Config};
use nexo_pairing::{Filter, Mode, PairingPolicy};

use super::Check;
use crate::channels::adapters_for_names;
use crate::context::View;
use crate::error::CliError;
use crate::modes;

pub(super) async fn check(
    config: &Config,
    known: &View,
    checks: &mut Vec<Check>,
) -> Result<(), CliError> {
    served(config, checks);
    let modes = match modes::in_force(config, known).await {
        Ok(modes) => modes,
        Err(error @ CliError::Modes(_)) => {
            let mend = error.hint().unwrap_or_default();
            checks.push(Check::warn(
                "mode",
                format!("{error}: `nexo-pair gate` does not start"),
                mend,
            ));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let kept = modes::kept(&modes).into_iter();
    checks.extend(kept.map(|(what, mend)| Check::warn("mode", what, mend)));
    let config = &config.clone().with_modes(&modes);
    let Some(accounts) = config.accounts() else {
        let policy = config.policy("", "");
        if shuts_out(policy, known, &Filter::all()).await? {
            checks.push(nobody_allowed("every account", policy.mode, "CHANNEL ACCOUNT"));
        } else {
            let message = format!("none is named: every account is in mode {}", policy.mode);
            checks.push(Check::ok("accounts", message));
        }
        checks.extend(texts("every account", policy));
        return Ok(());
    };
    let before = checks.len();
    for account in accounts {
        check_account(config, account, known, checks).await?;
    }
    unnamed(accounts, known, checks).await?;
    if checks.len() == before {
        let modes: Vec<String> = accounts
            .iter()
            .map(|account| format!("{} in mode {}", name(account), account.policy.mode))
            .collect();
        let modes = if modes.is_empty() { "none is let in".to_owned() } else { modes.join(", ") };
        checks.push(Check::ok("accounts", modes));
    }
    Ok(())
}

/// Channels that another process serves, and cannot be asked.
fn served(config: &Config, checks: &mut Vec<Check>) {
    for adapter in config.adapters() {
        let channel = &adapter.channel;
        if adapters_for_names().get(channel.as_str()).is_some() {
            checks.push(Check::warn(
                "adapters",
                format!("{channel} is served here: `gate --nats` does not start"),
                "remove the entry from pairing.adapters",
            ));
        } else if config.nats().servers.is_empty() {
            checks.push(Check::warn(
                "adapters",
                format!("{channel} is served over a bus, and nobody says where that is"),
                "set pairing.nats.servers",
            ));
        }
    }
}

async fn check_account(
    config: &Config,
    account: &Account,
    known: &View,
    checks: &mut Vec<Check>,
) -> Result<(), CliError> {
    let Account { channel, account: id, policy, .. } = account;
    let name = name(account);
    let of_account = Filter::all().channel(channel.clone()).account(id.clone());
    let has_adapter = adapters_for_names().get(channel.as_str()).is_some();
    if !has_adapter {
        let is_elsewhere = config.adapters().iter().any(|adapter| adapter.channel == *channel);
        if !is_elsewhere {
            let known = adapters_for_names().channels().join(", ");
            checks.push(Check::warn(
                "account",
                format!(
                    "{name}: there is no adapter for the channel, so ids are taken as they come \
                         and no code is sent; there is one for {known}"
                ),
                "correct the channel, or name the process that serves it in pairing.adapters",
            ));
        }
    }
    if shuts_out(policy, known, &of_account).await? {
        let raw = if has_adapter { "" } else { "--raw " };
        checks.push(nobody_allowed(&name, policy.mode, &format!("{raw}{channel} {id}")));
    }
    let waiting = known.list_pending(&of_account).await?.len();
    if policy.mode == Mode::Pairing && waiting >= policy.max_pending as usize {
        checks.push(Check::warn(
            "account",
            format!("{name}: {waiting} wait, so nobody else is sent a code"),
            format!("approve or reject them: nexo-pair list --channel {channel} --account {id}"),
        ));
    }
    checks.extend(texts(&name, policy));
    Ok(())
}

/// Whether an account asks who comes, and knows nobody.
async fn shuts_out(
    policy: &PairingPolicy,
    known: &View,
    filter: &Filter,
) -> Result<bool, CliError> {
    Ok(policy.mode != Mode::Open && known.list_allow(filter, false).await?.is_empty())
}

fn nobody_allowed(name: &str, mode: Mode, account: &str) -> Check {
    let what = if mode == Mode::Allowlist {
        "every message is dropped"
    } else {
        "everybody is asked for a code, you too"
    };
    Check::warn(
        "account",
        format!("{name}: mode {mode}, and nobody is allowed: {what}"),
        format!("nexo-pair seed {account} SENDER"),
    )
}

/// Grants that no message can ever use.
async fn unnamed(
    accounts: &[Account],
    known: &View,
    checks: &mut Vec<Check>,
) -> Result<(), CliError> {
    let allowed = known.list_allow(&Filter::all(), false).await?;
    let is_named = |channel: &str, id: &str| {
        accounts
            .iter()
            .any(|named| named.channel.as_str() == channel && named.account.as_str() == id)
    };
    let mut lost =
        allowed.iter().filter(|grant| !is_named(grant.channel.as_str(), grant.account_id.as_str()));
    if let Some(first) = lost.next() {
        let (channel, id) = (&first.channel, &first.account_id);
        checks.push(Check::warn(
            "accounts",
            format!(
                "grants for accounts that the configuration does not name: {}, such as \
                 {channel}/{id}. What these senders write is dropped",
                1 + lost.count()
            ),
            "name the account in pairing.accounts",
        ));
    }
    Ok(())
}

/// What is odd about what strangers are told, and when.
fn texts(name: &str, policy: &PairingPolicy) -> Vec<Check> {
    let mut checks = Vec::new();
    if policy.mode != Mode::Pairing {
        return checks;
    }
    if policy.challenge_text.as_ref().is_some_and(|text| text.contains("{command}")) {
        checks.push(Check::warn(
            "challenge_text",
            format!("{name}: the text shows strangers a command of this machine"),
            "write {code} in place of {command} in challenge_text",
        ));
    }
    if policy.challenge_cooldown >= policy.pending_ttl {
        checks.push(Check::warn(
            "challenge_text",
            format!("{name}: a code has expired before it may be sent again"),
            "make challenge_cooldown_secs shorter than pending_ttl_secs",
        ));
    }
    checks
}

fn name(account: &Account) -> String {
    format!("{}/{}", account.channel, account.account)
}
