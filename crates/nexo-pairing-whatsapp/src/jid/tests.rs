//! A test for each row of the table of sender ids, and properties of all inputs.

use nexo_pairing_core::SenderId;
use proptest::prelude::*;

use super::canonical;

const PHONE: Option<&str> = Some("+5491155556666");
const LID: Option<&str> = Some("lid:123456789012345");

/// A number of this many bytes, most of them spaces.
fn spaced(bytes: usize) -> String {
    format!("+549{}1155556666", " ".repeat(bytes - 14))
}

/// A test for each row, named after it.
macro_rules! rows {
    ($($name:ident: $($raw:expr),+ => $canonical:expr;)+) => {
        $(
            #[test]
            fn $name() {
                for raw in [$($raw),+] {
                    assert_eq!(canonical(raw).as_deref(), $canonical, "{raw:?}");
                }
            }
        )+
    };
}

rows! {
    // Phone numbers, as WhatsApp writes them.
    a_legacy_jid: "5491155556666@c.us" => PHONE;
    a_jid: "5491155556666@s.whatsapp.net" => PHONE;
    a_jid_with_a_plus: "+5491155556666@c.us", "+5491155556666@s.whatsapp.net" => PHONE;
    a_device: "5491155556666:12@s.whatsapp.net", "5491155556666:0@c.us" => PHONE;
    the_highest_device: "5491155556666:65535@s.whatsapp.net" => PHONE;
    a_dotted_agent: "5491155556666.0:12@s.whatsapp.net", "5491155556666.255:12@c.us" => PHONE;
    an_underscored_agent: "5491155556666_1:2@s.whatsapp.net", "5491155556666_1:2@c.us" => PHONE;
    an_agent_without_a_device: "5491155556666.0@c.us", "5491155556666_1@c.us" => PHONE;

    // Phone numbers, as people write them.
    bare_digits: "5491155556666" => PHONE;
    a_canonical_phone_number: "+5491155556666" => PHONE;
    spaces: "+54 9 11 5555 6666" => PHONE;
    spaces_and_a_hyphen: "+54 9 11 5555-6666" => PHONE;
    hyphens: "+54-9-11-5555-6666", "+54 9 11 5555 - 6666" => PHONE;
    dots: "+54.9.11.5555.6666" => PHONE;
    parentheses: "+54 (9) 11 5555-6666", "+54(911)55556666", "+54 (9) (11) 55556666" => PHONE;
    formatting_without_a_plus: "54 9 11 5555-6666", "(212) 555-1234", "549.1155556666" => None;
    formatting_in_a_jid: "+54 9 11 5555-6666@c.us", "54-9-1155556666@c.us",
        "549(11)55556666@s.whatsapp.net", "549 1155556666@c.us" => None;
    a_zero_in_parentheses: "+44 (0)20 7946 0958", "+44 (020) 7946 0958" => None;
    crooked_parentheses: "+54 (9 11 55556666", "+54 (9 (11) 55556666", "+54 9) 11 55556666",
        "+54 ((9)) 11 55556666", "+54 () 911 55556666", "+54 ( 9) 11 55556666",
        "+54 (9 (11)) 55556666" => None;
    separators_around_the_digits: "+ 5491155556666", "+-5491155556666", "+(54)91155556666",
        "+5491155556666-", "+5491155556666 ", "+5491155556666.", "+54911555566(66)" => None;
    other_separators: "+54/9/11/5555/6666", "+54,9,11,5555,6666", "+54_9_11_5555_6666" => None;

    // The limits of E.164.
    seven_digits: "1234567@c.us", "1234567", "+1234567" => Some("+1234567");
    six_digits: "123456@c.us", "123456", "+123456", "+12-34-56" => None;
    fifteen_digits: "123456789012345@c.us", "123456789012345", "+123 456 789 012 345"
        => Some("+123456789012345");
    sixteen_digits: "1234567890123456@c.us", "1234567890123456", "+1234567890123456" => None;
    as_many_spaces_as_fit: &spaced(64) => PHONE;
    one_space_too_many: &spaced(65) => None;
    a_leading_zero: "05491155556@c.us", "05491155556", "+05491155556", "+0549 1155556",
        "005491155556666", "005491155556666@s.whatsapp.net" => None;

    // Linked ids.
    a_linked_id: "123456789012345@lid" => LID;
    a_linked_id_with_a_device: "123456789012345:12@lid", "123456789012345:0@lid" => LID;
    a_canonical_linked_id: "lid:123456789012345" => LID;
    a_short_linked_id: "7@lid", "lid:7" => Some("lid:7");
    a_linked_id_of_twenty_digits: "18446744073709551615@lid" => Some("lid:18446744073709551615");
    a_linked_id_of_twenty_one_digits: "184467440737095516150@lid", "lid:184467440737095516150"
        => None;
    a_linked_id_with_a_leading_zero: "0123456789@lid", "0@lid", "lid:0123456789" => None;
    a_linked_id_with_an_agent: "123456789012345.1:12@lid", "123456789012345_1:12@lid",
        "123456789012345.1@lid" => None;
    a_linked_id_with_a_plus: "+123456789012345@lid", "lid:+123456789012345" => None;
    a_linked_id_that_is_no_number: "lid:", "@lid", ":12@lid", "lid:abc", "lid:12a", "lid:-1",
        "lid:12:3", "lid:lid:123456789012345", "lid:123456789012345@lid", "abc@lid",
        "1234 5678@lid", "lid", "lid123456789012345" => None;
    the_prefix_in_other_forms: "LID:123456789012345", "Lid:123", " lid:123", "lid: 123" => None;

    // Nobody that can be paired.
    a_group: "5491155556666@g.us", "5491155556666-1600000000@g.us", "120363012345678901@g.us"
        => None;
    a_broadcast: "status@broadcast", "5491155556666@broadcast" => None;
    a_newsletter: "5491155556666@newsletter" => None;
    a_call: "5491155556666@call" => None;
    a_bot: "5491155556666@bot", "867051314767696@bot" => None;
    whatsapp_itself: "0@c.us", "0@s.whatsapp.net", "00000000@c.us" => None;
    two_at_signs: "5491155556666@c.us@c.us", "5491155556666@@c.us", "@5491155556666@c.us",
        "5491155556666@g.us@s.whatsapp.net", "5491155556666@c.us@" => None;
    letters: "server@c.us", "549115555abcd@c.us", "549115555abcd", "five", "+549l155556666" => None;
    other_servers: "5491155556666@hosted", "123456789012345@hosted.lid", "5491155556666@msgr",
        "5491155556666@interop", "5491155556666@example.com", "5491155556666@us",
        "5491155556666@", "5491155556666@xc.us", "5491155556666@c.usx",
        "5491155556666@s.whatsapp.net.example.com", "5491155556666@s.whatsapp.net:12" => None;
    a_server_in_upper_case: "5491155556666@C.US", "5491155556666@S.WhatsApp.net",
        "123456789012345@LID" => None;

    // Hostile.
    nothing: "", "+", "@", ":", "@c.us", "+@c.us", ":12@c.us", ".0:12@c.us", "_1@c.us" => None;
    an_empty_device: "5491155556666:@s.whatsapp.net", "5491155556666.0:@s.whatsapp.net",
        "123456789012345:@lid" => None;
    a_device_that_is_no_number: "5491155556666:a@s.whatsapp.net", "5491155556666:+1@c.us",
        "5491155556666:-1@c.us", "5491155556666:1:2@c.us", "5491155556666:1.2@c.us",
        "5491155556666: 1@c.us", "5491155556666:\u{662}@c.us", "123456789012345:a@lid",
        "123456789012345:+1@lid" => None;
    a_device_out_of_range: "5491155556666:65536@s.whatsapp.net", "123456789012345:65536@lid",
        "5491155556666:01@c.us", "5491155556666:00@c.us" => None;
    an_empty_agent: "5491155556666.:12@c.us", "5491155556666_@c.us", "5491155556666.@c.us" => None;
    an_agent_that_is_no_number: "5491155556666.a:1@c.us", "5491155556666_+1:2@c.us",
        "5491155556666.0.0:1@c.us", "5491155556666_1_1@c.us", "5491155556666_1.1@c.us" => None;
    an_agent_out_of_range: "5491155556666.256:1@c.us", "5491155556666_1155556666@c.us",
        "5491155556666.00:1@c.us" => None;
    a_device_without_a_server: "5491155556666:12", "5491155556666_1:2", "+5491155556666:12" => None;
    two_plus_signs: "++5491155556666", "++5491155556666@c.us", "+54+91155556666",
        "+5491155556666+" => None;
    other_digits: "\u{665}\u{664}\u{669}\u{661}\u{661}\u{665}\u{665}\u{665}\u{665}",
        "\u{ff15}\u{ff14}\u{ff19}\u{ff11}\u{ff11}\u{ff15}\u{ff15}\u{ff15}@c.us",
        "549115555666\u{ff16}@c.us", "+549115555666\u{b2}", "12345\u{966}@lid", "lid:12\u{ff13}",
        "\u{ff0b}5491155556666" => None;
    control_characters: "5491155556666\0", "\u{0}5491155556666@c.us", "549115555\u{0}6666@c.us",
        "5491155556666@c.us\0", "5491155556666\n@c.us", "5491155556666@c.us\r\n",
        "+54\t9 11 5555-6666", "+54 9 11 5555-6666\u{7f}", "lid:123\u{1b}" => None;
    space_around: " 5491155556666", "5491155556666 ", " +54 9 11 5555-6666",
        "5491155556666 @c.us", "5491155556666@ c.us", " 123@lid", "123 @lid" => None;
    characters_that_are_not_seen: "\u{202a}+5491155556666\u{202c}", "+54\u{a0}9 11 5555-6666",
        "+54\u{200b}91155556666", "5491155556666\u{200b}@c.us", "\u{feff}5491155556666",
        "+54 9 11 5555\u{2011}6666" => None;
    a_resource: "5491155556666@s.whatsapp.net/phone", "5491155556666/1@c.us" => None;
}

