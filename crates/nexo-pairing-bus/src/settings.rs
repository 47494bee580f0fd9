//! What can be changed while a gate runs.

use std::collections::BTreeMap;

use nexo_pairing_core::{AccountId, AccountKey, ChannelId, PairingAdapterRegistry, PairingPolicy};

/// What can be changed while a gate runs: adapters, policies, and the accounts that there are. See
/// [`BusGateHandle::set`](crate::BusGateHandle::set).
#[derive(Debug, Clone)]
pub struct Settings {
    adapters: PairingAdapterRegistry,
    policy: PairingPolicy,
    accounts: Option<BTreeMap<ChannelId, BTreeMap<AccountId, PairingPolicy>>>,
    admits_notices: bool,
}

impl Settings {
    /// One policy for every account of every channel.
    ///
    /// The adapters send the challenges. Those that send over the bus should do so on
    /// [`Connections::bus`](crate::Connections::bus).
    #[must_use]
    pub fn new(adapters: PairingAdapterRegistry, policy: PairingPolicy) -> Self {
        Self { adapters, policy, accounts: None, admits_notices: true }
    }

    /// The accounts that there are, each with its policy; messages to any other are dropped. Of an
    /// account that is given twice, the last policy counts. Default: every account exists, and has
    /// the policy of [`new`](Self::new).
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

    /// Whether events of plugins themselves are published on `pairing.admitted.…` too, beside
    /// `pairing.notices.…`. Default `true`, as versions before had it.
    #[must_use]
    pub fn with_notices_admitted(mut self, admits_notices: bool) -> Self {
        self.admits_notices = admits_notices;
        self
    }

    pub(crate) fn adapters(&self) -> &PairingAdapterRegistry {
        &self.adapters
    }

    /// The policy of an account. Allocates nothing.
    pub(crate) fn policy(&self, channel: &str, account: &str) -> &PairingPolicy {
        let known = self.accounts.as_ref().and_then(|known| known.get(channel)?.get(account));
        known.unwrap_or(&self.policy)
    }

    pub(crate) fn admits_notices(&self) -> bool {
        self.admits_notices
    }

    /// The accounts that there are, as a gate takes them.
    pub(crate) fn accounts(&self) -> Option<Vec<AccountKey>> {
        let known = self.accounts.as_ref()?.iter();
        let keys = known.flat_map(|(channel, accounts)| {
            accounts.keys().map(|account| (channel.clone(), account.clone()))
        });
        Some(keys.collect())
    }

    /// Whether the operator has named a channel. All others share one queue, so that no stranger makes
    /// us keep something for each name they invent.
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
