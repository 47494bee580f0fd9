//! Checks the output with a parser that follows Telegram's rules.

use nexo_pairing_core::{Challenge, PairingCode};
use proptest::prelude::*;

use super::*;

/// The characters that the Bot API lists as reserved, and the backslash.
const RESERVED: &str = r"_*[]()~`>#+-=|{}.!\";

/// A part of a text as Telegram shows it.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Plain(String),
    Code(String),
}

/// Parses plain text and code spans as Telegram does. What Telegram refuses, or reads as other markup, is
/// an error.
fn parse(markdown: &str) -> Result<Vec<Shown>, String> {
    let mut shown = Vec::new();
    let mut part = String::new();
    let mut is_code = false;
    let mut rest = markdown.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(escaped @ '\u{1}'..='\u{7e}') => part.push(escaped),
                other => return Err(format!("a backslash before {other:?}")),
            },
            '`' if is_code && part.is_empty() => return Err("an empty code span".to_owned()),
            '`' if is_code => {
                shown.push(Shown::Code(std::mem::take(&mut part)));
                is_code = false;
            }
            '`' if rest.as_str().starts_with("``") => return Err("a code block".to_owned()),
            '`' => {
                if !part.is_empty() {
                    shown.push(Shown::Plain(std::mem::take(&mut part)));
                }
                is_code = true;
            }
            reserved if !is_code && RESERVED.contains(reserved) => {
                return Err(format!("{reserved:?} is reserved"));
            }
            other => part.push(other),
        }
    }
    if is_code {
        return Err("an unclosed code span".to_owned());
    }
    if !part.is_empty() {
        shown.push(Shown::Plain(part));
    }
    Ok(shown)
}

/// What Telegram should show for `segments`.
fn expected(segments: &[Segment<'_>]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for segment in segments {
        match (segment, shown.last_mut()) {
            (Segment::Text(""), _) => {}
            (Segment::Text(words), Some(Shown::Plain(last))) => last.push_str(words),
            (Segment::Text(words), _) => shown.push(Shown::Plain((*words).to_owned())),
            (Segment::Verbatim(exact), _) if exact.is_empty() => {}
            (Segment::Verbatim(exact), _) => shown.push(Shown::Code(exact.clone())),
        }
    }
    shown
}

fn plain(shown: &[Shown]) -> String {
    shown.iter().map(|(Shown::Plain(text) | Shown::Code(text))| text.as_str()).collect()
}

#[test]
fn the_parser_refuses_what_telegram_refuses() {
    for c in RESERVED.chars() {
        assert!(parse(&format!("a{c}")).is_err(), "{c}");
        assert_eq!(parse(&format!("a\\{c}b")), Ok(vec![Shown::Plain(format!("a{c}b"))]));
    }
    for bad in
        ["`", "a`b", "``", "```", "```a```", "``a``", r"\", r"`\`", r"\é", "\\\0", "`a`.", "`a``"]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert_eq!(
        parse(r"a`b.c``\``"),
        Ok(vec![
            Shown::Plain("a".to_owned()),
            Shown::Code("b.c".to_owned()),
            Shown::Code("`".to_owned()),
        ])
    );
}

#[test]
fn each_reserved_character_of_a_text_is_escaped_and_no_other() {
    for c in (0..=0x2ff).filter_map(char::from_u32) {
        let expected = if RESERVED.contains(c) { format!("\\{c}") } else { c.to_string() };
        let text = c.to_string();
        assert_eq!(render(&[Segment::Text(&text)]), expected, "{c:?}");
    }
}

#[test]
fn only_backtick_and_backslash_of_a_code_span_are_escaped() {
    for c in (0..=0x2ff).filter_map(char::from_u32) {
        let expected = if c == '`' || c == '\\' { format!("`\\{c}`") } else { format!("`{c}`") };
        assert_eq!(render(&[Segment::Verbatim(c.to_string())]), expected, "{c:?}");
    }
}

#[test]
fn an_empty_code_span_is_omitted() {
    let segments = [Segment::Verbatim(String::new()), Segment::Verbatim("A".to_owned())];
    assert_eq!(render(&segments), "`A`");
}

#[test]
fn no_segments_render_as_an_empty_text() {
    assert_eq!(render(&[]), "");
}

/// Texts in which the reserved characters, line ends and placeholders are frequent.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(RESERVED.chars().collect::<Vec<_>>()).prop_map(String::from),
        prop::sample::select(vec!["{code}", "{minutes}", "{command}", "```", "**>", "\n>", "\0"])
            .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn telegram_shows_any_template_as_written(
        template in texts(),
        random: [u8; 7],
        minutes: u64,
    ) {
        let challenge = Challenge::new(PairingCode::from_random(random), minutes)
            .with_template(template);
        let shown = parse(&render(&challenge.segments())).unwrap();
        prop_assert_eq!(plain(&shown), challenge.plain_text());
        prop_assert_eq!(shown, expected(&challenge.segments()));
    }

    #[test]
    fn telegram_shows_any_segments_as_intended(
        parts in prop::collection::vec((any::<bool>(), texts()), 0..6),
    ) {
        let segments: Vec<_> = parts
            .iter()
            .map(|(is_code, text)| match is_code {
                true => Segment::Verbatim(text.clone()),
                false => Segment::Text(text),
            })
            .collect();
        prop_assert_eq!(parse(&render(&segments)), Ok(expected(&segments)));
    }

    #[test]
    fn telegram_shows_any_code_in_the_default_text(code in texts()) {
        let text = crate::tests::short_text(&code);
        let shown = plain(&parse(&text).unwrap());
        prop_assert_eq!(
            shown,
            format!("Your pairing code is {code}. Give it to the operator of this bot.")
        );
    }
}
