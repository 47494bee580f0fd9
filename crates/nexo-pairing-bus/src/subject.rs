//! Subjects: which ones a gate may subscribe to, and the channel and account in them.

use nexo_pairing_core::text::truncate;
use nexo_pairing_core::{AccountId, ChannelId};
use nexo_pairing_nats::check_subject_pattern;

/// The prefix of inbound subjects, behind any prefix of a subject mapping.
const INBOUND: &str = "plugin.inbound.";

/// The prefix of the subjects of admitted messages, before channel and account.
pub(crate) const ADMITTED: &str = "pairing.admitted.";

/// The same for events of plugins themselves.
pub(crate) const NOTICES: &str = "pairing.notices.";

/// The suffixes of subjects about linking, below an account.
const LINKING: [&str; 2] = ["pairing.qr", "pairing.state"];

/// The subject of reports of messages without a decision.
pub(crate) const REJECTED: &str = "pairing.rejected";

/// The subjects that a gate subscribes to; they may have wildcards. Default: `plugin.inbound.>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects(Vec<String>);

/// Why a gate cannot subscribe to these subjects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
#[non_exhaustive]
pub struct SubjectError(String);

impl Subjects {
    /// Checks the subjects of a gate. Each has the tokens `plugin.inbound`, perhaps behind a prefix of a
    /// subject mapping, and covers a part of the subjects below, or all of them.
    ///
    /// `plugins` are the prefixes of plugins that the gate asks over the bus
    /// ([`PluginOptions`](nexo_pairing_nats::PluginOptions)): it publishes below `<prefix>.pairing`.
    ///
    /// ```
    /// use nexo_pairing_bus::Subjects;
    ///
    /// assert!(Subjects::parse(&["plugin.inbound.whatsapp.>", "plugin.inbound.telegram"], &[]).is_ok());
    /// assert!(Subjects::parse(&[">"], &[]).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubjectError`] when no subject is given, or one is invalid, is not the plugins', includes what the
    /// gate itself publishes, or overlaps another one.
    pub fn parse(subjects: &[&str], plugins: &[&str]) -> Result<Self, SubjectError> {
        let published = ["pairing.>", "plugin.outbound.>", "_INBOX.>", "_inbox.>"];
        let asked = plugins.iter().map(|prefix| format!("{prefix}.pairing.>"));
        let own: Vec<String> = published.map(str::to_owned).into_iter().chain(asked).collect();
        let mut checked: Vec<String> = Vec::new();
        for subject in subjects {
            let overlapping = |other: &&String| overlap(subject, other);
            let problem = if check_subject_pattern(subject).is_err() {
                "it is not a valid subject".to_owned()
            } else if !has_tokens(subject, INBOUND.trim_end_matches('.')) {
                "it has to name plugin.inbound, where the plugins publish".to_owned()
            } else if let Some(own) = own.iter().find(overlapping) {
                format!("it includes {own}, where the gate itself publishes")
            } else if let Some(other) = checked.iter().find(overlapping) {
                format!("a message could match {other} as well, and would be decided twice")
            } else {
                checked.push((*subject).to_owned());
                continue;
            };
            return Err(SubjectError(format!("{} is refused: {problem}", truncate(subject, 100))));
        }
        if checked.is_empty() {
            return Err(SubjectError("no subject is given".to_owned()));
        }
        Ok(Self(checked))
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }
}

impl Default for Subjects {
    fn default() -> Self {
        Self(vec![format!("{INBOUND}>")])
    }
}

/// The channel and account in a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    /// Channel and account as in the subject: the suffix of [`ADMITTED`] and [`NOTICES`].
    pub(crate) suffix: &'a str,
    /// The suffix of the subject, if it is about the linking of the plugin's own account.
    pub(crate) linking: Option<&'static str>,
}

impl<'a> Address<'a> {
    /// Parses `[….]plugin.inbound.<channel>[.<account>]`, or a subject of linking below an account. `None`
    /// if channel or account is invalid, so that nothing else gets into a subject.
    pub(crate) fn parse(subject: &'a str) -> Option<Self> {
        let at = subject
            .match_indices(INBOUND)
            .map(|(at, _)| at)
            .find(|&at| at == 0 || subject.as_bytes()[at - 1] == b'.')?;
        let all = &subject[at + INBOUND.len()..];
        let below = |&kind: &&str| all.strip_suffix(kind)?.strip_suffix('.');
        let linking = LINKING.into_iter().find(|kind| {
            // Without an account it would be the name of the account.
            below(kind).is_some_and(|place| place.contains('.'))
        });
        let suffix = linking.as_ref().and_then(below).unwrap_or(all);
        let (channel, account) = match suffix.split_once('.') {
            Some((channel, account)) => (channel, account),
            None => (suffix, "default"),
        };
        ChannelId::check(channel).ok()?;
        AccountId::check(account).ok()?;
        Some(Self { channel, account, suffix, linking })
    }
}