#[test]
fn a_huge_input_is_refused_and_the_longest_of_each_form_is_not() {
    for huge in ["1", "+", "@", " ", "-", "+5 ", "lid:", ":", "\u{665}"] {
        assert_eq!(canonical(&huge.repeat(1_000_000)), None, "{huge:?}");
    }
    let zeros = "0".repeat(100);
    assert_eq!(canonical(&format!("5491155556666:{zeros}1@c.us")), None);
    assert_eq!(canonical(&format!("+5{}491155556666", " ".repeat(100))), None);

    let longest = canonical("+123456789012345_255:65535@s.whatsapp.net");
    assert_eq!(longest.as_deref(), Some("+123456789012345"));
    let spread = canonical("+1-2-3-4-5-6-7-8-9-0-1-2-3-4-5");
    assert_eq!(spread.as_deref(), Some("+123456789012345"));
}

/// Sender ids, near misses and arbitrary strings.
fn inputs() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "5491155556666",
        "123456789012345",
        "+",
        "0",
        "7",
        "54",
        ":",
        "12",
        ".",
        "_",
        "@",
        "c.us",
        "s.whatsapp.net",
        "lid",
        "lid:",
        "g.us",
        "-",
        "(",
        ")",
        " ",
        "\0",
        "\u{662}",
        "\u{ff15}",
        "x",
    ]);
    prop_oneof![
        prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
        prop::collection::vec(parts, 0..9).prop_map(|parts| parts.concat()),
        r"\+?[0-9]{0,17}([._][0-9]{1,3})?(:[0-9]{1,5})?@(c\.us|s\.whatsapp\.net|lid|g\.us)",
        r"\+?[1-9]([0-9]|[0-9] |[0-9]-| ?\([1-9]{1,3}\) ?|\.[0-9]){4,9}[0-9]",
    ]
}

