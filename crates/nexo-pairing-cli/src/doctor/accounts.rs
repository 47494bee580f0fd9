//! Looks at the accounts: whom they would shut out, and what strangers would be told.

use nexo_pairing::config::{Account, Config};
use nexo_pairing::{
    Filter, Mode, PairingAdapterRegistry, PairingError, PairingPolicy, PairingStore,
};

use super::installation::Installation;
use super::report::Finding;
use crate::context::View;
use crate::error::CliError;
use crate::{modes, remote};

/// Channels that another process serves, and cannot be asked, and those of which it is not said any more.
pub(super) async fn adapters(installation: &Installation) -> Vec<Finding> {
    let Some((config, Ok(store))) = installation.view().await else { return Vec::new() };
    let name = "adapters";
    let served = config.adapters().iter().filter_map(|adapter| {
        let channel = &adapter.channel;
        if installation.adapters.get(channel.as_str()).is_some() {
            let message = format!("{channel} is served here: `gate --nats` does not start");
            Some(Finding::warn(name, message, "remove the entry from pairing.adapters"))
        } else if config.nats().servers.is_empty() {
            let message = format!("{channel} is served over a bus, and nobody says where that is");
            Some(Finding::warn(name, message, "set pairing.nats.servers"))
        } else {
            None
        }
    });
    let mut findings: Vec<Finding> = served.collect();
    // The check of the accounts says what cannot be read.
    if let Some(Ok(modes)) = installation.modes().await
        && let Err(error @ CliError::Adapters(_)) =
            remote::check_all(config, modes, &View::of(store)).await
    {
        let message = format!("{error}: `nexo-pair gate` does not start");
        findings.push(Finding::warn(name, message, error.hint().unwrap_or_default()));
    }
    findings
}

/// Modes that a gate would lack, or would have although the configuration does not say them.
pub(super) async fn mode(installation: &Installation) -> Vec<Finding> {
    let name = "mode";
    match installation.modes().await {
        Some(Ok(modes)) => {
            let kept = modes::kept(modes).into_iter();
            kept.map(|(what, hint)| Finding::warn(name, what, hint)).collect()
        }
        Some(Err(error @ CliError::Modes(_))) => {
            let message = format!("{error}: `nexo-pair gate` does not start");
            vec![Finding::warn(name, message, error.hint().unwrap_or_default())]
        }
        // The check of the accounts says that they cannot be read.
        Some(Err(_)) | None => Vec::new(),
    }
}

/// Each account, and grants that no account uses.
pub(super) async fn accounts(installation: &Installation) -> Vec<Finding> {
    let Some((config, store)) = installation.view().await else { return Vec::new() };
    let unreadable = |error: &CliError| Finding::error("contents", error);
    let store = match store {
        Ok(store) => store,
        Err(error) => return vec![unreadable(error)],
    };
    let modes = match installation.modes().await {
        Some(Ok(modes)) => modes,
        // Without a mode there is no rule.
        Some(Err(CliError::Modes(_))) | None => return Vec::new(),
        Some(Err(error)) => return vec![unreadable(error)],
    };
    let known = Known { store, adapters: &installation.adapters };
    let mut findings = Vec::new();
    if let Err(error) = check(&config.clone().with_modes(modes), &known, &mut findings).await {
        findings.push(unreadable(&error.into()));
    }
    findings
}

/// What the accounts are compared with.
struct Known<'a> {
    store: &'a PairingStore,
    adapters: &'a PairingAdapterRegistry,
}

async fn check(
    config: &Config,
    known: &Known<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), PairingError> {
    let Some(accounts) = config.accounts() else {
        let policy = config.policy("", "");
        if shuts_out(policy, known, &Filter::all()).await? {
            findings.push(nobody_allowed("every account", policy.mode, "CHANNEL ACCOUNT"));
        } else {
            let message = format!("none is named: every account is in mode {}", policy.mode);
            findings.push(Finding::ok("accounts", message));
        }
        findings.extend(texts("every account", policy));
        return Ok(());
    };
    for account in accounts {
        check_account(config, account, known, findings).await?;
    }
    unnamed(accounts, known, findings).await?;
    if findings.is_empty() {
        let modes: Vec<String> = accounts
            .iter()
            .map(|account| format!("{} in mode {}", name(account), account.policy.mode))
            .collect();
        let modes = if modes.is_empty() { "none is let in".to_owned() } else { modes.join(", ") };
        findings.push(Finding::ok("accounts", modes));
    }
    Ok(())
}

