//! Pairs of configurations: what the second may not do unless it says so.

use nexo_pairing_core::Mode;
use proptest::prelude::*;

use super::{ACCOUNTS, Remembered, Running, Written, irc};

/// What a configuration says: of the modes of all accounts and of some, and which channels have their
/// adapter in another process.
#[derive(Debug, Clone)]
enum Said {
    NoFile,
    Nothing(&'static str),
    Words(Option<Mode>, Option<Vec<(&'static str, Option<Mode>)>>, Option<Vec<&'static str>>),
}

impl Said {
    fn text(&self) -> Option<String> {
        let (default, accounts, adapters) = match self {
            Self::NoFile => return None,
            Self::Nothing(text) => return Some((*text).to_owned()),
            Self::Words(default, accounts, adapters) => (default, accounts, adapters),
        };
        let mut text = "pairing:\n  audit_days: 30\n".to_owned();
        if let Some(mode) = default {
            text += &format!("  gate: {{ mode: {mode} }}\n");
        }
        if let Some(accounts) = accounts {
            let entry = |(account, mode): &(&str, Option<Mode>)| {
                let mode = mode.map(|mode| format!(", mode: {mode}")).unwrap_or_default();
                format!("{{ channel: irc, account: {account}{mode} }}")
            };
            let entries: Vec<String> = accounts.iter().map(entry).collect();
            text += &format!("  accounts: [{}]\n", entries.join(", "));
        }
        if let Some(adapters) = adapters {
            let entry = |channel: &&str| format!("{{ channel: {channel}, prefix: p.{channel} }}");
            let entries: Vec<String> = adapters.iter().map(entry).collect();
            text += &format!("  adapters: [{}]\n", entries.join(", "));
        }
        Some(text)
    }

    /// The words on one account alone.
    fn own(&self, account: &str) -> Option<Mode> {
        match self {
            Self::Words(_, Some(accounts), _) => {
                accounts.iter().find(|(named, _)| *named == account)?.1
            }
            _ => None,
        }
    }

    /// Whether the words are that strangers on this account are admitted.
    fn opens(&self, account: &str) -> bool {
        let default = if let Self::Words(default, ..) = self { *default } else { None };
        self.own(account).or(default) == Some(Mode::Open)
    }

    fn adapters(&self) -> Option<&[&'static str]> {
        if let Self::Words(_, _, adapters) = self { adapters.as_deref() } else { None }
    }
}

fn said() -> impl Strategy<Value = Said> {
    let mode = prop_oneof![Just(Mode::Open), Just(Mode::Allowlist), Just(Mode::Pairing)];
    let mode = prop::option::of(mode);
    let named = prop::sample::subsequence(ACCOUNTS[..3].to_vec(), 0..=3);
    let accounts = (named, prop::collection::vec(mode.clone(), 3))
        .prop_map(|(named, modes)| named.into_iter().zip(modes).collect());
    let adapters = prop::sample::subsequence(vec!["irc", "pigeon"], 0..=2);
    prop_oneof![
        1 => Just(Said::NoFile),
        1 => prop::sample::select(vec!["", "# pairing:\n", "pairing:\n", "schema_version: 11\n"])
            .prop_map(Said::Nothing),
        8 => (mode, prop::option::of(accounts), prop::option::of(adapters))
            .prop_map(|(default, accounts, adapters)| Said::Words(default, accounts, adapters)),
    ]
}

fn names_irc(said: &Said) -> bool {
    said.adapters().is_some_and(|adapters| adapters.contains(&"irc"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_configuration_admits_whom_another_refused_only_if_it_says_so(
        configurations in prop::collection::vec((said(), any::<bool>()), 2..5)
    ) {
        let mut running: Option<(Running, Said)> = None;
        // Whether words named an adapter for the channel, and none have ended that.
        let mut is_served = false;
        for (said, is_reload) in configurations {
            let text = said.text();
            let Some((before, words)) = &running else {
                let started = Running::start(text.as_deref(), &Remembered::default());
                is_served |= started.is_some() && names_irc(&said);
                running = started.map(|started| (started, said));
                continue;
            };
            let after = match is_reload {
                true => before.reload(&Written::still(text.as_deref())),
                false => Running::start(text.as_deref(), &before.remembered),
            };
            let Some(after) = after else { continue };
            for account in ACCOUNTS {
                if after.admits(account) && !before.admits(account) {
                    prop_assert!(said.opens(account), "{account} by {said:?} after {words:?}");
                    let lost_its_own = words.own(account).is_some() && said.own(account).is_none();
                    prop_assert!(!lost_its_own, "{account} by {said:?} after {words:?}");
                }
            }
            let [was_raw, is_raw] = [before, &after].map(|it| it.takes_ids_as_written(&irc()));
            if is_raw && said.adapters().is_some_and(<[_]>::is_empty) {
                is_served = false;
            }
            prop_assert!(was_raw || !is_raw || !is_served, "{said:?} after {words:?}");
            is_served |= names_irc(&said);
            running = Some((after, said));
        }
    }
}
