//! Checks the accounts: whom they shut out, and what strangers are sent.

use nexo_pairing::config::{Account, Config};
use nexo_pairing::{Filter, Mode, PairingAdapterRegistry, PairingError, PairingPolicy};

use super::installation::Installation;
use super::report::Finding;
use crate::{CliError, Store, modes, remote};

/// Plugins that cannot be reached, and those that the configuration has lost.
pub(super) async fn adapters(installation: &Installation) -> Vec<Finding> {
    let Some((config, Ok(store))) = installation.view().await else { return Vec::new() };
    let name = "adapters";
    let served = config.adapters().iter().filter_map(|adapter| {
        let channel = &adapter.channel;
        if installation.adapters.get(channel.as_str()).is_some() {
            let message = format!("{channel} has a built-in adapter: `gate --nats` does not start");
            Some(Finding::warn(name, message, "remove the entry from pairing.adapters"))
        } else if config.nats().servers.is_empty() {
            let message = format!("{channel} is served over NATS, but no server is configured");
            Some(Finding::warn(name, message, "set pairing.nats.servers"))
        } else {
            None
        }
    });
    let mut findings: Vec<Finding> = served.collect();
    // The check of the accounts reports read errors.
    if let Some(Ok(modes)) = installation.modes().await
        && let Err(error) = remote::check_all(config, modes, store).await
        && error.kind() == "adapters"
    {
        findings.push(does_not_start(name, &error));
    }
    findings
}

/// A missing mode, and modes that are in force but no longer configured.
pub(super) async fn mode(installation: &Installation) -> Vec<Finding> {
    let name = "mode";
    match installation.modes().await {
        Some(Ok(modes)) => {
            let kept = modes::kept(modes).into_iter();
            kept.map(|(what, hint)| Finding::warn(name, what, hint)).collect()
        }
        Some(Err(error)) if is_unset(error) => vec![does_not_start(name, error)],
        // The check of the accounts reports read errors.
        Some(Err(_)) | None => Vec::new(),
    }
}

fn does_not_start(name: &'static str, error: &CliError) -> Finding {
    let message = format!("{error}: `nexo-pair gate` does not start");
    Finding::warn(name, message, error.hint().unwrap_or_default())
}

/// Whether a mode is missing.
fn is_unset(error: &CliError) -> bool {
    error.kind() == "modes"
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
        // Without a mode, there is nothing to check.
        None => return Vec::new(),
        Some(Err(error)) if is_unset(error) => return Vec::new(),
        Some(Err(error)) => return vec![unreadable(error)],
    };
    let config = &config.clone().with_modes(modes);
    let mut check =
        AccountCheck { config, store, adapters: &installation.adapters, findings: Vec::new() };
    if let Err(error) = check.run().await {
        check.findings.push(unreadable(&error.into()));
    }
    check.findings
}

struct AccountCheck<'a> {
    config: &'a Config,
    store: &'a Store,
    adapters: &'a PairingAdapterRegistry,
    findings: Vec<Finding>,
}

