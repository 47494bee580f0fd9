//! Subjects: which ones a gate may take, and whose message stands on one.

use nexo_pairing_core::text::truncate;
use nexo_pairing_core::{AccountId, ChannelId};
use nexo_pairing_nats::check_subject_pattern;

/// What the subject of a message begins with, but for what a mapping has put before it.
const INBOUND: &str = "plugin.inbound.";

/// Where admitted messages go, with channel and account behind it.
pub(crate) const ADMITTED: &str = "pairing.admitted.";

/// Where events of plugins themselves go, likewise.
pub(crate) const NOTICES: &str = "pairing.notices.";

/// What the subjects of linking end with, below an account.
const LINKING: [&str; 2] = ["pairing.qr", "pairing.state"];

/// Where it is told what could not be decided.
pub(crate) const REJECTED: &str = "pairing.rejected";

/// The subjects that a gate takes messages from; they may have wildcards. Default: `plugin.inbound.>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects(Vec<String>);

/// Why a gate cannot take these subjects. Subjects are cut to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// There is none.
    #[error("no subject is named")]
    Empty,
    /// It breaks the rules of NATS.
    #[error("{subject} cannot be taken: it is no subject")]
    Invalid {
        /// The subject.
        subject: String,
    },
    /// It could bring what no plugin writes.
    #[error(
        "{subject} cannot be taken: it has to name plugin.inbound, where the plugins' messages are"
    )]
    NotInbound {
        /// The subject.
        subject: String,
    },
    /// The gate would read its own messages, for ever.
    #[error("{subject} cannot be taken: it includes what the gate itself writes to {own}")]
    Own {
        /// The subject.
        subject: String,
        /// What the gate writes to.
        own: String,
    },
    /// A message could come by two subjects, and would be decided twice.
    #[error("{subject} cannot be taken: a message could come by it and by {other} as well")]
    Overlap {
        /// The subject.
        subject: String,
        /// The subject before it.
        other: String,
    },
}