async fn check_account(
    config: &Config,
    account: &Account,
    known: &Known<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), PairingError> {
    let Account { channel, account: id, policy, .. } = account;
    let name = name(account);
    let of_account = Filter::all().with_channel(channel.clone()).with_account(id.clone());
    let has_adapter = known.adapters.get(channel.as_str()).is_some();
    if !has_adapter {
        let is_elsewhere = config.adapters().iter().any(|adapter| adapter.channel == *channel);
        if !is_elsewhere {
            let served = known.adapters.channels().join(", ");
            findings.push(Finding::warn(
                "account",
                format!(
                    "{name}: there is no adapter for the channel, so ids are taken as they come \
                         and no code is sent; there is one for {served}"
                ),
                "correct the channel, or name the process that serves it in pairing.adapters",
            ));
        }
    }
    if shuts_out(policy, known, &of_account).await? {
        let raw = if has_adapter { "" } else { "--raw " };
        findings.push(nobody_allowed(&name, policy.mode, &format!("{raw}{channel} {id}")));
    }
    let waiting = known.store.list_pending(&of_account).await?.len();
    if policy.mode == Mode::Pairing && waiting >= policy.max_pending as usize {
        findings.push(Finding::warn(
            "account",
            format!("{name}: {waiting} wait, so nobody else is sent a code"),
            format!("approve or reject them: nexo-pair list --channel {channel} --account {id}"),
        ));
    }
    findings.extend(texts(&name, policy));
    Ok(())
}

/// Whether an account asks who comes, and knows nobody.
async fn shuts_out(
    policy: &PairingPolicy,
    known: &Known<'_>,
    filter: &Filter,
) -> Result<bool, PairingError> {
    Ok(policy.mode != Mode::Open && known.store.list_allow(filter, false).await?.is_empty())
}

fn nobody_allowed(name: &str, mode: Mode, account: &str) -> Finding {
    let what = if mode == Mode::Allowlist {
        "every message is dropped"
    } else {
        "everybody is asked for a code, you too"
    };
    Finding::warn(
        "account",
        format!("{name}: mode {mode}, and nobody is allowed: {what}"),
        format!("nexo-pair seed {account} SENDER"),
    )
}

/// Grants that no message can ever use.
async fn unnamed(
    accounts: &[Account],
    known: &Known<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), PairingError> {
    let allowed = known.store.list_allow(&Filter::all(), false).await?;
    let is_named = |channel: &str, id: &str| {
        accounts
            .iter()
            .any(|named| named.channel.as_str() == channel && named.account.as_str() == id)
    };
    let mut lost =
        allowed.iter().filter(|grant| !is_named(grant.channel.as_str(), grant.account_id.as_str()));
    if let Some(first) = lost.next() {
        let (channel, id) = (&first.channel, &first.account_id);
        findings.push(Finding::warn(
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
fn texts(name: &str, policy: &PairingPolicy) -> Vec<Finding> {
    let mut findings = Vec::new();
    if policy.mode != Mode::Pairing {
        return findings;
    }
    if policy.challenge_text.as_ref().is_some_and(|text| text.contains("{command}")) {
        findings.push(Finding::warn(
            "challenge_text",
            format!("{name}: the text shows strangers a command of this machine"),
            "write {code} in place of {command} in challenge_text",
        ));
    }
    if policy.challenge_cooldown >= policy.pending_ttl {
        findings.push(Finding::warn(
            "challenge_text",
            format!("{name}: a code has expired before it may be sent again"),
            "make challenge_cooldown_secs shorter than pending_ttl_secs",
        ));
    }
    findings
}

fn name(account: &Account) -> String {
    format!("{}/{}", account.channel, account.account)
}
