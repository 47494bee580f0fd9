//! The settings of a gate, which can be replaced while it runs.

use std::collections::BTreeMap;

use nexo_pairing_core::{AccountId, AccountKey, ChannelId, PairingAdapterRegistry, PairingPolicy};

/// The settings of a gate: adapters, policies and accounts. [`BusGate::set`](crate::BusGate::set) replaces
/// them while it runs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) adapters: PairingAdapterRegistry,
    policy: PairingPolicy,
    accounts: Option<BTreeMap<ChannelId, BTreeMap<AccountId, PairingPolicy>>>,
    pub(crate) admits_notices: bool,
}

impl Settings {
    /// One policy for every account of every channel.
    ///
    /// The adapters send the challenges; those that use the bus should send on
    /// [`Connections::bus`](crate::Connections::bus).
    #[must_use]
    pub fn new(adapters: PairingAdapterRegistry, policy: PairingPolicy) -> Self {
        Self { adapters, policy, accounts: None, admits_notices: true }
    }

    /// The accounts with their policies; messages to any other account are dropped. For an account that
    /// is given twice, the last policy counts. Default: every account exists, with the policy of
    /// [`new`](Self::new).
    #[must_use]
    pub fn with_accounts(
        mut self,
        accounts: impl IntoIterator<Item = (AccountKey, PairingPolicy)>,
    ) -> Self {
        let mut known = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((channel, account), policy) in accounts {
            known.entry(channel).or_default().insert(account, policy);
        }
        self.accounts = Some(known);
        self
    }

    /// Whether events of plugins themselves are published on `pairing.admitted.…` as well as on
    /// `pairing.notices.…`. Default `true`, as in earlier versions.
    #[must_use]
    pub fn with_notices_admitted(mut self, admits_notices: bool) -> Self {
        self.admits_notices = admits_notices;
        self
    }

    /// The policy of an account. Does not allocate.
    pub(crate) fn policy(&self, channel: &str, account: &str) -> &PairingPolicy {
        let known = self.accounts.as_ref().and_then(|known| known.get(channel)?.get(account));
        known.unwrap_or(&self.policy)
    }

    /// The accounts, for the gate.
    pub(crate) fn accounts(&self) -> Option<Vec<AccountKey>> {
        let known = self.accounts.as_ref()?.iter();
        let keys = known.flat_map(|(channel, accounts)| {
            accounts.keys().map(|account| (channel.clone(), account.clone()))
        });
        Some(keys.collect())
    }

    /// Whether a channel is configured. All others share their queues, so that invented names take no
    /// memory.
    pub(crate) fn names(&self, channel: &str) -> bool {
        self.adapters.get(channel).is_some()
            || self.accounts.as_ref().is_some_and(|known| known.contains_key(channel))
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::Mode;

    use super::*;

    #[test]
    fn an_account_has_its_own_policy_or_the_common_one() {
        let key = |channel, account| {
            (ChannelId::parse(channel).unwrap(), AccountId::parse(account).unwrap())
        };
        let policy = PairingPolicy::new;
        let common = Settings::new(PairingAdapterRegistry::new(), policy(Mode::Pairing));
        assert_eq!((common.accounts(), common.names("whatsapp")), (None, false));
        assert_eq!(common.policy("whatsapp", "personal").mode, Mode::Pairing);

        let own = common.with_accounts([
            (key("whatsapp", "work"), policy(Mode::Open)),
            (key("telegram", "bot"), policy(Mode::Open)),
            (key("whatsapp", "work"), policy(Mode::Allowlist)),
        ]);
        assert_eq!(own.policy("whatsapp", "work").mode, Mode::Allowlist, "the last one counts");
        assert_eq!(own.policy("whatsapp", "bot").mode, Mode::Pairing);
        assert_eq!(own.accounts(), Some(vec![key("telegram", "bot"), key("whatsapp", "work")]));
        assert!(own.names("whatsapp") && !own.names("signal"));
    }
}