impl Subjects {
    /// Checks the subjects of a gate. Each has the words `plugin.inbound`, may have others before them,
    /// as a mapping of the server puts them there, and names a part of what is below, or all of it.
    ///
    /// `plugins` are the prefixes of plugins that the gate asks over the bus
    /// ([`PluginOptions`](nexo_pairing_nats::PluginOptions)): it writes below `<prefix>.pairing`.
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
    /// [`SubjectError`] when there is no subject, or one that cannot be taken.
    pub fn parse(subjects: &[&str], plugins: &[&str]) -> Result<Self, SubjectError> {
        let written = ["pairing.>", "plugin.outbound.>", "_INBOX.>", "_inbox.>"].map(str::to_owned);
        let asked = plugins.iter().map(|prefix| format!("{prefix}.pairing.>"));
        let ours: Vec<String> = written.into_iter().chain(asked).collect();
        let mut checked: Vec<String> = Vec::new();
        for subject in subjects {
            let shown = || truncate(subject, 100);
            if check_subject_pattern(subject).is_err() {
                return Err(SubjectError::Invalid { subject: shown() });
            }
            if !has_literally(subject, INBOUND.trim_end_matches('.')) {
                return Err(SubjectError::NotInbound { subject: shown() });
            }
            if let Some(own) = ours.iter().find(|own| overlap(subject, own)) {
                return Err(SubjectError::Own { subject: shown(), own: own.clone() });
            }
            if let Some(other) = checked.iter().find(|other| overlap(subject, other)) {
                return Err(SubjectError::Overlap { subject: shown(), other: other.clone() });
            }
            checked.push((*subject).to_owned());
        }
        if checked.is_empty() { Err(SubjectError::Empty) } else { Ok(Self(checked)) }
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

/// Whose message it is, as its subject says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    /// Channel and account as they stand there: what comes behind [`ADMITTED`] and [`NOTICES`].
    pub(crate) suffix: &'a str,
    /// What the plugin says of the linking of its own account: how the subject ends.
    pub(crate) linking: Option<&'static str>,
}

impl<'a> Address<'a> {
    /// Reads `[….]plugin.inbound.<channel>[.<account>]`, or one of linking below an account; `None`
    /// where channel or account is invalid, so that nothing else ever becomes a part of a subject.
    pub(crate) fn read(subject: &'a str) -> Option<Self> {
        let at = subject
            .match_indices(INBOUND)
            .map(|(at, _)| at)
            .find(|&at| at == 0 || subject.as_bytes()[at - 1] == b'.')?;
        let all = &subject[at + INBOUND.len()..];
        let below = |&kind: &&str| all.strip_suffix(kind)?.strip_suffix('.');
        let linking = LINKING.into_iter().find(|kind| {
            // Without an account it would be the account's name.
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

/// Whether the words of `part` stand in it, one behind the other.
fn has_literally(subject: &str, part: &str) -> bool {
    format!(".{subject}.").contains(&format!(".{part}."))
}

/// Whether there is a subject that both patterns include.
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
    fn a_gate_takes_what_plugins_write() {
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
    fn a_gate_never_takes_what_it_writes_nor_anything_twice() {
        for (subjects, why) in [
            (&[">"][..], "has to name plugin.inbound"),
            (&["plugin.>"], "has to name plugin.inbound"),
            (&["plugin.*.>"], "has to name plugin.inbound"),
            (&["pairing.admitted.>"], "has to name plugin.inbound"),
            (&["pairing.admitted.plugin.inbound"], "the gate itself writes to pairing.>"),
            (&["*.*.plugin.inbound.>"], "the gate itself writes to pairing.>"),
            (&["*.*.plugin.inbound"], "the gate itself writes to pairing.>"),
            (&["plugin.outbound.plugin.inbound"], "itself writes to plugin.outbound.>"),
            (&["_INBOX.plugin.inbound.a"], "the gate itself writes to _INBOX.>"),
            (&["plugin.inbound.>", "plugin.inbound.whatsapp"], "by plugin.inbound.> as well"),
            (&["plugin.inbound.*.a", "plugin.inbound.whatsapp.*"], "a message could come by it"),
            (&["plugin.inbound.>", "plugin.inbound.>"], "by plugin.inbound.> as well"),
            (&["plugin.inbound..a"], "it is no subject"),
            (&["plugin.inbound.>.a"], "it is no subject"),
            (&["plugin.inbound.a b"], "it is no subject"),
            (&[""], "it is no subject"),
        ] {
            let told = parse(subjects).unwrap_err();
            assert!(told.contains(why), "{subjects:?}: {told}");
        }
    }

    #[test]
    fn an_address_has_a_channel_and_perhaps_an_account() {
        let read = |subject| {
            let address = Address::read(subject)?;
            assert_eq!(address.linking, None, "{subject}");
            Some((address.channel, address.account, address.suffix))
        };
        assert_eq!(
            read("plugin.inbound.whatsapp.personal"),
            Some(("whatsapp", "personal", "whatsapp.personal"))
        );
        assert_eq!(read("plugin.inbound.whatsapp"), Some(("whatsapp", "default", "whatsapp")));
        assert_eq!(
            read("part.1.plugin.inbound.a.B"),
            Some(("a", "B", "a.B")),
            "a mapping put something before it"
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
            assert_eq!(read(subject), None, "{subject}");
        }
    }

    #[test]
    fn linking_is_below_an_account() {
        for (subject, account, linking) in [
            ("plugin.inbound.whatsapp.a.pairing.qr", "a", "pairing.qr"),
            ("part.1.plugin.inbound.whatsapp.default.pairing.state", "default", "pairing.state"),
        ] {
            let address = Address::read(subject).unwrap();
            assert_eq!((address.channel, address.account), ("whatsapp", account));
            assert_eq!(address.suffix, format!("whatsapp.{account}"));
            assert_eq!(address.linking, Some(linking));
        }
    }
}
