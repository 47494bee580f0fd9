//! Durations as people write them: `90s`, `15m`, `12h`, `7d`, `2w`.

use std::time::Duration;

use nexo_pairing::Grant;

/// What `--for` takes.
const EXPECTED: &str = "write a whole number and s, m, h, d or w, such as 90s, 15m, 12h, 7d or 2w";

/// Reads a duration of 1 second to 10 years.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(EXPECTED.to_owned()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EXPECTED.to_owned());
    }
    // What does not fit is longer than ten years as well.
    let secs = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match secs.map(Duration::from_secs) {
        Some(Duration::ZERO) => Err("it has to be at least 1s".to_owned()),
        Some(duration) if duration <= Grant::MAX_EXPIRES_IN => Ok(duration),
        _ => Err("it has to be at most 10 years, which is 3650d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_known() {
        for (text, secs) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1 d", 86_400),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(parse("3650d"), Ok(Grant::MAX_EXPIRES_IN));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "s",
            "7",
            "7y",
            "7 days",
            "-7d",
            "+7d",
            "1.5h",
            "7dd",
            "7d7d",
            "0s",
            "000w",
            "3651d",
            "99999999999999999999d",
            "18446744073709551615w",
            "٧d",
            "7\u{a0}d\u{301}",
            "∞",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
