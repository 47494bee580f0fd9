//! Normalizes a Telegram sender id, or what an operator types, to a canonical id.

use std::ops::RangeInclusive;

/// The range of ids in the Bot API, from channels to users.
/// <https://core.telegram.org/api/bots/ids>
const IDS: RangeInclusive<i64> = -4_000_000_000_000..=1_099_511_627_775;

/// Telegram's own accounts, which many write under: its service notifications, the anonymous
/// administrators of every group (`@GroupAnonymousBot`), the channels in groups (`@Channel_Bot`).
const SHARED_IDS: [i64; 3] = [777_000, 1_087_968_824, 136_817_688];

/// The length of a user name, without the `@`.
const NAME_LENGTH: RangeInclusive<usize> = 4..=32;

/// The canonical id of `raw`: decimal digits, or `@name` in lower case if `usernames` is set.
pub(crate) fn canonical(raw: &str, usernames: bool) -> Option<String> {
    match raw.strip_prefix('@') {
        Some(name) => (usernames && is_name(name)).then(|| raw.to_ascii_lowercase()),
        None => is_id(raw).then(|| raw.to_owned()),
    }
}

/// Whether `raw` is one of Telegram's own accounts.
pub(crate) fn is_shared(raw: &str) -> bool {
    SHARED_IDS.iter().any(|id| id.to_string() == raw)
}

fn is_id(text: &str) -> bool {
    // `parse` alone would accept a plus sign, leading zeros and `-0`.
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first| matches!(first, '1'..='9'))
        && text.parse().is_ok_and(|id| IDS.contains(&id) && !SHARED_IDS.contains(&id))
}

fn is_name(text: &str) -> bool {
    NAME_LENGTH.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::SenderId;
    use proptest::prelude::*;

    use super::canonical;

    /// A test for each row of the table of sender ids, named after it.
    macro_rules! rows {
        ($($name:ident: $($raw:expr),+ => $canonical:expr;)+) => {
            $(
                #[test]
                fn $name() {
                    for raw in [$($raw),+] {
                        let expected = $canonical.map(|id| id.unwrap_or(raw));
                        assert_eq!(canonical(raw, true).as_deref(), expected, "{raw:?}");
                    }
                }
            )+
        };
    }

    /// Canonical already.
    const SAME: Option<Option<&str>> = Some(None);
    const NOBODY: Option<Option<&str>> = None;

    rows! {
        a_person: "1", "7", "123456789", "5000000000" => SAME;
        the_highest_id: "1099511627775" => SAME;
        above_the_highest_id: "1099511627776", "9999999999999" => NOBODY;
        a_group: "-1", "-123456789", "-1001234567890", "-2002147483649" => SAME;
        the_lowest_id: "-4000000000000" => SAME;
        below_the_lowest_id: "-4000000000001" => NOBODY;
        zero: "0", "-0", "00" => NOBODY;
        leading_zeros: "007", "0123456789", "-0123456789", "-007" => NOBODY;
        a_plus: "+7", "+123456789", "+-7", "-+7" => NOBODY;
        two_minus_signs: "--7", "-7-", "7-" => NOBODY;

        the_service_notifications: "777000" => NOBODY;
        the_anonymous_administrators: "1087968824" => NOBODY;
        the_channels_in_groups: "136817688" => NOBODY;
        the_neighbours_of_those: "776999", "777001", "-777000", "1087968823", "136817689" => SAME;

        a_user_name: "@User_Name", "@user_name", "@USER_NAME" => Some(Some("@user_name"));
        a_user_name_of_digits: "@1234" => Some(Some("@1234"));
        a_user_name_of_four: "@abcd", "@____" => SAME;
        a_user_name_of_three: "@abc", "@a", "@" => NOBODY;
        a_user_name_of_32: "@abcdefghijklmnopqrstuvwxyz_01234" => SAME;
        a_user_name_of_33: "@abcdefghijklmnopqrstuvwxyz_012345" => NOBODY;
        a_user_name_of_other_characters: "@user-name", "@user.name", "@user name", "@us\u{e9}r",
            "@us\u{435}r", "@\u{ff55}ser", "@user\0", "@user\n", "@-1001234567890" => NOBODY;
        two_at_signs: "@@user", "@user@name", "user@name", "123456789@" => NOBODY;
        a_name_without_an_at_sign: "user_name", "abcd" => NOBODY;

        nothing: "", "-", " ", "+" => NOBODY;
        letters: "12345678a", "a12345678", "0x10", "1e9", "1_000", "1,000", "1.0", "NaN" => NOBODY;
        space_around: " 7", "7 ", "- 7", "1 000", "7\n", "\t7", "7\0", "\u{a0}7", " @user_name",
            "@user_name " => NOBODY;
        other_digits: "\u{661}\u{662}\u{663}", "\u{ff11}\u{ff12}", "1\u{662}", "7\u{b2}",
            "\u{2212}7", "\u{2013}7" => NOBODY;
        beyond_any_number: "9223372036854775807", "-9223372036854775808", "9223372036854775808",
            "99999999999999999999999999", "18446744073709551623" => NOBODY;
        a_link: "tg://user?id=123456789", "t.me/user_name", "user123456789", "id:7" => NOBODY;
    }

    #[test]
    fn a_huge_input_is_refused() {
        for huge in ["1", "0", "-", "@", "@a", "a", "_"] {
            assert_eq!(canonical(&huge.repeat(1_000_000), true), None, "{huge:?}");
        }
        assert_eq!(canonical(&format!("@{}", "a".repeat(1_000_000)), true), None);
    }

    #[test]
    fn a_user_name_is_refused_unless_names_are_accepted() {
        assert_eq!(canonical("@User_Name", false), None);
        assert_eq!(canonical("@user_name", false), None);
        assert_eq!(canonical("123456789", false).as_deref(), Some("123456789"));
    }

    /// Sender ids, near misses and arbitrary strings.
    fn inputs() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
            any::<i64>().prop_map(|id| id.to_string()),
            (-4_000_000_000_010_i64..1_099_511_627_785).prop_map(|id| id.to_string()),
            "[-+@ 0]{0,2}[0-9]{0,14}",
            "@{0,2}[A-Za-z0-9_]{2,34}[-. ]?",
        ]
    }

    proptest! {
        #[test]
        fn normalization_yields_a_sender_and_is_idempotent(raw in inputs(), usernames: bool) {
            if let Some(id) = canonical(&raw, usernames) {
                prop_assert!(SenderId::check(&id).is_ok(), "{id}");
                prop_assert_eq!(canonical(&id, usernames), Some(id));
            }
        }

        #[test]
        fn an_id_is_a_number_and_a_name_is_not(raw in inputs(), usernames: bool) {
            match canonical(&raw, usernames) {
                Some(id) if id.starts_with('@') => {
                    prop_assert!(usernames && id.eq_ignore_ascii_case(&raw), "{id}");
                }
                Some(id) => {
                    let number: i64 = id.parse().unwrap();
                    prop_assert_eq!(number.to_string(), raw);
                    prop_assert!((-4_000_000_000_000..=1_099_511_627_775).contains(&number));
                }
                None => {}
            }
        }

        #[test]
        fn every_number_of_the_range_is_a_sender(id in -4_000_000_000_000_i64..=1_099_511_627_775) {
            prop_assume!(![0, 777_000, 1_087_968_824, 136_817_688].contains(&id));
            prop_assert_eq!(canonical(&id.to_string(), false), Some(id.to_string()));
        }
    }
}