/// Whether `id` is canonical, checked independently of the code under test.
fn is_canonical(id: &str) -> bool {
    let (digits, length) = match (id.strip_prefix('+'), id.strip_prefix("lid:")) {
        (Some(digits), _) => (digits, 7..=15),
        (_, Some(digits)) => (digits, 1..=20),
        _ => return false,
    };
    length.contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
}

proptest! {
    #[test]
    fn normalization_yields_a_canonical_sender_and_is_idempotent(raw in inputs()) {
        if let Some(id) = canonical(&raw) {
            prop_assert!(is_canonical(&id), "{id}");
            prop_assert!(SenderId::check(&id).is_ok(), "{id}");
            prop_assert_eq!(canonical(&id), Some(id));
        }
    }

    #[test]
    fn the_address_of_an_id_normalizes_to_the_id(raw in inputs()) {
        if let Some(id) = canonical(&raw) {
            prop_assert_eq!(canonical(&super::address(&id)), Some(id));
        }
    }

    #[test]
    fn a_linked_id_comes_only_from_a_linked_id(raw in inputs()) {
        if let Some(id) = canonical(&raw) {
            let is_lid = raw.ends_with("@lid") || raw.starts_with("lid:");
            prop_assert_eq!(id.starts_with("lid:"), is_lid, "{}", id);
            prop_assert!(!raw.ends_with("@g.us"));
        }
    }

    #[test]
    fn no_digit_is_lost_added_or_moved(raw in inputs()) {
        if let Some(id) = canonical(&raw) {
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
            let user = match raw.split_once('@') {
                Some((user, _)) => user.split(['.', '_', ':']).next().unwrap_or_default(),
                None => raw.as_str(),
            };
            prop_assert_eq!(digits(&id), digits(user));
        }
    }

    #[test]
    fn the_same_digits_are_another_sender_on_another_server(digits in "[1-9][0-9]{6,14}") {
        let on = |server: &str| canonical(&format!("{digits}@{server}"));
        prop_assert_eq!(on("c.us"), Some(format!("+{digits}")));
        prop_assert_eq!(on("s.whatsapp.net"), on("c.us"));
        prop_assert_eq!(on("lid"), Some(format!("lid:{digits}")));
        prop_assert_eq!(on("g.us"), None);
    }
}