/// Whether the subject has the tokens of `part`, one after the other.
fn has_tokens(subject: &str, part: &str) -> bool {
    format!(".{subject}.").contains(&format!(".{part}."))
}

/// Whether a subject can match both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (None, _) | (_, None) => return false,
            (Some("*"), _) | (_, Some("*")) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(subjects: &[&str]) -> Result<Subjects, String> {
        Subjects::parse(subjects, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_gate_subscribes_to_subjects_of_plugins() {
        for subjects in [
            &["plugin.inbound.>"][..],
            &["plugin.inbound.whatsapp", "plugin.inbound.whatsapp.*"],
            &["plugin.inbound.*", "plugin.inbound.telegram.>"],
            &["part.0.plugin.inbound.>", "part.1.plugin.inbound.>"],
            &["part.*.plugin.inbound.whatsapp.>"],
        ] {
            assert!(parse(subjects).is_ok(), "{subjects:?}: {:?}", parse(subjects));
        }
    }

    #[test]
    fn a_gate_never_takes_its_own_messages_nor_any_message_twice() {
        for (subjects, why) in [
            (&[">"][..], "has to name plugin.inbound"),
            (&["plugin.>"], "has to name plugin.inbound"),
            (&["plugin.*.>"], "has to name plugin.inbound"),
            (&["pairing.admitted.>"], "has to name plugin.inbound"),
            (&["pairing.admitted.plugin.inbound"], "it includes pairing.>, where the gate itself"),
            (&["*.*.plugin.inbound.>"], "it includes pairing.>, where the gate itself"),
            (&["*.*.plugin.inbound"], "it includes pairing.>, where the gate itself"),
            (&["plugin.outbound.plugin.inbound"], "it includes plugin.outbound.>, where the gate"),
            (&["_INBOX.plugin.inbound.a"], "it includes _INBOX.>, where the gate itself"),
            (&["plugin.inbound.>", "plugin.inbound.whatsapp"], "match plugin.inbound.> as well"),
            (&["plugin.inbound.*.a", "plugin.inbound.whatsapp.*"], "a message could match"),
            (&["plugin.inbound.>", "plugin.inbound.>"], "match plugin.inbound.> as well"),
            (&["plugin.inbound..a"], "it is not a valid subject"),
            (&["plugin.inbound.>.a"], "it is not a valid subject"),
            (&["plugin.inbound.a b"], "it is not a valid subject"),
            (&[""], "it is not a valid subject"),
        ] {
            let error = parse(subjects).unwrap_err();
            assert!(error.contains(why), "{subjects:?}: {error}");
        }
    }

    #[test]
    fn an_address_has_a_channel_and_an_optional_account() {
        let parsed = |subject| {
            let address = Address::parse(subject)?;
            assert_eq!(address.linking, None, "{subject}");
            Some((address.channel, address.account, address.suffix))
        };
        assert_eq!(
            parsed("plugin.inbound.whatsapp.personal"),
            Some(("whatsapp", "personal", "whatsapp.personal"))
        );
        assert_eq!(parsed("plugin.inbound.whatsapp"), Some(("whatsapp", "default", "whatsapp")));
        assert_eq!(
            parsed("part.1.plugin.inbound.a.B"),
            Some(("a", "B", "a.B")),
            "a subject mapping added a prefix"
        );
        for subject in [
            "plugin.inbound.",
            "plugin.inbound",
            "plugin.inbound.whatsapp.",
            "plugin.inbound.whatsapp.a.b",
            "plugin.inbound.whatsapp.a.b.pairing.qr",
            "plugin.inbound.whatsapp.pairing.qr",
            "plugin.inbound.whatsapp.a.pairing.qr.pairing.state",
            "plugin.inbound.whatsapp.a.pairing.state.pairing.qr",
            "plugin.inbound.whatsapp.a.pairing.qrx",
            "plugin.inbound.whatsapp.a.pairing",
            "plugin.inbound.whatsapp..pairing.qr",
            "plugin.inbound.whatsapp.*",
            "plugin.inbound.whatsapp.>",
            "plugin.inbound.*.personal",
            "plugin.inbound.WhatsApp.personal",
            "plugin.inbound.whatsapp.a b",
            "myplugin.inbound.whatsapp",
            "plugin.outbound.whatsapp",
            "",
        ] {
            assert_eq!(parsed(subject), None, "{subject}");
        }
    }

    #[test]
    fn linking_is_below_an_account() {
        for (subject, account, linking) in [
            ("plugin.inbound.whatsapp.a.pairing.qr", "a", "pairing.qr"),
            ("part.1.plugin.inbound.whatsapp.default.pairing.state", "default", "pairing.state"),
        ] {
            let address = Address::parse(subject).unwrap();
            assert_eq!((address.channel, address.account), ("whatsapp", account));
            assert_eq!(address.suffix, format!("whatsapp.{account}"));
            assert_eq!(address.linking, Some(linking));
        }
    }
}