impl AccountCheck<'_> {
    async fn run(&mut self) -> Result<(), PairingError> {
        let Some(accounts) = self.config.accounts() else {
            let policy = self.config.policy("", "");
            if self.excludes_everyone(policy, &Filter::all()).await? {
                self.warn_nobody_allowed("every account", policy.mode, "CHANNEL ACCOUNT");
            } else {
                let message = format!("none is named: every account is in mode {}", policy.mode);
                self.findings.push(Finding::ok("accounts", message));
            }
            self.challenges("every account", policy);
            return Ok(());
        };
        for account in accounts {
            self.account(account).await?;
        }
        self.unnamed(accounts).await?;
        if self.findings.is_empty() {
            let mode = |it: &Account| format!("{} in mode {}", name(it), it.policy.mode);
            let modes = accounts.iter().map(mode).collect::<Vec<_>>().join(", ");
            let message = if modes.is_empty() { "no account is served" } else { &modes };
            self.findings.push(Finding::ok("accounts", message));
        }
        Ok(())
    }

    async fn account(&mut self, account: &Account) -> Result<(), PairingError> {
        let Account { channel, account: id, policy, .. } = account;
        let name = name(account);
        let filter = Filter::all().with_channel(channel.clone()).with_account(id.clone());
        let has_adapter = self.adapters.get(channel.as_str()).is_some();
        if !has_adapter && !remote::is_configured(self.config, channel) {
            let served = self.adapters.channels().join(", ");
            self.warn(
                "account",
                format!(
                    "{name}: there is no adapter for the channel, so ids are not normalized and \
                     no code is sent; there are adapters for {served}"
                ),
                "correct the channel, or list its plugin in pairing.adapters",
            );
        }
        if self.excludes_everyone(policy, &filter).await? {
            let raw = if has_adapter { "" } else { "--raw " };
            self.warn_nobody_allowed(&name, policy.mode, &format!("{raw}{channel} {id}"));
        }
        let waiting = self.store.list_pending(&filter).await?.len();
        if policy.mode == Mode::Pairing && waiting >= policy.max_pending as usize {
            self.warn(
                "account",
                format!("{name}: {waiting} senders are waiting, so nobody else is sent a code"),
                format!(
                    "approve or reject them: nexo-pair list --channel {channel} --account {id}"
                ),
            );
        }
        self.challenges(&name, policy);
        Ok(())
    }

    /// Whether an account checks senders, and none is allowed.
    async fn excludes_everyone(
        &self,
        policy: &PairingPolicy,
        filter: &Filter,
    ) -> Result<bool, PairingError> {
        Ok(policy.mode != Mode::Open && self.store.list_allow(filter, false).await?.is_empty())
    }

    fn warn_nobody_allowed(&mut self, name: &str, mode: Mode, account: &str) {
        let effect = if mode == Mode::Allowlist {
            "every message is dropped"
        } else {
            "everybody is sent a code, including you"
        };
        self.warn(
            "account",
            format!("{name}: mode {mode}, and nobody is allowed: {effect}"),
            format!("nexo-pair seed {account} SENDER"),
        );
    }

    /// Grants that no message can use.
    async fn unnamed(&mut self, accounts: &[Account]) -> Result<(), PairingError> {
        let mut lost = self.store.list_allow(&Filter::all(), false).await?;
        lost.retain(|grant| {
            !accounts
                .iter()
                .any(|named| named.channel == grant.channel && named.account == grant.account_id)
        });
        if let Some(first) = lost.first() {
            let message = format!(
                "grants for accounts that are not configured: {}, such as {}/{}. \
                 Messages of these senders are dropped",
                lost.len(),
                first.channel,
                first.account_id
            );
            self.warn("accounts", message, "add the account to pairing.accounts");
        }
        Ok(())
    }

    /// Problems with the challenges that strangers are sent.
    fn challenges(&mut self, name: &str, policy: &PairingPolicy) {
        if policy.mode != Mode::Pairing {
            return;
        }
        if policy.challenge_text.as_ref().is_some_and(|text| text.contains("{command}")) {
            self.warn(
                "challenge_text",
                format!("{name}: the text shows strangers a command of this machine"),
                "write {code} instead of {command} in challenge_text",
            );
        }
        if policy.challenge_cooldown >= policy.pending_ttl {
            self.warn(
                "challenge_text",
                format!("{name}: a code expires before it may be sent again"),
                "make challenge_cooldown_secs shorter than pending_ttl_secs",
            );
        }
    }

    fn warn(&mut self, name: &'static str, message: String, hint: impl Into<String>) {
        self.findings.push(Finding::warn(name, message, hint));
    }
}

fn name(account: &Account) -> String {
    format!("{}/{}", account.channel, account.account)
}
