//! Sequences of configurations: what a later one may do only explicitly.

use nexo_pairing_core::Mode;
use proptest::prelude::*;

use super::{ACCOUNTS, Remembered, Running, Written, irc};

/// A configuration: the default mode, the accounts with their modes, and the channels with a plugin as
/// their adapter.
#[derive(Debug, Clone)]
enum Sample {
    NoFile,
    Empty(&'static str),
    Set(Option<Mode>, Option<Vec<(&'static str, Option<Mode>)>>, Option<Vec<&'static str>>),
}

impl Sample {
    fn text(&self) -> Option<String> {
        let (default, accounts, adapters) = match self {
            Self::NoFile => return None,
            Self::Empty(text) => return Some((*text).to_owned()),
            Self::Set(default, accounts, adapters) => (default, accounts, adapters),
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

    /// The mode that is set for this account itself.
    fn own(&self, account: &str) -> Option<Mode> {
        match self {
            Self::Set(_, Some(accounts), _) => {
                accounts.iter().find(|(named, _)| *named == account)?.1
            }
            _ => None,
        }
    }

    /// Whether it explicitly admits strangers on this account.
    fn opens(&self, account: &str) -> bool {
        let default = if let Self::Set(default, ..) = self { *default } else { None };
        self.own(account).or(default) == Some(Mode::Open)
    }

    fn adapters(&self) -> Option<&[&'static str]> {
        if let Self::Set(_, _, adapters) = self { adapters.as_deref() } else { None }
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let mode = prop_oneof![Just(Mode::Open), Just(Mode::Allowlist), Just(Mode::Pairing)];
    let mode = prop::option::of(mode);
    let named = prop::sample::subsequence(ACCOUNTS[..3].to_vec(), 0..=3);
    let accounts = (named, prop::collection::vec(mode.clone(), 3))
        .prop_map(|(named, modes)| named.into_iter().zip(modes).collect());
    let adapters = prop::sample::subsequence(vec!["irc", "pigeon"], 0..=2);
    prop_oneof![
        1 => Just(Sample::NoFile),
        1 => prop::sample::select(vec!["", "# pairing:\n", "pairing:\n", "schema_version: 11\n"])
            .prop_map(Sample::Empty),
        8 => (mode, prop::option::of(accounts), prop::option::of(adapters))
            .prop_map(|(default, accounts, adapters)| Sample::Set(default, accounts, adapters)),
    ]
}

fn names_irc(sample: &Sample) -> bool {
    sample.adapters().is_some_and(|adapters| adapters.contains(&"irc"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_configuration_admits_strangers_rejected_before_only_if_it_says_so(
        configurations in prop::collection::vec((sample(), any::<bool>()), 2..5)
    ) {
        let mut running: Option<(Running, Sample)> = None;
        // Whether an adapter was configured for the channel, and not removed explicitly.
        let mut is_served = false;
        for (sample, is_reload) in configurations {
            let text = sample.text();
            let Some((before, previous)) = &running else {
                let started = Running::start(text.as_deref(), &Remembered::default());
                is_served |= started.is_some() && names_irc(&sample);
                running = started.map(|started| (started, sample));
                continue;
            };
            let after = match is_reload {
                true => before.reload(&Written::still(text.as_deref())),
                false => Running::start(text.as_deref(), &before.remembered),
            };
            let Some(after) = after else { continue };
            for account in ACCOUNTS {
                if after.admits(account) && !before.admits(account) {
                    prop_assert!(sample.opens(account), "{account} by {sample:?} after {previous:?}");
                    let lost_its_own = previous.own(account).is_some() && sample.own(account).is_none();
                    prop_assert!(!lost_its_own, "{account} by {sample:?} after {previous:?}");
                }
            }
            let [was_raw, is_raw] = [before, &after].map(|it| it.takes_ids_as_written(&irc()));
            if is_raw && sample.adapters().is_some_and(<[_]>::is_empty) {
                is_served = false;
            }
            prop_assert!(was_raw || !is_raw || !is_served, "{sample:?} after {previous:?}");
            is_served |= names_irc(&sample);
            running = Some((after, sample));
        }
    }
}
